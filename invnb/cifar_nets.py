"""Classifiers of 32 x 32 colour images: an AlexNet of that size, and the residual networks.

Axes: B images, K classes. Networks take normalised images (see `normalise`), as the checkpoints
of the residual networks were trained on.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, max_pool2d, pad

from invnb import loading
from invnb.errors import InvnbError

MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of pixels in [0, 1]
DEPTHS = (20, 32, 44, 56)


class AlexNet(nn.Module):
    """Five 3 x 3 convolutions and three dense layers with dropout, `[B, 3, 32, 32] -> [B, K]`.

    The layers of Krizhevsky et al. (2012) without their normalisation, their fields cut to the
    smaller image: 64-192-384-256-256 maps, the first with stride 2, pooled after the first,
    second and fifth.

    Args:
        classes: K.
        hidden: width of both dense layers. It is 1024, as many as they have inputs, and not
            the 4096 that follow on 9216 inputs in the original: 4.4 M parameters instead of 23 M.

    """

    def __init__(self, classes: int = 10, hidden: int = 1024):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        self.conv3 = nn.Conv2d(192, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 256, 3, padding=1)
        self.conv5 = nn.Conv2d(256, 256, 3, padding=1)
        self.dense1 = nn.Linear(256 * 2 * 2, hidden)
        self.dense2 = nn.Linear(hidden, hidden)
        self.linear = nn.Linear(hidden, classes)
        _initialise(self)  # PyTorch's own start leaves eight layers without a signal to learn from

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images `[B, 3, 32, 32]` to logits `[B, K]`."""
        maps = max_pool2d(torch.relu(self.conv1(images)), 2)  # (B, 64, 8, 8)
        maps = max_pool2d(torch.relu(self.conv2(maps)), 2)  # (B, 192, 4, 4)
        maps = torch.relu(self.conv4(torch.relu(self.conv3(maps))))
        maps = max_pool2d(torch.relu(self.conv5(maps)), 2)  # (B, 256, 2, 2)
        hidden = torch.relu(self.dense1(dropout(maps.flatten(1), training=self.training)))
        hidden = torch.relu(self.dense2(dropout(hidden, training=self.training)))
        return self.linear(hidden)


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm, and a shortcut without parameters (option A).

    Where the block halves the image, the shortcut takes every other pixel and pads the new
    channels with zeros, half of them before and half behind the old ones.
    """

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.new = stride, channels - channels_in

    def forward(self, maps: Tensor) -> Tensor:
        """Map `[B, channels_in, H, W]` to `[B, channels, H / stride, W / stride]`."""
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(maps)))))
        if self.new:
            maps = maps[:, :, :: self.stride, :: self.stride]
            maps = pad(maps, (0, 0, 0, 0, self.new // 2, self.new // 2))
        return torch.relu(inner + maps)


class ResNet(nn.Module):
    """The residual network of He et al. (2016), section 4.2, `[B, 3, 32, 32] -> [B, K]`.

    A convolution, three stages of (depth - 2) / 6 blocks with 16, 32, 64 channels, the mean over
    the image, a linear read-out. Parameters: 0.27 M, 0.46 M, 0.66 M, 0.85 M for depth 20, 32, 44,
    56. The names of its parameters are those of the checkpoints.

    Args:
        depth: layers with weights, one of `DEPTHS`.
        classes: K.

    Raises:
        InvnbError: another depth.

    """

    def __init__(self, depth: int = 20, classes: int = 10):
        super().__init__()
        if depth not in DEPTHS:
            raise InvnbError(f"ResNet depth must be one of {', '.join(map(str, DEPTHS))}: {depth}")
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        blocks = (depth - 2) // 6
        self.layer1 = _stage(16, 16, blocks)
        self.layer2 = _stage(16, 32, blocks)
        self.layer3 = _stage(32, 64, blocks)
        self.linear = nn.Linear(64, classes)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images `[B, 3, 32, 32]` to logits `[B, K]`."""
        maps = torch.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))  # (B, 64, 8, 8)
        return self.linear(maps.mean((-2, -1)))


def normalise(images: Tensor, kind: torch.dtype = torch.float32) -> Tensor:
    """Return images as the networks take them: channel by channel less `MEAN`, divided by `SD`.

    Args:
        images: `[..., 3, H, W]`, uint8 in 0 to 255, or floating point in 0 to 1.
        kind: floating-point type to return, where the images are uint8.

    """
    if not images.is_floating_point():
        images = images.to(kind) / 255
    mean, sd = (images.new_tensor(t).reshape(3, 1, 1) for t in (MEAN, SD))
    return (images - mean) / sd


def load_resnet(path: str | Path, classes: int = 10) -> ResNet:
    """Return a residual network with the weights of a checkpoint, in evaluation mode, frozen.

    Args:
        path: a file written by `torch.save`: a state dict, or a dict that holds one under
            `state_dict`; names may start with `module.`, as data-parallel training leaves them.
            The depth follows from the number of blocks in it.
        classes: K.

    Raises:
        InvnbError: the file cannot be read, holds more than tensors, or does not fit.

    """
    read = loading.read_checkpoint(Path(path))
    state = {name.removeprefix("module."): tensor for name, tensor in read.items()}
    blocks = {name.rpartition(".conv1.")[0] for name in state if name.startswith("layer")}
    depth = 6 * len(blocks - {""}) // 3 + 2
    if depth not in DEPTHS:
        raise InvnbError(
            f"checkpoint {str(path)!r} is no residual network of depth "
            f"{', '.join(map(str, DEPTHS))}: it has {len(blocks - {''})} blocks"
        )
    network = ResNet(depth, classes)
    own = network.state_dict()
    for name in own.keys() - state.keys():
        if name.endswith("num_batches_tracked"):  # which old checkpoints lack, and nothing uses
            state[name] = own[name]
    loading.check_state(network, state, f"ResNet-{depth}@{path}")
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _initialise(network: nn.Module) -> None:
    """Draw weights so that ReLU layers keep the size of signals (He et al., 2015); zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _stage(channels_in: int, channels: int, blocks: int) -> nn.Sequential:
    """Return blocks the first of which halves the image where the channels grow."""
    first = Block(channels_in, channels, stride=1 if channels == channels_in else 2)
    return nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(blocks - 1)))
