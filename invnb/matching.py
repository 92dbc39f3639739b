"""Comparing models at an equal value of something that cannot be set exactly."""

from collections.abc import Sequence

import numpy as np


def at_equal(
    x: Sequence[float],
    y: Sequence[float],
    x_other: Sequence[float],
    y_other: Sequence[float],
    goal: float | Sequence[float],
) -> np.ndarray:
    """Return what y would be at x = goal, seed by seed.

    Every seed's y is moved along a straight line from its own x to the goal. The slope is that
    between the means over the seeds of the two settings, so that the noise of one seed does not
    tilt its line.

    Args:
        x: of each seed at the setting nearer to the goal, such as SI at the weight that was taken.
        y: of the same seeds there, such as accuracy.
        x_other: of the same seeds at a neighbouring setting.
        y_other: of the same seeds there.
        goal: value of x to compare at, one for all or one a seed.

    Raises:
        ValueError: when both settings have the same mean x.

    """
    run = np.mean(x_other) - np.mean(x)
    if run == 0:
        raise ValueError(f"no slope between two settings with equal x, {np.mean(x)}")
    slope = (np.mean(y_other) - np.mean(y)) / run
    return np.asarray(y, dtype=float) + slope * (np.asarray(goal, dtype=float) - np.asarray(x))
