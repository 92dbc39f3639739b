"""Finite cyclic groups that act on images exactly, without interpolation.

Section 4 of Moskalev et al. uses two: R4, quarter turns, and T3, cyclic shifts along x by a third
of the width. An element is an integer k in 0..order-1, the composition is addition modulo order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CyclicGroup:
    """A cyclic group with its action on images `[..., H, W]`.

    Attributes:
        name: short name, used in measurement names.
        order: number of elements |G|.
        _act: the action of one element, `(images, k) -> images`.

    """

    name: str
    order: int
    _act: Callable[[Tensor, int], Tensor]

    def act(self, images: Tensor, k: int) -> Tensor:
        """Return g^k x for all images; negative k acts by the inverse.

        Args:
            images: `[..., H, W]`.
            k: any integer; only k modulo the order matters.

        Returns:
            Images of the same shape. Pixels are moved, never mixed.

        """
        return self._act(images, k % self.order)

    def orbit(self, images: Tensor) -> Tensor:
        """Return all transformed images, `[..., H, W] -> [G, ..., H, W]`, the identity first."""
        return torch.stack([self.act(images, k) for k in range(self.order)])

    def act_each(self, images: Tensor, ks: Tensor) -> Tensor:
        """Return g^k x with an element of its own for every image.

        Args:
            images: `[N, H, W]`.
            ks: `[N]`, integers; only their values modulo the order matter.

        """
        ks = ks % self.order
        out = torch.empty_like(images)
        for k in range(self.order):
            out[ks == k] = self.act(images[ks == k], k)
        return out


def _quarter_turns(images: Tensor, k: int) -> Tensor:
    if images.shape[-1] != images.shape[-2]:
        raise ValueError(f"quarter turns need square images, got {tuple(images.shape[-2:])}")
    return torch.rot90(images, k, dims=(-2, -1))  # counter-clockwise


def _thirds(images: Tensor, k: int) -> Tensor:
    width = images.shape[-1]
    if width % 3:
        raise ValueError(f"T3 shifts by a third of the width, which {width} is not divisible by")
    return torch.roll(images, k * width // 3, dims=-1)


R4 = CyclicGroup("R4", 4, _quarter_turns)
T3 = CyclicGroup("T3", 3, _thirds)
GROUPS = {g.name: g for g in (R4, T3)}
