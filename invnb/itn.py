"""The Invariant Transformer Net of Bunne, Rahmann and Wolf (2018), section III.D.

Two small networks, the controllers, map control values to a colour matrix and a matrix of a
spatial transformer. They are trained to change images as far as a frozen classifier lets them;
see `invnb.itn_training`.

Axes: B images, H x W pixels, S random unit vectors. The source gives no code and no sizes; what is
chosen here is said where it is chosen.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from invnb.cifar_nets import MEAN, SD
from invnb.errors import InvnbError

CONTROLS = ("k1", "k2")
LOSS_ON = ("sampler", "image")
COLOUR_SPACES = ("pixels", "normalised")
PADDINGS = ("zeros", "border", "reflection")


class Controller(nn.Module):
    """Two dense layers, rectified in between, that give an affine map, `[rows, rows + 1]`.

    The source says "two fully connected layers with rectified linear activation functions"; the
    second is linear here, because no entry of a matrix could be negative otherwise. Its weights
    start at zero and its bias at the identity (ones on the diagonal), so that every control value
    gives exactly the identity.

    Args:
        rows: of the matrix.
        width: of the hidden layer; the source gives none.

    """

    def __init__(self, rows: int, width: int = 64):
        super().__init__()
        self.shape = (rows, rows + 1)
        self.dense = nn.Linear(2, width)
        self.matrix = nn.Linear(width, rows * (rows + 1))
        nn.init.zeros_(self.matrix.weight)
        with torch.no_grad():
            self.matrix.bias.copy_(torch.eye(*self.shape).flatten())

    def hidden(self, control: Tensor) -> Tensor:
        """Map control values `[B, 2]`, 0 to 1, to the rectified units, `[B, width]`."""
        return torch.relu(self.dense(control))

    def forward(self, control: Tensor) -> Tensor:
        """Map control values `[B, 2]`, 0 to 1, to matrices `[B, rows, rows + 1]`."""
        return self.matrix(self.hidden(control)).unflatten(1, self.shape)


class InvariantTransformerNet(nn.Module):
    """A learned family of transformations F(k1, k2): first of colour, then of space.

    Args:
        width: of the controllers' hidden layers.
        colour_by: which of `CONTROLS` drives colour; the other one drives space. The source's
            loss attaches k1 to colour, its figures attach k1 to space. As both are drawn alike,
            this only decides what they are called.
        colour_space: what the colour matrix acts on: `pixels`, 0 to 1, or `normalised`, as the
            classifier takes them. The source does not say; fractions of full brightness are what
            its own colour transformations (section III.C) are in.
        padding: what the spatial transformer reads outside of the frame: `zeros` (black),
            `border` or `reflection`. The source does not say.

    Raises:
        InvnbError: an unknown choice.

    """

    def __init__(
        self,
        width: int = 64,
        *,
        colour_by: str = "k1",
        colour_space: str = "pixels",
        padding: str = "zeros",
    ):
        super().__init__()
        one_of("colour_by", colour_by, CONTROLS)
        one_of("colour_space", colour_space, COLOUR_SPACES)
        one_of("padding", padding, PADDINGS)
        self.colour, self.space = Controller(3, width), Controller(2, width)
        self.colour_by, self.colour_space, self.padding = colour_by, colour_space, padding

    def by_part(self, k1: Tensor, k2: Tensor) -> tuple[Tensor, Tensor]:
        """Return the control values of colour and of space, in this order."""
        return (k1, k2) if self.colour_by == "k1" else (k2, k1)

    def matrices(self, k1: Tensor, k2: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrices for control values.

        Args:
            k1: `[B, 2]`, 0 to 1.
            k2: `[B, 2]`, 0 to 1.

        Returns:
            Colour `[B, 3, 4]` and sampler `[B, 2, 3]`, which maps places in the result to places
            in the image: 2 on its diagonal shrinks the image to half its width.

        """
        of_colour, of_space = self.by_part(k1, k2)
        return self.colour(of_colour), self.space(of_space)

    def transformed(self, images: Tensor, colour: Tensor, sampler: Tensor) -> Tensor:
        """Return transformed images; see `transform`."""
        if self.colour_space == "normalised":
            colour = on_pixels(colour)
        return transform(images, colour, sampler, self.padding)

    def forward(self, images: Tensor, k1: Tensor, k2: Tensor) -> Tensor:
        """Return F(k1, k2) of images `[B, 3, H, W]`, pixels of 0 to 1; one k of each an image."""
        return self.transformed(images, *self.matrices(k1, k2))


def transform(images: Tensor, colour: Tensor, sampler: Tensor, padding: str = "zeros") -> Tensor:
    """Return images whose colours, then places, were mapped.

    Colours are not cut off at 0 and 1: the source's transformer is a matrix product and no more.

    Args:
        images: `[B, 3, H, W]`, pixels of 0 to 1.
        colour: `[B or 1, 3, 4]`, acts on (red, green, blue, 1).
        sampler: `[B or 1, 2, 3]`, maps places (x, y, 1) in the result to places in the image,
            -1 to 1 from edge to edge, y downwards (Jaderberg et al., 2015); bilinear.
        padding: what lies outside of the frame, as `torch.nn.functional.grid_sample` calls it.

    Returns:
        `[B, 3, H, W]`.

    """
    n = len(images)
    colour, sampler = colour.expand(n, 3, 4), sampler.expand(n, 2, 3)
    coloured = torch.baddbmm(colour[:, :, 3:], colour[:, :, :3], images.flatten(2))
    grid = affine_grid(sampler, list(images.shape), align_corners=False)
    return grid_sample(
        coloured.unflatten(2, images.shape[2:]), grid, padding_mode=padding, align_corners=False
    )


def on_pixels(colour: Tensor) -> Tensor:
    """Return the matrix on pixels of 0 to 1 that does what `colour` does on normalised ones.

    Args:
        colour: `[..., 3, 4]`.

    """
    mean, sd = colour.new_tensor(MEAN), colour.new_tensor(SD)
    gain = colour[..., :3] * sd.unsqueeze(1) / sd
    shift = colour[..., 3] * sd + mean - (gain @ mean.unsqueeze(1)).squeeze(-1)
    return torch.cat((gain, shift.unsqueeze(-1)), -1)


def homogeneous(matrix: Tensor) -> Tensor:
    """Return `[..., n, n + 1]` with a last row of 0, ..., 0, 1: the source's hat."""
    last = torch.zeros_like(matrix[..., :1, :])
    last[..., -1] = 1
    return torch.cat((matrix, last), -2)


def inverse(matrix: Tensor) -> Tensor:
    """Return the affine map `[..., n, n + 1]` that undoes another one.

    The inverse of a sampler's matrix is what the image undergoes. Where there is none, entries
    are not finite.
    """
    return torch.linalg.inv_ex(homogeneous(matrix))[0][..., :-1, :]


def magnitude(matrix: Tensor) -> Tensor:
    """Return how far affine maps `[..., n, n + 1]` are from the identity: |A - I|, Frobenius."""
    return (matrix - torch.eye(*matrix.shape[-2:]).to(matrix)).flatten(-2).norm(dim=-1)


def displacement(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Return the source's stochastic loss for each matrix: -mean over x of |Ax - x|^2.

    Args:
        matrix: `[B, n, n + 1]`, extended to its square form.
        vectors: the random unit vectors x, `[S, n + 1]`, see `unit_vectors`.

    Returns:
        `[B]`, 0 or less.

    """
    square = homogeneous(matrix)
    moved = torch.einsum("bij,sj->bsi", square, vectors) - vectors
    return -moved.square().sum(-1).mean(1)


def expected_displacement(matrix: Tensor) -> Tensor:
    """Return what `displacement` is on average, `[...]`: -|A - I|^2 / (n + 1).

    A random unit vector of d numbers has E[x x^T] = I / d.
    """
    return -magnitude(matrix).square() / matrix.shape[-1]


def unit_vectors(n: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """Return random directions `[n, dimensions]`, uniform on the sphere, on the CPU."""
    return nn.functional.normalize(torch.randn(n, dimensions, generator=generator))


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """See that a choice is known.

    Raises:
        InvnbError: it is not.

    """
    if value not in known:
        raise InvnbError(f"{name} must be one of {', '.join(known)}, got {value!r}")
