"""invnb.matching: straight lines, worked numbers, and interpolation by numpy."""

import numpy as np
import pytest

from invnb.matching import at_equal, between, bracket

X = np.array([0.55, 0.61, 0.58, 0.70])
OFFSETS = np.array([0.3, -0.1, 0.02, 0.5])


@pytest.mark.parametrize("slope", [-2.0, 0.0, 0.7])
@pytest.mark.parametrize("goal", [0.63, 0.2, [0.6, 0.62, 0.58, 0.71]])
def test_exact_on_straight_lines(slope, goal):
    line = ((0.1, slope * 0.1), (0.9, slope * 0.9))
    expected = slope * np.array(goal) + OFFSETS
    assert at_equal(X, slope * X + OFFSETS, line, goal) == pytest.approx(expected, abs=1e-12)
    assert at_equal(X, slope * X + OFFSETS, line[::-1], goal) == pytest.approx(expected, abs=1e-12)


def test_worked():
    line = ((2, 15), (4, 19))  # a slope of 2
    assert at_equal([1, 3], [10, 20], line, 2).tolist() == [12, 18]
    assert at_equal([1, 3], [10, 20], line, [2, 4]).tolist() == [12, 22]
    assert at_equal([1, 3], [10, 20], line, [1, 3]).tolist() == [10, 20]


@pytest.mark.parametrize("goal", [2.0, 2.3, 3.9])
def test_one_seed_on_the_line_against_numpy(goal):
    expected = np.interp(goal, [2, 4], [0.9, 0.7])
    assert at_equal([2], [0.9], ((2, 0.9), (4, 0.7)), goal) == pytest.approx([expected])


def test_differences_between_seeds_survive():
    line, gain = ((0, 1), (1, 0.4)), np.array([0.4, 0.0, -0.3, 0.01])
    before, after = at_equal(X, OFFSETS, line, 0.65), at_equal(X, OFFSETS + gain, line, 0.65)
    assert after - before == pytest.approx(gain)


def test_between_two_points_of_each_seed():
    x0, y0, x1, y1 = [1, 4, 1, 1], [10, 20, 10, 10], [3, 2, 3, 3], [30, 40, 30, 30]
    assert between(x0, y0, x1, y1, [2, 3.5, 0, 9]).tolist() == [20, 25, 10, 30]


def test_equal_x_has_no_slope():
    with pytest.raises(ValueError, match=r"two points with equal x, 0\.625$"):
        at_equal([0.5, 0.75], [1, 2], ((0.625, 1), (0.625, 3)), 0.6)


@pytest.mark.parametrize(
    ("goal", "expected"), [(7.9, (2, 1)), (8.2, (1, 2)), (4.9, (4, 2)), (8, (1, 2)), (4, (4, 2))]
)
def test_bracket_worked(goal, expected):
    values = {4: 4.0, 1: 10.0, 2: 6.0}
    assert bracket(values, goal) == expected


def test_the_nearer_comes_first_and_both_enclose():
    rng = np.random.default_rng(0)
    for _ in range(50):
        settings = rng.choice(100, 6, replace=False).tolist()
        values = dict(zip(settings, rng.random(6), strict=True))
        goal = rng.random()
        near, other = bracket(values, goal) or (None, None)
        if near is None:
            assert goal < min(values.values()) or goal > max(values.values())
            continue
        assert min(values[near], values[other]) <= goal <= max(values[near], values[other])
        assert abs(values[near] - goal) <= abs(values[other] - goal)
        between = [s for s in settings if min(near, other) < s < max(near, other)]
        assert not between


def test_no_bracket_outside_or_for_one_setting():
    assert bracket({1: 2.0, 2: 3.0}, 3.5) is None
    assert bracket({1: 2.0, 2: 3.0}, 1.5) is None
    assert bracket({1: 2.0}, 2.0) is None
