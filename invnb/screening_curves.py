"""Curves and maps of a screening: the two measures of Bunne et al., section III.C, as plotted.

Axes: N images, M magnitudes, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from invnb.screening_table import Table


def accuracy(table: Table, name: str, among: np.ndarray | None = None) -> np.ndarray:
    """Return the share of right predictions at each magnitude, `[M]`.

    Args:
        table: of a screening.
        name: of a transformation.
        among: which images count, bool `[N]`; None for all.

    """
    right = table.predicted(name) == table.labels
    return (right if among is None else right[:, among]).mean(1)


@dataclass(frozen=True)
class SoftmaxCurves:
    """Mean softmax over the images of one class, as in the source's figures 2, 3, 6 and 7.

    Attributes:
        magnitudes: the M magnitudes.
        classes: names of the strongest classes, the strongest first.
        means: their mean softmax, `[3, M]`; fewer where there are fewer classes.
        others: the largest mean softmax of any other class, `[M]`; None where there is none.

    """

    magnitudes: tuple
    classes: tuple[str, ...]
    means: np.ndarray
    others: np.ndarray | None


def softmax_curves(table: Table, name: str, label: int, strongest: int = 3) -> SoftmaxCurves:
    """Return the curves of the classes whose mean softmax comes highest at any magnitude.

    The source shows "three predicted classes with the highest softmax output [...] while varying
    the parameter" and "the maximum softmax over all" others; read as of the mean over the images.
    """
    means = table.mean_softmax(name, label).T  # (K, M)
    order = np.argsort(-means.max(1), kind="stable")
    first, rest = order[:strongest], order[strongest:]
    return SoftmaxCurves(
        table.transformation(name).magnitudes,
        tuple(table.classes[k] for k in first),
        means[first],
        means[rest].max(0) if len(rest) else None,
    )


@dataclass(frozen=True)
class TranslationMap:
    """What becomes of one class under translations in both directions, the source's figure 2d.

    Attributes:
        x: shifts to the right, `[X]`, in widths.
        y: shifts down, `[Y]`, in heights.
        softmax: mean softmax of the class, `[Y, X]`.
        accuracy: share of right predictions, `[Y, X]`.

    """

    x: np.ndarray
    y: np.ndarray
    softmax: np.ndarray
    accuracy: np.ndarray


def translation_map(
    table: Table, label: int, name: str = "translation", among: np.ndarray | None = None
) -> TranslationMap:
    """Return the map of one class.

    Args:
        table: of a screening, with `translation`.
        label: the class.
        name: of a transformation by all pairs of a grid.
        among: which images count, bool `[N]`; None for all.

    """
    pairs = np.array(table.transformation(name).magnitudes)
    x, y = np.unique(pairs[:, 0]), np.unique(pairs[:, 1])
    these = table.labels == label if among is None else (table.labels == label) & among
    softmax = table.softmax_of_label(name)[:, these].mean(1)
    found = [values.reshape(len(x), len(y)).T for values in (softmax, accuracy(table, name, these))]
    return TranslationMap(x, y, *found)


@dataclass(frozen=True)
class Takeover:
    """What the images of a class are taken for at the far end.

    Attributes:
        name: of the class that most are taken for, other than their own; None where all are right.
        share: of the images, that are taken for it.

    """

    name: str | None
    share: float


def takeover(
    table: Table, name: str, label: int, magnitude: float, among: np.ndarray | None = None
) -> Takeover:
    """Return the wrong class that images of one class are most often taken for (CS-02).

    Args:
        table: of a screening.
        name: of a transformation.
        label: the class.
        magnitude: one of the transformation's.
        among: which images count, bool `[N]`; None for all.

    """
    m = table.transformation(name).magnitudes.index(magnitude)
    these = table.labels == label
    predicted = table.predicted(name)[m, these if among is None else these & among]
    counts = np.bincount(predicted, minlength=len(table.classes))
    counts[label] = 0
    k = int(counts.argmax())
    return Takeover(table.classes[k] if counts[k] else None, float(counts[k] / len(predicted)))


def half_shifts(
    pairs: Sequence[tuple[float, float]], accuracy: Sequence[float]
) -> tuple[float | None, float | None]:
    """Return the shift along one axis, and along each of both at once, that costs as much accuracy.

    Namely half of it, or what the costliest shift along one axis costs, where that is less.

    If shifts added up, half as much along each of both would do; if they counted by their distance,
    .71 as much; if only the larger counted, as much (CS-06).

    Args:
        pairs: M shifts (x, y) of a square grid around (0, 0).
        accuracy: at each, `[M]`, fraction.

    Returns:
        Two shifts, in the units of the pairs, means over directions; None for one that is never
        reached, as none is where no shift costs anything. Between two shifts accuracy is taken to
        fall on a line.

    """
    at = {tuple(pair): value for pair, value in zip(pairs, accuracy, strict=True)}
    steps = sorted({abs(x) for x, _ in at})
    single = [np.mean([at[d] for d in ((v, 0), (-v, 0), (0, v), (0, -v))]) for v in steps]
    both = [np.mean([at[d] for d in ((v, v), (-v, v), (v, -v), (-v, -v))]) for v in steps]
    goal = max(single[0] / 2, min(single))
    return _first_at(goal, steps, single), _first_at(goal, steps, both)


def _first_at(goal: float, steps: Sequence[float], falling: Sequence[float]) -> float | None:
    """Return where values first fall to a goal below the first, None where they do not."""
    for (s0, s1), (v0, v1) in zip(pairwise(steps), pairwise(falling), strict=True):
        if v1 <= goal < v0:
            return float(s0 + (s1 - s0) * (v0 - goal) / (v0 - v1))
    return None
