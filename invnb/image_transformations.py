"""The transformations i to ix of Bunne et al., section III.C, on batches of colour images.

All take float images `[B, 3, H, W]` with values in [0, 255], before any preprocessing, and return
such images; values that would leave [0, 255], the source's codomain, are cut off. The magnitude is
a number, or one for each image, `[B]`. At the neutral magnitude an image comes back bit for bit.

Readings, where the source is silent or its print is damaged:

- x points to the right and y downwards, as in image arrays; rotation is counter-clockwise.
- "I(vx (v 1)W/2, y)" has lost a minus twice: I(vx - (v - 1)W/2, y). The factor v stretches the
  coordinates that are looked up, so v > 1 shrinks the picture, also in "zoom", and v < 1 enlarges.
- "(1 v)I + I_gray" is the linear transition (1 - v)I + v I_gray that its sentence describes. Gray
  is .299 R + .587 G + .114 B (ITU-R BT.601), which leaves gray images as they are.
- Between pixel centres, images are bilinear; outside of the frame they are 0, black. Nothing is
  smoothed before it shrinks.
- The blur's standard deviation is in pixels; outside of the frame it sees the mirrored image,
  d c b | a b c d | c b a.
- Noise is drawn for each pixel and each colour.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from itertools import product
from math import ceil, cos, log2, radians, sin

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from invnb.errors import InvnbError

GRAY = (0.299, 0.587, 0.114)
REACH = 5  # standard deviations that the blur looks far: what lies beyond weighs 6e-7
# Magnitudes whose grids and matrices are kept, as making one takes as long as half of a small
# network's pass: more than any of the eleven has. A grid of 224 x 224 pixels takes 400 kB.
KEPT = 32

Magnitude = float | tuple[float, float]


def translate(images: Tensor, x: float | Tensor, y: float | Tensor) -> Tensor:
    """Return I(X - x W, Y - y H): images moved right by `x` widths and down by `y` heights."""
    neutral = (x == 0) & (y == 0)
    return _kept(images, _sampled(images, 1.0, 0.0, -2 * x, 0.0, 1.0, -2 * y), neutral)


def translate_x(images: Tensor, widths: float | Tensor) -> Tensor:
    """Return I(x - v W, y): the images moved to the right."""
    return translate(images, widths, 0.0)


def translate_y(images: Tensor, heights: float | Tensor) -> Tensor:
    """Return I(x, y - v H): the images moved down."""
    return translate(images, 0.0, heights)


def rotate(images: Tensor, degrees: float | Tensor) -> Tensor:
    """Return I(rot((x, y), -v)): the images turned counter-clockwise about their centre."""
    if isinstance(degrees, Tensor):
        angles = _numbers(degrees, images).deg2rad()
        c, s = angles.cos(), angles.sin()
    else:
        c, s = cos(radians(degrees)), sin(radians(degrees))
    h, w = images.shape[-2:]
    turned = _sampled(images, c, -s * (h / w), 0.0, s * (w / h), c, 0.0)
    return _kept(images, turned, degrees == 0)


def scale(images: Tensor, x: float | Tensor, y: float | Tensor) -> Tensor:
    """Return I(x X - (x - 1)W/2, y Y - (y - 1)H/2): shrunk about the centre, x and y above 0."""
    neutral = (x == 1) & (y == 1)
    return _kept(images, _sampled(images, x, 0.0, 0.0, 0.0, y, 0.0), neutral)


def scale_x(images: Tensor, factor: float | Tensor) -> Tensor:
    """Return I(vx - (v - 1)W/2, y): the images `factor` times as narrow."""
    return scale(images, factor, 1.0)


def scale_y(images: Tensor, factor: float | Tensor) -> Tensor:
    """Return I(x, vy - (v - 1)H/2): the images `factor` times as low."""
    return scale(images, 1.0, factor)


def zoom(images: Tensor, factor: float | Tensor) -> Tensor:
    """Return both scales at once: the images `factor` times as small."""
    return scale(images, factor, factor)


def brighten(images: Tensor, bias: float | Tensor) -> Tensor:
    """Return I + 255 v."""
    brighter = images + 255 * _numbers(bias, images)
    return _kept(images, brighter.clamp_(0, 255), bias == 0)


def contrast(images: Tensor, factor: float | Tensor) -> Tensor:
    """Return v I, v of 0 or more."""
    multiplied = images * _numbers(factor, images)
    return _kept(images, multiplied.clamp_(0, 255), factor == 1)


def grayscale(images: Tensor, share: float | Tensor) -> Tensor:
    """Return (1 - v) I + v I_gray, v from 0 (in colour) to 1 (gray)."""
    weights = torch.tensor(GRAY, dtype=images.dtype, device=images.device).view(3, 1, 1)
    gray = (images * weights).sum(1, keepdim=True)
    mixed = torch.lerp(images, gray, _numbers(share, images))
    return _kept(images, mixed, share == 0)


def blur(images: Tensor, pixels: float | Tensor) -> Tensor:
    """Return the images convolved with a Gaussian of standard deviation `pixels`, 0 or more."""
    _refuse_whole_numbers(images)
    if isinstance(pixels, Tensor):
        matrix = partial(_gaussian_matrix, _numbers(pixels, images))
    else:
        matrix = partial(_kept_gaussian, float(pixels), images.dtype, images.device)
    height, width = images.shape[-2:]
    rows = matrix(height)
    columns = rows if width == height else matrix(width)
    return _kept(images, rows @ images @ columns.mT, pixels == 0)


def add_noise(images: Tensor, deviation: float | Tensor, noise: Tensor | torch.Generator) -> Tensor:
    """Return I + 255 v z.

    Args:
        images: `[B, 3, H, W]`.
        deviation: v, 0 or more.
        noise: z, standard normal `[B, 3, H, W]`, or a generator on the images' device to draw it.

    """
    if isinstance(noise, torch.Generator):
        noise = torch.randn(images.shape, generator=noise, dtype=images.dtype, device=images.device)
    noisy = torch.addcmul(images, noise, 255 * _numbers(deviation, images))
    return _kept(images, noisy.clamp_(0, 255), deviation == 0)


@dataclass(frozen=True)
class Transformation:
    """One of the source's transformations, with the magnitudes that it is screened at.

    Attributes:
        name: what tables call it.
        function: of images and a magnitude (`translate`: of two; `add_noise`: and of noise).
        unit: of the magnitude.
        neutral: the magnitude that changes nothing.
        magnitudes: increasing, with the neutral one among them; pairs (x, y) for `translate`.
        ratio: whether magnitudes are factors, to be compared by their ratio.
        random: whether it takes noise.

    """

    name: str
    function: Callable[..., Tensor]
    unit: str
    neutral: Magnitude
    magnitudes: tuple[Magnitude, ...]
    ratio: bool = False
    random: bool = False

    def __post_init__(self) -> None:
        if self.neutral not in self.magnitudes:
            raise InvnbError(
                f"magnitudes of {self.name} must include the neutral one, {self.neutral}"
            )
        if list(self.magnitudes) != sorted(set(self.magnitudes)):
            raise InvnbError(f"magnitudes of {self.name} must increase")
        if self.ratio and self.magnitudes[0] <= 0:
            raise InvnbError(f"magnitudes of {self.name} must be above 0")

    def __call__(
        self,
        images: Tensor,
        magnitude: Magnitude | Tensor,
        noise: Tensor | torch.Generator | None = None,
    ) -> Tensor:
        """Return the images `[B, 3, H, W]` transformed; `noise` is for a random one only.

        Raises:
            InvnbError: a random transformation without noise.

        """
        if self.random:
            if noise is None:
                raise InvnbError(f"{self.name} needs noise, or a torch.Generator to draw it")
            return self.function(images, magnitude, noise)
        if isinstance(magnitude, tuple):
            return self.function(images, *magnitude)
        return self.function(images, magnitude)

    def distance(self, magnitude: float) -> float:
        """Return how far a magnitude is from the neutral one: a factor's in octaves, |log2 v|."""
        if self.ratio:
            return abs(log2(magnitude / self.neutral))
        return abs(magnitude - self.neutral)


def _steps(first: int, last: int, size: float) -> tuple[float, ...]:
    return tuple(round(i * size, 6) for i in range(first, last + 1))


def _factors(first: int, last: int, per_octave: int) -> tuple[float, ...]:
    return tuple(2 ** (i / per_octave) for i in range(first, last + 1))


_SHIFTS = _steps(-5, 5, 0.1)
_ELEVEN = (
    # At half a frame, half of the picture is gone, and what was in the centre is on the rim.
    Transformation("translation_x", translate_x, "widths", 0.0, _SHIFTS),
    Transformation("translation_y", translate_y, "heights", 0.0, _SHIFTS),
    # All around; both ends are the same picture, so that both directions go equally far.
    Transformation("rotation", rotate, "degrees", 0.0, _steps(-12, 12, 15.0)),
    # Four times as large, where a sixteenth of the picture is seen, to four times as small.
    Transformation("scale_x", scale_x, "factor", 1.0, _factors(-6, 6, 3), ratio=True),
    Transformation("scale_y", scale_y, "factor", 1.0, _factors(-6, 6, 3), ratio=True),
    Transformation("zoom", zoom, "factor", 1.0, _factors(-6, 6, 3), ratio=True),
    # At 1 every image is white and at -1 black; at .8 a fifth of the range is left to see.
    Transformation("brightness", brighten, "of 255", 0.0, _steps(-8, 8, 0.1)),
    # An eighth of the contrast, 32 of 256 levels, to eight times, where all above 32 is white.
    Transformation("contrast", contrast, "factor", 1.0, _factors(-6, 6, 2), ratio=True),
    # Its whole range.
    Transformation("grayscale", grayscale, "share of gray", 0.0, _steps(0, 10, 0.1)),
    # A quarter of a 32-pixel picture, where nothing is left of it; 1/28 of a 224-pixel one.
    Transformation(
        "blur", blur, "pixels", 0.0, (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
    ),
    # At .5, a third of all mid-gray pixels are cut off at black or white.
    Transformation("noise", add_noise, "of 255", 0.0, _steps(0, 10, 0.05), random=True),
)
# The source's eleven, and both translations together for its two-dimensional map. It gives no
# ranges: these were chosen before any network was screened, for the reasons beside them.
TRANSFORMATIONS = {
    **{one.name: one for one in _ELEVEN},
    "translation": Transformation(
        "translation", translate, "widths, heights", (0.0, 0.0), tuple(product(_SHIFTS, _SHIFTS))
    ),
}
ELEVEN = tuple(one.name for one in _ELEVEN)


def transformations(names: Iterable[str] = ELEVEN) -> tuple[Transformation, ...]:
    """Return transformations by name, by default the source's eleven.

    Raises:
        InvnbError: an unknown name; it lists the known ones.

    """
    chosen = []
    for name in names:
        if name not in TRANSFORMATIONS:
            near = get_close_matches(name, TRANSFORMATIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InvnbError(
                f"transformation {name!r} is unknown: there are {', '.join(TRANSFORMATIONS)}{hint}"
            )
        chosen.append(TRANSFORMATIONS[name])
    return tuple(chosen)


def _numbers(magnitude: float | Tensor, images: Tensor) -> Tensor:
    """Return magnitudes as `[1, 1, 1, 1]` or `[B, 1, 1, 1]`."""
    _refuse_whole_numbers(images)
    numbers = torch.as_tensor(magnitude, dtype=images.dtype, device=images.device)
    return numbers.reshape(-1, 1, 1, 1)


def _refuse_whole_numbers(images: Tensor) -> None:
    """Raise where products would be cut to whole numbers."""
    if not images.is_floating_point():
        raise InvnbError(f"images of {images.dtype} are not allowed: floating point is, 0 to 255")


def _kept(images: Tensor, transformed: Tensor, neutral: bool | Tensor) -> Tensor:
    """Return the transformed images, but those at the neutral magnitude, all or `[B]` of them."""
    if isinstance(neutral, bool):
        return images if neutral else transformed
    return torch.where(
        torch.as_tensor(neutral).to(images.device).view(-1, 1, 1, 1), images, transformed
    )


def _sampled(images: Tensor, *matrix: float | Tensor) -> Tensor:
    """Return I(A (x, y, 1)), coordinates from -1 to 1, edge to edge.

    `matrix` has the two rows of A: six entries, each a number or one for each image.
    """
    _refuse_whole_numbers(images)
    if any(isinstance(entry, Tensor) for entry in matrix):
        entries = torch.broadcast_tensors(*(_numbers(entry, images).flatten() for entry in matrix))
        rows = torch.stack(entries, 1).view(-1, 2, 3)  # (1 or B, 2, 3)
        grid = affine_grid(rows, [len(rows), *images.shape[1:]], align_corners=False)
    else:
        grid = _kept_grid(matrix, images.shape[-2:], images.dtype, images.device)
    grid = grid.expand(len(images), -1, -1, -1)  # (B, H, W, 2)
    return grid_sample(images, grid, mode="bilinear", align_corners=False)


@lru_cache(KEPT)
@torch.inference_mode(mode=False)  # what is kept must do for a network that learns, too
def _kept_grid(
    matrix: tuple[float, ...], size: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return the grid `[1, H, W, 2]` of coordinates that a matrix looks up."""
    rows = torch.tensor(matrix, dtype=dtype, device=device).view(1, 2, 3)
    return affine_grid(rows, [1, 1, *size], align_corners=False)


@lru_cache(KEPT)
@torch.inference_mode(mode=False)
def _kept_gaussian(deviation: float, dtype: torch.dtype, device: torch.device, size: int) -> Tensor:
    """Return the matrix of `_gaussian_matrix` for one deviation, `[1, 1, size, size]`."""
    of_all = torch.tensor(deviation, dtype=dtype, device=device).view(1, 1, 1, 1)
    return _gaussian_matrix(of_all, size)


def _gaussian_matrix(deviation: Tensor, size: int) -> Tensor:
    """Return the blur of one axis as matrices `[1 or B, 1, size, size]` whose rows sum to 1.

    A matrix product convolves small and large images alike fast, each with a width of its own.
    """
    reach = ceil(REACH * deviation.max().item())
    pixels = torch.arange(size, device=deviation.device)
    seen = torch.arange(-reach, size + reach, device=deviation.device)
    off = (seen - pixels.unsqueeze(1)) / deviation.clamp(min=1e-3)  # (1 or B, 1, size, seen)
    weights = torch.where(off.abs() <= REACH, torch.exp(-off.square() / 2), 0)
    weights = weights / weights.sum(-1, keepdim=True)
    period = max(2 * (size - 1), 1)
    mirrored = size - 1 - (size - 1 - seen % period).abs()  # where `seen` lies in the image
    matrix = torch.zeros(*weights.shape[:-1], size, dtype=weights.dtype, device=weights.device)
    return matrix.index_add_(-1, mirrored, weights)
