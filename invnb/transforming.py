"""Transforming-MNIST: the data of Moskalev et al., section 4.1, from any set of 28 x 28 images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from invnb.data import ImageData
from invnb.errors import InvnbError
from invnb.groups import CyclicGroup

PADDING = 4  # zero-padding on each side: 28 x 28 -> 36 x 36
LEFT_OUT = 9  # the last class: the digit 9, which a half turn makes a 6


@dataclass(frozen=True)
class Split:
    """Images `[N, H, W]`, float32, normalised, and their labels `[N]`, int64, 0..K-1."""

    images: Tensor
    labels: Tensor

    def transformed(self, group: CyclicGroup, seed: int) -> "Split":
        """Return the split with one random group element, drawn by `seed`, applied to each image.

        The elements are uniform over the group and drawn on the CPU, so that every model and
        every device meets the same images.
        """
        generator = torch.Generator().manual_seed(seed)
        ks = torch.randint(group.order, (len(self.images),), generator=generator)
        return Split(group.act_each(self.images, ks.to(self.images.device)), self.labels)

    def first(self, n: int) -> "Split":
        """Return the first `n` images; the order of a split is random already."""
        return Split(self.images[:n], self.labels[:n])

    def to(self, device: torch.device | str) -> "Split":
        """Return the split on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """Train, test and validation images, and the pixel mean and deviation taken out of them."""

    train: Split
    test: Split
    validation: Split
    mean: float
    std: float

    def to(self, device: torch.device | str) -> "Splits":
        """Return the three splits on `device`."""
        return Splits(
            self.train.to(device),
            self.test.to(device),
            self.validation.to(device),
            self.mean,
            self.std,
        )


def make_splits(
    data: ImageData, *, train: int, test: int, validation: int, seed: int = 0
) -> Splits:
    """Leave out the last class, zero-pad, cut into three disjoint splits, and normalise.

    Args:
        data: labelled images, uint8 `[N, 28, 28]`, classes 0..9.
        train: images to train on; the paper has 10,000.
        test: images to measure on; the paper has 50,000.
        validation: images to select and tune on; the paper has 2,000.
        seed: of the one random permutation that all splits are cut from.

    Returns:
        Splits with zero mean and unit standard deviation over the training split's pixels.

    Raises:
        InvnbError: when the three sizes add up to more images than there are.

    """
    kept = data.labels != LEFT_OUT
    images, labels = data.images[kept], data.labels[kept]
    if train + test + validation > len(images):
        raise InvnbError(
            f"splits of {train} + {test} + {validation} images are more than the {len(images)} "
            f"that {data.name} has without the class {LEFT_OUT}"
        )
    images = pad(images, (PADDING,) * 4).float() / 255
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    parts = order[: train + test + validation].split([train, test, validation])
    mean, std = images[parts[0]].mean().item(), images[parts[0]].std().item()
    cut = [Split((images[i] - mean) / std, labels[i]) for i in parts]
    return Splits(*cut, mean, std)
