"""Routing between capsules: invnb's against sums over votes that are all in memory.

A training step is the loss of one batch of the source's size and the gradient of it.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from benchmarks.timing import Row, interleave, ratio, spent
from invnb import capsules, em_routing
from invnb.capsules import CapsNet, squash
from invnb.em_routing import EPSILON, LEAST_VARIANCE, EMCapsNet, EMCapsules

IMAGES = {"dynamic": 100, "EM": 50}


def rows(rounds: int) -> Iterator[Row]:
    """Compare times and gradients of training steps, and of dynamic routing by itself."""
    torch.manual_seed(0)
    images, labels = torch.rand(IMAGES["dynamic"], 28, 28), torch.randint(8, (IMAGES["dynamic"],))
    network = CapsNet()
    other = ("invnb.capsules.dynamic_routing", _dynamic)
    poses = squash(torch.randn(len(images), 8, 1152), 1).requires_grad_()
    yield from _compare(
        f"dynamic routing by itself, broadcast / invnb, {len(images)} images",
        "",
        lambda: capsules.dynamic_routing(poses, network.weights, 3).square().sum(),
        [poses, network.weights],
        other,
        rounds,
    )
    yield from _compare(
        f"dynamic routing, training step, broadcast / invnb, {len(images)} images",
        "≥ 2.5",
        lambda: network.loss(images, labels),
        list(network.parameters()),
        other,
        rounds,
    )
    images, labels = images[: IMAGES["EM"]], labels[: IMAGES["EM"]]
    for form in em_routing.ITERATIONS:
        network = EMCapsNet(form=form)
        yield from _compare(
            f'EM routing, form "{form}", training step, broadcast / invnb, {len(images)} images',
            "≥ 2",
            partial(network.loss, images, labels),
            list(network.parameters()),
            ("invnb.em_routing.EMCapsules.forward", _em),
            rounds,
        )


def _compare(
    what: str,
    target: str,
    loss: Callable[[], Tensor],
    leaves: list[Tensor],
    other: tuple[str, Callable],
    rounds: int,
) -> Iterator[Row]:
    def step() -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss(), leaves)

    def straightforward() -> tuple[Tensor, ...]:
        with patch(*other):
            return step()

    theirs, ours = interleave(straightforward, step, rounds)
    difference = max(
        ((a - b).abs().max() / b.abs().max()).item()
        for a, b in zip(step(), straightforward(), strict=True)
        if b.abs().max() > 1e-6  # child activations cancel in the source: theirs is rounding
    )
    yield Row(f"{what}: time", ratio(theirs, ours), target, f"{spent(theirs)}, {spent(ours)}")
    same = f"{what}: largest relative difference of a gradient"
    yield Row(same, f"{difference:.1e}", "< 1e-3", "")


def _dynamic(poses: Tensor, weights: Tensor, iterations: int) -> Tensor:
    matrices = weights.permute(2, 0, 3, 1)  # (I, K, D, P)
    votes = (matrices @ poses.mT[:, :, None, :, None]).squeeze(-1)  # (B, I, K, D)
    logits = torch.zeros_like(votes[..., 0])
    for i in range(iterations):
        found = squash((logits.softmax(-1).unsqueeze(-1) * votes).sum(1))
        if i < iterations - 1:
            logits = logits + (votes * found.unsqueeze(1)).sum(-1)
    return found


def _em(layer: EMCapsules, poses: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    source = layer.form == "source"
    children = poses.shape[1]
    matrices = layer.matrices.repeat(children // len(layer.matrices), 1, 1, 1)
    rows = poses[..., -16:].unflatten(-1, (4, 4)).mT.unsqueeze(2)  # (N, I, 1, 4, 4)
    votes = (rows @ matrices.permute(0, 3, 2, 1)).mT.flatten(-2)  # (N, I, C, 16)
    coordinates = poses[:, :, None, :-16].expand(-1, -1, votes.shape[2], -1)
    votes = torch.cat((coordinates, votes), -1)
    shares = torch.full_like(votes[..., 0], 1 / votes.shape[2])
    for i in range(layer.iterations):
        shares = shares * activations.unsqueeze(-1)
        if source:
            shares = shares / (shares.sum(-1, keepdim=True) + EPSILON)
        mass = shares.sum(1, keepdim=True)
        weights = (shares / (mass + EPSILON)).unsqueeze(-1)
        mean = (weights * votes).sum(1, keepdim=True)
        variance = (weights * (votes - mean).square()).sum(1, keepdim=True)
        variance = variance + LEAST_VARIANCE[layer.form]
        mass = mass.squeeze(1)
        if source:
            cost = mass * (layer.beta_u + 0.5 * variance.squeeze(1).log()).sum(-1)
            scores = 0.01 * (layer.beta_a - cost) if i == layer.iterations - 1 else mass
            log_activation = scores.log_softmax(-1)
        else:
            entropy = layer.beta_u * (1 + math.log(2 * math.pi))
            cost = mass * (entropy + variance.squeeze(1).log()).sum(-1)
            inverse_temperature = 0.01 * (1 - 0.95 ** (i + 1))
            log_activation = logsigmoid(inverse_temperature * (-5000 * layer.beta_a - cost))
        if i < layer.iterations - 1:
            distance = (votes - mean).square() / (2 * variance)
            density = -(distance + 0.5 * variance.log()).sum(-1)
            shares = (density + log_activation.unsqueeze(1)).softmax(-1)
    return mean.squeeze(1), log_activation.exp()
