"""Classifiers that know about rotation, for comparison with networks that were never told.

Axes: B images of H x W pixels, G poses, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from invnb.convnets import ConvNet, Trunk
from invnb.errors import InvnbError
from invnb.rotation import rotate


class TurnPooled(nn.Module):
    """A convolutional network tied over rotations, of the same size as without.

    Every pose of the image goes through the same weights, and each unit of the dense layer keeps
    its strongest answer (TI-pooling: Laptev et al., 2016). For 4 poses the invariance to quarter
    turns is exact; more poses need interpolation, which blurs. With `turns` poses the network is
    invariant to steps of 360 / turns degrees, up to that blur and the corners of the frame.

    Args:
        turns: number of poses, a multiple of 4.
        trunk: of the network inside, see `invnb.convnets.TRUNKS`.
        classes: K.

    Raises:
        InvnbError: `turns` that is not a positive multiple of 4.

    """

    def __init__(self, turns: int = 4, trunk: str | Trunk = "CNN_00", classes: int = 8):
        super().__init__()
        if turns < 4 or turns % 4:
            raise InvnbError(f"turns must be a positive multiple of 4, got {turns}")
        self.turns, self.inside = turns, ConvNet(trunk, classes)

    def poses(self, images: Tensor) -> Tensor:
        """Return all poses of the images, `[G, B, H, W]`; multiples of 90 degrees unblurred."""
        first = [rotate(images, 360 * i / self.turns) if i else images for i in self._between()]
        return torch.stack([p.rot90(k, (-2, -1)) for k in range(4) for p in first])

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to logits `[B, K]`."""
        poses = self.poses(images)
        features = self.inside.features(poses.flatten(0, 1))
        return self.inside.logits(features.unflatten(0, poses.shape[:2]).amax(0))

    def _between(self) -> range:
        return range(self.turns // 4)


class SpatialTransformer(nn.Module):
    """A convolutional network that first warps its image by an affine map of its own choice.

    Jaderberg et al. (2015): a small network looks at the image and gives the six numbers of the
    map, which starts as the identity.

    Args:
        trunk: of the classifier behind, see `invnb.convnets.TRUNKS`.
        classes: K.

    """

    def __init__(self, trunk: str | Trunk = "CNN_00", classes: int = 8):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 20, 5)
        self.dense, self.map = nn.Linear(20 * 4 * 4, 50), nn.Linear(50, 6)
        nn.init.zeros_(self.map.weight)
        with torch.no_grad():
            self.map.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))
        self.classifier = ConvNet(trunk, classes)

    def maps(self, images: Tensor) -> Tensor:
        """Return the affine map chosen for each image `[B, 28, 28]`, `[B, 2, 3]`."""
        seen = max_pool2d(torch.relu(self.first(images.unsqueeze(1))), 2)
        seen = max_pool2d(torch.relu(self.second(seen)), 2)
        return self.map(torch.relu(self.dense(seen.flatten(1)))).unflatten(1, (2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, 28, 28]` to logits `[B, K]`."""
        warp, shape = self.maps(images).float(), (len(images), 1, *images.shape[-2:])
        grid = nn.functional.affine_grid(warp, shape, align_corners=False)
        warped = nn.functional.grid_sample(images.unsqueeze(1), grid, align_corners=False)
        return self.classifier(warped.squeeze(1))
