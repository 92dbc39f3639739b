"""A small convolutional network, to ask whether a finding on perceptrons hangs on them.

Axes: B images, H x W pixels, G group elements, K classes.
"""

import torch
from torch import Tensor, nn

from invnb.groups import CyclicGroup


class CNN(nn.Module):
    """Two strided convolutions with ReLU, a dense hidden layer and a linear read-out.

    With 36 x 36 pixels, 128 hidden units and 9 classes it has 153,801 parameters.
    """

    def __init__(self, size: int = 36, classes: int = 9, *, hidden: int = 128):
        super().__init__()
        self.first = nn.Conv2d(1, 16, 5, stride=3, padding=2)
        self.second = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        sixth = -(-size // 6)
        self.dense = nn.Linear(32 * sixth**2, hidden)
        self.readout = nn.Linear(hidden, classes)

    def affine(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the first pre-activations `[B, 16, H / 3, W / 3]`."""
        return self.first(images.unsqueeze(1))

    def features(self, z: Tensor) -> Tensor:
        """Map the first pre-activations to the hidden layer, `[B, hidden]`."""
        maps = torch.relu(self.second(torch.relu(z)))
        return torch.relu(self.dense(maps.flatten(1)))

    def after_affine(self, z: Tensor) -> Tensor:
        """Map the first pre-activations to logits `[B, K]`."""
        return self.readout(self.features(z))

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to logits `[B, K]`."""
        return self.after_affine(self.affine(images))


class TiedCNN(CNN):
    """The weight-tying oracle: a `CNN` whose hidden layer is pooled over the orbit of the image.

    Every pose of the image goes through the same layers, and each hidden unit keeps its strongest
    answer (TI-pooling: Laptev et al., 2016), so that the network is invariant whatever its
    weights. Convolutions tied over the group, as the first layer of `invnb.models.TiedMLP` is,
    would only turn their maps along with the image.
    """

    def __init__(self, group: CyclicGroup, size: int = 36, classes: int = 9, *, hidden: int = 128):
        super().__init__(size, classes, hidden=hidden)
        self.group = group

    def affine(self, images: Tensor) -> Tensor:
        """Map images to the first pre-activations of all poses, `[B, G, 16, H / 3, W / 3]`."""
        poses = self.group.orbit(images)  # (G, B, H, W)
        return super().affine(poses.flatten(0, 1)).unflatten(0, poses.shape[:2]).transpose(0, 1)

    def after_affine(self, z: Tensor) -> Tensor:
        """Pool the hidden layer over the poses and map to logits `[B, K]`."""
        return self.readout(self.features(z.flatten(0, 1)).unflatten(0, z.shape[:2]).amax(1))
