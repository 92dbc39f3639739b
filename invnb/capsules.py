"""A capsule network with dynamic routing (Sabour et al., 2017), as the first seed text had it.

Axes: B images, H x W pixels, I primary capsules of P numbers, K classes of one capsule each with
D numbers.
"""

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import mse_loss, one_hot

from invnb.errors import InvnbError


def squash(vectors: Tensor, dim: int = -1) -> Tensor:
    """Return the vectors along `dim`, of length n, with length n^2 / (1 + n^2) (equation 1).

    The gradient is finite everywhere, and zero at a vector of zeros.
    """
    square = vectors.square().sum(dim, keepdim=True)
    # the root of zero has no finite slope, that of a constant has none at all
    length = square.clamp_min(torch.finfo(vectors.dtype).tiny).sqrt()
    return vectors * (length / (1 + square))


def dynamic_routing(poses: Tensor, weights: Tensor, iterations: int = 3) -> Tensor:
    """Route the primary capsules to the class capsules by agreement (procedure 1).

    A vote is the product of a pose and a matrix, so that a weighted sum of votes is a product of
    weighted poses and all matrices: the votes, twice as many numbers as anything here, are never
    made. Gradients pass through all iterations.

    Args:
        poses: `[B, P, I]`, squashed primary capsules.
        weights: `[K, P, I, D]`, the matrix of each primary and class capsule.
        iterations: of the routing, from 1 on; the first gives each class the same share.

    Returns:
        `[B, K, D]`, squashed class capsules.

    Raises:
        InvnbError: when there is no iteration.

    """
    return squash(route(poses, weights, iterations)[0])


def route(
    poses: Tensor, weights: Tensor, iterations: int = 3, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Do as `dynamic_routing`; return what it squashes, and where the primary capsules went.

    Args:
        poses: `[B, P, I]`.
        weights: `[K, P, I, D]`.
        iterations: from 1 on.
        bias: `[K, D]`, added to the weighted sums of votes.

    Returns:
        `[B, K, D]` before squashing; and each primary capsule's shares in the last iteration,
        `[B, K, I]`, which add up to 1 over K.

    Raises:
        InvnbError: when there is no iteration.

    """
    if iterations < 1:
        raise InvnbError(f"iterations is {iterations}; dynamic routing needs at least 1")
    extra = 0 if bias is None else bias.unsqueeze(1)  # (K, 1, D)
    matrices = weights.flatten(1, 2)  # (K, P * I, D)
    sums = poses.flatten(1) @ matrices / len(weights) + extra  # (K, B, D)
    logits = poses.new_zeros(())
    shares = poses.new_full((), 1 / len(weights)).expand(len(weights), len(poses), poses.shape[2])
    for _ in range(iterations - 1):
        back = (squash(sums) @ matrices.mT).unflatten(2, poses.shape[1:])  # (K, B, P, I)
        logits = logits + (back * poses).sum(2)  # (K, B, I), the agreement with each vote
        shares = logits.softmax(0)
        sums = (shares.unsqueeze(2) * poses).flatten(2) @ matrices + extra
    return sums.transpose(0, 1), shares.transpose(0, 1)


def margin_loss(lengths: Tensor, labels: Tensor) -> Tensor:
    """Return the margin loss of each image, summed over the classes, `[B]` (equation 4).

    The capsule of the label should be longer than 0.9, the others shorter than 0.1 with a weight
    of 0.5.

    Args:
        lengths: of the class capsules, `[B, K]`, 0..1.
        labels: `[B]`, 0..K-1.

    """
    right = one_hot(labels, lengths.shape[1]).to(lengths.dtype)
    short, long = (0.9 - lengths).clamp_min(0), (lengths - 0.1).clamp_min(0)
    return (right * short.square() + 0.5 * (1 - right) * long.square()).sum(1)


class CapsNet(nn.Module):
    """Two convolutions, primary capsules, class capsules and a decoder.

    Starting weights are drawn as Keras, the library of the source, draws them. With 28 x 28
    pixels and 8 classes there are 1,152 primary capsules and 7,904,272 parameters, the decoder's
    1,394,960 among them.
    """

    def __init__(
        self, classes: int = 8, size: int = 28, *, channels: int = 256, iterations: int = 3
    ):
        super().__init__()
        if size < 17:
            raise InvnbError(f"size is {size}; two convolutions of 9 x 9 need at least 17 pixels")
        if channels < 8 or channels % 8:
            raise InvnbError(f"channels is {channels}; capsules of 8 need a multiple of 8")
        self.size, self.iterations = size, iterations
        self.first = nn.Conv2d(1, channels, 9)
        self.primary = nn.Conv2d(channels, channels, 9, stride=2)
        children = channels // 8 * ((size - 15) // 2) ** 2
        # Keras takes the axes before the last two for a receptive field, as in a convolution
        limit = (6 / (classes * children * (8 + 16))) ** 0.5
        self.weights = nn.Parameter(torch.empty(classes, 8, children, 16).uniform_(-limit, limit))
        self.decoder = nn.Sequential(
            nn.Linear(classes * 16, 512),
            nn.ReLU(),
            nn.Linear(512, 1024),
            nn.ReLU(),
            nn.Linear(1024, size * size),
            nn.Sigmoid(),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def capsules(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]`, 0..1, to class capsules `[B, K, 16]`."""
        maps = self.primary(torch.relu(self.first(images.unsqueeze(1))))
        poses = squash(maps.unflatten(1, (8, -1)).flatten(2), 1)
        capsules = dynamic_routing(poses, self.weights, self.iterations)
        return capsules.to(self.weights.dtype)  # lengths and margins are not for half precision

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, H, W]` to the lengths of the class capsules, `[B, K]`, 0..1."""
        return vector_norm(self.capsules(images), dim=-1)

    def decode(self, capsules: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map class capsules `[B, K, 16]` to images `[B, H, W]`, 0..1.

        Only the capsule of the label `[B]` is seen; without labels, the longest one.
        """
        if labels is None:
            labels = vector_norm(capsules, dim=-1).argmax(1)
        seen = capsules * one_hot(labels, capsules.shape[1]).unsqueeze(-1)
        return self.decoder(seen.flatten(1)).unflatten(1, (self.size, self.size))

    def loss(self, images: Tensor, labels: Tensor, epoch: int = 0) -> Tensor:
        """Return the batch's mean margin loss and 0.0005 times its squared error, a scalar.

        It is the same in every epoch; `invnb.classifying` tells each network's loss which it is.

        The squared error is summed over the pixels: 0.392 times their mean in images of 28 x 28.
        """
        capsules = self.capsules(images)
        error = mse_loss(self.decode(capsules, labels), images)
        margin = margin_loss(vector_norm(capsules, dim=-1), labels).mean()
        return margin + 0.0005 * self.size**2 * error
