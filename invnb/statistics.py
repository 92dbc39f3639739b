"""Means and 95 % intervals over seeds.

A seed is one trained network, the unit that the sources' claims are about. (The screening has one
network of a kind: its values are of disjoint parts of the images.) One value has no spread: its
interval is None, and the estimate says why.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
ONE_VALUE = "a single value has no interval"


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval.

    Attributes:
        mean: the point estimate, None where it cannot be computed.
        low: lower limit of the interval, None where there is none.
        high: upper limit of the interval, None where there is none.
        reason: why there is no interval; None where there is one.

    """

    mean: float | None
    low: float | None
    high: float | None
    reason: str | None = None

    @property
    def ci95(self) -> list[float] | None:
        """The interval as `[low, high]`, None where there is none."""
        return None if self.low is None else [self.low, self.high]

    def mapped(self, function: Callable[[float], float]) -> "Estimate":
        """Return the estimate on another scale; `function` must be increasing."""
        if self.low is None:
            return Estimate(function(self.mean), None, None, self.reason)
        return Estimate(function(self.mean), function(self.low), function(self.high))


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean of at least one value."""
    return float(np.mean(values))


def sd(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample (divisor n - 1); None for one value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def student(values: Sequence[float]) -> Estimate:
    """Return the mean with its Student-t interval: mean ± t(n - 1) sd / sqrt(n)."""
    return _around_mean(values, 1 / len(values))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of `student`'s interval, NaN where one value has none: seaborn's errorbar."""
    low, high = student(values).ci95 or (math.nan, math.nan)
    return low, high


def prediction(values: Sequence[float]) -> Estimate:
    """Return the interval for one more value: mean ± t(n - 1) sd sqrt(1 + 1 / n).

    It is what a source that reports one network is compared with.
    """
    return _around_mean(values, 1 + 1 / len(values))


def paired(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return the mean of `first - second` with its Student-t interval.

    Args:
        first: one value a seed.
        second: values of the same seeds, in the same order.

    """
    return student(np.subtract(first, second, dtype=float))


def welch(values: Sequence[float], mean_other: float, sd_other: float, n_other: int) -> Estimate:
    """Return the mean of `values` minus a published mean, with Welch's interval.

    Args:
        values: ours, one a seed.
        mean_other: the published mean.
        sd_other: the published standard deviation over seeds, 0 or more.
        n_other: number of seeds it is over, at least 2.

    """
    difference = mean(values) - mean_other
    if len(values) < 2:
        return Estimate(difference, None, None, ONE_VALUE)
    ours, theirs = np.var(values, ddof=1) / len(values), sd_other**2 / n_other
    error = float(np.sqrt(ours + theirs))
    if error == 0:
        return Estimate(difference, difference, difference)
    freedom = (ours + theirs) ** 2 / (ours**2 / (len(values) - 1) + theirs**2 / (n_other - 1))
    return _symmetric(difference, error, freedom)


def jackknife(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> list[float]:
    """Return the jackknife pseudo-values of a statistic over all seeds, one a seed.

    n T(all) - (n - 1) T(all but one): their mean is the estimate with its bias of order 1 / n
    taken out, and `student` gives its interval (Tukey, 1958). A pseudo-value may lie outside of
    the statistic's range.

    Args:
        statistic: of an array of values.
        values: `[n, ...]`, the seed first; n of 2 or more.

    """
    n, whole = len(values), statistic(values)
    return [n * whole - (n - 1) * statistic(np.delete(values, i, axis=0)) for i in range(n)]


def _around_mean(values: Sequence[float], variance_factor: float) -> Estimate:
    if len(values) < 2:
        return Estimate(mean(values), None, None, ONE_VALUE)
    return _symmetric(mean(values), sd(values) * variance_factor**0.5, len(values) - 1)


def _symmetric(centre: float, error: float, freedom: float) -> Estimate:
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Estimate(centre, centre - half, centre + half)
