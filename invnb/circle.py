"""What a classifier sees as digits turn: accuracy in ranges of angles, and around the circle.

The scores of Potapov (2018). Axes: N images, D angles drawn for each, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invnb.turning import CIRCLE, FAR, INSIDE, OUTSIDE, Digits

DRAWS = 20  # angles an image, at least
AROUND = 80  # the circle in strata of 4.5 degrees: some 20 draws an image fall into the far range
CHUNK = 1000


@dataclass(frozen=True)
class Seen:
    """What a network made of images at many angles.

    Attributes:
        labels: `[N]`.
        degrees: `[N, D]`, in [0, 360).
        predicted: uint8 `[N, D]`, the class with the largest logit.
        classes: K.

    """

    labels: Tensor
    degrees: Tensor
    predicted: Tensor
    classes: int

    @property
    def right(self) -> Tensor:
        """Where the network is right, bool `[N, D]`."""
        return self.predicted == self.labels.unsqueeze(1)

    def accuracy(self, low: float = CIRCLE[0], high: float = CIRCLE[1]) -> float:
        """Return the share of right answers at angles in [low, high); low may be negative."""
        return self.right[self._within(low, high)].double().mean().item()

    def curve(self, bins: int = 72) -> list[float]:
        """Return accuracy in equal bins around the circle, from 0 degrees on."""
        of = (self.degrees * (bins / 360)).long().clamp(max=bins - 1)
        right = torch.zeros(bins).index_add_(0, of.flatten(), self.right.float().flatten())
        return (right / torch.bincount(of.flatten(), minlength=bins)).tolist()

    def confusion(self, label: int, low: float, high: float) -> list[float]:
        """Return how often images of one class are taken for each, `[K]`, summing to 1."""
        these = self._within(low, high) & (self.labels == label).unsqueeze(1)
        counts = torch.bincount(self.predicted[these], minlength=self.classes)
        return (counts / counts.sum()).tolist()

    def _within(self, low: float, high: float) -> Tensor:
        return ((self.degrees - low) % 360) < high - low


@torch.no_grad()
def look(network: nn.Module, digits: Digits, degrees: Tensor) -> Tensor:
    """Return the class that a network sees in images at given angles, uint8 `[N, D]`.

    Args:
        network: in evaluation mode, maps `[B, H, W]` to logits `[B, K]`, K up to 256.
        digits: N images, on the network's device.
        degrees: `[N, D]`.

    """
    which = torch.arange(len(digits.images), device=digits.images.device)
    which = which.unsqueeze(1).expand_as(degrees).flatten()
    predicted = [
        network(digits.turned(some, angles)).argmax(-1).cpu()
        for some, angles in zip(
            which.split(CHUNK), degrees.to(digits.images).flatten().split(CHUNK), strict=True
        )
    ]
    return torch.cat(predicted).view(degrees.shape).byte()


def drawn(digits: Digits, draws: int = DRAWS, seed: int = 1) -> Tensor:
    """Return angles as in training, `[N, draws]`: uniform in the range of each image's class.

    They are drawn on the CPU by `seed` alone, so that all networks meet the same images.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (len(digits.images), draws)
    which = torch.arange(shape[0]).unsqueeze(1).expand(shape)
    return digits.to("cpu").angles(which, torch.rand(shape, generator=generator))


def around(digits: Digits, strata: int = AROUND, seed: int = 2) -> Tensor:
    """Return angles all around the circle, `[N, strata]`: one in each of `strata` equal parts."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(digits.images), strata)
    return (torch.arange(strata) + torch.rand(shape, generator=generator)) * (360 / strata)


def scores(in_training_range: Seen, restricted: Seen) -> dict[str, float]:
    """Return the source's scores.

    Args:
        in_training_range: all test images at angles of `drawn`.
        restricted: test images of the restricted digits at angles of `around`.

    Returns:
        Ptest, of all; Pin, Pout and Pinv, of the restricted digits inside of their training range,
        outside, and at the far angles. Fractions.

    """
    return {
        "Ptest": in_training_range.accuracy(),
        "Pin": restricted.accuracy(*INSIDE),
        "Pout": restricted.accuracy(*OUTSIDE),
        "Pinv": restricted.accuracy(*FAR),
    }
