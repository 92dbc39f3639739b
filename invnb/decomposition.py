"""What an affine map does to an image, in words: rotation, zoom, stretch, shear, shift; and colour.

Everything here is about what the IMAGE undergoes. A spatial transformer's sampler maps the result
to the image, so `of_sampler` takes its inverse first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from invnb import statistics
from invnb.errors import InvnbError
from invnb.itn import inverse

SHRUNK = 0.95  # the smallest zoom of a net that zooms out is at most this (CS-13)

# Rows: the grey axis, then two directions across it, so that a turn from the first to the second
# leads from red over green to blue.
GREY_AXES = torch.tensor([[1.0, 1, 1], [2, -1, -1], [0, 1, -1]], dtype=torch.float64)
GREY_AXES = GREY_AXES / GREY_AXES.norm(dim=1, keepdim=True)


class _Parts:
    """Named tensors of equal leading shape."""

    def __getitem__(self, index: object) -> Self:
        """Return the parts of some of the maps."""
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))


@dataclass(frozen=True)
class Affine(_Parts):
    """A map of places p = (x to the right, y down), M p + t, taken apart as M = z R P F.

    F mirrors left to right where `mirrored`; P is symmetric, positive, of determinant 1; R is the
    rotation nearest to M F (polar decomposition, so that no axis is preferred); z is the zoom.
    Each field is `[...]`, float64.

    Attributes:
        rotation: degrees counter-clockwise, -180 to 180.
        zoom: geometric mean of the singular values of M; above 1 things look larger.
        stretch: P_xx / P_yy; above 1 things look wider.
        shear: P_xy; above 0, right goes with down.
        right: shift, as a fraction of the image's width.
        down: shift, as a fraction of the image's height.
        mirrored: whether M reflects.

    """

    rotation: Tensor
    zoom: Tensor
    stretch: Tensor
    shear: Tensor
    right: Tensor
    down: Tensor
    mirrored: Tensor

    def matrix(self) -> Tensor:
        """Return the map that these are the parts of, `[..., 2, 3]`; places are -1 to 1."""
        linear = _turn(-self.rotation.deg2rad()) @ self._stretching()
        linear = linear * self.zoom[..., None, None]
        linear[..., 0] *= torch.where(self.mirrored, -1.0, 1.0).unsqueeze(-1)
        shift = 2 * torch.stack((self.right, self.down), -1)
        return torch.cat((linear, shift.unsqueeze(-1)), -1)

    def _stretching(self) -> Tensor:
        product = 1 + self.shear.square()
        wide, high = (product * self.stretch).sqrt(), (product / self.stretch).sqrt()
        return torch.stack((wide, self.shear, self.shear, high), -1).unflatten(-1, (2, 2))


def of_image(matrix: Tensor) -> Affine:
    """Return the parts of maps `[..., 2, 3]` of a square image, from place to place, -1 to 1.

    Raises:
        InvnbError: a map that is singular, or not finite.

    """
    matrix = matrix.detach().cpu().double()
    linear, shift = matrix[..., :2], matrix[..., 2]
    determinant = linear[..., 0, 0] * linear[..., 1, 1] - linear[..., 0, 1] * linear[..., 1, 0]
    if not (matrix.isfinite().all() and (determinant != 0).all()):
        raise InvnbError("a map that is singular, or not finite, has no rotation or zoom")
    mirrored, zoom = determinant < 0, determinant.abs().sqrt()
    linear = linear.clone()
    linear[..., 0] *= torch.where(mirrored, -1.0, 1.0).unsqueeze(-1)
    angle = torch.atan2(
        linear[..., 1, 0] - linear[..., 0, 1], linear[..., 0, 0] + linear[..., 1, 1]
    )
    stretching = _turn(-angle) @ linear / zoom[..., None, None]
    return Affine(
        rotation=-angle.rad2deg(),  # y points down
        zoom=zoom,
        stretch=stretching[..., 0, 0] / stretching[..., 1, 1],
        shear=stretching[..., 0, 1],
        right=shift[..., 0] / 2,
        down=shift[..., 1] / 2,
        mirrored=mirrored,
    )


def of_sampler(sampler: Tensor) -> Affine:
    """Return what the image undergoes when read through samplers `[..., 2, 3]`.

    Raises:
        InvnbError: a sampler that is singular, or not finite.

    """
    return of_image(inverse(sampler.detach().cpu().double()))


def zooming_out(own: Sequence[float], on_image: Sequence[float]) -> str:
    """Say whether nets still zoom out when their loss is on what the image undergoes.

    By the 95 % intervals of both means: one on both sides of `SHRUNK`, or none, leaves it open.

    Args:
        own: smallest zoom of the nets with the source's loss, one a seed; may be empty.
        on_image: of those with the loss on the sampler's inverse.

    """
    first, second = (statistics.student(zooms).ci95 if zooms else None for zooms in (own, on_image))
    if first and first[0] > SHRUNK:
        return "there is no zooming out that could survive"
    if not first or not second or first[1] > SHRUNK or second[0] <= SHRUNK < second[1]:
        return "it is undecided whether zooming out survives"
    return f"zooming out {'survives' if second[1] <= SHRUNK else 'does not survive'}"


@dataclass(frozen=True)
class Colour(_Parts):
    """A map of colours c = (red, green, blue) in 0 to 1, G c + b, taken apart.

    G = gain g g^T + chroma (turn by `hue` about g, without g g^T) + residual, where g is the grey
    axis: of all such sums the one with the smallest residual. Brightness, contrast, saturation
    and hue changes have none. Each field is `[...]`, and float64.

    Attributes:
        brightness: mean of b.
        gain: factor on grey, the source's contrast.
        chroma: factor on what differs from grey, 0 or more.
        hue: degrees, from red over green to blue, -180 to 180.
        tint: b without its mean, `[..., 3]`.
        residual: `[..., 3, 3]`, what is left of G.

    """

    brightness: Tensor
    gain: Tensor
    chroma: Tensor
    hue: Tensor
    tint: Tensor
    residual: Tensor

    @property
    def saturation(self) -> Tensor:
        """Chroma over gain, `[...]`: 0 is a grey image, 1 leaves colours as vivid as they were."""
        return self.chroma / self.gain

    def matrix(self) -> Tensor:
        """Return the map that these are the parts of, `[..., 3, 4]`."""
        inner = torch.zeros(*self.gain.shape, 3, 3, dtype=torch.float64)
        inner[..., 0, 0] = self.gain
        inner[..., 1:, 1:] = _turn(self.hue.deg2rad()) * self.chroma[..., None, None]
        linear = GREY_AXES.T @ inner @ GREY_AXES + self.residual
        shift = self.tint + self.brightness.unsqueeze(-1)
        return torch.cat((linear, shift.unsqueeze(-1)), -1)


def of_colour(matrix: Tensor) -> Colour:
    """Return the parts of colour maps `[..., 3, 4]` on pixels of 0 to 1.

    Raises:
        InvnbError: a map that is not finite.

    """
    matrix = matrix.detach().cpu().double()
    if not matrix.isfinite().all():
        raise InvnbError("a colour map that is not finite has no parts")
    linear, shift = matrix[..., :3], matrix[..., 3]
    inner = GREY_AXES @ linear @ GREY_AXES.T
    across = inner[..., 1:, 1:]
    cosine = (across[..., 0, 0] + across[..., 1, 1]) / 2
    sine = (across[..., 1, 0] - across[..., 0, 1]) / 2
    brightness = shift.mean(-1)
    parts = Colour(
        brightness=brightness,
        gain=inner[..., 0, 0],
        chroma=torch.hypot(cosine, sine),
        hue=torch.atan2(sine, cosine).rad2deg(),
        tint=shift - brightness.unsqueeze(-1),
        residual=torch.zeros_like(linear),
    )
    return Colour(**{**vars(parts), "residual": linear - parts.matrix()[..., :3]})


def _turn(radians: Tensor) -> Tensor:
    """Return matrices `[..., 2, 2]` that turn the first axis towards the second."""
    cosine, sine = radians.cos(), radians.sin()
    return torch.stack((cosine, -sine, sine, cosine), -1).unflatten(-1, (2, 2))
