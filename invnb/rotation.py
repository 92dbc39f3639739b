"""Rotation by any angle, which mixes pixels; see `invnb.groups` for quarter turns, which do not."""

from torch import Tensor

from invnb.vision import torchvision

_functional = torchvision.transforms.functional


def rotate(images: Tensor, degrees: float, fill: float) -> Tensor:
    """Return the images turned counter-clockwise about their centre, bilinearly interpolated.

    Args:
        images: `[N, H, W]`.
        degrees: any angle, one for all images.
        fill: value of pixels that come from outside of the frame.

    """
    bilinear = torchvision.transforms.InterpolationMode.BILINEAR
    turned = _functional.rotate(images.unsqueeze(1), degrees, bilinear, fill=[fill])
    return turned.squeeze(1)
