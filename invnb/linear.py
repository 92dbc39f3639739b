"""Gradient flow of the logit invariance error of a linear network h(x) = W x.

Proposition 3.1 of Moskalev et al. and its proof. With e = x - gx, the error of equation 2 is
tr(W S W^T) / 2 where S is the mean of e e^T, so gradient flow is dW/dt = -W S, and
W(t) = W(0) exp(-S t) (equations 5 and 6). S may come from one image, many, or a whole orbit: all
that the proof needs is that it is symmetric and positive semi-definite.

Axes: N images, D pixels, K outputs.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from invnb.groups import CyclicGroup


def difference_covariance(images: Tensor, group: CyclicGroup, elements: Iterable[int]) -> Tensor:
    """Return S, the mean of (x - gx)(x - gx)^T over images and elements, `[D, D]`, float64.

    Args:
        images: `[N, H, W]`.
        group: acts on the images.
        elements: which g^k to take, such as `[1]` or `range(1, group.order)`.

    """
    gaps = torch.cat([(images - group.act(images, k)).flatten(1) for k in elements]).double()
    return gaps.mT @ gaps / len(gaps)


def invariance_error(weights: Tensor, covariance: Tensor) -> Tensor:
    """Return the logit invariance error of a linear network, tr(W S W^T) / 2."""
    return ((weights @ covariance) * weights).sum() / 2


def largest_singular_value(weights: Tensor) -> Tensor:
    """Return sigma_max of W `[K, D]`, a scalar."""
    return torch.linalg.eigvalsh(weights @ weights.mT)[-1].clamp_min(0).sqrt()


class GradientFlow:
    """The closed form W(t) = W(0) exp(-S t), from one eigendecomposition of S."""

    def __init__(self, covariance: Tensor):
        """Decompose S, `[D, D]`, symmetric and positive semi-definite."""
        values, self.vectors = torch.linalg.eigh(covariance)
        self.values = values.clamp_min(0)  # rounding leaves tiny negative ones

    def __call__(self, weights: Tensor, time: float) -> Tensor:
        """Return W(t) for W(0) `[K, D]`."""
        return (weights @ self.vectors * torch.exp(-self.values * time)) @ self.vectors.mT


def descend(
    layers: Sequence[Tensor],
    covariance: Tensor,
    optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer],
    steps: int,
) -> tuple[Tensor, list[float], list[float]]:
    """Minimise the invariance error of a product of matrices step by step.

    Args:
        layers: `[W]`, or several factors whose product is W `[K, D]`, the last one applied first;
            left as they are.
        covariance: S, `[D, D]`.
        optimizer: makes the optimiser of the layers.
        steps: how many to do.

    Returns:
        W at the end, and before each step and at the end, `steps + 1` values each: sigma_max of W
        and the error.

    """
    layers = [layer.clone().requires_grad_() for layer in layers]
    stepper = optimizer(layers)
    sizes, errors = [], []
    for step in range(steps + 1):
        product = layers[0] if len(layers) == 1 else torch.linalg.multi_dot(layers)
        error = invariance_error(product, covariance)
        sizes.append(largest_singular_value(product.detach()).item())
        errors.append(error.item())
        if step < steps:
            stepper.zero_grad()
            error.backward()
            stepper.step()
    return product.detach(), sizes, errors
