"""Training of encoders and heads: layer by layer at once, end to end, or a head on a frozen code.

Axes: N images of S x S pixels, B of a batch. Every batch is drawn with replacement; draws depend on
the seed alone. The learning rate rises and falls once (Smith and Topin, 2019).
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss, one_hot
from tqdm.auto import trange

from invnb.encoders import Head
from invnb.errors import InvnbError
from invnb.predcaps import PredCaps
from invnb.training import Trained

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LOGGED = 50  # steps that a logged loss is the mean of


@dataclass(frozen=True)
class Course:
    """How to train.

    Attributes:
        steps: of the optimiser, Adam.
        batch_size: images a step.
        learning_rate: at the top of its one cycle.
        precision: of the products; weights stay float32.

    """

    steps: int = 2000
    batch_size: int = 128
    learning_rate: float = 1e-3
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InvnbError(
                f"unknown precision {self.precision!r}; there are {', '.join(PRECISIONS)}"
            )


def train_locally(encoder: PredCaps, images: Tensor, course: Course, *, seed: int) -> Trained:
    """Train all layers of predictive capsules at once, each on its own loss; labels have no part.

    Args:
        encoder: as initialised; trained in place, on the device of the images.
        images: `[N, S, S]`, 0..1.
        course: how long, how fast.
        seed: of the batches.

    """

    def loss(some: Tensor) -> Tensor:
        return torch.stack(encoder.losses(images[some])).sum()

    return _train(encoder, loss, len(images), course, seed, "layers")


def train_through(
    encoder: nn.Module,
    head: Head,
    images: Tensor,
    labels: Tensor | None,
    course: Course,
    *,
    seed: int,
) -> Trained:
    """Train encoder and head end to end, on reconstruction or, with labels, on classification.

    The state kept is that of both: `0.` before the encoder's names, `1.` before the head's.

    Args:
        encoder: maps `[B, S, S]` to codes `[B, E]`; trained in place.
        head: trained in place.
        images: `[N, S, S]`, 0..1.
        labels: `[N]`, or none.
        course: how long, how fast.
        seed: of the batches.

    """
    both = nn.Sequential(encoder, head)
    error = _error(images, labels)
    return _train(
        both, lambda some: error(both(images[some]), some), len(images), course, seed, "all"
    )


def train_supervised(
    network: nn.Module, images: Tensor, labels: Tensor, course: Course, *, seed: int
) -> Trained:
    """Train a network by its own `loss(images, labels)`, such as a capsule network.

    Args:
        network: trained in place.
        images: `[N, S, S]`, 0..1.
        labels: `[N]`.
        course: how long, how fast.
        seed: of the batches.

    """

    def loss(some: Tensor) -> Tensor:
        return network.loss(images[some], labels[some])

    return _train(network, loss, len(images), course, seed, "supervised")


def train_head(
    head: Head, codes: Tensor, images: Tensor, labels: Tensor | None, course: Course, *, seed: int
) -> Trained:
    """Train a head on the codes of a frozen encoder.

    Args:
        head: trained in place; its scale is set by the codes.
        codes: `[N, E]`.
        images: `[N, S, S]`, 0..1, what the codes are of.
        labels: `[N]` to classify, or none to reconstruct.
        course: how long, how fast.
        seed: of the batches.

    """
    head.fit_scale(codes)
    error = _error(images, labels)
    return _train(
        head, lambda some: error(head(codes[some]), some), len(images), course, seed, "head"
    )


def _error(images: Tensor, labels: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a head's outputs on images `some`: the post's two."""
    if labels is None:
        return lambda out, some: mse_loss(out.float().sigmoid(), images[some].flatten(1))
    return lambda out, some: binary_cross_entropy_with_logits(
        out.float(), one_hot(labels[some], out.shape[1]).float()
    )


def _train(
    network: nn.Module,
    loss: Callable[[Tensor], Tensor],
    n: int,
    course: Course,
    seed: int,
    label: str,
) -> Trained:
    start = perf_counter()
    network.train()
    device = next(network.parameters()).device
    optimizer = torch.optim.Adam(network.parameters(), course.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, course.learning_rate, max(course.steps, 1), cycle_momentum=False
    )
    generator = torch.Generator().manual_seed(seed)
    kind = PRECISIONS[course.precision]
    losses, recent = [], []
    for step in trange(course.steps, desc=label, leave=False):
        some = torch.randint(n, (course.batch_size,), generator=generator).to(device)
        with torch.autocast(device.type, kind, enabled=kind != torch.float32):
            error = loss(some)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        schedule.step()
        recent.append(error.detach())
        if len(recent) == LOGGED or step + 1 == course.steps:
            losses.append(torch.stack(recent).mean().item())
            recent = []
    state = {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}
    network.eval()
    return Trained(seed, state, 0, course.steps, perf_counter() - start, losses)


@torch.no_grad()
def codes_of(encoder: nn.Module, images: Tensor, batch_size: int = 500) -> Tensor:
    """Return the codes `[N, E]` of images `[N, S, S]`; the encoder is put in evaluation mode."""
    encoder.eval()
    return torch.cat([encoder(some) for some in images.split(batch_size)])


@torch.no_grad()
def reconstruction_error(
    head: Head, codes: Tensor, images: Tensor, batch_size: int = 2000
) -> Tensor:
    """Return each image's mean squared error `[N]`, for pixels in 0..1."""
    parts = zip(codes.split(batch_size), images.flatten(1).split(batch_size), strict=True)
    return torch.cat([(head(c).sigmoid() - x).square().mean(1) for c, x in parts])


@torch.no_grad()
def classified(head: Head, codes: Tensor, batch_size: int = 2000) -> Tensor:
    """Return the class of each code, `[N]`."""
    return torch.cat([head(some).argmax(1) for some in codes.split(batch_size)])
