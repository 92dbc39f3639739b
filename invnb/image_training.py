"""Training of classifiers of small colour images, as He et al. (2016) train on CIFAR-10.

Axes: N images, B of them in a batch, H x W pixels, K classes. Images stay bytes in memory; crops,
mirroring and normalisation happen batch by batch on the device. Draws depend on the seed alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from tqdm.auto import trange

from invnb.cifar_nets import normalise
from invnb.errors import InvnbError
from invnb.training import Trained

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ImageCourse:
    """How to train a classifier of images.

    Attributes:
        epochs: passes over the images, without those that do not fill a batch.
        batch_size: images a step; of fewer images than that, all are one batch.
        learning_rate: of stochastic gradient descent, at the top of one cycle (Smith and Topin,
            2019), which takes the source's schedule of steps through fewer epochs. 0.1 is for
            residual networks; one without batch norms wants less.
        momentum: Nesterov's.
        weight_decay: on all parameters.
        margin: black pixels around an image that it is cropped from at random, and mirrored.
        precision: of the products in forward and backward pass, one of `PRECISIONS`; weights
            stay float32.

    """

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    margin: int = 4
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InvnbError(
                f"unknown precision {self.precision!r}; there are {', '.join(PRECISIONS)}"
            )

    def batches(self, n: int) -> tuple[int, int]:
        """Return how many batches `n` images make, and of what size."""
        size = min(self.batch_size, n)
        return n // size, size

    def steps(self, n: int) -> int:
        """Return the number of optimiser steps for `n` training images."""
        return self.epochs * self.batches(n)[0]


def train(
    factory: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    course: ImageCourse,
    *,
    seed: int,
    label: str = "",
) -> Trained:
    """Train one network, whose last state is kept; the global random generators stay as they were.

    Args:
        factory: makes an untrained network, normalised images `[B, 3, H, W]` to logits `[B, K]`.
        images: `[N, 3, H, W]`, uint8, on the device to train on.
        labels: `[N]`, on the same device.
        course: epochs, batch size, learning rate.
        seed: of weights, dropout, order, crops and mirroring.
        label: shown at the progress bar.

    Raises:
        InvnbError: images that are not uint8 pictures with three channels, or not one a label.

    """
    check_images(images, labels)
    start = perf_counter()
    count, size = course.batches(len(images))
    kind = PRECISIONS[course.precision]
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # also for dropout
        network = factory().to(images.device, memory_format=torch.channels_last).train()
        optimizer = torch.optim.SGD(
            network.parameters(),
            course.learning_rate,
            course.momentum,
            weight_decay=course.weight_decay,
            nesterov=course.momentum > 0,
            fused=True,
        )
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, course.learning_rate, max(course.steps(len(images)), 1), cycle_momentum=False
        )
        generator = torch.Generator().manual_seed(seed)
        for _ in trange(course.epochs, desc=label, leave=False):
            order = torch.randperm(len(images), generator=generator)[: count * size]
            moves = draw_moves(len(order), course.margin, generator)
            draws = torch.cat((order.unsqueeze(1), moves), 1).to(images.device)  # (N, 4)
            total = torch.zeros((), device=images.device)
            for which, *move in (part.unbind(1) for part in draws.split(size)):
                batch = moved(images[which], torch.stack(move, 1), course.margin)
                batch = normalise(batch).contiguous(memory_format=torch.channels_last)
                with torch.autocast(images.device.type, kind, enabled=kind != torch.float32):
                    logits = network(batch)
                loss = cross_entropy(logits.float(), labels[which])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                cycle.step()
                total += loss.detach()
            losses.append((total / count).item())
    state = {n: t.detach().cpu().contiguous().clone() for n, t in network.state_dict().items()}
    done = course.steps(len(images))
    return Trained(seed, state, course.epochs, done, perf_counter() - start, losses)


def draw_moves(n: int, margin: int, generator: torch.Generator) -> Tensor:
    """Return how `n` images move, `[n, 3]`: rows and columns in 0 to 2 margin, and 1 to mirror."""
    shift = torch.randint(2 * margin + 1, (n, 2), generator=generator)
    return torch.cat((shift, torch.randint(2, (n, 1), generator=generator)), 1)


def moved(images: Tensor, moves: Tensor, margin: int) -> Tensor:
    """Return crops of the images within a black margin, some mirrored left to right.

    Args:
        images: `[B, C, H, W]`.
        moves: `[B, 3]`: first row and column of the crop in the image with its margin
            (`margin` leaves it in place), and 1 where it is mirrored.
        margin: pixels.

    Returns:
        `[B, C, H, W]`.

    """
    h, w = images.shape[-2:]
    crops = pad(images, (margin,) * 4).unfold(2, h, 1).unfold(3, w, 1)  # a view, (B, C, y, x, H, W)
    y, x, mirror = moves.unbind(1)
    cropped = crops[torch.arange(len(images), device=images.device), :, y, x]  # (B, C, H, W)
    return torch.where(mirror.reshape(-1, 1, 1, 1) == 1, cropped.flip(-1), cropped)


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, chunk: int = 500) -> Tensor:
    """Return the class that a network gives each image, `[N]`.

    Args:
        network: normalised images `[B, 3, H, W]` to logits `[B, K]`, in evaluation mode.
        images: `[N, 3, H, W]`, uint8 in 0 to 255 or floating point in 0 to 1.
        chunk: images at a time.

    """
    return torch.cat([network(normalise(part)).argmax(1) for part in images.split(chunk)])


def check_images(images: Tensor, labels: Tensor) -> None:
    """See that images are `[N, 3, H, W]`, uint8, at least one, and labels `[N]`.

    Raises:
        InvnbError: they are not.

    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise InvnbError(
            "images must be uint8 [N, 3, H, W] with N of 1 or more, got "
            f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        )
    if labels.shape != images.shape[:1]:
        raise InvnbError(f"labels must be [{len(images)}], one an image, got {list(labels.shape)}")
