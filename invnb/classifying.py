"""Training of classifiers on digits that turn, as the code of Potapov (2018) trains.

Axes: B images of a batch, K classes. Every batch is drawn with replacement, and every image of it
meets an angle of its own, drawn anew. Draws depend on the seed alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import trange

from invnb.errors import InvnbError
from invnb.training import Trained
from invnb.turning import Digits

SETTLING = 100  # batches that statistics of batch norms are averaged over
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def double_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the source's loss: cross entropy of the softmax of the softmax, mean over images.

    For 8 classes it is 1.27 where the network is sure and right, log(1 + 7 / e), 2.08 where it has
    no idea, log 8, and at most 2.27, log(7 + e).

    Args:
        logits: `[B, K]`.
        labels: `[B]`.

    """
    return cross_entropy(logits.softmax(-1), labels)


LOSSES = {"double_softmax": double_softmax, "softmax": cross_entropy}


@dataclass(frozen=True)
class Course:
    """How to train a classifier; the defaults are the source's for its convolutional networks.

    Attributes:
        epochs: see `epoch_steps`.
        batch_size: images a step.
        learning_rate: of Adam at the start, or at the top of one cycle.
        beta1: of Adam; its other settings are PyTorch's.
        decay: factor on the learning rate every `decay_steps` steps.
        decay_steps: see `decay`.
        one_cycle: let the learning rate rise and fall once instead (Smith and Topin, 2019): the
            shortened course. Batch norms' running statistics, which move too slowly for it, are
            then averaged anew at the end.
        loss: one of `LOSSES`; networks with a `loss` of their own take that.
        precision: of the products in forward and backward pass; weights stay float32.
        epoch_steps: steps an epoch; 0 for as many as whole batches fit into the training images.

    """

    epochs: int = 300
    batch_size: int = 128
    learning_rate: float = 1e-4
    beta1: float = 0.95
    decay: float = 0.9
    decay_steps: int = 10_000
    one_cycle: bool = False
    loss: str = "double_softmax"
    precision: str = "float32"
    epoch_steps: int = 0

    def __post_init__(self) -> None:
        for name, known in (("loss", LOSSES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise InvnbError(
                    f"unknown {name} {getattr(self, name)!r}; there are {', '.join(known)}"
                )

    def steps(self, n: int) -> int:
        """Return the number of optimiser steps for `n` training images."""
        return self.epochs * (self.epoch_steps or max(n // self.batch_size, 1))


def train(
    factory: Callable[[], nn.Module],
    digits: Digits,
    course: Course,
    *,
    seed: int,
    label: str = "",
) -> Trained:
    """Train one network, whose last state is kept; the global random generators stay as they were.

    Args:
        factory: makes an untrained network `[B, H, W] -> [B, K]`. One with a method
            `loss(images, labels, epoch)` is trained with that.
        digits: on the device to train on, upright; they are turned here.
        course: epochs, batch size, learning rate, loss.
        seed: of weights, dropout, order and angles.
        label: shown at the progress bar.

    """
    start = perf_counter()
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # also for dropout
        network = factory().to(digits.images).train()
        optimizer = torch.optim.Adam(
            network.parameters(), course.learning_rate, (course.beta1, 0.999), fused=True
        )
        steps = course.steps(len(digits.images)) // max(course.epochs, 1)
        schedule = _schedule(optimizer, course, steps)
        generator = torch.Generator().manual_seed(seed)
        losses = []
        for epoch in trange(course.epochs, desc=label, leave=False):
            shape = (steps, course.batch_size)
            which = torch.randint(len(digits.images), shape, generator=generator)
            uniform = torch.rand(shape, generator=generator)
            batches = zip(which.to(digits.images.device), uniform.to(digits.images), strict=True)
            total = torch.zeros((), device=digits.images.device)
            for some, share in batches:
                images = digits.turned(some, digits.angles(some, share))
                loss = _loss(network, images, digits.labels[some], course, epoch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.detach()
            losses.append((total / steps).item())
        if course.one_cycle:
            _settle(network, digits, course, generator)
    state = {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}
    done = course.steps(len(digits.images))
    return Trained(seed, state, course.epochs, done, perf_counter() - start, losses)


def _schedule(
    optimizer: torch.optim.Optimizer, course: Course, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    of = torch.optim.lr_scheduler
    if course.one_cycle:
        return of.OneCycleLR(
            optimizer, course.learning_rate, max(course.epochs * steps, 1), cycle_momentum=False
        )
    return of.StepLR(optimizer, course.decay_steps, course.decay)


@torch.no_grad()
def _settle(network: nn.Module, digits: Digits, course: Course, generator: torch.Generator) -> None:
    """Give batch norms the mean of their statistics over some batches of training, as they are now.

    A network trained shortly has moved on faster than its running averages, and a part of these
    still is what they were initialised with.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's word for the mean over all batches
    for _ in range(SETTLING):
        shape = (course.batch_size,)
        some = torch.randint(len(digits.images), shape, generator=generator)
        share = torch.rand(shape, generator=generator).to(digits.images)
        some = some.to(digits.images.device)
        network(digits.turned(some, digits.angles(some, share)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _loss(network: nn.Module, images: Tensor, labels: Tensor, course: Course, epoch: int) -> Tensor:
    kind = PRECISIONS[course.precision]
    with torch.autocast(images.device.type, kind, enabled=kind != torch.float32):
        if hasattr(network, "loss"):
            return network.loss(images, labels, epoch)
        logits = network(images)
    return LOSSES[course.loss](logits.float(), labels)
