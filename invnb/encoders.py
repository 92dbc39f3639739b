"""Encoders and heads with the geometry of Rawlinson (2018), "Understanding Equivariance".

Three convolutions take 28 x 28 pixels to 10 x 10, 5 x 5 and one position of 256 numbers. Outputs
come in groups, the capsules, of 4, 16 and 16. Larger images leave more positions at the top, whose
mean is the code. Axes: B images of S x S pixels, E numbers of a code.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear, one_hot, pad

from invnb.errors import InvnbError


@dataclass(frozen=True)
class Geometry:
    """A layer's fields and outputs.

    Attributes:
        kernel: side of a receptive field.
        stride: between fields.
        capsules: groups of outputs at a position.
        atoms: outputs of a group.

    """

    kernel: int
    stride: int
    capsules: int
    atoms: int

    @property
    def channels(self) -> int:
        """Outputs at a position."""
        return self.capsules * self.atoms

    def positions(self, size: int) -> int:
        """Return how many fields there are along a side of `size`."""
        return -(-size // self.stride)

    def margins(self, size: int) -> tuple[int, int]:
        """Return the zeros before and after a side of `size`, as TensorFlow's SAME has them."""
        total = max((self.positions(size) - 1) * self.stride + self.kernel - size, 0)
        return total // 2, total - total // 2


LAYERS = (Geometry(6, 3, 16, 4), Geometry(5, 2, 16, 16), Geometry(5, 5, 16, 16))
CODE = LAYERS[-1].channels


def up(maps: Tensor, weight: Tensor, geometry: Geometry, bias: Tensor | None = None) -> Tensor:
    """Convolve maps `[B, C, H, H]` with `weight` `[F, C, k, k]`: `[B, F, H', H']`."""
    before, after = geometry.margins(maps.shape[-1])
    maps = pad(maps, (before, after) * 2)
    if maps.shape[-1] == geometry.kernel:  # one field: a product of matrices takes a third as long
        return linear(maps.flatten(1), weight.flatten(1), bias)[..., None, None]
    return conv2d(maps, weight, bias, geometry.stride)


def down(codes: Tensor, weight: Tensor, geometry: Geometry, size: int) -> Tensor:
    """Return the transpose of `up` of codes `[B, F, H', H']`: `[B, C, size, size]`."""
    before, _ = geometry.margins(size)
    if codes.shape[-1] == 1:
        whole = (codes.flatten(1) @ weight.flatten(1)).unflatten(1, weight.shape[1:])
    else:
        whole = conv_transpose2d(codes, weight, stride=geometry.stride)
    missing = before + size - whole.shape[-1]  # where fields leave the end of the frame untouched
    whole = pad(whole, (0, max(missing, 0)) * 2)
    return whole[..., before : before + size, before : before + size]


class ConvEncoder(nn.Module):
    """Three convolutions with ReLU: the post's Enc-Untrained and Enc-Deep-BP.

    Args of the constructor:
        outputs: numbers of the code; 256 in the post.
        winner: keep one capsule of 16 numbers at the top, the longest, and let it be linear.

    """

    def __init__(self, outputs: int = CODE, *, winner: bool = False):
        super().__init__()
        if winner and outputs % LAYERS[-1].atoms:
            raise InvnbError(f"outputs is {outputs}; capsules of 16 need a multiple of 16")
        self.winner = winner
        channels = [1, LAYERS[0].channels, LAYERS[1].channels, outputs]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for layer, given, made in zip(LAYERS, channels, channels[1:], strict=False):
            weight = torch.empty(made, given, layer.kernel, layer.kernel)
            self.weights.append(nn.init.kaiming_normal_(weight, nonlinearity="relu"))
            self.biases.append(torch.zeros(made))

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, S, S]` to codes `[B, E]`."""
        maps = images.unsqueeze(1)
        for layer, weight, bias in zip(LAYERS, self.weights, self.biases, strict=True):
            maps = up(maps, weight, layer, bias)
            if not (self.winner and layer is LAYERS[-1]):
                maps = torch.relu(maps)
        code = maps.mean((2, 3))
        return longest(code, LAYERS[-1].atoms) if self.winner else code


class PrincipalComponents(nn.Module):
    """A linear code without capsules: the first principal components of images."""

    def __init__(self, outputs: int, size: int = 28):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size * size))
        self.register_buffer("axes", torch.zeros(outputs, size * size))

    @torch.no_grad()
    def fit(self, images: Tensor) -> "PrincipalComponents":
        """Take mean and axes from images `[N, S, S]`."""
        flat = images.flatten(1)
        self.mean.copy_(flat.mean(0))
        covariance = torch.cov(flat.T.double())
        self.axes.copy_(torch.linalg.eigh(covariance).eigenvectors.T.flip(0)[: len(self.axes)])
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, S, S]` to codes `[B, E]`."""
        return (images.flatten(1) - self.mean) @ self.axes.T


def longest(codes: Tensor, atoms: int) -> Tensor:
    """Return codes `[B, E]` with all but the longest of their groups of `atoms` set to zero."""
    groups = codes.unflatten(-1, (-1, atoms))
    lengths = groups.square().sum(-1)
    kept = one_hot(lengths.argmax(-1), lengths.shape[-1]).unsqueeze(-1)
    return (groups * kept).flatten(-2)


class Head(nn.Module):
    """The post's decoders: three dense layers on a code, ReLU between them.

    The code is first multiplied by one number, `scale`, that gives the training codes a root mean
    square of 1: encoders differ in the size of their outputs by orders of magnitude.
    """

    def __init__(self, hidden: tuple[int, int], outputs: int, code: int = CODE):
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.first = nn.Linear(code, hidden[0])
        self.second = nn.Linear(hidden[0], hidden[1])
        self.third = nn.Linear(hidden[1], outputs)

    @torch.no_grad()
    def fit_scale(self, codes: Tensor) -> "Head":
        """Set `scale` by codes `[N, E]`, not all zero."""
        self.scale.copy_(1 / codes.square().mean().sqrt())
        return self

    def forward(self, codes: Tensor) -> Tensor:
        """Map codes `[B, E]` to the last layer's outputs before their sigmoid."""
        return self.rest(self.first(codes * self.scale))

    def rest(self, sums: Tensor) -> Tensor:
        """Go on from the first layer's sums `[..., hidden]`."""
        return self.third(torch.relu(self.second(torch.relu(sums))))


def reconstructor(code: int = CODE, size: int = 28) -> Head:
    """Return Dec-Recon, 512-1024-pixels; the sigmoid of its outputs are pixels, 0..1."""
    return Head((512, 1024), size * size, code)


def classifier(code: int = CODE, classes: int = 10) -> Head:
    """Return Dec-Class, 1024-512-classes; the sigmoid of its outputs are probabilities."""
    return Head((1024, 512), classes, code)
