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
    # of the result comes from, and counts it as grid_sample does, -1 to 1 from edge to edge.
    y = torch.arange(h, dtype=images.dtype, device=images.device) - (h - 1) / 2
    x = torch.arange(w, dtype=images.dtype, device=images.device) - (w - 1) / 2
    points = torch.complex(*torch.broadcast_tensors(x, y.unsqueeze(1)))  # (H, W)
    turns = torch.polar(torch.full_like(angles, 2 / w), angles).reshape(n, 1, 1)
    above = images - fill if fill else images  # grid_sample has 0 outside of the frame
    turned = []
    for part, turn in zip(above.split(AT_ONCE), turns.split(AT_ONCE), strict=True):
        grid = torch.view_as_real(turn * points)  # (n, H, W, 2)
        if h != w:
            grid = grid * torch.tensor([1, w / h], dtype=grid.dtype, device=grid.device)
        turned.append(grid_sample(part.unsqueeze(1), grid, align_corners=False).squeeze(1))
    whole = turned[0] if n <= AT_ONCE else torch.cat(turned)
    return whole + fill if fill else whole
