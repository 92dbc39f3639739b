"""Autoencoders that redraw a digit rotated or shifted, what they redraw, and their codes' critic.

The encoder sees the upright image; the decoder gets the code and is told the transformation.
Architectures and ranges of https://github.com/singnet/semantic-vision (2018),
`experiments/invariance/baseline`, with the initialisation of TensorFlow 1's layers: Glorot-uniform
weights and zero biases.

Axes: B images, S x S pixels of the canvas drawn on, Z numbers of a code, P numbers that tell a
transformation, T transformations. A transformation is an angle in degrees, counter-clockwise,
`[B]`, or a shift by whole pixels to the right and down, `[B, 2]`. Pixels are in [-1, 1], and -1 is
background.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from invnb.errors import InvnbError
from invnb.rotation import rotate

SLOPE = 0.1  # of the leaky rectifiers, below 0
BINS = 40  # of 9 degrees each; the range of +-45 degrees ends between two of them
BACKGROUND = -1.0
REACH = 20  # pixels that a shift may move a digit: the canvas has as many on each side


class Autoencoder(nn.Module):
    """A convolutional encoder, and a decoder that draws its code in the pose it is told.

    Defaults are the source's model x06; model 19 has 128 maps, x09 a canvas of 68 pixels. The
    encoder has 6,566,090 parameters with 10 numbers per code.

    Args:
        z: numbers of a code.
        maps: feature maps of the decoder's quarter-size layer; the half-size layer has half.
        canvas: pixels of the drawn image's edge, a multiple of 4.
        parameters: numbers that tell the transformation.
        decoder: `[B, Z + P] -> [B, 1, S, S]`; instead of the dense and deconvolutional one.

    """

    def __init__(
        self,
        z: int = 10,
        maps: int = 256,
        canvas: int = 28,
        parameters: int = 2,
        *,
        decoder: nn.Module | None = None,
    ):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(64, 128, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(128 * 7 * 7, 1024),
            nn.LeakyReLU(SLOPE),
            nn.Linear(1024, z),
        ).apply(glorot)
        self.decoder = decoder or _decoder(z + parameters, maps, quarter(canvas))

    def encode(self, images: Tensor) -> Tensor:
        """Map upright images `[B, 28, 28]`, pixels in [-1, 1], to codes `[B, Z]`."""
        return self.encoder(images.unsqueeze(1))

    def decode(self, code: Tensor, parameters: Tensor) -> Tensor:
        """Draw codes `[B, Z]`, transformed as `[B, P]` says: images `[B, S, S]` in [-1, 1]."""
        return self.decoder(torch.cat([code, parameters], -1)).squeeze(1)

    def forward(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Redraw upright images `[B, 28, 28]`, transformed as `[B, P]` says: `[B, S, S]`."""
        return self.decode(self.encode(images), parameters)


class Critic(nn.Sequential):
    """Scores codes `[B, Z]` with `[B, 1]`: the higher, the more like the prior U(-1, 1)."""

    def __init__(self, z: int = 10):
        super().__init__(
            nn.Linear(z, 1024),
            nn.LeakyReLU(SLOPE),
            nn.Linear(1024, 1024),
            nn.LeakyReLU(SLOPE),
            nn.Linear(1024, 1),
        )
        self.apply(glorot)

    def gradient_penalty(self, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
        """Return how far the slope is from 1 between codes, squared, averaged over pairs.

        Each pair has one interpolate (Gulrajani et al., 2017). In the source's code the shares
        had two axes too many, which mixed every code with every other one's.

        Args:
            real: codes of the prior, `[B, Z]`.
            fake: codes of images, `[B, Z]`.
            share: how much of `fake` each interpolate has, `[B, 1]` in [0, 1].

        """
        between = torch.lerp(real, fake, share).requires_grad_()
        (slopes,) = torch.autograd.grad(self(between).sum(), between, create_graph=True)
        return (slopes.norm(dim=1) - 1).square().mean()


def sample_prior(n: int, z: int, generator: torch.Generator) -> Tensor:
    """Return `n` codes `[n, Z]` of independent numbers, uniform in [-1, 1)."""
    return 2 * torch.rand(n, z, generator=generator) - 1


def glorot(module: nn.Module) -> None:
    """Initialise a layer as TensorFlow 1 does; for `nn.Module.apply`."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def quarter(canvas: int) -> int:
    """Return the edge of a decoder's first feature maps, a quarter of the canvas.

    Raises:
        InvnbError: a canvas that is no positive multiple of 4.

    """
    if canvas < 4 or canvas % 4:
        raise InvnbError(f"canvas {canvas} is not allowed: a positive multiple of 4 pixels is")
    return canvas // 4


def cos_sin(degrees: Tensor) -> Tensor:
    """Encode angles `[B]` as points of the unit circle, `[B, 2]`."""
    radians = degrees.deg2rad()
    return torch.stack([radians.cos(), radians.sin()], -1)


def raw(degrees: Tensor) -> Tensor:
    """Encode angles `[B]` as half turns in [-1, 1), `[B, 1]`."""
    return (_wrapped(degrees) / 180).unsqueeze(-1)


def bins(degrees: Tensor) -> Tensor:
    """Encode angles `[B]` as one of `BINS` equal bins, the first from -180 degrees; `[B, BINS]`."""
    which = ((_wrapped(degrees) + 180) * (BINS / 360)).long().clamp(max=BINS - 1)
    return one_hot(which, BINS).to(degrees.dtype)


# How an angle may be told to a decoder, and in how many numbers.
ENCODINGS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "cos_sin": (cos_sin, 2),
    "raw": (raw, 1),
    "bins": (bins, BINS),
}


@dataclass(frozen=True)
class _Task:
    """What both tasks have: which digits are seen, and the range of the restricted ones.

    Attributes:
        restricted: digits that are seen within the smaller range alone.
        within: that range, in degrees or pixels.
        absent: digits that are not seen at all.

    """

    restricted: tuple[int, ...] = (4, 9)
    within: float = 0.0
    absent: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for digit in (*self.restricted, *self.absent):
            if digit not in range(10):
                raise InvnbError(f"digit {digit!r} is not allowed: 0 to 9 are")
        if not 0 < self.within <= self.furthest:
            raise InvnbError(
                f"within {self.within} is not allowed: more than 0, up to {self.furthest}, is"
            )

    def taking_part(self, labels: Tensor) -> Tensor:
        """Return for labels `[B]` whether training sees such images, boolean `[B]`."""
        return ~_among(labels, self.absent)

    def _range(self, labels: Tensor) -> Tensor:
        return torch.where(_among(labels, self.restricted), self.within, self.furthest)


@dataclass(frozen=True)
class Rotation(_Task):
    """Redraw digits rotated: by any angle, restricted ones within +-`within` degrees.

    The source's x97 restricts all ten digits, to 90 degrees.

    Attributes:
        encoding: how the angle is told, one of `ENCODINGS`.

    """

    within: float = 45.0
    encoding: str = "cos_sin"
    furthest: ClassVar[int] = 180
    canvas: ClassVar[int] = 28

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoding not in ENCODINGS:
            raise InvnbError(
                f"encoding {self.encoding!r} is not allowed: {', '.join(ENCODINGS)} are"
            )

    @property
    def parameters(self) -> int:
        """How many numbers tell an angle, P."""
        return ENCODINGS[self.encoding][1]

    def tell(self, degrees: Tensor) -> Tensor:
        """Return what a decoder is told of angles `[B]`, `[B, P]`."""
        return ENCODINGS[self.encoding][0](degrees)

    def draw(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return random angles `[B]` for digits `[B]`, both on the CPU."""
        return (2 * torch.rand(len(labels), generator=generator) - 1) * self._range(labels)

    def transform(self, images: Tensor, degrees: Tensor) -> Tensor:
        """Return images `[B, 28, 28]` rotated, `[B, 28, 28]`."""
        return rotate(images, degrees, BACKGROUND)

    def inside(self, degrees: Tensor) -> Tensor:
        """Return whether angles `[T]` are in the range of the restricted digits, `[T]`."""
        return _wrapped(degrees).abs() <= self.within + 1e-3  # a grid's angles are rounded


@dataclass(frozen=True)
class Shift(_Task):
    """Redraw digits shifted, on a larger canvas: by -20..19 pixels, restricted ones by fewer.

    Columns and rows are drawn independently, from -`within` to `within` - 1 if restricted. The
    source's x63 restricts all ten digits, to 10.
    """

    within: int = 5
    furthest: ClassVar[int] = REACH
    canvas: ClassVar[int] = 28 + 2 * REACH
    parameters: ClassVar[int] = 2

    def tell(self, shifts: Tensor) -> Tensor:
        """Return what a decoder is told of shifts `[B, 2]`, `[B, 2]` in [-1, 1)."""
        return shifts / REACH

    def draw(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return random shifts `[B, 2]` for digits `[B]`, both on the CPU."""
        furthest = self._range(labels).unsqueeze(1)
        return ((2 * torch.rand(len(labels), 2, generator=generator) - 1) * furthest).floor()

    def transform(self, images: Tensor, shifts: Tensor) -> Tensor:
        """Return images `[B, 28, 28]` on their canvas, `[B, 68, 68]`."""
        n, height, width = images.shape
        canvas = images.new_full((n, self.canvas, self.canvas), BACKGROUND)
        left, top = (shifts.long() + REACH).view(n, 2, 1, 1).unbind(1)
        rows = top + torch.arange(height, device=images.device).unsqueeze(1)
        columns = left + torch.arange(width, device=images.device)
        canvas[torch.arange(n, device=images.device).view(n, 1, 1), rows, columns] = images
        return canvas

    def inside(self, shifts: Tensor) -> Tensor:
        """Return whether shifts `[T, 2]` are in the range of the restricted digits, `[T]`."""
        return ((shifts >= -self.within) & (shifts < self.within)).all(-1)


def _among(labels: Tensor, digits: tuple[int, ...]) -> Tensor:
    return torch.isin(labels, torch.tensor(digits, dtype=labels.dtype, device=labels.device))


def _wrapped(degrees: Tensor) -> Tensor:
    """Return the equal angles in [-180, 180)."""
    return (degrees + 180) % 360 - 180


def _decoder(inputs: int, maps: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 1024),
        nn.ReLU(),
        nn.Linear(1024, maps * size**2),
        nn.ReLU(),
        nn.Unflatten(1, (maps, size, size)),
        nn.ConvTranspose2d(maps, maps // 2, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(maps // 2, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    ).apply(glorot)
