"""Numbers from responses to perturbations: how plausible, how smooth, which transformation.

Shares are over images, numbers of the code and both directions alike. Axes as in
`invnb.perturbation`.
"""

from dataclasses import fields, replace

import numpy as np
import torch
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
    return _under(response, at_change(response, response.plausible, active))


def upper_area(response: Response) -> float:
    """Return `area` with every picture counted as plausible that never changes so much, 0..1.

    `area` leaves them out. Where many never get to a target, the two differ.
    """
    counts = _among(response, True).expand_as(response.reached)
    stays = (response.plausible | ~response.reached) & counts
    return _under(response, (_sum(stays) / _sum(counts)).tolist())


def at_spreads(response: Response, active: bool = True) -> list[float]:
    """Return the share of plausible pictures after a step of each of `JUDGED` spreads."""
    among = _among(response, active).expand_as(response.ladder)
    return (_sum(response.ladder & among) / _sum(among)).tolist()


def change_at_spreads(response: Response, active: bool = True) -> list[float]:
    """Return the mean change of the picture at each of `RUNGS`."""
    among = _among(response, active).expand_as(response.change)
    return (_sum(response.change * among) / _sum(among)).tolist()


def start(response: Response) -> float:
    """Return the plausibility that `scaled` starts from, that of the factor 1.

    The share of active numbers whose image has a plausible unperturbed decoding.
    """
    return ((response.unmoved[:, None] & response.active).sum() / response.active.sum()).item()


def same_digit(response: Response) -> float:
    """Return the share of plausible pictures at the largest target that are read as before.

    Of active numbers; nan where no picture is plausible there.
    """
    there = (response.plausible & _among(response, True))[..., -1]
    return (response.same[..., -1][there]).double().mean().item()


def scaled(response: Response) -> dict[float, float]:
    """Return the share of plausible pictures after active numbers were multiplied, by factor."""
    share = (response.scaled & response.active.unsqueeze(2)).sum((0, 1)) / response.active.sum()
    return dict(zip(FACTORS, share.tolist(), strict=True))


def scaled_change(response: Response) -> dict[float, float]:
    """Return the mean change of the picture after active numbers were multiplied, by factor."""
    total = (response.scaled_change * response.active.unsqueeze(2)).double().sum((0, 1))
    return dict(zip(FACTORS, (total / response.active.sum()).tolist(), strict=True))


def sensitivity(response: Response, spread: Tensor, deviation: Tensor) -> float:
    """Return how much the picture changes for a small change of an active number.

    The change of the code is counted in root mean square distances of codes from their mean, so
    that codes of any size compare.

    Args:
        response: of one encoder.
        spread: `[E]`, the unit of its steps.
        deviation: `[E]`, each number's standard deviation over all images, its zeros included.

    """
    moved = RUNGS[0] * spread / deviation.square().sum().sqrt()
    there = response.active & (spread > 0)
    slope = response.change[..., 0].mean(2) / moved.clamp_min(torch.finfo(moved.dtype).tiny)
    return slope[there].mean().item()


def one_way(response: Response, sign: int) -> Response:
    """Return the response to moves in one direction, 0 for down and 1 for up."""
    kept = {
        f.name: getattr(response, f.name)[:, :, sign : sign + 1]
        for f in fields(response)
        if f.name not in ("active", "unmoved", "scaled", "scaled_change")
    }
    return replace(response, **kept)


def path(response: Response, values: Tensor) -> float:
    """Return the mean of straightness or monotony `[N, E, 2]` over active numbers."""
    return values[_among(response, True).squeeze(3).expand_as(values)].nanmean().item()


def transformations(response: Response, images: slice = slice(None)) -> Tensor:
    """Return what raising each number does to the picture, `[E, len(MEASURES)]`.

    Half the difference between the pictures up and down, at the same change of both, averaged over
    images; nan for numbers that were active, and reached it both ways, in fewer than five.

    Args:
        response: of one encoder.
        images: which of them count.

    """
    described = response.described[images]
    half = (described[:, :, 1] - described[:, :, 0]) / 2  # (N, E, measures)
    there = half.isfinite().all(2).sum(0) >= FEWEST
    mean = half.nanmean(0)
    return torch.where(there[:, None], mean, torch.nan)


def alikeness(
    first: Tensor, second: Tensor, group: Tensor, seed: int = 0
) -> tuple[float, float, float]:
    """Return how alike the numbers of a capsule are in what they do, next to two yardsticks.

    Two numbers are as alike as the absolute cosine between their transformations is large: 1 where
    both do the same, in either direction and to any degree. One of the two is measured on one half
    of the images and the other on the other half, so that noise lowers all three results alike.

    Args:
        first: `[E, M]` from `transformations` on half of the images; every measure is taken in
            units of its root mean square over all numbers, those with nan are left out.
        second: the same on the other half.
        group: `[E]`, the capsule of each.
        seed: of the shuffles.

    Returns:
        Means of the absolute cosine over pairs of different numbers of one capsule, over such pairs
        of shuffled groups, and over each number with itself, which is what noise leaves of 1; nan
        where there is no pair.

    """
    known = first.isfinite().all(1) & second.isfinite().all(1)
    group = group[known].numpy()
    one, other = (_directions(half[known].double()) for half in (first, second))
    cosine = (one @ other.T).abs().numpy()
    generator = np.random.default_rng(seed)
    shuffled = [_within(cosine, generator.permutation(group)) for _ in range(SHUFFLES)]
    itself = float(np.diag(cosine).mean()) if len(cosine) else float("nan")
    return _within(cosine, group), float(np.mean(shuffled)), itself


def strongest(profiles: Tensor) -> list[str]:
    """Return which measure each number changes most, in the numbers' deviations; "" for nan."""
    unit = profiles[profiles.isfinite().all(1)].std(0)
    best = (profiles / unit).abs().nan_to_num(-1).max(1)
    names = list(MEASURES)
    return [names[i] if v >= 0 else "" for v, i in zip(best.values, best.indices, strict=True)]


def _under(response: Response, shares: list[float]) -> float:
    """Return the mean height of the line from unperturbed decodings through shares at targets."""
    line = [response.unmoved.float().mean().item(), *shares]
    return float(np.trapezoid(line, (0.0, *TARGETS)) / TARGETS[-1])


def _directions(profiles: Tensor) -> Tensor:
    """Return profiles `[E, M]` in units of each measure's size, with length 1 (or 0)."""
    size = profiles.square().mean(0).sqrt()
    scaled = profiles / torch.where(size > 0, size, 1)
    return scaled / scaled.norm(dim=1, keepdim=True).clamp_min(torch.finfo(scaled.dtype).tiny)


def _within(cosine: np.ndarray, group: np.ndarray) -> float:
    """Return the mean over pairs of different numbers of one group, nan where there is none."""
    pairs = (group[:, None] == group) & ~np.eye(len(group), dtype=bool)
    return float(cosine[pairs].mean()) if pairs.any() else float("nan")


def _among(response: Response, active: bool) -> Tensor:
    """Return the numbers that count, `[N, E, 1, 1]`."""
    return (response.active if active else ~response.active)[..., None, None]


def _sum(values: Tensor) -> Tensor:
    """Add up `[N, E, 2, X]` over all but the last axis."""
    return values.double().sum((0, 1, 2))
