"""The perceptrons of Moskalev et al. on the digits of Potapov: import paths for `Classifiers`.

They take `[B, 28, 28]`, pixels in 0 to 1, to 8 logits. What a network knows of quarter turns comes
from its weights (`tied`), from a penalty on images whose turned forms have no labels
(`regularised`), or not at all (`plain`).
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from invnb.groups import R4
from invnb.models import MLP, TiedMLP
from invnb.penalties import squared_distance

SIZE, CLASSES = 28, 8
NU = 16.0  # what the search for quarter turns chose in the reference run of genuine-invariance
MEAN, SD = 0.1307, 0.3081  # of MNIST's training pixels


class Plain(MLP):
    """A perceptron that normalises its images."""

    def affine(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the first pre-activations."""
        return super().affine((images - MEAN) / SD)


class Tied(TiedMLP):
    """A perceptron tied over quarter turns that normalises its images."""

    def affine(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the pre-activations of all poses."""
        return super().affine((images - MEAN) / SD)


class Regularised(Plain):
    """A perceptron whose loss has LI over quarter turns, times a weight `nu`."""

    def __init__(self, nu: float):
        super().__init__(SIZE, CLASSES)
        self.nu = nu

    def loss(self, images: Tensor, labels: Tensor, epoch: int) -> Tensor:
        """Return cross entropy plus nu times LI, one random turn an image, mean over the batch."""
        logits = self(images)
        turns = torch.randint(1, R4.order, (len(images),)).to(images.device)
        apart = squared_distance(logits, self(R4.act_each(images, turns)))
        return (cross_entropy(logits, labels, reduction="none") + self.nu * apart).mean()


def plain() -> Plain:
    """Return a perceptron that augmentation alone can teach (DA)."""
    return Plain(SIZE, CLASSES)


def tied() -> Tied:
    """Return a perceptron that is invariant to quarter turns by its weights (WT)."""
    return Tied(R4, SIZE, CLASSES)


def regularised() -> Regularised:
    """Return a perceptron that is penalised for answering to quarter turns (IR)."""
    return Regularised(NU)
