"""Training of the Invariant Transformer Net against a frozen classifier (section III.D).

Axes: N images, B of them in a batch, K classes. Draws depend on the seed alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import trange

from invnb.cifar_nets import normalise
from invnb.errors import InvnbError
from invnb.image_training import PRECISIONS, check_images, predict
from invnb.itn import (
    LOSS_ON,
    InvariantTransformerNet,
    displacement,
    inverse,
    magnitude,
    one_of,
    unit_vectors,
)

MOMENTS = ("apart", "shared")


@dataclass(frozen=True)
class ITNCourse:
    """How to train the net. The source gives none of these numbers; all are chosen here.

    Attributes:
        steps: batches.
        batch_size: images a batch, drawn with replacement; each meets control values of its own.
        learning_rate: of Adam, one for both controllers and both losses.
        moments: `apart`, each loss has running moments of its own in Adam, so that a step of
            either is about as long; or `shared`, where the rare large gradients of the
            transformers can drown the classifier's, so that accuracy falls all the same. A
            weighted sum has one loss and one set of moments.
        c_theta: the source's weight of the colour transformer's loss.
        vectors: random unit vectors a step and matrix.
        level: the source's acc_orig, fraction: batch accuracy below which a step lowers the
            classifier's loss instead. None takes the accuracy on the untransformed images.
        weight: of the transformers' loss in a sum with the classifier's, for every step; None
            switches by accuracy, as the source does after sums proved difficult.
        loss_on: `sampler`, the matrix that the controller gives, as in the source: it maps the
            result to the image, so that the loss has no bound towards shrinking the image; or
            `image`, its inverse, which is what the image undergoes. Colour is the same in both.
        precision: of the classifier's products, one of `invnb.image_training.PRECISIONS`.

    """

    steps: int = 2000
    batch_size: int = 100
    learning_rate: float = 1e-4
    moments: str = "apart"
    c_theta: float = 10.0
    vectors: int = 64
    level: float | None = None
    weight: float | None = None
    loss_on: str = "sampler"
    precision: str = "float32"

    def __post_init__(self) -> None:
        one_of("loss_on", self.loss_on, LOSS_ON)
        one_of("moments", self.moments, MOMENTS)
        one_of("precision", self.precision, tuple(PRECISIONS))
        for name in ("steps", "batch_size", "vectors"):
            if getattr(self, name) < 1:
                raise InvnbError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.weight is not None and self.weight <= 0:
            raise InvnbError(f"weight must be above 0, or None to switch, got {self.weight:g}")
        if self.level is not None and not 0 <= self.level <= 1:
            raise InvnbError(f"level is a fraction, 0 to 1, got {self.level:g}")


@dataclass(frozen=True)
class Record:
    """What happened at each step, before its update: one tensor `[steps]` each, on the CPU.

    Attributes:
        cnn_loss: the classifier's cross entropy on the transformed batch.
        transformer_loss: c_theta times colour's loss plus space's, weighted by control values.
        accuracy: of the classifier on the transformed batch, fraction.
        took_cnn: 1 where the step lowered the classifier's loss, 0 where only the transformers';
            in a weighted sum always 1.
        colour: |A - I| of the colour matrices, mean over the batch.
        space: |A - I| of the matrices that the loss is on, mean over the batch.

    """

    cnn_loss: Tensor
    transformer_loss: Tensor
    accuracy: Tensor
    took_cnn: Tensor
    colour: Tensor
    space: Tensor


@dataclass(frozen=True)
class Learned:
    """A trained net and how it came about.

    Attributes:
        state: state dict of the `InvariantTransformerNet` after the last step, on the CPU.
        record: what happened at each step.
        level: accuracy that the switch aimed at, or would have.
        seconds: wall-clock time.

    """

    state: dict[str, Tensor]
    record: Record
    level: float
    seconds: float

    def tensors(self) -> dict[str, Tensor]:
        """Return everything as named tensors, for `invnb.cache.measure_or_load`."""
        record = {f"record.{f.name}": getattr(self.record, f.name) for f in fields(Record)}
        numbers = torch.tensor([self.level, self.seconds], dtype=torch.float64)
        return {f"state.{k}": v for k, v in self.state.items()} | record | {"numbers": numbers}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Learned":
        """Return what `tensors` was made from."""
        state, record = (
            {k.removeprefix(head): v for k, v in tensors.items() if k.startswith(head)}
            for head in ("state.", "record.")
        )
        return cls(state, Record(**record), *tensors["numbers"].tolist())


def learn(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    course: ITNCourse,
    *,
    seed: int,
    make: Callable[[], InvariantTransformerNet] = InvariantTransformerNet,
    label: str = "",
) -> Learned:
    """Train a net against a classifier, which stays as it is; so do the global generators.

    At the identity, where the net starts, the transformers' loss has no gradient. The first step
    away comes from the classifier's loss, and so does its direction; where no batch ever falls
    below the level, the net stays the identity.

    Args:
        classifier: normalised images `[B, 3, H, W]` to logits `[B, K]`.
        images: `[N, 3, H, W]`, uint8, on the device of the classifier.
        labels: `[N]`, true classes, on the same device.
        course: how to train.
        seed: of the controllers' hidden weights, batches, control values and unit vectors.
        make: makes the untrained net.
        label: shown at the progress bar.

    Raises:
        InvnbError: images of another kind, a loss that is no number any more, or a classifier
            that changed.

    """
    check_images(images, labels)
    start = perf_counter()
    with torch.random.fork_rng(), frozen(classifier):
        torch.manual_seed(seed)
        net = make().to(images.device).train()
        level = course.level
        if level is None:
            level = (predict(classifier, images) == labels).double().mean().item()
        of_cnn, of_transformers = _optimizers(net, course)
        generator = torch.Generator().manual_seed(seed)
        rows = []
        for _ in trange(course.steps, desc=label, leave=False):
            draws = [d.to(images.device) for d in _draw(len(images), course, generator)]
            cnn, transformers, *others = _look(net, classifier, images, labels, draws, course)
            accuracy = others[0]
            if course.weight is not None:
                took_cnn, loss = True, cnn + course.weight * transformers
            else:
                took_cnn = accuracy.item() < level
                loss = cnn if took_cnn else transformers
            optimizer = of_cnn if took_cnn else of_transformers
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            row = (cnn, transformers, accuracy, torch.full_like(cnn, took_cnn), *others[1:])
            rows.append(torch.stack(row).detach())
    record = Record(*torch.stack(rows).cpu().unbind(1))
    _check_finite(record, course)
    state = {name: t.detach().cpu().clone() for name, t in net.state_dict().items()}
    return Learned(state, record, level, perf_counter() - start)


def weighted(matrix: Tensor, control: Tensor, vectors: Tensor) -> Tensor:
    """Return the source's loss with control values: their sum times the displacement, batch mean.

    Args:
        matrix: `[B, n, n + 1]`.
        control: `[B, 2]`, 0 to 1.
        vectors: `[S, n + 1]`, random unit vectors.

    """
    return (control.sum(1) * displacement(matrix, vectors)).mean()


@contextmanager
def frozen(classifier: nn.Module) -> Iterator[nn.Module]:
    """Put a classifier into evaluation mode without gradients, and back afterwards.

    Raises:
        InvnbError: its parameters or buffers changed meanwhile.

    """
    training = {m: m.training for m in classifier.modules()}
    learning = {p: p.requires_grad for p in classifier.parameters()}
    before = {name: t.clone() for name, t in classifier.state_dict().items()}
    classifier.eval().requires_grad_(False)
    try:
        yield classifier
    finally:
        for module, was in training.items():
            module.training = was
        for parameter, was in learning.items():
            parameter.requires_grad_(was)
    changed = [k for k, t in classifier.state_dict().items() if not torch.equal(t, before[k])]
    if changed:
        raise InvnbError(f"the classifier must stay as it is, but changed at {changed[0]!r}")


def _optimizers(
    net: nn.Module, course: ITNCourse
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Return what takes a step by the classifier's loss, and by the transformers'."""
    one = torch.optim.Adam(net.parameters(), course.learning_rate, fused=True)
    if course.moments == "shared":
        return one, one
    return one, torch.optim.Adam(net.parameters(), course.learning_rate, fused=True)


def _draw(n: int, course: ITNCourse, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return the images of a batch `[B]`, k1, k2 `[B, 2]`, unit vectors `[S, 4]` and `[S, 3]`."""
    some = torch.randint(n, (course.batch_size,), generator=generator)
    k1, k2 = torch.rand(2, course.batch_size, 2, generator=generator)
    return some, k1, k2, *(unit_vectors(course.vectors, d, generator) for d in (4, 3))


def _look(
    net: InvariantTransformerNet,
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    draws: Sequence[Tensor],
    course: ITNCourse,
) -> tuple[Tensor, ...]:
    """Return both losses, accuracy, and how far colour and space are from the identity."""
    some, k1, k2, of_colour, of_space = draws
    colour, sampler = net.matrices(k1, k2)
    changed = normalise(net.transformed(images[some] / 255, colour, sampler))
    kind = PRECISIONS[course.precision]
    with torch.autocast(images.device.type, kind, enabled=kind != torch.float32):
        logits = classifier(changed.contiguous(memory_format=torch.channels_last))
    space = sampler if course.loss_on == "sampler" else inverse(sampler)
    k_colour, k_space = net.by_part(k1, k2)
    transformers = course.c_theta * weighted(colour, k_colour, of_colour)
    return (
        cross_entropy(logits.float(), labels[some]),
        transformers + weighted(space, k_space, of_space),
        (logits.argmax(1) == labels[some]).double().mean(),
        magnitude(colour).mean(),
        magnitude(space).mean(),
    )


def _check_finite(record: Record, course: ITNCourse) -> None:
    bad = ~(record.cnn_loss + record.transformer_loss).isfinite()
    if bad.any():
        raise InvnbError(
            f"training diverged: from step {int(bad.long().argmax()) + 1} on losses are not "
            f"finite; a learning_rate below {course.learning_rate:g} may help"
        )
