"""What every chapter measures on its own networks, so that the chapters can be compared.

Invariance over quarter turns and sensitivity as in Moskalev et al., and accuracy under the
transformations of Bunne et al. A network is taken as a classifier of images with pixels in 0 to
255, whatever it takes itself. Axes: N images, C channels of H x W pixels, K classes, M magnitudes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invnb import metrics
from invnb.across_table import COLOURED, UNITS
from invnb.groups import R4
from invnb.image_transformations import ELEVEN, TRANSFORMATIONS
from invnb.recording import record
from invnb.saliency import realigned_maps, saliency_similarity
from invnb.sensitivity import largest_singular_value

Classifier = Callable[[Tensor], Tensor]  # [B, C, H, W], 0..255 -> logits [B, K]

CHUNK = 50


@dataclass(frozen=True)
class Look:
    """What was measured of one network.

    Attributes:
        measures: by the names in `invnb.across_table.UNITS`. LI, DI and SI are means over images
            and the three turns; `relative_LI` is LI in units of the squared distance between the
            logits of two images; `sigma_max` is in logits per standard deviation of a pixel.
        curves: accuracy at each magnitude, `[M]`, by transformation.

    """

    measures: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]


def look(classifier: Classifier, images: Tensor, labels: Tensor) -> Look:
    """Measure one network.

    Args:
        classifier: in evaluation mode; maps `[B, C, H, W]`, pixels in 0 to 255, to logits `[B, K]`.
        images: `[N, C, H, W]`, floating point in 0 to 255, square, C of 1 or 3; at least two.
        labels: `[N]`.

    """
    logits = metrics.orbit_logits(classifier, images, R4, CHUNK)  # (N, G, K)
    turns = range(1, R4.order)
    relative = [metrics.relative_logit_change(logits[:, 0], logits[:, k]) for k in turns]
    similarity = torch.cat(
        [
            saliency_similarity(realigned_maps(classifier, x, y, R4, baseline=images.mean().item()))
            for x, y in zip(images.split(CHUNK), labels.split(CHUNK), strict=True)
        ]
    )
    values = {
        "accuracy": (logits[:, 0].argmax(-1) == labels).double(),
        "same_prediction": metrics.same_prediction(logits).double(),
        "LI": metrics.orbit_mean(metrics.logit_invariance(logits)),
        "relative_LI": torch.stack(relative),
        "DI": metrics.orbit_mean(metrics.distribution_invariance(logits)),
        "SI": metrics.orbit_mean(similarity),
        "sigma_max": largest_singular_value(classifier, images, CHUNK) * images.std(),
    }
    measures = {name: value.double().mean().item() for name, value in values.items()}
    return Look(measures, _curves(classifier, images, labels))


@torch.no_grad()
def _curves(classifier: Classifier, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Return accuracy under each transformation at its magnitudes, the same noise for all."""
    channels = images.shape[1]
    coloured = images.expand(-1, 3, -1, -1)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).to(images)
    found: dict[str, list[float]] = {}
    for name in ELEVEN:
        if channels == 1 and name in COLOURED:
            continue
        one = TRANSFORMATIONS[name]
        for magnitude in one.magnitudes:
            changed = one(coloured, magnitude, noise if one.random else None)[:, :channels]
            predicted = [classifier(some).argmax(-1) for some in changed.split(CHUNK)]
            right = (torch.cat(predicted) == labels).double().mean().item()
            found.setdefault(name, []).append(right)
    return found


def store(name: str, looks: Sequence[Look], seeds: Sequence[int]) -> None:
    """Record what was measured of one kind of network, as `across.NAME.MEASURE`.

    Args:
        name: of the network, words of letters, digits and _.
        looks: one a seed.
        seeds: theirs.

    """
    for measure, unit in UNITS.items():
        values = [one.measures[measure] for one in looks]
        record(f"across.{name}.{measure}", values, unit=unit, seeds=seeds)
    for transformation in looks[0].curves:
        one = TRANSFORMATIONS[transformation]
        axis = {"name": f"{transformation} ({one.unit})", "values": one.magnitudes}
        values = [seen.curves[transformation] for seen in looks]
        record(f"across.{name}.{transformation}", values, unit="fraction", seeds=seeds, axis=axis)
