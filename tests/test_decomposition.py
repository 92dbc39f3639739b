"""invnb.decomposition: worked values, exact recomposition, and pictures that show the direction."""

import math

import pytest
import torch

from invnb.decomposition import of_colour, of_image, of_sampler, zooming_out
from invnb.errors import InvnbError
from invnb.itn import inverse, transform
from invnb.rotation import rotate

PLAIN = {"rotation": 0, "zoom": 1, "stretch": 1, "shear": 0, "right": 0, "down": 0, "mirrored": 0}
COSINE, SINE = math.cos(math.radians(30)), math.sin(math.radians(30))


def values(parts, *names):
    return {name: getattr(parts, name).item() for name in names}


@pytest.mark.parametrize(
    ("matrix", "changes"),
    [
        ([[1, 0, 0], [0, 1, 0]], {}),
        ([[3, 0, 0], [0, 3, 0]], {"zoom": 3}),
        ([[1, 0, 0.5], [0, 1, -0.2]], {"right": 0.25, "down": -0.1}),
        ([[4, 0, 0], [0, 1, 0]], {"zoom": 2, "stretch": 4}),
        ([[-1, 0, 0], [0, 1, 0]], {"mirrored": 1}),
        ([[1, 0, 0], [0, -1, 0]], {"mirrored": 1, "rotation": 180}),  # upside down
        ([[COSINE, SINE, 0], [-SINE, COSINE, 0]], {"rotation": 30}),  # right goes up
        ([[0, -2, 0], [2, 0, 0]], {"rotation": -90, "zoom": 2}),
        (
            [[1.25, 0.75, 0], [0.75, 1.25, 0]],
            {"shear": 0.75},
        ),  # twice along a diagonal, half across
    ],
)
def test_affine_by_worked_values(matrix, changes):
    parts = of_image(torch.tensor(matrix, dtype=torch.float64))
    found = values(parts, *PLAIN)
    found["rotation"] = (
        abs(found["rotation"]) if changes.get("rotation") == 180 else found["rotation"]
    )
    assert found == pytest.approx({**PLAIN, **changes}, abs=1e-12)


@pytest.mark.parametrize("mirror", [1, -1])
def test_affine_is_recomposed_exactly(mirror):
    torch.manual_seed(0)
    matrices = torch.randn(4, 50, 2, 3, dtype=torch.float64)
    matrices[..., 0] *= mirror
    parts = of_image(matrices)
    torch.testing.assert_close(parts.matrix(), matrices, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(parts[1, 3].matrix(), matrices[1, 3], rtol=1e-9, atol=1e-9)
    assert 0 < parts.mirrored.double().mean() < 1


def test_zoom_is_the_mean_of_the_singular_values():
    torch.manual_seed(1)
    matrices = torch.randn(50, 2, 3, dtype=torch.float64)
    large, small = torch.linalg.svdvals(matrices[..., :2]).unbind(-1)
    parts = of_image(matrices)
    torch.testing.assert_close(parts.zoom, (large * small).sqrt())


def test_rotation_is_the_nearest_one():
    torch.manual_seed(2)
    matrices = torch.randn(30, 2, 3, dtype=torch.float64)
    matrices = matrices[torch.linalg.det(matrices[..., :2]) > 0]
    angles = torch.arange(-180, 180, 0.5, dtype=torch.float64)
    r = angles.deg2rad()
    turns = torch.stack((r.cos(), r.sin(), -r.sin(), r.cos()), -1).reshape(-1, 1, 2, 2)
    distance = (turns - matrices[..., :2]).flatten(2).norm(dim=2)  # (angle, map)
    nearest = angles[distance.argmin(0)]
    apart = (of_image(matrices).rotation - nearest + 180) % 360 - 180
    assert apart.abs().max() <= 0.26


def test_parts_of_a_sampler_are_what_the_picture_shows():
    images = torch.zeros(1, 3, 9, 9)
    images[..., 4, 6] = 1  # a spot two pixels right of the middle
    undergone = torch.tensor([[[0.0, 0.5, 0], [-0.5, 0, 0]]])  # a quarter turn left, half as large
    sampler = inverse(undergone)
    parts = of_sampler(sampler)
    assert values(parts, "rotation", "zoom") == pytest.approx({"rotation": 90, "zoom": 0.5})
    shown = transform(images, torch.eye(3, 4).unsqueeze(0), sampler)[0, 0]
    assert divmod(shown.argmax().item(), 9) == (3, 4)  # one pixel above it
    shift = of_sampler(
        torch.tensor([[[1.0, 0, 4 / 9], [0, 1, 0]]])
    )  # read two pixels further right
    assert shift.right.item() == pytest.approx(-2 / 9)


def test_rotation_has_the_sign_of_the_rotation_module():
    torch.manual_seed(3)
    image = torch.rand(1, 8, 8)
    sampler = torch.tensor([[[COSINE, -SINE, 0], [SINE, COSINE, 0]]])
    turned = transform(image.expand(1, 3, 8, 8), torch.eye(3, 4).unsqueeze(0), sampler)[:, 0]
    angle = of_sampler(sampler).rotation.item()
    assert abs(angle) == pytest.approx(30)
    torch.testing.assert_close(turned, rotate(image, angle), rtol=0, atol=1e-5)


@pytest.mark.parametrize("matrix", [torch.zeros(2, 3), torch.full((2, 3), torch.nan)])
def test_maps_without_parts_are_refused(matrix):
    for of in (of_image, of_sampler):
        with pytest.raises(InvnbError, match="singular, or not finite"):
            of(matrix)


def colour_map(gain=1.0, saturation=1.0, brightness=0.0):
    grey = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    linear = gain * (saturation * torch.eye(3, dtype=torch.float64) + (1 - saturation) * grey)
    return torch.cat((linear, torch.full((3, 1), brightness, dtype=torch.float64)), 1)


@pytest.mark.parametrize(
    "known",
    [
        {"gain": 1.0, "saturation": 1.0, "brightness": 0.0},
        {"gain": 1.5, "saturation": 1.0, "brightness": 0.0},
        {"gain": 1.0, "saturation": 0.0, "brightness": 0.0},
        {"gain": 0.8, "saturation": 1.7, "brightness": -0.25},
    ],
)
def test_contrast_saturation_and_brightness_are_found_without_residual(known):
    parts = of_colour(colour_map(**known))
    assert values(parts, *known) == pytest.approx(known, abs=1e-12)
    assert parts.residual.abs().max() < 1e-12
    assert parts.tint.abs().max() < 1e-12


def test_red_to_green_to_blue_is_a_third_of_the_hue_circle():
    cycled = torch.eye(3, 4)[[2, 0, 1]]  # what was red is green
    assert (cycled[:, :3] @ torch.tensor([1.0, 0, 0])).tolist() == [0, 1, 0]
    parts = of_colour(cycled)
    known = {"hue": 120, "saturation": 1, "gain": 1}
    assert values(parts, *known) == pytest.approx(known)
    assert parts.residual.abs().max() < 1e-12


def test_colour_is_recomposed_exactly_and_the_residual_is_the_least():
    torch.manual_seed(4)
    maps = torch.randn(20, 3, 4, dtype=torch.float64)
    parts = of_colour(maps)
    torch.testing.assert_close(parts.matrix(), maps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(parts.tint.sum(-1), torch.zeros(20, dtype=torch.float64))
    assert (parts.chroma >= 0).all()
    left = parts.residual.flatten(1).norm(dim=1)
    for name in ("gain", "chroma", "hue"):
        for step in (-0.01, 0.01):
            others = {**vars(parts), name: getattr(parts, name) + step, "residual": 0}
            elsewhere = (maps - type(parts)(**others).matrix())[..., :3].flatten(1).norm(dim=1)
            assert (elsewhere > left).all()


def test_colour_that_is_not_finite_is_refused():
    with pytest.raises(InvnbError, match="not finite has no parts"):
        of_colour(torch.full((3, 4), torch.inf))


@pytest.mark.parametrize(
    ("own", "on_image", "said"),
    [
        ([0.8, 0.81, 0.82], [0.8, 0.81, 0.82], "zooming out survives"),
        ([0.8, 0.81, 0.82], [0.98, 0.99, 1.0], "zooming out does not survive"),
        ([0.8, 0.81, 0.82], [0.8, 0.95, 1.1], "it is undecided whether zooming out survives"),
        ([0.8, 0.95, 1.1], [0.8, 0.81, 0.82], "it is undecided whether zooming out survives"),
        ([0.8, 0.81, 0.82], [0.8], "it is undecided whether zooming out survives"),
        ([0.8, 0.81, 0.82], [], "it is undecided whether zooming out survives"),
        ([], [], "it is undecided whether zooming out survives"),
        ([0.98, 0.99, 1.0], [0.8, 0.81, 0.82], "there is no zooming out that could survive"),
    ],
)
def test_whether_zooming_out_survives_another_loss(own, on_image, said):
    assert zooming_out(own, on_image) == said
