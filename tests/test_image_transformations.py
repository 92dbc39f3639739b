"""invnb.image_transformations: the source's formulas by hand, SciPy and torchvision."""

import math
from importlib import import_module

import kornia
import numpy as np
import pytest
import torch
from scipy import ndimage

from invnb.errors import InvnbError
from invnb.image_transformations import (
    ELEVEN,
    TRANSFORMATIONS,
    Transformation,
    add_noise,
    blur,
    brighten,
    contrast,
    grayscale,
    rotate,
    scale,
    scale_x,
    scale_y,
    transformations,
    translate,
    translate_x,
    translate_y,
    zoom,
)
from invnb.vision import torchvision

TF = import_module(f"{torchvision.__name__}.transforms.v2.functional")
BILINEAR = torchvision.transforms.InterpolationMode.BILINEAR
EVERY = pytest.mark.parametrize("one", TRANSFORMATIONS.values(), ids=lambda one: one.name)
SIZES = pytest.mark.parametrize("size", [(32, 32), (15, 15), (12, 18)], ids=str)


def make(n=3, size=(32, 32), dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return (255 * torch.rand(n, 3, *size, generator=generator, dtype=torch.float64)).to(dtype)


def noise(n=3, size=(32, 32), dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, *size, generator=generator, dtype=torch.float64).to(dtype)


def looked_up(image, x_of, y_of):
    """Return I(x_of(x, y), y_of(x, y)) pixel by pixel, bilinear, 0 outside of the frame.

    Coordinates run from 0 to W and from 0 to H; the pixels' centres are at halves.
    """
    _, height, width = image.shape
    result = np.zeros(image.shape)
    for i in range(height):
        for j in range(width):
            x, y = x_of(j + 0.5, i + 0.5) - 0.5, y_of(j + 0.5, i + 0.5) - 0.5
            left, top = math.floor(x), math.floor(y)
            for row in (top, top + 1):
                for column in (left, left + 1):
                    if 0 <= row < height and 0 <= column < width:
                        share = (1 - abs(x - column)) * (1 - abs(y - row))
                        result[:, i, j] += share * image[:, row, column]
    return torch.from_numpy(result)


def test_the_sources_eleven():
    assert len(ELEVEN) == 11
    assert [one.name for one in transformations()] == list(ELEVEN)
    assert transformations(["zoom"]) == (TRANSFORMATIONS["zoom"],)


@EVERY
def test_neutral_magnitude_is_exact(one):
    images = make()
    images[0, 0, 0, :2] = torch.tensor([0.0, 255.0])
    assert torch.equal(one(images, one.neutral, noise=noise()), images)


@pytest.mark.parametrize("name", ELEVEN)
def test_a_magnitude_for_each_image(name):
    one, z = TRANSFORMATIONS[name], noise()
    images, magnitudes = make(), [one.magnitudes[0], one.neutral, one.magnitudes[-2]]
    found = one(images, torch.tensor(magnitudes), noise=z)
    assert torch.equal(found[1], images[1])
    for i, magnitude in enumerate(magnitudes):
        alone = one(images[i : i + 1], magnitude, noise=z[i : i + 1])
        # coordinates of float32 pixels are off by 1e-6, and neighbours differ by up to 255
        torch.testing.assert_close(found[i : i + 1], alone, rtol=0, atol=2e-3)


def test_translations_of_each_image():
    images, x, y = make(), torch.tensor([0.1, 0.0, -0.3]), torch.tensor([0.0, 0.0, 0.2])
    found = translate(images, x, y)
    assert torch.equal(found[1], images[1])
    torch.testing.assert_close(found[2:], translate(images[2:], -0.3, 0.2), rtol=0, atol=1e-3)


@EVERY
def test_values_stay_within_the_range_and_the_input_untouched(one):
    images = make()
    before = images.clone()
    for magnitude in (one.magnitudes[0], one.magnitudes[-1]):
        found = one(images, magnitude, noise=noise())
        assert (found.shape, found.dtype) == (images.shape, images.dtype)
        assert found.min() >= 0
        assert found.max() <= 255.001
    assert torch.equal(images, before)


@EVERY
def test_magnitudes(one):
    assert len(one.magnitudes) >= 9
    assert one.neutral in one.magnitudes
    if one.name != "translation":
        ends = {one.distance(one.magnitudes[0]), one.distance(one.magnitudes[-1])}
        assert max(ends) > 0
        # both directions go equally far, or there is one alone
        assert 0 in ends or max(ends) - min(ends) < 1e-9


def test_rotation_goes_around():
    magnitudes = TRANSFORMATIONS["rotation"].magnitudes
    assert (magnitudes[0], magnitudes[-1]) == (-180, 180)
    assert {0, 45, 90} <= set(magnitudes)


def test_distance():
    assert TRANSFORMATIONS["rotation"].distance(-45) == 45
    assert TRANSFORMATIONS["zoom"].distance(0.25) == TRANSFORMATIONS["zoom"].distance(4) == 2


FORMULAS = {
    "translation_x": (0.23, lambda v, w, h: (lambda x, y: x - v * w, lambda x, y: y)),
    "translation_y": (-0.31, lambda v, w, h: (lambda x, y: x, lambda x, y: y - v * h)),
    "rotation": (
        33.0,
        lambda v, w, h: (
            # by -v about the centre, with y upwards
            lambda x, y: (
                w / 2
                + (x - w / 2) * math.cos(math.radians(-v))
                - (h / 2 - y) * math.sin(math.radians(-v))
            ),
            lambda x, y: (
                h / 2
                - (x - w / 2) * math.sin(math.radians(-v))
                - (h / 2 - y) * math.cos(math.radians(-v))
            ),
        ),
    ),
    "scale_x": (1.7, lambda v, w, h: (lambda x, y: v * x - (v - 1) * w / 2, lambda x, y: y)),
    "scale_y": (0.6, lambda v, w, h: (lambda x, y: x, lambda x, y: v * y - (v - 1) * h / 2)),
    "zoom": (
        0.45,
        lambda v, w, h: (
            lambda x, y: v * x - (v - 1) * w / 2,
            lambda x, y: v * y - (v - 1) * h / 2,
        ),
    ),
}


@SIZES
@pytest.mark.parametrize("name", FORMULAS)
def test_geometry_is_the_sources_formula(name, size):
    magnitude, formula = FORMULAS[name]
    images = make(1, size, torch.float64)
    expected = looked_up(images[0].numpy(), *formula(magnitude, size[1], size[0]))
    found = TRANSFORMATIONS[name](images, magnitude)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@SIZES
def test_geometry_is_scipys(size):
    """SciPy takes the matrix from output to input in rows and columns of pixels."""
    images, (h, w) = make(2, size, torch.float64), size
    centre = np.array([(h - 1) / 2, (w - 1) / 2])
    a = math.radians(-77.0)
    for found, matrix in (
        (rotate(images, -77.0), [[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]),
        (scale(images, 1.3, 0.7), [[0.7, 0], [0, 1.3]]),
    ):
        offset = centre - np.array(matrix) @ centre
        for image, transformed in zip(images, found, strict=True):
            for channel, ours in zip(image.numpy(), transformed.numpy(), strict=True):
                theirs = ndimage.affine_transform(
                    channel, matrix, offset, order=1, mode="grid-constant"
                )
                np.testing.assert_allclose(ours, theirs, atol=1e-9)


@SIZES
@pytest.mark.parametrize("turns", [-1, 1, 2, 3])
def test_quarter_turns(size, turns):
    if size[0] != size[1] and turns != 2:
        pytest.skip("the frame is not square")
    images = make(2, size)
    expected = torch.rot90(images, turns, (-2, -1))
    torch.testing.assert_close(rotate(images, 90.0 * turns), expected, rtol=0, atol=5e-3)


def test_translation_by_whole_pixels_moves_them():
    images = make(1)
    torch.testing.assert_close(
        translate_x(images, 0.25)[..., 8:], images[..., :24], rtol=0, atol=1e-2
    )
    assert (translate_x(images, 0.25)[..., :7] == 0).all()
    torch.testing.assert_close(
        translate_y(images, 0.25)[..., 8:, :], images[..., :24, :], rtol=0, atol=1e-2
    )
    both = translate_y(translate_x(images, -0.25), 0.125)
    torch.testing.assert_close(translate(images, -0.25, 0.125), both, rtol=0, atol=1e-2)


def test_factors_above_one_shrink():
    square = torch.zeros(1, 3, 32, 32)
    square[..., 8:24, 8:24] = 200
    expected = torch.zeros_like(square)
    expected[..., 12:20, 12:20] = 200
    assert torch.equal(zoom(square, 2.0), expected)
    assert scale_x(square, 2.0).mean() == scale_y(square, 2.0).mean() == square.mean() / 2
    assert zoom(square, 0.5).min() == 200 * 9 / 16  # a corner, seen between four pixels


@pytest.mark.parametrize("size", [(32, 32), (20, 20)], ids=str)
def test_geometry_is_torchvisions(size):
    """Angles, shifts in pixels and scales as torchvision has them; the interior, as it fills."""
    images = make(2, size)
    h, w = size
    for found, angle, shift, factor in (
        (rotate(images, 30.0), -30.0, [0, 0], 1.0),  # affine() turns clockwise
        (translate(images, 3 / w, -2 / h), 0.0, [3, -2], 1.0),
        (zoom(images, 1.6), 0.0, [0, 0], 1 / 1.6),
    ):
        theirs = TF.affine(images, angle, shift, factor, [0.0, 0.0], interpolation=BILINEAR)
        seen = TF.affine(torch.ones_like(images), angle, shift, factor, [0.0, 0.0], BILINEAR)
        inside = seen > 0.9999
        assert inside.float().mean() > 0.35
        torch.testing.assert_close(found[inside], theirs[inside], rtol=0, atol=1e-2)
    torch.testing.assert_close(
        rotate(images, 30.0), TF.rotate(images, 30.0, BILINEAR), rtol=0, atol=1e-2
    )


@SIZES
def test_geometry_is_kornias(size):
    images, angles = make(size=size), torch.tensor([10.0, -75.0, 200.0])
    h, w = size
    of = kornia.geometry.transform
    factors = torch.tensor([[1.6, 0.8]] * 3)
    pixels = torch.tensor([[2.5, -1.25]] * 3)
    for found, theirs in (
        (rotate(images, angles), of.rotate(images, angles)),
        (translate(images, 2.5 / w, -1.25 / h), of.translate(images, pixels)),
        (scale(images, 1 / 1.6, 1 / 0.8), of.scale(images, factors)),
    ):
        torch.testing.assert_close(found, theirs, rtol=0, atol=5e-2)


@SIZES
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_kornias(size, sigma):
    images, reach = make(size=size), math.ceil(5 * sigma)
    theirs = kornia.filters.gaussian_blur2d(images, (2 * reach + 1,) * 2, (sigma,) * 2, "reflect")
    torch.testing.assert_close(blur(images, sigma), theirs, rtol=0, atol=2e-3)


def test_colours_by_hand():
    images = torch.tensor([10.0, 100.0, 250.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert brighten(images, 0.2)[0, :, 0, 0].tolist() == [61, 151, 255]
    assert brighten(images, -0.2)[0, :, 0, 0].tolist() == [0, 49, 199]
    assert contrast(images, 2.0)[0, :, 0, 0].tolist() == [20, 200, 255]
    gray = 0.299 * 10 + 0.587 * 100 + 0.114 * 250
    assert grayscale(images, 1.0)[0, :, 0, 0].tolist() == pytest.approx([gray] * 3)
    half = [(x + gray) / 2 for x in (10, 100, 250)]
    assert grayscale(images, 0.5)[0, :, 0, 0].tolist() == pytest.approx(half)


def test_gray_images_stay():
    gray = make()[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(grayscale(gray, 0.7), gray)


def test_grayscale_is_torchvisions():
    """torchvision's weights sum to .9999 and are off by .0001 in red."""
    images = make()
    found = grayscale(images, 1.0)
    torch.testing.assert_close(found, TF.rgb_to_grayscale(images, 3), rtol=0, atol=0.03)


@SIZES
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 8.0])
def test_blur_is_scipys(size, sigma):
    images = make(2, size, torch.float64)
    theirs = ndimage.gaussian_filter(
        images.numpy(), (0, 0, sigma, sigma), mode="mirror", truncate=5.0
    )
    # SciPy cuts the Gaussian off at a whole pixel, here at a standard deviation's multiple
    np.testing.assert_allclose(blur(images, sigma).numpy(), theirs, atol=2e-3)


def test_blur_is_torchvisions():
    images = make()
    theirs = TF.gaussian_blur(images, [21, 21], [2.0, 2.0])
    torch.testing.assert_close(blur(images, 2.0), theirs, rtol=0, atol=2e-3)


def test_blur_of_a_uniform_image_and_of_a_single_pixel():
    torch.testing.assert_close(
        blur(torch.full((1, 3, 9, 12), 77.0), 5.0), torch.full((1, 3, 9, 12), 77.0)
    )
    assert blur(torch.full((1, 3, 1, 1), 9.0), 2.0).flatten().tolist() == pytest.approx([9] * 3)


def test_noise_is_the_formula():
    images, z = make(), noise()
    expected = (images + 255 * 0.1 * z).clamp(0, 255)
    torch.testing.assert_close(add_noise(images, 0.1, z), expected)


def test_noise_by_a_generator():
    gray = torch.full((4, 3, 64, 64), 127.5)
    found = add_noise(gray, 0.1, torch.Generator().manual_seed(3))
    assert torch.equal(found, add_noise(gray, 0.1, torch.Generator().manual_seed(3)))
    assert (found - gray).std().item() == pytest.approx(25.5, rel=0.02)
    colours = (found - gray).transpose(0, 1).flatten(1)
    assert torch.corrcoef(colours).fill_diagonal_(0).abs().max() < 0.03


def test_noise_is_asked_for():
    with pytest.raises(InvnbError, match=r"noise needs noise, or a torch.Generator"):
        TRANSFORMATIONS["noise"](make(), 0.1)


@pytest.mark.parametrize("name", ["contrast", "rotation", "brightness", "zoom"])
def test_whole_numbers_are_refused(name):
    with pytest.raises(InvnbError, match=r"images of torch\.uint8 are not allowed"):
        TRANSFORMATIONS[name](make().to(torch.uint8), 0.7)


def test_unknown_name():
    with pytest.raises(InvnbError, match=r"'rotatoin' is unknown: there are .*'rotation'\?"):
        transformations(["zoom", "rotatoin"])


@pytest.mark.parametrize(
    ("magnitudes", "ratio", "why"),
    [
        ((0.5, 2.0), False, "must include the neutral one, 1.0"),
        ((2.0, 1.0), False, "must increase"),
        ((1.0, 1.0), False, "must increase"),
        ((-1.0, 1.0), True, "must be above 0"),
    ],
)
def test_magnitudes_that_cannot_be(magnitudes, ratio, why):
    with pytest.raises(InvnbError, match=why):
        Transformation("own", zoom, "factor", 1.0, magnitudes, ratio)


def test_a_gradient_reaches_the_magnitude():
    for function, magnitude in ((rotate, 10.0), (zoom, 1.2), (brighten, 0.1), (grayscale, 0.3)):
        v = torch.tensor([magnitude] * 3, requires_grad=True)
        function(make(), v).square().mean().backward()
        assert v.grad.abs().min() > 0


@pytest.mark.parametrize("name", ["translation_x", "rotation", "zoom", "blur"])
def test_what_is_kept_from_a_screening_does_for_gradients_and_other_sizes(name):
    one = TRANSFORMATIONS[name]
    magnitude = one.magnitudes[-2]
    with torch.inference_mode():
        small, large = (one(make(size=size), magnitude) for size in ((32, 32), (12, 18)))
    for size, screened in (((32, 32), small), ((12, 18), large)):
        images = make(size=size).requires_grad_()
        again = one(images, magnitude)
        again.sum().backward()
        assert torch.equal(again, screened)
        assert images.grad.abs().max() > 0
        exact = one(make(size=size, dtype=torch.float64), magnitude)
        torch.testing.assert_close(exact.float(), screened, rtol=1e-4, atol=1e-3)
