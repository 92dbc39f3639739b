"""How alike two models' invariances are: claim CS-08's correlation of their thresholds."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from invnb.errors import InvnbError
from invnb.statistics import LEVEL, Estimate
from invnb.thresholds import Thresholds

LIMIT = 0.999  # correlations count no stronger in Fisher's z, which has no value for 1


@dataclass(frozen=True)
class Correlation:
    """How alike the invariances of two models are (CS-08).

    Attributes:
        by_transformation: Spearman's correlation of the two models' thresholds over classes; None
            where a model has the same threshold for all classes.
        mean: over transformations, by Fisher's z, with its 95 % percentile interval over samples of
            classes and images.

    """

    by_transformation: dict[str, float | None]
    mean: Estimate

    @property
    def positive(self) -> int:
        """In how many transformations the correlation is above 0."""
        return sum(rho is not None and rho > 0 for rho in self.by_transformation.values())


def correlation(
    first: dict[str, Thresholds], second: dict[str, Thresholds], *, seed: int = 0
) -> Correlation:
    """Return the correlation of two models' thresholds, by transformation and averaged.

    Spearman over the classes within each transformation, averaged by Fisher's z. A bootstrap sample
    draws classes with replacement, and for each the images, the same for both models. Thresholds
    that are not reached tie at the far end; classes without one for either model are left out.

    Args:
        first: thresholds of one model by transformation, with R samples each.
        second: of the other, on the same images and with the same seed and R.
        seed: of the sampling of classes.

    Raises:
        InvnbError: when the two do not go together.

    """
    if not first or first.keys() != second.keys():
        raise InvnbError("two models can be compared in the same transformations only")
    if any(first[t].classes != second[t].classes for t in first):
        raise InvnbError("two models can be compared on the same classes only")
    k, r = len(next(iter(first.values())).classes), len(next(iter(first.values())).samples)
    chosen = np.random.default_rng(seed).integers(0, k, (r, k))
    by_transformation, sampled = {}, []
    for name, a in first.items():
        b = second[name]
        by_transformation[name] = spearman(a.values, b.values)
        rows = zip(
            np.take_along_axis(a.samples, chosen, 1),
            np.take_along_axis(b.samples, chosen, 1),
            strict=True,
        )
        sampled.append([spearman(x, y) for x, y in rows])
    mean = fisher_mean(list(by_transformation.values()))
    if mean is None:
        return Correlation(by_transformation, Estimate(None, None, None, "no thresholds differ"))
    means = [fisher_mean(list(rhos)) for rhos in zip(*sampled, strict=True)]
    means = [value for value in means if value is not None]
    if len(means) < LEVEL * r:
        return Correlation(
            by_transformation, Estimate(mean, None, None, "too few samples have thresholds")
        )
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Correlation(by_transformation, Estimate(mean, float(low), float(high)))


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    """Return the rank correlation of what is not NaN in either; None where it has no value."""
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = stats.rankdata(x[both]), stats.rankdata(y[both])
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def fisher_mean(correlations: list[float | None]) -> float | None:
    """Return tanh of the mean of artanh of those that have a value, each cut off at ±.999."""
    values = [rho for rho in correlations if rho is not None]
    if not values:
        return None
    return float(np.tanh(np.arctanh(np.clip(values, -LIMIT, LIMIT)).mean()))
