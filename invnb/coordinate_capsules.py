"""A decoder whose capsules say where they draw: model 72 of the source in `invnb.autoencoders`.

Each capsule gives a place on the grid, as two coordinates, and a strength for every feature map.
It is laid down there as a tent one grid step wide on each side, so that the place of what is drawn
can be learned apart from what is drawn.

Axes: B images, C capsules, M feature maps, T x T cells of the grid (rows, columns).
"""

import torch
from torch import Tensor, nn

from invnb.autoencoders import SLOPE, glorot


class CapsuleDecoder(nn.Module):
    """Draws `[B, inputs]` on a canvas of 4 T pixels, `[B, 1, 4 T, 4 T]` in [-1, 1].

    Args:
        inputs: numbers of code and transformation together.
        size: cells of the grid's edge, T.
        capsules: how many there are.
        maps: feature maps that the capsules are laid down on.
        late: feature maps of the half-size layer.

    """

    def __init__(
        self,
        inputs: int = 12,
        size: int = 17,
        *,
        capsules: int = 128,
        maps: int = 32,
        late: int = 16,
    ):
        super().__init__()
        self.size = size
        self.dense = nn.Sequential(nn.Linear(inputs, 1024), nn.ReLU())
        self.places = nn.Sequential(nn.Linear(1024, capsules * 2), nn.Unflatten(1, (capsules, 2)))
        self.strengths = nn.Sequential(
            nn.Linear(1024, capsules * maps), nn.Sigmoid(), nn.Unflatten(1, (capsules, maps))
        )
        self.draw = nn.Sequential(
            nn.ConvTranspose2d(maps, late, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(late, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        self.apply(glorot)

    def forward(self, x: Tensor) -> Tensor:
        """Draw codes with their transformations, `[B, inputs]`."""
        hidden = self.dense(x)
        return self.draw(splat(self.places(hidden), self.strengths(hidden), self.size))


def splat(places: Tensor, strengths: Tensor, size: int) -> Tensor:
    """Lay capsules down on a grid, and add up what they leave in every cell.

    A capsule at row y and column x leaves its strengths in the cell (i, j), times
    relu(1 - |y - i|) relu(1 - |x - j|). One off the grid by more than a cell leaves nothing.

    Args:
        places: `[B, C, 2]`, row and column, from -1 at the first cell's centre to 1 at the last's.
        strengths: `[B, C, M]`.
        size: cells of the grid's edge, T.

    Returns:
        `[B, M, T, T]`.

    """
    cells = torch.arange(size, dtype=places.dtype, device=places.device)
    positions = (places + 1) * ((size - 1) / 2)
    tents = torch.relu(1 - (positions.unsqueeze(-1) - cells).abs())  # (B, C, 2, T)
    rows, columns = tents.to(strengths.dtype).unbind(2)
    # As one product over the capsules, [M T, C] x [C, T] for every image.
    in_rows = strengths.unsqueeze(-1) * rows.unsqueeze(2)  # (B, C, M, T)
    return torch.einsum("bcmi,bcj->bmij", in_rows, columns)
