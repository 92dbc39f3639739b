"""What can be added to the loss, times a weight nu (equation 4 of Moskalev et al.).

The regularisers of section 4.4 pull the logits f(x) and f(gx) of one image together: "LI", "KL"
and "norm", the last in two readings. Two rivals know nothing of the group and make a network less
sensitive to its input in general: "decay", decoupled weight decay (Loshchilov and Hutter, 2019),
which the optimiser does, and "spectral", the squared spectral norms of the weights (Yoshida and
Miyato, 2017, equation 3).

Axes: S seeds trained together, B images of a batch, K classes.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, normalize


def squared_distance(logits: Tensor, turned: Tensor) -> Tensor:
    """Return half the squared L2 distance of f(x) and f(gx), `[S, B]` (equation 2)."""
    return (logits - turned).square().sum(-1) / 2


def kl_divergence(logits: Tensor, turned: Tensor) -> Tensor:
    """Return KL(softmax f(x) || softmax f(gx)) in nats, `[S, B]` (equation 1)."""
    log_u, log_q = log_softmax(logits, -1), log_softmax(turned, -1)
    return (log_u.exp() * (log_u - log_q)).sum(-1)


def normalised_distance(logits: Tensor, turned: Tensor) -> Tensor:
    """Return |f(x) - f(gx)|^2 / |f(x)|^2, `[S, B]` (section 4.4), a constant below the line.

    The gradient takes the magnitude of the logits for a given scale. See the other reading below.
    """
    return (logits - turned).square().sum(-1) / logits.detach().square().sum(-1)


def normalised_distance_through(logits: Tensor, turned: Tensor) -> Tensor:
    """Return the same values, with the gradient of the denominator too.

    Then it pays to add one large constant to all logits, which makes no image more invariant.
    """
    return (logits - turned).square().sum(-1) / logits.square().sum(-1)


# Of logits and those of another pose of the same images, [S, B, K] each -> [S, B].
OVER_ORBIT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "LI": squared_distance,
    "KL": kl_divergence,
    "norm": normalised_distance,
    "norm_through": normalised_distance_through,
}
PENALTIES = (*OVER_ORBIT, "decay", "spectral")


class SpectralNorms:
    """Half the sum of the squared spectral norms of stacked weights, by power iteration.

    One iteration a call, from where the last call ended: weights move so little in a step that
    the singular vectors keep up (Yoshida and Miyato, 2017, algorithm 1).
    """

    def __init__(self, parameters: Iterable[Tensor]):
        """Start from constant vectors.

        Args:
            parameters: `[S, ...]` each, the seed first; biases, `[S, n]`, are left out.

        """
        self.weights = [p for p in parameters if p.ndim > 2]
        self.right = [torch.ones_like(p.detach().flatten(2)[:, :1]) for p in self.weights]  # S,1,in

    def penalty(self) -> Tensor:
        """Return the penalty of each seed, `[S]`, differentiable in the weights."""
        squared = []
        for i, weight in enumerate(self.weights):
            matrix = weight.flatten(2)  # (S, out, in)
            with torch.no_grad():
                left = normalize(self.right[i] @ matrix.mT, dim=-1)  # (S, 1, out)
                self.right[i] = normalize(left @ matrix, dim=-1)
            squared.append((left @ matrix @ self.right[i].mT).flatten().square())  # (S,)
        return torch.stack(squared).sum(0) / 2
