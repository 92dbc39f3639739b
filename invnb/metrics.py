"""Invariance of a network's logits and predictions over group orbits.

Equations 1 and 2 of Moskalev et al. Every metric returns its value per image and group element
first, `[B, G]` with the identity at index 0; `orbit_mean` reduces. The equations write sums, but
call the result an average, and equation 3 written the same way is 1 for an invariant network: so
they are read as means. The published SI of .17 over R4, where the identity alone would give a mean
of .25, shows that the identity is left out of the mean.

Axes: B images, G group elements, K classes.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from invnb.groups import CyclicGroup


def orbit_logits(
    network: Callable[[Tensor], Tensor], images: Tensor, group: CyclicGroup, chunk: int = 2500
) -> Tensor:
    """Return the logits over the orbit of each image, `[B, H, W] -> [B, G, K]`.

    Args:
        network: maps `[B, H, W]` to logits `[B, K]`.
        images: in the poses they were given in; index 0 of G is that pose.
        group: whose orbit to take.
        chunk: images at a time, to bound the memory.

    """
    with torch.no_grad():
        return torch.cat(
            [
                torch.stack([network(group.act(x, k)) for k in range(group.order)], 1)
                for x in images.split(chunk)
            ]
        )


def logit_invariance(logits: Tensor) -> Tensor:
    """Return LI per image and element: half the squared L2 distance of f(x) and f(gx).

    Equation 2; 0 is invariant, the unit is squared logits.

    Args:
        logits: `[B, G, K]`, the identity at index 0 of G.

    Returns:
        `[B, G]`, at least 0, and 0 at the identity.

    """
    return (logits[:, :1] - logits).square().sum(-1) / 2


def distribution_invariance(logits: Tensor) -> Tensor:
    """Return DI per image and element: KL(softmax f(x) || softmax f(gx)), in nats.

    Equation 1; 0 is invariant. Not symmetric in x and gx, and blind to a constant added to all
    logits, so LI = 0 implies DI = 0 but not the reverse (GI-18).

    Args:
        logits: `[B, G, K]`, the identity at index 0 of G.

    Returns:
        `[B, G]`, at least 0, and 0 at the identity.

    """
    log_u, log_q = log_softmax(logits[:, :1], -1), log_softmax(logits, -1)
    divergence = (log_u.exp() * (log_u - log_q)).sum(-1)
    return divergence.clamp_min(0)  # rounding can take what is 0 below it


def same_prediction(logits: Tensor) -> Tensor:
    """Return for each image whether the whole orbit gets one predicted class, bool `[B]`."""
    predicted = logits.argmax(-1)  # (B, G)
    return (predicted == predicted[:, :1]).all(1)


def relative_logit_change(logits: Tensor, changed: Tensor) -> Tensor:
    """Return the squared change of the logits in units of that between two images, a scalar.

    mean |f(x') - f(x)|^2 over the mean |f(x) - f(y)|^2 of two different images: 0 is invariant, 1
    means that x' might be any other image. Unlike LI, it is blind to the scale of the logits. 0
    for a network with one answer to all images.

    Args:
        logits: f(x), `[B, K]`, B of 2 or more.
        changed: f(x'), `[B, K]`.

    """
    change = (changed - logits).square().sum(-1).mean()
    between = 2 * logits.var(0).sum()  # twice the variance is the mean over pairs
    return torch.where(between > 0, change / between, 0)


def orbit_mean(values: Tensor) -> Tensor:
    """Return the mean over the orbit without the identity, `[B, G] -> [B]`."""
    return values[:, 1:].mean(1)
