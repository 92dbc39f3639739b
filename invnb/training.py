"""Training of several seeds of one network together, as Moskalev et al. train (section 4.1).

Axes: S seeds trained together, B images of a batch, N images of the training split, G group
elements, K classes. Each seed has an initialisation, data order and augmentation of its own that
depend on the seed alone, so seed s makes the same network in any company.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.functional import cross_entropy
from tqdm.auto import trange

from invnb.groups import CyclicGroup
from invnb.penalties import OVER_ORBIT, SpectralNorms
from invnb.transforming import Split

Logits = Callable[[Tensor], Tensor]  # images (S, B, H, W) -> logits (S, B, K)


@dataclass(frozen=True)
class Schedule:
    """How to train; the defaults are the paper's.

    Attributes:
        epochs: passes over the training split.
        batch_size: images a step; the last batch of an epoch may be smaller.
        learning_rate: of Adam, whose other settings are PyTorch's.
        nu: weight of the penalty (equation 4); 0 trains without.
        penalty: one of `invnb.penalties.PENALTIES`.

    """

    epochs: int = 300
    batch_size: int = 512
    learning_rate: float = 8e-4
    nu: float = 0.0
    penalty: str = "LI"

    def steps(self, n: int) -> int:
        """Return the number of optimiser steps for a training split of `n` images."""
        return self.epochs * -(-n // self.batch_size)


@dataclass
class Trained:
    """One trained network: the weights of its best validation epoch, and its history.

    Attributes:
        seed: the seed it was made from.
        state: state dict, on the CPU.
        epoch: the epoch selected, 1-based: the first with the best validation accuracy.
        steps: optimiser steps done in all.
        seconds: wall-clock time of the training it was part of, divided by its seeds.
        losses: mean training loss of each epoch, regulariser included.
        validation_accuracy: after each epoch, fraction.

    """

    seed: int
    state: dict[str, Tensor]
    epoch: int
    steps: int
    seconds: float
    losses: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)


def train(
    factory: Callable[[], nn.Module],
    group: CyclicGroup,
    training: Split,
    validation: Split,
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    label: str = "",
) -> list[Trained]:
    """Train one network per seed, all together, with random group augmentation.

    Every image of every batch meets a uniformly drawn group element. With `schedule.nu` > 0 the
    loss gains nu times the schedule's penalty; one over the orbit is estimated with one other
    element of the orbit per image. Networks with dropout are trained one by one, because the
    masks of a stack are drawn together, and so are convolutional ones on a CPU, where a stack is
    slower. The global random generators are left as they were.

    Args:
        factory: makes an untrained network `[B, H, W] -> [B, K]`.
        group: the group to augment with and, with nu, to regularise over.
        training: on the device to train on, upright; augmentation happens here.
        validation: on the same device, transformed already; selects the epoch.
        schedule: epochs, batch size, learning rate, nu.
        seeds: one network each, distinct.
        label: shown at the progress bar.

    Returns:
        One `Trained` per seed, in the order of `seeds`.

    """
    networks = [_initialised(factory, seed).to(training.images) for seed in seeds]
    size = len(seeds) if _stacks(networks[0], training.images.device) else 1
    trained = []
    for i in range(0, len(seeds), size):
        part = slice(i, i + size)
        with torch.random.fork_rng():
            torch.manual_seed(seeds[i])  # dropout is all that draws from the global generator
            trained += _train_stack(
                networks[part], group, training, validation, schedule, seeds[part], label
            )
    return trained


def _train_stack(
    networks: list[nn.Module],
    group: CyclicGroup,
    training: Split,
    validation: Split,
    schedule: Schedule,
    seeds: Sequence[int],
    label: str,
) -> list[Trained]:
    """Train networks of one architecture as one stack; see `train`."""
    start = perf_counter()
    stacked = _stacks(networks[0], training.images.device)
    parameters, buffers = stack_module_state(networks)
    skeleton = networks[0].to("meta")

    def one(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(skeleton, (p, b), (x,))

    def forward(images: Tensor) -> Tensor:
        if not stacked:
            first = ({name: t[0] for name, t in of.items()} for of in (parameters, buffers))
            return one(*first, images[0]).unsqueeze(0)
        return torch.vmap(one, randomness="different")(parameters, buffers, images)

    optimizer = _optimizer(parameters.values(), schedule)
    of_weights = _penalty_of_weights(parameters.values(), schedule)
    best = _Best({**parameters, **buffers}, len(seeds))
    draws = _Draws(seeds, group.order, len(training.images))
    orbits = group.orbit(training.images)  # (G, N, H, W)
    losses = []
    for _ in trange(schedule.epochs, desc=label, leave=False):
        skeleton.train()
        losses.append(
            _epoch(
                forward,
                optimizer,
                of_weights,
                orbits,
                training.labels,
                draws.next_epoch(),
                schedule,
            )
        )
        skeleton.eval()
        best.consider({**parameters, **buffers}, accuracies(forward, validation, len(seeds)))
    seconds = (perf_counter() - start) / len(seeds)
    history = torch.stack(losses).T.tolist() if losses else [[] for _ in seeds]
    return [
        Trained(
            seed,
            {name: t[s].detach().cpu().clone() for name, t in best.state.items()},
            best.epoch[s],
            schedule.steps(len(training.images)),
            seconds,
            history[s],
            [a[s] for a in best.accuracy_history],
        )
        for s, seed in enumerate(seeds)
    ]


def accuracies(forward: Logits, split: Split, seeds: int, chunk: int = 2000) -> Tensor:
    """Return the accuracy `[S]` of stacked networks on a split."""
    correct = torch.zeros(seeds, device=split.images.device)
    with torch.no_grad():
        for x, y in zip(split.images.split(chunk), split.labels.split(chunk), strict=True):
            predicted = forward(x.expand(seeds, *x.shape)).argmax(-1)  # (S, B)
            correct += (predicted == y).sum(-1)
    return correct / len(split.labels)


def _initialised(factory: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a network whose weights depend on the seed alone; the global generator is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def _stacks(network: nn.Module, device: torch.device) -> bool:
    """Return whether training several such networks as one stack is right, and pays."""
    kinds = [type(module).__name__ for module in network.modules()]
    slow = device.type == "cpu" and any("Conv" in kind for kind in kinds)
    return not slow and not any("Dropout" in kind for kind in kinds)


def _optimizer(parameters: Iterable[Tensor], schedule: Schedule) -> torch.optim.Optimizer:
    settings = dict(lr=schedule.learning_rate, fused=True)
    if schedule.nu and schedule.penalty == "decay":
        return torch.optim.AdamW(parameters, weight_decay=schedule.nu, **settings)
    return torch.optim.Adam(parameters, **settings)


def _penalty_of_weights(
    parameters: Iterable[Tensor], schedule: Schedule
) -> Callable[[], Tensor] | None:
    """Return what gives the penalty of each seed `[S]`, None where the loss has no such term."""
    if schedule.nu and schedule.penalty == "spectral":
        return SpectralNorms(parameters).penalty
    return None


def _epoch(
    forward: Logits,
    optimizer: torch.optim.Optimizer,
    of_weights: Callable[[], Tensor] | None,
    orbits: Tensor,
    labels: Tensor,
    draws: tuple[Tensor, Tensor, Tensor],
    schedule: Schedule,
) -> Tensor:
    """Do one epoch of steps and return the mean loss of each seed `[S]`."""
    order, pose, turn = (d.to(orbits.device) for d in draws)  # (S, N) each
    total = torch.zeros(len(order), device=orbits.device)
    for i in range(0, order.shape[1], schedule.batch_size):
        which, k = (d[:, i : i + schedule.batch_size] for d in (order, pose))  # (S, B)
        logits = forward(orbits[k, which])  # (S, B, K)
        loss = cross_entropy(
            logits.flatten(0, 1), labels[which].flatten(), reduction="none"
        ).unflatten(0, which.shape)
        if schedule.nu and schedule.penalty in OVER_ORBIT:
            k = (k + turn[:, i : i + schedule.batch_size]) % len(orbits)
            error = OVER_ORBIT[schedule.penalty](logits, forward(orbits[k, which]))
            loss = loss + schedule.nu * error
        if of_weights:
            loss = loss + schedule.nu * of_weights().unsqueeze(1)
        optimizer.zero_grad()
        loss.mean(1).sum().backward()  # the sum keeps each seed's gradient its own
        optimizer.step()
        total += loss.detach().sum(1)
    return total / order.shape[1]


class _Draws:
    """The random choices of every epoch, from one generator per seed, drawn on the CPU."""

    def __init__(self, seeds: Sequence[int], elements: int, n: int):
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.elements, self.n = elements, n

    def next_epoch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return data order, augmenting element and regularising turn (not 0), `[S, N]` each."""
        rows = [
            (
                torch.randperm(self.n, generator=g),
                torch.randint(self.elements, (self.n,), generator=g),
                torch.randint(1, self.elements, (self.n,), generator=g),
            )
            for g in self.generators
        ]
        order, pose, turn = (torch.stack(column) for column in zip(*rows, strict=True))
        return order, pose, turn


class _Best:
    """The state of each seed at its best validation accuracy so far."""

    def __init__(self, state: dict[str, Tensor], seeds: int):
        self.state = {name: t.detach().clone() for name, t in state.items()}
        self.accuracy = [-1.0] * seeds
        self.epoch = [0] * seeds
        self.accuracy_history: list[list[float]] = []

    def consider(self, state: dict[str, Tensor], accuracy: Tensor) -> None:
        """Take over the seeds that are strictly better than before."""
        self.accuracy_history.append(accuracy.tolist())
        for s, a in enumerate(self.accuracy_history[-1]):
            if a > self.accuracy[s]:
                self.accuracy[s], self.epoch[s] = a, len(self.accuracy_history)
                for name, t in state.items():
                    self.state[name][s] = t[s].detach()
