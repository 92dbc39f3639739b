"""What a drawing shows, and which drawings it is nearest to.

The judge of a drawing is a classifier trained on all digits at all angles. Axes: N drawings of
S x S pixels, M of them to compare with, K classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


@torch.no_grad()
def readings(judge: nn.Module, drawings: Tensor) -> Tensor:
    """Return what a judge reads in drawings: softmax `[N, K]`, on the CPU.

    Args:
        judge: in evaluation mode, maps `[N, S, S]`, 0 to 1, to logits `[N, K]`.
        drawings: `[N, S, S]`, pixels from -1 to 1.

    """
    return torch.cat([judge((part + 1) / 2).softmax(-1).cpu() for part in drawings.split(500)])


def shares(
    softmax: Tensor, classes: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return how many drawings are read as one of each group of classes, as fractions.

    Args:
        softmax: `[N, K]`.
        classes: K names.
        groups: names of classes, by the name of their group.

    """
    read = [classes[i] for i in softmax.argmax(-1)]
    return {name: sum(r in of for r in read) / len(read) for name, of in groups.items()}


def nearest_error(drawings: Tensor, pool: Tensor) -> Tensor:
    """Return the mean squared error of a pixel between drawings and the nearest of a pool, `[N]`.

    Args:
        drawings: `[N, S, S]`.
        pool: `[M, S, S]`, to choose from.

    """
    flat = drawings.flatten(1)
    return torch.cdist(flat, pool.flatten(1)).amin(1).square() / flat.shape[1]


def nearest_blend_error(drawings: Tensor, pool: Tensor, among: int = 10) -> Tensor:
    """Return the mean squared error between drawings and the nearest blend of two others, `[N]`.

    A blend is w p + (1 - w) q with w from 0 to 1, of two of the `among` drawings of the pool that
    are nearest to the drawing.

    Args:
        drawings: `[N, S, S]`.
        pool: `[M, S, S]`.
        among: how many to blend two of; at most M.

    """
    flat, others = drawings.flatten(1), pool.flatten(1)
    nearest = torch.cdist(flat, others).topk(min(among, len(others)), largest=False).indices
    p = others[nearest]  # (N, A, P)
    gap = (flat.unsqueeze(1) - p).unsqueeze(1)  # to the second of a pair, (N, 1, A, P)
    span = p.unsqueeze(2) - p.unsqueeze(1)  # (N, A, A, P)
    weight = ((gap * span).sum(-1) / span.square().sum(-1).clamp_min(1e-12)).clamp(0, 1)
    return (gap - weight.unsqueeze(-1) * span).square().mean(-1).flatten(1).amin(1)
