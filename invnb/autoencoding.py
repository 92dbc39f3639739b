"""Training of the autoencoders of `invnb.autoencoders` to redraw digits rotated or shifted.

The input is the upright image, the target the transformed one, and the decoder is told the
transformation. Some digits are restricted: they are never seen beyond a smaller range of it.
Settings are those of the source named in `invnb.autoencoders`, unless said otherwise.

Axes: B images, N images of a split, H x W pixels in [-1, 1], S x S pixels of the canvas, Z numbers
of a code, P numbers that tell a transformation. A transformation is an angle in degrees,
counter-clockwise, `[B]`, or a shift in pixels to the right and down, `[B, 2]`.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from tqdm.auto import trange

from invnb import cache
from invnb.autoencoders import Autoencoder, Critic, Rotation, Shift, quarter, sample_prior
from invnb.coordinate_capsules import CapsuleDecoder
from invnb.errors import InvnbError
from invnb.provenance import code_hash
from invnb.training import Trained
from invnb.transforming import Split

BLOCK = 100  # steps; `Trained.losses` has the mean loss of each such block
CRITIC_STEPS = 5  # for each of the reconstruction
PENALTY = 10.0  # weight of the critic's gradient penalty
TRAINING_CODE = (
    "invnb.autoencoders",
    "invnb.autoencoding",
    "invnb.coordinate_capsules",
    "invnb.rotation",
)
DECODERS = ("dense", "capsules")


@dataclass(frozen=True)
class Design:
    """An architecture.

    Attributes:
        z: numbers of a code.
        decoder: "dense", of the source's baselines, or "capsules", of its model 72.
        maps: feature maps of the dense decoder: 256, or 128 in the source's adversarial model 19.

    """

    z: int = 10
    decoder: str = "dense"
    maps: int = 256

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise InvnbError(f"decoder {self.decoder!r} is not allowed: {', '.join(DECODERS)} are")

    def network(self, task: Rotation | Shift) -> Autoencoder:
        """Return an untrained network for a task."""
        inputs, size = self.z + task.parameters, quarter(task.canvas)
        capsules = CapsuleDecoder(inputs, size) if self.decoder == "capsules" else None
        return Autoencoder(self.z, self.maps, task.canvas, task.parameters, decoder=capsules)


@dataclass(frozen=True)
class Schedule:
    """How to train; the defaults are the source's, anything else is a shortening or a variant.

    Attributes:
        steps: of the reconstruction.
        batch_size: images a step, drawn with replacement.
        learning_rate: of RMSProp, in each of its uses.
        decay: share of the steps, at the end, over which the learning rate falls linearly to 0.
            The source's is 0; a short training needs it, as 1e-3 leaves much noise.
        adversarial: also pull the codes to the prior U(-1, 1), as the source's model 19 does.
        bfloat16: multiply in bfloat16, which halves the time where the processor has it.

    """

    steps: int = 100_000
    batch_size: int = 128
    learning_rate: float = 1e-3
    decay: float = 0.0
    adversarial: bool = False
    bfloat16: bool = False

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1:
            raise InvnbError(f"{self.steps} steps of {self.batch_size} images are not allowed")
        if not 0 <= self.decay <= 1:
            raise InvnbError(f"decay {self.decay} is not allowed: a share of the steps, 0 to 1, is")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, the first being 0."""
        left = self.steps - step  # steps, this one included
        return self.learning_rate * min(1.0, left / (self.decay * self.steps or 1))


def networks(
    task: Rotation | Shift,
    design: Design,
    data: Split,
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    label: str = "",
    folder: Path | None = None,
) -> list[Trained]:
    """Train one network per seed, or load those that were trained before with equal settings.

    The arguments are those of `train`, and the `folder` of `invnb.cache.train_or_load`.
    """
    contents = sha256(data.images.cpu().contiguous().numpy())
    contents.update(data.labels.cpu().contiguous().numpy())
    key = {
        "task": [type(task).__name__, asdict(task)],
        "design": asdict(design),
        "data": contents.hexdigest(),
        "schedule": asdict(schedule),
        "code": code_hash(*TRAINING_CODE),
        "platform": [torch.__version__, data.images.device.type],
    }
    return cache.train_or_load(
        key,
        seeds,
        lambda missing: train(task, design, data, schedule, seeds=missing, label=label),
        together=1,
        folder=folder,
    )


def load(
    trained: Trained, task: Rotation | Shift, design: Design, device: torch.device | str = "cpu"
) -> Autoencoder:
    """Return a trained network, in evaluation mode, on a device."""
    network = design.network(task)
    network.load_state_dict(trained.state)
    return network.to(device).eval().requires_grad_(False)


def train(
    task: Rotation | Shift,
    design: Design,
    data: Split,
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    label: str = "",
) -> list[Trained]:
    """Train one network per seed. Each depends on its seed alone, not on the other seeds.

    Args:
        task: what to redraw, and how far each digit is seen transformed.
        design: the architecture.
        data: upright images `[N, 28, 28]`, pixels in [-1, 1], on the device to train on; their
            labels are the digits.
        schedule: steps, batch size, learning rate; whether adversarial.
        seeds: one network each.
        label: shown at the progress bar.

    Returns:
        One `Trained` per seed, in their order: the last weights, and as `losses` the mean squared
        error of each `BLOCK` steps. `epoch` counts these blocks; there is no validation.

    Raises:
        InvnbError: images of another size, or none of the digits that take part.

    """
    if data.images.shape[1:] != (28, 28):
        size = tuple(data.images.shape[1:])
        raise InvnbError(f"images of {size} pixels are not allowed: (28, 28) are")
    return [_train_one(task, design, data, schedule, seed, label) for seed in seeds]


def _train_one(
    task: Rotation | Shift, design: Design, data: Split, schedule: Schedule, seed: int, label: str
) -> Trained:
    start = perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, critic = design.network(task), Critic(design.z)
    # The faster layout for convolutions in bfloat16.
    network.to(data.images.device, memory_format=torch.channels_last)
    batches = _Batches(task, data, schedule, seed)
    reconstruction = RMSProp(network.parameters())
    adversary = _Adversary(network, critic, batches) if schedule.adversarial else None
    losses = []
    for step in trange(schedule.steps, desc=label, leave=False):
        rate = schedule.rate(step)
        images, targets, told = batches.draw()
        with batches.precision():
            drawn = network(images, told)
        loss = mse_loss(drawn.to(targets.dtype), targets)
        reconstruction.minimize(loss, rate)
        if adversary:
            adversary.steps(rate)
        losses.append(loss.detach())
    state = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    blocks = [block.mean().item() for block in torch.stack(losses).split(BLOCK)] if losses else []
    return Trained(seed, state, len(blocks), schedule.steps, perf_counter() - start, blocks)


class RMSProp:
    """TensorFlow 1's RMSProp, with its decay of 0.9, no momentum, and epsilon of 1e-10.

    PyTorch's adds epsilon to the root and not under it; and its mean square starts at 0, not 1,
    so that its first steps are the largest and not the smallest.
    """

    DECAY, EPSILON = 0.9, 1e-10
    AT_ONCE = 2**18  # numbers; more at a time leave the processor's cache

    def __init__(self, parameters: Iterable[Tensor]):
        self.parameters = list(parameters)
        self.squares = [torch.ones_like(p) for p in self.parameters]

    def minimize(self, loss: Tensor, learning_rate: float) -> None:
        """Do one step down the gradient of a loss."""
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            for tensors in zip(self.parameters, gradients, self.squares, strict=True):
                rows = max(1, self.AT_ONCE // tensors[0][0].numel())
                for p, gradient, square in zip(*(t.split(rows) for t in tensors), strict=True):
                    square.mul_(self.DECAY).addcmul_(gradient, gradient, value=1 - self.DECAY)
                    p.addcmul_(gradient, (square + self.EPSILON).rsqrt(), value=-learning_rate)


class _Batches:
    """Random batches of one network, drawn on the CPU from one generator."""

    def __init__(self, task: Rotation | Shift, data: Split, schedule: Schedule, seed: int):
        self.task, self.schedule = task, schedule
        self.generator = torch.Generator().manual_seed(seed)
        self.images, self.labels = data.images, data.labels.cpu()
        self.pool = task.taking_part(self.labels).nonzero().squeeze(1)
        if not len(self.pool):
            raise InvnbError(f"no image is left without the digits {task.absent}")

    def precision(self) -> AbstractContextManager:
        """Return the context to compute in."""
        device = self.images.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.schedule.bfloat16)

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return upright images, transformed ones and what is told of the transformations."""
        which = self._which()
        t = self.task.draw(self.labels[which], self.generator).to(self.images.device)
        images = self.images[which.to(self.images.device)]
        return images, self.task.transform(images, t), self.task.tell(t)

    def upright(self) -> Tensor:
        """Return upright images `[B, 28, 28]`."""
        return self.images[self._which().to(self.images.device)]

    def uniform(self, z: int) -> tuple[Tensor, Tensor]:
        """Return codes of the prior `[B, Z]`, and shares `[B, 1]` in [0, 1)."""
        n = self.schedule.batch_size
        codes = sample_prior(n, z, self.generator)
        return codes.to(self.images), torch.rand(n, 1, generator=self.generator).to(self.images)

    def _which(self) -> Tensor:
        n = self.schedule.batch_size
        return self.pool[torch.randint(len(self.pool), (n,), generator=self.generator)]


class _Adversary:
    """Pulls the codes of upright images to the prior: WGAN with gradient penalty."""

    def __init__(self, network: Autoencoder, critic: Critic, batches: _Batches):
        self.network, self.batches = network, batches
        self.critic = critic.to(batches.images.device)
        self.of_critic = RMSProp(critic.parameters())
        self.of_encoder = RMSProp(network.encoder.parameters())

    def steps(self, rate: float) -> None:
        """Train the critic on fresh batches, then the encoder on the last of them."""
        for _ in range(CRITIC_STEPS):
            images = self.batches.upright()
            with torch.no_grad():
                fake = self._codes(images)
            real, share = self.batches.uniform(fake.shape[1])
            gain = self.critic(fake).mean() - self.critic(real).mean()
            penalty = self.critic.gradient_penalty(real, fake, share)
            self.of_critic.minimize(gain + PENALTY * penalty, rate)
        self.of_encoder.minimize(-self.critic(self._codes(images)).mean(), rate)

    def _codes(self, images: Tensor) -> Tensor:
        with self.batches.precision():
            return self.network.encode(images).to(images.dtype)
