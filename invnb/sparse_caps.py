"""Sparse unsupervised capsules (Rawlinson, Ahmed and Kowadlo, 2018), the post's authors' network.

Dynamic routing to 16 latent capsules that no label stands for. While it learns to reconstruct, the
decoder sees only the capsules that most was routed to, and capsules that are seen too seldom get an
advantage. Axes: B images of S x S pixels, I primary capsules, K latent capsules of 16 numbers.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from invnb.capsules import route, squash
from invnb.encoders import Head
from invnb.errors import InvnbError

CAPSULES, ATOMS, TYPES, POSE = 16, 16, 32, 8
STEEPNESS, LEAST = 12.0, 0.01  # of the mask by rank
DECAY = 0.99  # of the running share of wins
EVERY, STEP, RARE, OFTEN = 50, 0.1, 0.03, 0.12  # steps between boosts, their size, and when


def rank_mask(scores: Tensor) -> Tensor:
    """Return what the decoder sees of each capsule: exp(-12 r), r from 0 for the best to 1.

    Weights below .01 are zero, so that of 16 capsules the six best are seen: 1, .449, .202, ...

    Args:
        scores: `[B, K]`, K of 2 or more.

    """
    rank = scores.argsort(1, descending=True).argsort(1)
    mask = torch.exp(-STEEPNESS * rank / (scores.shape[1] - 1))
    return torch.where(mask < LEAST, 0, mask)


class SparseCaps(nn.Module):
    """The encoder, with the decoder it is trained by.

    Sizes, starting weights and rules are those of the authors' code. Its score of a capsule takes
    the largest share among the primary capsules of a place; the code mixes places there, by an
    order of axes that differs between two functions, and here they are kept apart.
    """

    def __init__(self, size: int = 28):
        super().__init__()
        if size < 17:
            raise InvnbError(f"size is {size}; two convolutions of 9 x 9 need at least 17 pixels")
        self.side = (size - 15) // 2
        self.first = _weights(256, 1, 9, 9, std=0.05)
        self.first_bias = nn.Parameter(torch.full((256,), 0.1))
        self.primary = _weights(TYPES * POSE, 256, 9, 9, std=0.1)
        self.primary_bias = nn.Parameter(torch.full((TYPES * POSE,), 0.1))
        places = TYPES * self.side**2
        self.weights = _weights(CAPSULES, POSE, places, ATOMS, std=0.1)
        self.bias = nn.Parameter(torch.full((CAPSULES, ATOMS), 0.1))
        self.decoder = Head((512, 1024), size * size, CAPSULES * ATOMS)
        for layer in (self.decoder.first, self.decoder.second, self.decoder.third):
            nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
            nn.init.constant_(layer.bias, 0.1)
        self.register_buffer("boost", torch.ones(CAPSULES))
        self.register_buffer("wins", torch.full((CAPSULES,), torch.nan))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def capsules(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return latent capsules `[B, K, 16]` and their scores `[B, K]` for images `[B, S, S]`.

        A capsule's score is the sum, over places, of the largest share that any primary capsule
        of the place gives it in the last iteration of routing.
        """
        maps = torch.relu(conv2d(images.unsqueeze(1), self.first, self.first_bias))
        maps = conv2d(maps, self.primary, self.primary_bias, stride=2)
        poses = squash(maps.unflatten(1, (TYPES, POSE)).transpose(1, 2), 1).flatten(2)  # (B, P, I)
        sums, shares = route(poses, self.weights, bias=self.bias)
        scores = shares.unflatten(2, (TYPES, -1)).amax(2).sum(2)
        return squash(sums), scores

    def forward(self, images: Tensor) -> Tensor:
        """Map images to codes `[B, 256]`, all capsules, as the authors export them."""
        return self.capsules(images)[0].flatten(1)

    def losses(self, images: Tensor) -> list[Tensor]:
        """Return the batch's mean squared error, summed over the pixels; boosts move on, too."""
        capsules, scores = self.capsules(images)
        mask = rank_mask(scores.detach() * self.boost)
        if self.training:
            self._boost(mask)
        pictures = self.decoder((capsules * mask.unsqueeze(2)).flatten(1)).float().sigmoid()
        return [(pictures - images.flatten(1)).square().sum(1).mean()]

    @torch.no_grad()
    def _boost(self, mask: Tensor) -> None:
        """Count wins, and every 50 steps help those that win seldom; masks are `[B, K]`."""
        won = (mask == 1).float().mean(0)
        self.wins.copy_(torch.where(self.wins.isnan(), won, DECAY * self.wins + (1 - DECAY) * won))
        self.steps += 1
        if self.steps % EVERY == 0:
            self.boost += STEP * (self.wins < RARE) - STEP * (self.wins > OFTEN)
            self.boost.clamp_min_(1)


def _weights(*shape: int, std: float) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=std, a=-2 * std, b=2 * std))
