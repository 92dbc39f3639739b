"""The perceptrons of Moskalev et al., section 4.1.

Axes: B images, H x W pixels, D = H * W inputs, K classes, G group elements.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from invnb.groups import CyclicGroup


class MLP(nn.Module):
    """Perceptron with ReLU: `layers` hidden layers of `hidden` units and a linear read-out.

    With 36 x 36 pixels, five hidden layers of 128 and 9 classes it has 233,225 parameters, the
    "230k" of section 4.1 (four hidden layers would make 216,713).
    """

    def __init__(self, size: int = 36, classes: int = 9, *, hidden: int = 128, layers: int = 5):
        super().__init__()
        self.size = size
        self.first = nn.Linear(size * size, hidden)
        stack: list[nn.Module] = []
        for _ in range(layers - 1):
            stack += [nn.Linear(hidden, hidden), nn.ReLU()]
        self.rest = nn.Sequential(*stack, nn.Linear(hidden, classes))

    def affine(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the first pre-activations `[B, hidden]`, an affine map."""
        return self.first(images.flatten(-2))

    def units(self, z: Tensor) -> Tensor:
        """Map the first pre-activations to the units of the first layer, `[B, hidden]`."""
        return torch.relu(z)

    def penultimate(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the units of the last hidden layer, `[B, hidden]`."""
        return self.rest[:-1](self.units(self.affine(images)))

    def after_affine(self, z: Tensor) -> Tensor:
        """Map the first pre-activations to logits `[B, K]`."""
        return self.rest(self.units(z))

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to logits `[B, K]`."""
        return self.after_affine(self.affine(images))


class TiedMLP(MLP):
    """The weight-tying oracle [WT]: an `MLP` whose first layer is tied over a group.

    The first layer holds every filter in all poses of the group and keeps the strongest one,
    max_g relu(<g w, x> + b), so that the network is invariant whatever its weights, up to
    rounding. It has as many parameters as the `MLP`.
    """

    def __init__(
        self,
        group: CyclicGroup,
        size: int = 36,
        classes: int = 9,
        *,
        hidden: int = 128,
        layers: int = 5,
    ):
        super().__init__(size, classes, hidden=hidden, layers=layers)
        self.group = group

    def affine(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the pre-activations of all poses, `[B, G * hidden]`."""
        filters = self.first.weight.unflatten(-1, (self.size, self.size))  # (hidden, H, W)
        poses = self.group.orbit(filters).flatten(-2).flatten(0, 1)  # (G * hidden, D)
        return linear(images.flatten(-2), poses, self.first.bias.repeat(self.group.order))

    def units(self, z: Tensor) -> Tensor:
        """Pool the pre-activations over the poses, `[B, G * hidden] -> [B, hidden]`."""
        return torch.relu(z.unflatten(-1, (self.group.order, -1)).amax(-2))
