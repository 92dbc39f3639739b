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
    # torchvision's own `fill` counts the frame's edge twice; outside of it there is 0 anyway
    turned = _functional.rotate((images - fill).unsqueeze(1), degrees, bilinear)
    return turned.squeeze(1) + fill
