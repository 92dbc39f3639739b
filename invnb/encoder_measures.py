"""Numbers that the perturbation chapter compares encoders by, beside those of perturbed pictures.

Axes: N images or places, E numbers of a code, C capsules, K classes.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from sklearn.metrics import mutual_info_score
from torch import Tensor

from invnb.encoders import LAYERS
from invnb.predcaps import PredCaps


def least_use(encoder: PredCaps, images: Tensor) -> float:
    """Return the smallest share of wins of any capsule of any layer, in equal shares.

    Over places with ink: 1 where all capsules win alike, 0 where one never does.

    Args:
        encoder: with groups.
        images: `[N, S, S]`, 0..1.

    """
    least = []
    for layer, state in zip(LAYERS, encoder.settle(images), strict=True):
        inked = (state.outputs != 0).any(1)
        won = state.chosen.unflatten(1, (layer.capsules, -1)).mean(2).transpose(0, 1)[:, inked]
        least.append((won.mean(1).min() / won.mean()).item())
    return min(least)


def changed_by_feedback(encoder: PredCaps, images: Tensor) -> float:
    """Return the share of outputs kept that would not have been kept without feedback, 0..1.

    The mean over the three layers.

    Args:
        encoder: with a choice of winners.
        images: `[N, S, S]`, 0..1.

    """
    without = copy.copy(encoder)
    without.rules = replace(encoder.rules, feedback="none")
    shares = []
    for state, plain in zip(encoder.settle(images), without.settle(images), strict=True):
        kept, would = state.chosen > 0, plain.chosen > 0
        shares.append(((kept & ~would).sum() / kept.sum()).item())
    return float(np.mean(shares))


def in_deviations(codes: Tensor, usual: Tensor) -> float:
    """Return how far numbers lie from their mean, in root mean square: 1 for the usual codes.

    In standard deviations of each number over the usual codes; those that do not vary there are
    left out.

    Args:
        codes: `[N, E]`.
        usual: `[M, E]`, such as those of training.

    """
    mean, deviation = usual.mean(0), usual.std(0, correction=0)
    live = deviation > 0
    return ((codes - mean)[:, live] / deviation[live]).square().mean().sqrt().item()


def at_equal_error(errors: Sequence[float], areas: Sequence[float], error: float) -> float:
    """Return the area that codes would have at a given reconstruction error.

    Read off straight lines between codes of increasing error, the error in logarithms.

    Args:
        errors: of the codes, above 0, in any order.
        areas: theirs.
        error: where to read; nan is returned where the codes do not enclose it.

    """
    order = np.argsort(errors)
    x, y = np.log(np.asarray(errors)[order]), np.asarray(areas)[order]
    return float(np.interp(np.log(error), x, y, left=np.nan, right=np.nan))


def effect(values: Mapping[str, float], letters: str) -> float:
    """Return a main effect or an interaction in a full factorial design of two levels.

    For one letter the mean where it is on minus the mean where it is off; for two, half of how much
    more the one does where the other is on; and so on (Yates).

    Args:
        values: by cell, whose name holds the letters that are on.
        letters: of the effect.

    """
    signs = [np.prod([1 if letter in name else -1 for letter in letters]) for name in values]
    return float(np.dot(signs, [*values.values()]) / (len(values) / 2))


def information(present: Tensor, labels: Tensor, classes: int = 10) -> list[float]:
    """Return what the most telling capsule tells of each class, as a share of all there is to know.

    The mutual information of "this capsule is there" and "this is the class", over the entropy of
    the latter, for the capsule for which it is largest.

    Args:
        present: bool or 0 and 1, `[N, C]`.
        labels: `[N]`, each class at least once, and not alone.
        classes: K.

    Returns:
        K shares, 0 to 1.

    """
    shares = []
    for label in range(classes):
        is_it = (labels == label).cpu().numpy()
        known = mutual_info_score(is_it, is_it)
        shares.append(max(mutual_info_score(is_it, one) for one in present.cpu().numpy().T) / known)
    return shares
