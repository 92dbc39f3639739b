"""How well an autoencoder redraws digits in poses it was trained for, and in others.

The measure is the mean squared error of a pixel, pixels in [-1, 1], as in the source named in
`invnb.autoencoders`.

Axes: B images, T transformations (degrees `[T]` or shifts `[T, 2]`), S x S pixels of the canvas, K
digits.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from invnb.autoencoders import BACKGROUND, Autoencoder, Rotation, Shift
from invnb.errors import InvnbError
from invnb.image_transformations import blur
from invnb.transforming import Split

DIGITS = 10
ANGLES = torch.arange(-100, 100) * 1.8  # degrees, the source's grid
SHARP = 3.6  # degrees from a multiple of 90 within which targets are hardly interpolated
SHIFTS = torch.arange(-20, 20, 2).unsqueeze(1).expand(-1, 2)  # along the diagonal, the source's
BOX = 20  # pixels of the edge of the box that MNIST's digits fill
AT_ONCE = 250  # images; those of a larger canvas would need much memory

Target = Callable[[Tensor, Tensor], Tensor]  # images (B, 28, 28), poses (B, ...) -> (B, S, S)


@torch.no_grad()
def errors(
    network: Autoencoder,
    task: Rotation | Shift,
    data: Split,
    poses: Tensor,
    *,
    images: int | None = None,
    target: Target | None = None,
) -> Tensor:
    """Return the error of each digit in each pose, averaged over images and pixels.

    Args:
        network: in evaluation mode, on the device of the data.
        task: that it was trained for.
        data: upright images `[N, 28, 28]` and the digits they show.
        poses: transformations to draw, such as `ANGLES` or `SHIFTS`.
        images: how many of each digit are drawn, the first ones; default all.
        target: what is to be drawn; default the task's transformation.

    Returns:
        `[K, T]`, on the CPU.

    Raises:
        InvnbError: fewer images than one, or a digit of which there is no image.

    """
    if images is not None and images < 1:
        raise InvnbError(f"images {images} is not allowed: 1 or more of each digit are")
    target = target or task.transform
    chosen = [(data.labels == digit).nonzero().flatten()[:images] for digit in range(DIGITS)]
    for digit, of_digit in enumerate(chosen):
        if not len(of_digit):
            raise InvnbError(f"the images have no digit {digit}: all of 0 to {DIGITS - 1} are")
    poses, which = poses.to(data.images.device), torch.cat(chosen)
    total = data.images.new_zeros(DIGITS, len(poses))
    for some in which.split(AT_ONCE):
        upright, labels = data.images[some], data.labels[some]
        code = network.encode(upright)
        for t, pose in enumerate(poses):
            same = pose.expand(len(upright), *pose.shape)
            drawn = network.decode(code, task.tell(same))
            distance = (drawn - target(upright, same)).square().mean((1, 2))
            total[:, t].index_add_(0, labels, distance)
    return (total / data.labels[which].bincount(minlength=DIGITS).unsqueeze(1)).cpu()


def smeared(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate images, near multiples of 90 degrees as blurred as other angles are on average.

    A rotation by such a multiple moves pixels whole; one by another angle mixes neighbours.
    Taking u of one pixel and 1 - u of the next smears by a variance of u (1 - u), in rows and in
    columns, which is on average 1/6 of a pixel squared. Up to `SHARP` degrees from a multiple,
    what the angle's mean over the pixels of a digit lacks of that is added, by mixing every pixel
    with its two neighbours. On MNIST the mean square of the pixels is then within 2 % of that of
    other angles, and that of their differences within 8 %; before, they are up to 12 and 50 % more.

    Args:
        images: `[B, 28, 28]`, pixels in [-1, 1].
        degrees: `[B]`, any angles.

    """
    off = _from_quarter_turn(degrees).view(-1, 1, 1)
    axis = torch.arange(BOX, device=degrees.device) - (BOX - 1) / 2
    points = torch.complex(axis.expand(BOX, BOX), axis.unsqueeze(1).expand(BOX, BOX))
    moved = points * (torch.polar(torch.ones_like(off), off.deg2rad()) - 1)
    u = torch.view_as_real(moved).abs() % 1
    lack = (1 / 6 - (u * (1 - u)).mean((1, 2, 3))).clamp(min=0)
    lack = torch.where(off.flatten().abs() <= SHARP + 1e-3, lack, 0).to(images.dtype)
    ink = Rotation().transform(images, degrees) - BACKGROUND
    return _mixed(_mixed(ink, lack).mT, lack).mT + BACKGROUND


def _mixed(ink: Tensor, variance: Tensor) -> Tensor:
    """Smear the rows of images `[B, H, W]` by variances `[B]`; outside there is no ink."""
    sides = pad(ink, (1, 1))
    return ink + variance.view(-1, 1, 1) / 2 * (sides[..., :-2] - 2 * ink + sides[..., 2:])


def blur_width(images: Tensor, error: float) -> float:
    """Return the width of the Gaussian blur that changes images as much as drawing them errs.

    Found by bisection, from 0 pixels to the images' edge, to within a millionth of that.

    Args:
        images: `[B, S, S]`.
        error: mean squared error of a pixel between images and blurred images.

    Returns:
        The standard deviation for `invnb.image_transformations.blur`, in pixels.

    """
    narrow, wide, sharp = 0.0, float(images.shape[-1]), images.unsqueeze(1)
    for _ in range(20):
        width = (narrow + wide) / 2
        if (blur(sharp, width) - sharp).square().mean() < error:
            narrow = width
        else:
            wide = width
    return (narrow + wide) / 2


@dataclass(frozen=True)
class Ranges:
    """Mean errors inside and outside of the range that restricted digits are seen in.

    Attributes:
        inside: of each digit, `[K]`.
        outside: of each digit, `[K]`; none where no pose is outside.

    """

    inside: Tensor
    outside: Tensor

    def ratio(self, digits: Iterable[int]) -> float:
        """Return the error outside over that inside, both averaged over `digits`."""
        which = list(digits)
        return (self.outside[which].mean() / self.inside[which].mean()).item()


def by_range(task: Rotation | Shift, poses: Tensor, error: Tensor) -> Ranges:
    """Average the errors `[K, T]` of `errors` over the poses inside and outside of the range.

    Angles up to `SHARP` degrees from a multiple of 90 are left out: their targets are sharper.

    Raises:
        InvnbError: poses of which none are inside, or none outside.

    """
    among = torch.ones(len(poses), dtype=torch.bool)
    if isinstance(task, Rotation):
        among = _interpolated(poses)
    inside = task.inside(poses)
    for name, which in {"inside": inside, "outside": ~inside}.items():
        if not (which & among).any():
            raise InvnbError(f"no pose counts that is {name} of the range of {task.within}")
    return Ranges(error[:, inside & among].mean(1), error[:, ~inside & among].mean(1))


def _interpolated(angles: Tensor) -> Tensor:
    return _from_quarter_turn(angles).abs() > SHARP + 1e-3


def _from_quarter_turn(degrees: Tensor) -> Tensor:
    """Return how many degrees angles are beyond the nearest multiple of 90, -45 to 45."""
    return (degrees + 45) % 90 - 45
