"""Numbers from responses to perturbations: how plausible, how smooth, which transformation.

Shares are over images, numbers of the code and both directions alike. Axes as in
`invnb.perturbation`.
"""

import numpy as np
import torch
from scipy.spatial.distance import pdist
from torch import Tensor

from invnb.moments import MEASURES
from invnb.perturbation import FACTORS, RUNGS, TARGETS, Response

FEWEST = 5  # images that a number's transformation is the mean of, at least
SHUFFLES = 200


def at_change(response: Response, result: Tensor, active: bool = True) -> list[float]:
    """Return the share of pictures for which `result` holds, where the change is reached.

    Args:
        response: of one encoder.
        result: `[N, E, 2, T]`, bool, such as `response.plausible`.
        active: among active numbers, or among the others.

    Returns:
        One share a target, nan where none is reached.

    """
    among = response.reached & _among(response, active)
    return (_sum(result & among) / _sum(among)).tolist()


def reached(response: Response, active: bool = True) -> list[float]:
    """Return the share of numbers and directions that ever reach each target."""
    among = _among(response, active).expand_as(response.reached)
    return (_sum(response.reached & among) / _sum(among)).tolist()


def area(response: Response, active: bool = True) -> float:
    """Return the mean plausibility between no change and the largest target, 0..1.

    The shares at the targets are joined by straight lines, from that of the unperturbed decodings
    on. It is nan where a target is never reached.
    """
    shares = [
        response.unmoved.float().mean().item(),
        *at_change(response, response.plausible, active),
    ]
    return float(np.trapezoid(shares, (0.0, *TARGETS)) / TARGETS[-1])


def at_spreads(response: Response, active: bool = True) -> list[float]:
    """Return the share of plausible pictures after a step of each of `JUDGED` spreads."""
    among = _among(response, active).expand_as(response.ladder)
    return (_sum(response.ladder & among) / _sum(among)).tolist()


def change_at_spreads(response: Response, active: bool = True) -> list[float]:
    """Return the mean change of the picture at each of `RUNGS`."""
    among = _among(response, active).expand_as(response.change)
    return (_sum(response.change * among) / _sum(among)).tolist()


def scaled(response: Response) -> dict[float, float]:
    """Return the share of plausible pictures after active numbers were multiplied, by factor."""
    share = (response.scaled & response.active.unsqueeze(2)).sum((0, 1)) / response.active.sum()
    return dict(zip(FACTORS, share.tolist(), strict=True))


def sensitivity(response: Response, spread: Tensor) -> float:
    """Return how much the picture changes for a small change of an active number.

    The change of the code is counted in root mean square distances of codes from their mean, so
    that codes of any size compare.

    Args:
        response: of one encoder.
        spread: `[E]`, each number's standard deviation over all images, its zeros included.

    """
    size = spread.square().sum().sqrt()
    moved = RUNGS[0] * spread / size
    there = response.active & (spread > 0)
    slope = response.change[..., 0].mean(2) / moved.clamp_min(torch.finfo(moved.dtype).tiny)
    return slope[there].mean().item()


def path(response: Response, values: Tensor) -> float:
    """Return the mean of straightness or monotony `[N, E, 2]` over active numbers."""
    return values[_among(response, True).squeeze(3).expand_as(values)].nanmean().item()


def transformations(response: Response) -> Tensor:
    """Return what raising each number does to the picture, `[E, len(MEASURES)]`.

    Half the difference between the pictures up and down, at the same change of both, averaged over
    images; nan for numbers that were active, and reached it both ways, in fewer than five.
    """
    half = (response.described[:, :, 1] - response.described[:, :, 0]) / 2  # (N, E, measures)
    there = half.isfinite().all(2).sum(0) >= FEWEST
    mean = half.nanmean(0)
    return torch.where(there[:, None], mean, torch.nan)


def spread_within(profiles: Tensor, group: Tensor, seed: int = 0) -> tuple[float, float]:
    """Return how different the numbers of a capsule are in what they do, and of shuffled groups.

    The mean distance between two numbers of one group, every measure in units of its standard
    deviation over all numbers.

    Args:
        profiles: `[E, M]` from `transformations`; numbers with nan are left out.
        group: `[E]`, the capsule of each.
        seed: of the shuffles.

    """
    known = profiles.isfinite().all(1)
    values, group = profiles[known].numpy().astype(float), group[known].numpy()
    deviation = values.std(0)
    values = (values - values.mean(0)) / np.where(deviation > 0, deviation, 1)
    generator = np.random.default_rng(seed)
    shuffled = [_within(values, generator.permutation(group)) for _ in range(SHUFFLES)]
    return _within(values, group), float(np.mean(shuffled))


def strongest(profiles: Tensor) -> list[str]:
    """Return which measure each number changes most, in the numbers' deviations; "" for nan."""
    unit = profiles[profiles.isfinite().all(1)].std(0)
    best = (profiles / unit).abs().nan_to_num(-1).max(1)
    names = list(MEASURES)
    return [names[i] if v >= 0 else "" for v, i in zip(best.values, best.indices, strict=True)]


def _within(values: np.ndarray, group: np.ndarray) -> float:
    distances = [pdist(values[group == g]) for g in np.unique(group)]
    return float(np.concatenate(distances).mean())


def _among(response: Response, active: bool) -> Tensor:
    """Return the numbers that count, `[N, E, 1, 1]`."""
    return (response.active if active else ~response.active)[..., None, None]


def _sum(values: Tensor) -> Tensor:
    """Add up `[N, E, 2, X]` over all but the last axis."""
    return values.double().sum((0, 1, 2))
