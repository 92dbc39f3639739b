"""Thresholds: how strong a transformation must be until a prediction gives way.

Readings. The source calls a magnitude critical where "the network is not able to output correct
prediction results any more". An image's critical magnitude is the first one, going away from the
neutral one in one direction, at which the network predicts something else than at the neutral one;
images that it gets wrong there already say nothing of invariance and are left out. A class's
threshold is the distance from the neutral magnitude at which half of its images have flipped, both
directions taken together. Distances are as in `Transformation.distance`: factors count in octaves.

Axes: N images, M magnitudes, K classes with images, R bootstrap samples, D distances.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from invnb.errors import InvnbError
from invnb.image_transformations import Transformation
from invnb.screening_table import Table
from invnb.statistics import LEVEL, Estimate


@dataclass(frozen=True)
class Critical:
    """The critical magnitudes of N images in one direction.

    Attributes:
        magnitudes: those of the direction, the neutral one first, `[L + 1]`.
        distances: theirs from the neutral one, `[L + 1]`, increasing from 0.
        step: index of the first flip, 1 to L, and L + 1 where there is none, int `[N]`.
        returns: whether the prediction comes back after its first flip, bool `[N]`.

    """

    magnitudes: np.ndarray
    distances: np.ndarray
    step: np.ndarray
    returns: np.ndarray

    @property
    def flipped(self) -> np.ndarray:
        """Whether there is a first flip at all, bool `[N]`."""
        return self.step < len(self.magnitudes)

    @property
    def magnitude(self) -> np.ndarray:
        """The first magnitude at which the prediction has flipped, NaN where it never does."""
        return np.append(self.magnitudes, np.nan)[self.step]


def critical(predicted: np.ndarray, transformation: Transformation) -> dict[str, Critical]:
    """Return critical magnitudes by direction, "down" and "up" from the neutral magnitude.

    A transformation whose neutral magnitude is at an end has one direction.

    Args:
        predicted: classes, `[M, N]`.
        transformation: with M magnitudes, each a number.

    """
    values = np.array(transformation.magnitudes, dtype=float)
    if values.ndim != 1:
        raise InvnbError(
            f"{transformation.name} has pairs of magnitudes, and no first one to flip at"
        )
    neutral = transformation.magnitudes.index(transformation.neutral)
    found = {}
    for name, walk in (
        ("down", np.arange(neutral, -1, -1)),
        ("up", np.arange(neutral, len(values))),
    ):
        if len(walk) == 1:
            continue
        flipped = predicted[walk] != predicted[neutral]  # (L + 1, N)
        ever = flipped.any(0)
        step = np.where(ever, flipped.argmax(0), len(walk))
        since = np.arange(len(walk))[:, None] >= step
        found[name] = Critical(
            values[walk],
            np.array([transformation.distance(value) for value in values[walk]]),
            step,
            (since & ~flipped).any(0),
        )
    return found


def critical_frame(table: Table, name: str) -> pd.DataFrame:
    """Return the critical magnitudes of images, a row for each image and direction.

    Columns: image, file, class, direction, critical (magnitude of the first flip, NaN where there
    is none), returns (whether the prediction comes back after it). Images that the model gets wrong
    at the neutral magnitude are left out.

    Args:
        table: of a screening.
        name: of a transformation with numbers for magnitudes.

    """
    one, predicted = table.transformation(name), table.predicted(name)
    right = np.flatnonzero(predicted[one.magnitudes.index(one.neutral)] == table.labels)
    return pd.concat(
        pd.DataFrame(
            {
                "image": right,
                "file": [table.about["files"][i] for i in right],
                "class": [table.classes[table.labels[i]] for i in right],
                "direction": direction,
                "critical": found.magnitude[right],
                "returns": found.returns[right],
            }
        )
        for direction, found in critical(predicted, one).items()
    ).reset_index(drop=True)


@dataclass(frozen=True)
class Thresholds:
    """The classes' thresholds for one transformation.

    Attributes:
        classes: the K classes that there are images of.
        n: images of each that are right at the neutral magnitude, `[K]`.
        end: the largest distance that was screened.
        values: thresholds, `[K]`; `end` where half of the images do not flip before it, NaN
            where no image is right to begin with.
        samples: the same of R bootstrap samples of the images, `[R, K]`.

    """

    classes: tuple[int, ...]
    n: np.ndarray
    end: float
    values: np.ndarray
    samples: np.ndarray

    @cached_property
    def reached(self) -> np.ndarray:
        """Which classes have a threshold within what was screened, bool `[K]`."""
        return self.values < self.end

    @property
    def standard_errors(self) -> np.ndarray:
        """Standard deviations of the bootstrap samples, `[K]`; NaN with no right image."""
        return np.nanstd(self.samples, 0, ddof=1)

    def estimate(self, k: int) -> Estimate:
        """Return the threshold of the k-th class and its 95 % percentile interval."""
        value = float(self.values[k])
        if self.n[k] == 0:
            return Estimate(None, None, None, "no image is right at the neutral magnitude")
        if self.n[k] == 1:
            return Estimate(value, None, None, "one image has no spread")
        low, high = np.nanquantile(self.samples[:, k], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        if high >= self.end:
            return Estimate(value, None, None, "the interval reaches beyond what was screened")
        return Estimate(value, float(low), float(high))

    def variance_ratio(self) -> float | None:
        """Return the variance between classes by the mean squared standard error (CS-01).

        Over classes whose threshold lies within what was screened, with its whole interval: samples
        beyond it are cut off, which would make the standard error too small. None with fewer than
        two of them that have two right images or more. Infinite where classes differ and images do
        not.
        """
        whole = [self.estimate(k).low is not None for k in range(len(self.classes))]
        usable = (self.n >= 2) & self.reached & np.array(whole)
        if usable.sum() < 2:
            return None
        between = self.values[usable].var(ddof=1)
        within = (self.standard_errors[usable] ** 2).mean()
        if within == 0:
            return float("inf") if between > 0 else 0.0
        return float(between / within)


def class_thresholds(
    table: Table, name: str, *, direction: str = "both", samples: int = 1000, seed: int = 0
) -> Thresholds:
    """Return the classes' thresholds for one transformation.

    The seed and the place of an image among its class's fix how often a bootstrap sample holds it,
    so that two tables of the same images, and all transformations, are sampled alike.

    Args:
        table: of a screening.
        name: of a transformation with numbers for magnitudes.
        direction: "down", "up" or "both".
        samples: R.
        seed: of the bootstrap.

    Raises:
        InvnbError: a direction in which nothing was screened.

    """
    one = table.transformation(name)
    predicted = table.predicted(name)
    neutral = one.magnitudes.index(one.neutral)
    right = predicted[neutral] == table.labels
    found = critical(predicted, one)
    directions = list(found.values()) if direction == "both" else [found.get(direction)]
    if not directions or directions[0] is None:
        raise InvnbError(f"{name} was not screened in direction {direction!r}: {list(found)} were")
    # rounded alike: a threshold at the end must not seem to lie below it
    end = min(direction.distances[-1] for direction in directions).round(9)
    distances = np.unique(np.concatenate([d.distances for d in directions]).round(9))
    distances = distances[distances <= end]  # (D,)
    standing = _standing(directions, distances)  # (N, D)
    values, drawn, counts = [], [], []
    for label in table.present:
        these = table.labels == label
        of_class = np.where(right[these][:, None], standing[these], 0)
        weights = _resampled(int(these.sum()), samples, [seed, label])  # (R, n)
        valid = right[these].astype(float)
        values.append(_half(of_class.sum(0)[None], valid.sum()[None], distances)[0])
        drawn.append(_half(weights @ of_class, weights @ valid, distances))
        counts.append(int(valid.sum()))
    return Thresholds(
        tuple(table.present), np.array(counts), float(end), np.array(values), np.stack(drawn, 1)
    )


def _standing(directions: list[Critical], distances: np.ndarray) -> np.ndarray:
    """Return how much of each image has not flipped at each distance, `[N, D]`, 0 to 1.

    Directions count alike. Between two magnitudes it falls linearly: all that is known is that the
    flip lies between them.
    """
    shares = []
    for direction in directions:
        steps = np.arange(len(direction.distances))
        whole = (steps < direction.step[:, None]).astype(float)  # (N, L + 1)
        at = np.interp(distances, direction.distances, steps)
        low = np.minimum(at.astype(int), len(steps) - 2)
        part = at - low
        shares.append(whole[:, low] * (1 - part) + whole[:, low + 1] * part)
    return np.mean(shares, axis=0)


def _resampled(n: int, samples: int, seed: list[int]) -> np.ndarray:
    """Return how often each of n images is in each bootstrap sample, `[R, n]`."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), samples).astype(float)


def _half(standing: np.ndarray, total: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return where sums `[R, D]` that fall from `total` `[R]` reach its half; the end if never.

    NaN where the total is 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = standing / total[:, None]
    below = share <= 0.5
    i = np.where(below.any(1), below.argmax(1), len(distances) - 1)
    rows = np.arange(len(share))
    before, after = share[rows, i - 1], share[rows, i]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = (before - 0.5) / (before - after)
    crossing = distances[i - 1] + part * (distances[i] - distances[i - 1])
    return np.where(total == 0, np.nan, np.where(below.any(1), crossing, distances[-1]))
