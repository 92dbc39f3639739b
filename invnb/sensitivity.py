"""How strongly a network's logits answer to changes of its input.

The largest singular value of the Jacobian is the sensitivity of section 4.4 of Moskalev et al.
(figure 5). It looks at infinitesimal changes in every direction; the relative changes below look at
the change that a group element makes, and compare it with others of the same length.

Axes: B images, H x W pixels (or C x H x W), K classes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from invnb.groups import CyclicGroup

Network = Callable[[Tensor], Tensor]  # [B, H, W] -> logits [B, K]


def largest_singular_value(network: Network, images: Tensor, chunk: int = 500) -> Tensor:
    """Return sigma_max of the Jacobian of logits by pixels at each image, `[B]`.

    All K rows of the Jacobian J come from one backward pass over K copies of the images; the
    largest eigenvalue of J J^T, K x K, is the square of what is asked for. In logits per unit of
    the input, whose pixels have unit standard deviation.

    Args:
        network: treats every image apart; maps the images to logits `[B, K]`.
        images: `[B, H, W]` or `[B, C, H, W]`.
        chunk: images at a time.

    """
    return torch.cat([_largest(network, part) for part in images.split(chunk)])


def _largest(network: Network, images: Tensor) -> Tensor:
    with torch.no_grad():
        classes = network(images[:1]).shape[-1]
    copies = torch.cat([images] * classes).requires_grad_()  # (K * B, ...), class by class
    logits = network(copies).unflatten(0, (classes, -1))  # (K, B, K)
    (rows,) = torch.autograd.grad(logits.diagonal(dim1=0, dim2=2).sum(), copies)
    jacobian = rows.flatten(1).unflatten(0, (classes, -1)).transpose(0, 1)  # (B, K, D)
    return torch.linalg.eigvalsh(jacobian @ jacobian.mT)[:, -1].clamp_min(0).sqrt()


def relative_change(network: Network, images: Tensor, changed: Tensor) -> Tensor:
    """Return the logits' change per unit of the input's, |f(x') - f(x)| / |x' - x|, `[B]`.

    Args:
        network: maps `[B, H, W]` to logits `[B, K]`.
        images: x, `[B, H, W]`.
        changed: x', of the same shape; where it equals x, the result is 0.

    """
    with torch.no_grad():
        rise = (network(changed) - network(images)).norm(dim=-1)
    length = (changed - images).flatten(1).norm(dim=-1)
    return torch.where(length > 0, rise / length, 0)


def randomly_changed(images: Tensor, changed: Tensor, generator: torch.Generator) -> Tensor:
    """Return x + d, where d is as long as x' - x but points in a random direction, `[B, H, W]`.

    Args:
        images: x, `[B, H, W]`.
        changed: x', of the same shape.
        generator: on the CPU; the direction is uniform over the sphere.

    """
    direction = torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images)
    length = (changed - images).flatten(1).norm(dim=-1) / direction.flatten(1).norm(dim=-1)
    return images + direction * length[:, None, None]


def sensitivities(network: Network, images: Tensor, group: CyclicGroup) -> dict[str, float]:
    """Return sigma_max, and the sensitivity along the orbit over that in other directions.

    A general loss of sensitivity lowers all directions alike and leaves both ratios as they are;
    invariance to the group lowers the orbit's alone.

    Args:
        network: maps `[B, H, W]` to logits `[B, K]`.
        images: at least two.
        group: whose orbit to take.

    Returns:
        `sigma_max`, the mean over the images; `orbit_over_random` and `orbit_over_image`, the
        mean `relative_change` from x to gx (without the identity) over that from x to a point as
        far away in a random direction, and over that from x to another of the images. A network
        that answers to nothing has all three at 0.

    """
    generator = torch.Generator().manual_seed(0)
    orbit, random = [], []
    for k in range(1, group.order):
        turned = group.act(images, k)
        orbit.append(relative_change(network, images, turned))
        elsewhere = randomly_changed(images, turned, generator)
        random.append(relative_change(network, images, elsewhere))
    along = torch.stack(orbit).double().mean().item()
    other = relative_change(network, images, images.roll(1, 0)).double().mean().item()
    return {
        "sigma_max": largest_singular_value(network, images).double().mean().item(),
        "orbit_over_random": _ratio(along, torch.stack(random).double().mean().item()),
        "orbit_over_image": _ratio(along, other),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
