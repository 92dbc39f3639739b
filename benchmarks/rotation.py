"""Turning a batch of digits by angles of their own: invnb.rotation against a loop over images."""

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.timing import Row, interleave, ratio, spent
from invnb.rotation import rotate
from invnb.vision import torchvision

IMAGES = 128


def rows(rounds: int) -> Iterator[Row]:
    """Compare times and pictures, with Pillow and with torchvision."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(IMAGES, 28, 28)
    images[:, 4:24, 4:24] = torch.rand(IMAGES, 20, 20, generator=generator)
    degrees = 360 * torch.rand(IMAGES, generator=generator)
    ours = rotate(images, degrees)
    for name, other, target in (("Pillow", _pillow, "≥ 8"), ("torchvision", _torchvision, "≥ 15")):
        difference = (other(images, degrees) - ours).abs().max()
        slow, fast = interleave(
            lambda other=other: other(images, degrees), lambda: rotate(images, degrees), rounds
        )
        what = f"rotation by individual angles, {name}'s in a loop / invnb, {IMAGES} images"
        yield Row(f"{what}: time", ratio(slow, fast), target, f"{spent(slow)}, {spent(fast)}")
        yield Row(f"{what}: largest difference", f"{difference:.1e}", "< 1e-4", "")


def _pillow(images: Tensor, degrees: Tensor) -> Tensor:
    turned = [
        np.array(Image.fromarray(image.numpy()).rotate(angle, Image.Resampling.BILINEAR))
        for image, angle in zip(images, degrees.tolist(), strict=True)
    ]
    return torch.from_numpy(np.stack(turned))


def _torchvision(images: Tensor, degrees: Tensor) -> Tensor:
    bilinear = torchvision.transforms.InterpolationMode.BILINEAR
    turned = [
        torchvision.transforms.functional.rotate(image[None], angle, bilinear)[0]
        for image, angle in zip(images, degrees.tolist(), strict=True)
    ]
    return torch.stack(turned)
