"""invnb.rotation: quarter turns, trigonometry, and scipy's rotation."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from invnb.rotation import rotate

ANGLES = pytest.mark.parametrize("degrees", [10, 45, -77.7, 200])
SIZES = pytest.mark.parametrize("size", [(36, 36), (35, 35), (24, 30)], ids=str)
# float32: coordinates are off by 18 pixels x 1e-7, and neighbours of `make` differ by up to 8
TOLERANCE = {torch.float32: 5e-5, torch.float64: 1e-12}


def make(n, size, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, *size, generator=generator, dtype=torch.float64).to(dtype)


def coordinates(size):
    """Return x to the right and y upwards of every pixel, from the centre."""
    (h, w), kind = size, torch.float64
    y, x = torch.meshgrid(
        (h - 1) / 2 - torch.arange(h, dtype=kind),
        torch.arange(w, dtype=kind) - (w - 1) / 2,
        indexing="ij",
    )
    return x, y


def sources(size, degrees):
    """Return where each pixel comes from, and how far outside of the pixels' centres that is."""
    (x, y), (h, w), a = coordinates(size), size, math.radians(degrees)
    x, y = x * math.cos(a) + y * math.sin(a), y * math.cos(a) - x * math.sin(a)
    return x, y, torch.maximum(x.abs() - (w - 1) / 2, y.abs() - (h - 1) / 2)


@pytest.mark.parametrize("size", [36, 35])
@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 1), (180, 2), (-90, 3), (360, 0)])
def test_quarter_turns(size, degrees, turns):
    for dtype, tolerance in TOLERANCE.items():
        images = make(3, (size, size), dtype)
        expected = torch.rot90(images, turns, (-2, -1))
        found = rotate(images, degrees, fill=5.0)
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_quarter_turn_worked():
    image = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])
    turned = torch.tensor([[[3.0, 6.0, 9.0], [2.0, 5.0, 8.0], [1.0, 4.0, 7.0]]])
    torch.testing.assert_close(rotate(image, 90, fill=0.0), turned, rtol=0, atol=1e-5)


def test_a_point_goes_where_trigonometry_says():
    """The triangle 3, 4, 5 takes (10, 0) to (8, 6), and (0, 10) to (-6, 8)."""
    images = torch.zeros(2, 25, 25, dtype=torch.float64)
    images[0, 12, 22], images[1, 2, 12] = 1, 1
    turned = rotate(images, math.degrees(math.atan2(3, 4)), fill=0.0)
    assert turned[0, 6, 20].item() == pytest.approx(1)
    assert turned[1, 4, 6].item() == pytest.approx(1)
    assert turned.sum((1, 2)).max() < 1.7  # and its neighbours get little


@SIZES
@ANGLES
def test_every_pixel_comes_from_where_trigonometry_says(size, degrees):
    """Bilinear interpolation leaves the coordinates themselves exact."""
    x, y, outside = sources(size, degrees)
    found = rotate(torch.stack(coordinates(size)), degrees, fill=0.0)
    inside = outside < -1e-9
    assert inside.double().mean() > 0.6
    torch.testing.assert_close(found[:, inside], torch.stack([x, y])[:, inside])


@SIZES
@ANGLES
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_interior_is_scipys(size, degrees, dtype):
    images = make(3, size, dtype)
    expected = ndimage.rotate(images.double().numpy(), degrees, (2, 1), reshape=False, order=1)
    found = rotate(images, degrees, fill=0.0)
    assert (found.dtype, found.shape) == (dtype, images.shape)
    inside = sources(size, degrees)[2] < -1e-5
    error = (found - torch.from_numpy(expected))[:, inside].abs().max()
    assert error < TOLERANCE[dtype]


@SIZES
@ANGLES
def test_fill_is_what_comes_from_outside(size, degrees):
    images = make(2, size)
    dark, light = rotate(images, degrees, fill=-0.42), rotate(images, degrees, fill=3.0)
    outside = sources(size, degrees)[2]
    assert torch.allclose(dark[:, outside < -1e-5], light[:, outside < -1e-5], atol=1e-5)
    assert (dark[:, outside > 1] == -0.42).all()
    assert (light[:, outside > 1] == 3.0).all()
    assert (outside > 1).any()


def test_the_corners_at_45_degrees():
    turned = rotate(torch.ones(1, 36, 36), 45, fill=7.0)[0]
    corners = turned[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.tolist() == [7, 7, 7, 7]
    torch.testing.assert_close(turned[[0, 17, 35, 18], [17, 0, 18, 35]], torch.ones(4))


@ANGLES
def test_a_uniform_image_filled_with_its_own_value_stays(degrees):
    images = torch.full((1, 36, 36), -0.42)
    torch.testing.assert_close(rotate(images, degrees, fill=-0.42), images)


@SIZES
@ANGLES
def test_whole_frame_is_scipys(size, degrees):
    images = make(3, size, torch.float64)
    expected = ndimage.rotate(
        images.numpy(), degrees, (2, 1), reshape=False, order=1, mode="grid-constant", cval=0.7
    )
    assert (rotate(images, degrees, fill=0.7) - torch.from_numpy(expected)).abs().max() < 1e-12


def test_an_angle_for_each_image():
    images, degrees = make(300, (28, 28)), torch.linspace(-200, 400, 300)
    found = rotate(images, degrees)
    for i in (0, 7, 255, 256, 299):
        torch.testing.assert_close(found[i : i + 1], rotate(images[i : i + 1], degrees[i].item()))


@pytest.mark.parametrize("size", [(28, 28), (24, 30)], ids=str)
def test_digits_turn_as_pillow_turns_them(size):
    """The sources' code rotates with Pillow; a frame with a dark rim has no edge to differ at."""
    images, degrees = torch.zeros(20, *size), torch.linspace(-180, 359, 20)
    images[:, 4:-4, 4:-4] = torch.rand(20, size[0] - 8, size[1] - 8)
    expected = [
        np.array(Image.fromarray(image.numpy()).rotate(angle.item(), Image.Resampling.BILINEAR))
        for image, angle in zip(images, degrees, strict=True)
    ]
    found = rotate(images, degrees).numpy()
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-5)


def test_a_gradient_reaches_the_angles():
    degrees = torch.tensor([10.0, 20.0], requires_grad=True)
    rotate(make(2, (8, 8)), degrees).square().sum().backward()
    assert degrees.grad.abs().min() > 0
