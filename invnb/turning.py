"""Digits that turn: which of them there are, and which angles each may take in training.

The data of Potapov (2018), "Can Deep Networks Learn Invariants?", with the ranges of its code:
6 and 9 are left out, 3 and 4 turn within 45 degrees of upright, the others all around. Axes: N
images of H x W pixels, K classes, D angles drawn for each image. Angles are counter-clockwise, in
degrees.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from invnb.data import ImageData
from invnb.errors import InvnbError
from invnb.rotation import rotate

LEFT_OUT = (6, 9)
RESTRICTED = (3, 4)
# The code's ranges, one degree wider at the end than the post's: [low, high)
INSIDE, CIRCLE = (-45.0, 46.0), (0.0, 360.0)
OUTSIDE, FAR = (46.0, 315.0), (135.0, 226.0)
TRAINING_SHARE = 6 / 7  # of data that come without a test set of their own, as in MNIST


@dataclass(frozen=True)
class Digits:
    """Upright images, and the angles that each class may take.

    Attributes:
        images: `[N, H, W]`, float32, 0 (background) to 1.
        labels: `[N]`, int64, 0..K-1.
        digits: what each class is, K names such as "3" or "6, 9".
        ranges: `[K, 2]`, low (included) and high (left out) angle of each class.

    """

    images: Tensor
    labels: Tensor
    digits: tuple[str, ...]
    ranges: Tensor

    def to(self, device: torch.device | str) -> "Digits":
        """Return the digits on `device`."""
        moved = {name: getattr(self, name).to(device) for name in ("images", "labels", "ranges")}
        return replace(self, **moved)

    def of(self, digits: Sequence[int]) -> "Digits":
        """Return the images of some digits alone; their labels stay what they were."""
        classes = [self.digits.index(str(digit)) for digit in digits]
        chosen = torch.isin(self.labels, torch.tensor(classes, device=self.labels.device))
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])

    def first(self, n: int) -> "Digits":
        """Return the first `n` images."""
        return replace(self, images=self.images[:n], labels=self.labels[:n])

    def angles(self, which: Tensor, uniform: Tensor) -> Tensor:
        """Return angles in the range of each image's class.

        Args:
            which: indices of images, any shape.
            uniform: numbers in [0, 1) of the same shape, which fix the angles.

        """
        low, high = self.ranges[self.labels[which]].unbind(-1)
        return low + (high - low) * uniform

    def turned(self, which: Tensor, degrees: Tensor) -> Tensor:
        """Return images `which` `[B]`, each turned by its angle, `[B, H, W]`."""
        return rotate(self.images[which], degrees)


def train_and_test(
    data: ImageData,
    *,
    leave_out: Sequence[int] = LEFT_OUT,
    restricted: Sequence[int] = RESTRICTED,
    merged: Sequence[int] = (),
    at_most: int | None = None,
) -> tuple[Digits, Digits]:
    """Return training and test digits.

    MNIST keeps its own test set, the last 10,000 of 70,000 images; others lose their last seventh.

    Args:
        data: labelled images, uint8 `[N, H, W]`, classes 0..9.
        leave_out: digits that take no part.
        restricted: digits that turn within 45 degrees.
        merged: digits that count as one class, such as 6 and 9 where all turn all around.
        at_most: training images to keep, and a sixth of it to test on; None for all.

    Raises:
        InvnbError: a restricted or merged digit that is left out.

    """
    if gone := set(leave_out) & {*restricted, *merged}:
        raise InvnbError(f"digit {min(gone)} is left out and cannot be restricted or merged too")
    rest = [d for d in range(10) if d not in leave_out and d not in merged]
    classes = [[d] for d in rest] + ([list(merged)] if merged else [])
    label_of = torch.full((10,), -1)
    for label, members in enumerate(classes):
        label_of[members] = label
    ranges = [INSIDE if set(c) <= set(restricted) else CIRCLE for c in classes]
    names = tuple(", ".join(map(str, members)) for members in classes)
    cut = round(len(data.images) * TRAINING_SHARE)
    parts = []
    for part, most in ((slice(cut), at_most), (slice(cut, None), at_most and at_most // 6)):
        labels = label_of[data.labels[part]]
        keep = labels >= 0
        images = data.images[part][keep][:most].float() / 255
        parts.append(Digits(images, labels[keep][:most], names, torch.tensor(ranges)))
    return parts[0], parts[1]
