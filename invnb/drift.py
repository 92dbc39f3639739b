"""Data that drift from one set of images to another (section 4.3 of Moskalev et al.)."""

from collections.abc import Sequence

import numpy as np
import torch

from invnb.transforming import Split


def matched_by_class(first: Split, second: Split) -> Split:
    """Return for each image of `first` an image of `second` with the same label.

    Images of a class are taken in their order, and again from the start where they run out, so
    that a mixture of both has one label, whatever its degree.

    Args:
        first: its labels decide.
        second: has every label that `first` has.

    """
    chosen = torch.empty_like(first.labels)
    for label in first.labels.unique():
        wanted = (first.labels == label).nonzero().flatten()
        found = (second.labels == label).nonzero().flatten()
        chosen[wanted] = found[torch.arange(len(wanted), device=found.device) % len(found)]
    return Split(second.images[chosen], first.labels)


def mixed(first: Split, second: Split, beta: float) -> Split:
    """Return D(beta) = (1 - beta) D1 + beta D2, pixel by pixel, with the labels of `first`.

    Args:
        first: D1, `[N, H, W]`.
        second: D2, at least as many images, paired with D1's by position.
        beta: degree of the drift, 0..1.

    """
    other = second.images[: len(first.images)]
    return Split((1 - beta) * first.images + beta * other, first.labels)


def area(values: Sequence[float], betas: Sequence[float]) -> float:
    """Return the area under a curve over the drift, by the trapezoidal rule."""
    return float(np.trapezoid(values, betas))
