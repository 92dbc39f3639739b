"""Data that drift from one set of images to another (section 4.3 of Moskalev et al.)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from invnb import data
from invnb.data import DataError, DataUnavailableError, ImageData
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
    """Return the area under a curve over the drift, by the trapezoidal rule, per unit of drift.

    From beta = 0 to 1 that is the area; over a part of the drift it is the mean over that part.

    Args:
        values: at each degree.
        betas: rising.

    """
    span = betas[-1] - betas[0]
    return float(np.trapezoid(values, betas) / span) if span else float(values[0])


def destination(name: str, start: ImageData) -> ImageData:
    """Return the images that data drift to.

    Args:
        name: "fashion-mnist"; "scrambled" (the images of `start` with their pixels in another,
            fixed order); "auto": FashionMNIST where it is in the folder or can be downloaded (and
            is not the start), else scrambled, after printing a notice that says why.
        start: the images that the data drift from.

    Raises:
        DataError: as `invnb.data.load` does, and when both ends are FashionMNIST.

    """
    if name == "fashion-mnist" and start.name == "FashionMNIST":
        raise DataError("drift from FashionMNIST to itself is none: set drift_data to scrambled")
    if name != "scrambled" and start.name != "FashionMNIST":
        try:
            return data.load("fashion-mnist")
        except DataUnavailableError as error:
            if name != "auto":
                raise
            print(f"Notice: the data drift to scrambled {start.name}, not FashionMNIST: {error}")
    pixels = start.images.flatten(1)
    order = torch.randperm(pixels.shape[1], generator=torch.Generator().manual_seed(0))
    images = pixels[:, order].view_as(start.images)
    return replace(start, images=images, name=f"{start.name}, pixels scrambled")
