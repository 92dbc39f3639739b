"""Comparing models at an equal value of something that cannot be set exactly."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np


def at_equal(
    x: Sequence[float],
    y: Sequence[float],
    line: tuple[tuple[float, float], tuple[float, float]],
    goal: float | Sequence[float],
) -> np.ndarray:
    """Return what y would be at x = goal, seed by seed.

    Every seed's y is moved in parallel to a line from its own x to the goal: one slope for all, so
    that the noise of one seed does not tilt its own, and differences between seeds stay.

    Args:
        x: of each seed, near the goal, such as SI at the weight that was taken.
        y: of the same seeds, such as accuracy.
        line: two points (x, y) that give the slope, such as means at two weights.
        goal: value of x to compare at, one for all or one a seed.

    Raises:
        ValueError: when both points have the same x.

    """
    (x0, y0), (x1, y1) = line
    if x0 == x1:
        raise ValueError(f"no slope between two points with equal x, {x0:g}")
    slope = (y1 - y0) / (x1 - x0)
    return np.asarray(y, dtype=float) + slope * (np.asarray(goal, dtype=float) - np.asarray(x))


def between(
    x0: Sequence[float],
    y0: Sequence[float],
    x1: Sequence[float],
    y1: Sequence[float],
    goal: Sequence[float],
) -> np.ndarray:
    """Return what y is at x = goal on the line between two points, seed by seed.

    Args:
        x0: of each seed's first point, such as sigma_max at one weight.
        y0: of the same.
        x1: of each seed's second point.
        y1: of the same.
        goal: value of x of each seed; beyond both points, the nearer one's y is returned.

    """
    found = []
    for near, far, at in zip(zip(x0, y0, strict=True), zip(x1, y1, strict=True), goal, strict=True):
        found.append(float(np.interp(at, *zip(*sorted((near, far)), strict=True))))
    return np.array(found)


def bracket(values: Mapping[float, float], goal: float) -> tuple[float, float] | None:
    """Return the two neighbouring settings whose values enclose the goal, the nearer one first.

    Args:
        values: of some quantity, by setting, such as sigma_max by weight decay.
        goal: value to enclose.

    Returns:
        Two settings that are neighbours when sorted; None where no two enclose the goal.

    """
    settings = sorted(values)
    for pair in pairwise(settings):
        low, high = sorted(values[s] for s in pair)
        if low <= goal <= high:
            return tuple(sorted(pair, key=lambda s: abs(values[s] - goal)))
    return None
