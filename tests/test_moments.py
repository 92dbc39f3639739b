"""invnb.moments: bars and discs with known answers, and sums by hand."""

import math

import pytest
import torch

from invnb.moments import MEASURES, moments
from invnb.rotation import rotate


def bar(height=20, width=4, size=40):
    image = torch.zeros(1, size, size)
    top, left = (size - height) // 2, (size - width) // 2
    image[0, top : top + height, left : left + width] = 1
    return image


def test_names():
    assert list(moments(bar())) == list(MEASURES)


def test_a_bar():
    found = {name: value.item() for name, value in moments(bar()).items()}
    assert found["ink"] == 80
    assert found["x"] == pytest.approx(0, abs=1e-5)
    assert found["y"] == pytest.approx(0, abs=1e-5)
    assert found["width"] == pytest.approx(math.sqrt((4**2 - 1) / 12), rel=1e-4)
    assert found["height"] == pytest.approx(math.sqrt((20**2 - 1) / 12), rel=1e-4)
    assert found["scale"] == pytest.approx(math.sqrt(found["width"] * found["height"]), rel=1e-4)
    assert found["skew"] == pytest.approx(0, abs=1e-4)
    assert abs(found["rotation"]) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("width", [2, 4, 6])
def test_the_stroke_of_a_long_bar_is_its_width(width):
    long = bar(height=100, width=width, size=120)
    expected = 2 * 100 * width / (2 * (100 + width))
    assert moments(long)["stroke"].item() == pytest.approx(expected, rel=0.02)


def test_x_runs_right_and_y_up():
    moved = moments(bar().roll((-3, 5), (1, 2)))
    assert moved["x"].item() == pytest.approx(5, abs=1e-4)
    assert moved["y"].item() == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize("degrees", [-60, -20, 35, 80])
def test_rotation_is_counter_clockwise(degrees):
    assert moments(rotate(bar(), degrees))["rotation"].item() == pytest.approx(degrees, abs=0.5)


@pytest.mark.parametrize("degrees", [-15, 10, 25])
def test_skew_is_the_angle_of_the_shear(degrees):
    slope = math.tan(math.radians(degrees))
    image = torch.zeros(1, 60, 60)
    for row in range(10, 50):
        middle = 29.5 + slope * (29.5 - row)
        for column in range(60):
            image[0, row, column] = max(0, 1 - abs(column - middle) / 4)
    assert moments(image)["skew"].item() == pytest.approx(degrees, abs=0.3)


def test_twice_the_size_is_twice_the_scale():
    small, large = bar(10, 4, 80), bar(20, 8, 80)
    assert (moments(large)["scale"] / moments(small)["scale"]).item() == pytest.approx(2, rel=0.02)


def test_faintness_changes_nothing_but_the_ink():
    image = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    full, faint = moments(image), moments(image / 2)
    assert torch.allclose(faint["ink"], full["ink"] / 2)
    for name in MEASURES:
        if name != "ink":
            assert torch.allclose(faint[name], full[name], atol=1e-3)


def test_sums_by_a_loop():
    image = torch.rand(1, 5, 7, generator=torch.Generator().manual_seed(0))
    ink = sx = sy = sxx = syy = sxy = 0.0
    for i in range(5):
        for j in range(7):
            v, x, y = image[0, i, j].item(), j - 3.0, 2.0 - i
            ink, sx, sy = ink + v, sx + v * x, sy + v * y
            sxx, syy, sxy = sxx + v * x * x, syy + v * y * y, sxy + v * x * y
    xx, yy = sxx / ink - (sx / ink) ** 2, syy / ink - (sy / ink) ** 2
    xy = sxy / ink - sx * sy / ink**2
    found = moments(image)
    assert found["width"].item() == pytest.approx(math.sqrt(xx), rel=1e-4)
    assert found["height"].item() == pytest.approx(math.sqrt(yy), rel=1e-4)
    assert found["skew"].item() == pytest.approx(math.degrees(math.atan(xy / yy)), rel=1e-3)


def test_a_blank_image_has_no_ink_and_no_place():
    found = moments(torch.zeros(1, 8, 8))
    assert found["ink"] == 0
    assert all(found[name].isnan() for name in MEASURES if name != "ink")
