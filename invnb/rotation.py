"""Rotation by any angle, which mixes pixels; see `invnb.groups` for quarter turns, which do not."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

AT_ONCE = 256  # images; more at a time leave the processor's cache and take longer


def rotate(images: Tensor, degrees: float | Tensor, fill: float = 0.0) -> Tensor:
    """Return the images turned counter-clockwise about their centre, bilinearly interpolated.

    Args:
        images: `[N, H, W]`, floating point.
        degrees: any angle, one for all images or one for each, `[N]`.
        fill: value of pixels that come from outside of the frame.

    Returns:
        `[N, H, W]`; multiples of 90 degrees move the pixels of a square frame without blur, up to
        rounding.

    """
    n, h, w = images.shape
    angles = torch.as_tensor(degrees, dtype=images.dtype, device=images.device).deg2rad()
    angles = angles.expand(n)
    # Pixel centres as complex numbers, y downwards: one product turns the point that each pixel
    # of the result comes from.
    y = torch.arange(h, dtype=images.dtype, device=images.device) - (h - 1) / 2
    x = torch.arange(w, dtype=images.dtype, device=images.device) - (w - 1) / 2
    points = torch.complex(*torch.broadcast_tensors(x, y.unsqueeze(1)))  # (H, W)
    # grid_sample counts from -1 to 1 between the outer edges, and has 0 outside of them
    scale = torch.tensor([2 / w, 2 / h], dtype=images.dtype, device=images.device)
    turned = []
    for part, angle in zip(
        (images - fill).unsqueeze(1).split(AT_ONCE), angles.split(AT_ONCE), strict=True
    ):
        turn = torch.polar(torch.ones_like(angle), angle).reshape(-1, 1, 1)
        grid = torch.view_as_real(turn * points) * scale  # (n, H, W, 2)
        turned.append(grid_sample(part, grid, align_corners=False).squeeze(1))
    return torch.cat(turned) + fill
