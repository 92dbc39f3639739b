"""The eleven convolutional networks of Potapov (2018), in the sizes of its code.

Axes: B images of 28 x 28 pixels, K classes. All end with a dense layer of 1,024 units and one of
K; leaky ReLU everywhere, "same" padding as TensorFlow has it, Glorot-uniform weights, no bias at
the start.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, max_pool2d, pad

from invnb.errors import InvnbError

SLOPE = 0.1  # of leaky ReLU
UNITS = 1024


@dataclass(frozen=True)
class Trunk:
    """What stands before the dense layers.

    Attributes:
        layers: kernel, stride and channels of each convolution.
        batch_norm: after the activation of each convolution.
        dropout: half of the dense layer's units in training.
        pools: how many of the first convolutions a 2 x 2 maximum with stride 1 follows.
        leaky_logits: leaky ReLU on the logits too, as three of the source's scripts have it.

    """

    layers: tuple[tuple[int, int, int], ...]
    batch_norm: bool = False
    dropout: bool = False
    pools: int = 0
    leaky_logits: bool = False


def _strided(*channels: int) -> tuple[tuple[int, int, int], ...]:
    return tuple((4, 2, c) for c in channels)


TRUNKS = {
    "CNN_00": Trunk(_strided(64, 128), leaky_logits=True),
    "CNN_01": Trunk(_strided(64, 128, 256), leaky_logits=True),
    "CNN_02": Trunk(_strided(32, 64, 128, 256), leaky_logits=True),
    "dropout_00": Trunk(_strided(32, 64, 128), dropout=True),
    "dropout_01": Trunk(_strided(64, 128, 256), dropout=True),
    "BN_00": Trunk(_strided(64, 128), batch_norm=True, dropout=True),
    "BN_01": Trunk(_strided(32, 64, 128), batch_norm=True, dropout=True),
    "BN_02": Trunk(_strided(64, 128, 256), batch_norm=True, dropout=True),
    "pool_00": Trunk(((5, 1, 64), (5, 1, 128)), batch_norm=True, dropout=True, pools=2),
    "pool_01": Trunk(((5, 1, 32), (5, 1, 64), (3, 1, 128)), batch_norm=True, dropout=True, pools=2),
    "pool_02": Trunk(
        ((5, 1, 64), (5, 1, 128), (4, 2, 256)), batch_norm=True, dropout=True, pools=2
    ),
}


class SameConv2d(nn.Conv2d):
    """A convolution whose output has 1 / stride of the input's size, rounded up.

    Where the padding is odd, TensorFlow puts the larger half after the image.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to `[B, C', ceil(H / stride), ceil(W / stride)]`."""
        sides = []
        for size, kernel, stride in zip(
            reversed(maps.shape[-2:]),
            reversed(self.kernel_size),
            reversed(self.stride),
            strict=True,
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides += [total // 2, total - total // 2]
        return super().forward(pad(maps, sides))


class ConvNet(nn.Module):
    """Convolutions, a dense layer of 1,024 units, and logits.

    CNN_00, the post's baseline, has 6,564,040 parameters with 28 x 28 pixels and 8 classes.

    Args:
        trunk: one of `TRUNKS`, by name or as it is.
        classes: K.
        size: H = W.

    Raises:
        InvnbError: a name that is not in `TRUNKS`.

    """

    def __init__(self, trunk: str | Trunk = "CNN_00", classes: int = 8, size: int = 28):
        super().__init__()
        if isinstance(trunk, str):
            if trunk not in TRUNKS:
                raise InvnbError(f"unknown network {trunk!r}; there are {', '.join(TRUNKS)}")
            trunk = TRUNKS[trunk]
        self.trunk = trunk
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        channels = 1
        for kernel, stride, out in trunk.layers:
            self.convolutions.append(SameConv2d(channels, out, kernel, stride))
            # TensorFlow's "decay .999" is PyTorch's momentum .001
            norm = nn.BatchNorm2d(out, 1e-3, 1e-3) if trunk.batch_norm else nn.Identity()
            self.norms.append(norm)
            channels, size = out, -(-size // stride)
        self.dense = nn.Linear(channels * size**2, UNITS)
        self.dropout = nn.Dropout(0.5 if trunk.dropout else 0.0)
        self.readout = nn.Linear(UNITS, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def features(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the dense layer, `[B, 1024]`."""
        maps = images.unsqueeze(1)
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            maps = norm(leaky_relu(convolution(maps), SLOPE))
            if i < self.trunk.pools:
                maps = max_pool2d(pad(maps, (0, 1, 0, 1), value=-torch.inf), 2, stride=1)
        return leaky_relu(self.dense(maps.flatten(1)), SLOPE)

    def logits(self, features: Tensor) -> Tensor:
        """Map the dense layer `[B, 1024]` to logits `[B, K]`."""
        logits = self.readout(self.dropout(features))
        return leaky_relu(logits, SLOPE) if self.trunk.leaky_logits else logits

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]`, 0 to 1, to logits `[B, K]`."""
        return self.logits(self.features(images))
