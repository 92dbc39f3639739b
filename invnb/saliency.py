"""Saliency maps by integrated gradients, and how much they agree over a group orbit.

Equation 3 and "Saliency map function" in section 4.1 of Moskalev et al.; integrated gradients are
those of Sundararajan et al. (2017), equation 1.

Axes: B images, H x W pixels (or C x H x W), M quadrature steps, G group elements, K classes.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, pad

from invnb.groups import CyclicGroup
from invnb.vision import torchvision

STEPS = 32  # of the Gauss-Legendre rule
THRESHOLD = 0.9  # of the map's maximum


def integrated_gradients(
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    baseline: float = 0.0,
    steps: int = STEPS,
    chunk: int = 8,
    absolute: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return integrated gradients of the target logit, and how far they miss completeness.

    IG(x) = (x - x0) * integral over a in 0..1 of the gradient at x0 + a (x - x0), by
    Gauss-Legendre quadrature. A network with methods `affine` and `after_affine` (see
    `invnb.models.MLP`) is integrated behind its affine first map, where the straight path is
    straight too: the same integral, several times faster. Memory does not depend on `steps`.

    Args:
        network: maps the images to logits `[B, K]`.
        images: `[B, H, W]` or `[B, C, H, W]`.
        targets: `[B]`, the class whose logit is attributed.
        baseline: value of every pixel of x0; 0 is the mean of normalised data.
        steps: M, at least 1.
        chunk: steps evaluated at a time.
        absolute: integrate the absolute gradient instead (another reading of the paper).

    Returns:
        Attributions of the images' shape, in logits, and the completeness gap `[B]`: the absolute
        difference of their sum and f(x) - f(x0), meaningless with `absolute`.

    """
    if hasattr(network, "affine") and hasattr(network, "after_affine") and not absolute:
        affine, rest = network.affine, network.after_affine
    else:  # the absolute value does not commute with an affine map
        affine, rest = (lambda x: x), network
    images = images.detach().requires_grad_()
    start = torch.full_like(images, baseline)
    end_z, start_z = affine(images), affine(start).detach()
    path = end_z.detach() - start_z  # (B, ...)
    nodes, weights = (torch.as_tensor(a).to(images) for a in np.polynomial.legendre.leggauss(steps))
    mean_gradient = torch.zeros_like(path)
    for a, w in zip(((nodes + 1) / 2).split(chunk), (weights / 2).split(chunk), strict=True):
        shape = (-1,) + (1,) * path.ndim
        z = (start_z + a.view(shape) * path).requires_grad_()  # (m, B, ...)
        logits = rest(z.flatten(0, 1))  # (m * B, K)
        chosen = logits.gather(1, targets.repeat(len(a)).unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(chosen, z)
        mean_gradient += (w.view(shape) * (gradient.abs() if absolute else gradient)).sum(0)
    (gradient,) = torch.autograd.grad(end_z, images, mean_gradient)
    attributions = (images.detach() - baseline) * gradient
    with torch.no_grad():
        rise = (network(images) - network(start)).gather(1, targets.unsqueeze(1)).squeeze(1)
    return attributions, (attributions.flatten(1).sum(1) - rise).abs()


def saliency_map(attributions: Tensor, *, threshold: float = THRESHOLD) -> Tensor:
    """Return the paper's map: absolute value, threshold, Gaussian 3 x 3 with deviation 1.

    Values below `threshold` times the image's maximum become 0. The Gaussian wraps around the
    edges, which makes it commute with quarter turns and cyclic shifts alike.

    Args:
        attributions: `[B, H, W]`.
        threshold: fraction of the maximum, 0..1.

    """
    salience = attributions.abs()
    peak = salience.amax((1, 2), keepdim=True)
    salience = torch.where(salience >= threshold * peak, salience, 0)
    wrapped = pad(salience.unsqueeze(1), (1, 1, 1, 1), mode="circular")
    smooth = torchvision.transforms.functional.gaussian_blur(wrapped, [3, 3], [1.0, 1.0])
    return smooth[:, 0, 1:-1, 1:-1]


def realigned_maps(
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    group: CyclicGroup,
    *,
    baseline: float = 0.0,
    absolute: bool = False,
    threshold: float = THRESHOLD,
) -> Tensor:
    """Return g^-1 m(gx): the saliency maps over the orbit in the pose of x, `[B, G, H, W]`.

    What the channels of a pixel contribute is added up before the map is made.

    Args:
        network: maps the images to logits `[B, K]`.
        images: `[B, H, W]` or `[B, C, H, W]`.
        targets: `[B]`, the class whose logit is attributed.
        group: whose orbit to take.
        baseline, absolute: see `integrated_gradients`.
        threshold: see `saliency_map`.

    """
    maps = []
    for k in range(group.order):
        attributions, _ = integrated_gradients(
            network, group.act(images, k), targets, baseline=baseline, absolute=absolute
        )
        if attributions.ndim == 4:
            attributions = attributions.sum(1)
        maps.append(group.act(saliency_map(attributions, threshold=threshold), -k))
    return torch.stack(maps, 1)


def saliency_similarity(maps: Tensor) -> Tensor:
    """Return SI per image and element: the cosine of m(x) and g^-1 m(gx) (equation 3).

    1 is invariant. A map that is 0 everywhere has similarity 0 to every map.

    Args:
        maps: realigned maps, `[B, G, H, W]`, the identity at index 0 of G.

    Returns:
        `[B, G]` in 0..1, 1 at the identity.

    """
    flat = maps.flatten(-2)
    return cosine_similarity(flat[:, :1], flat, dim=-1)
