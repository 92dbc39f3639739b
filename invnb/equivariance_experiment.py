"""The perturbation chapter's encoders and heads, trained through the cache, and perturbed."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from invnb import loading
from invnb.cache import measure_or_load, tensors_hash, train_or_load
from invnb.capsules import CapsNet
from invnb.encoders import Head, classifier, reconstructor
from invnb.encoding import (
    Course,
    classified,
    codes_of,
    reconstruction_error,
    train_head,
    train_locally,
    train_supervised,
    train_through,
)
from invnb.errors import InvnbError
from invnb.judging import Jury, train_judge
from invnb.perturbation import AT_ONCE, Decoder, Response, respond, spreads
from invnb.perturbed_encoders import Kind, seeded
from invnb.provenance import code_hash
from invnb.training import Trained

TRAINING_CODE = (
    "invnb.encoders",
    "invnb.encoding",
    "invnb.perturbed_encoders",
    "invnb.predcaps",
    "invnb.sparse_caps",
)
JUDGING_CODE = ("invnb.judging", "invnb.moments", "invnb.perturbation")


@dataclass(frozen=True)
class Digits:
    """Images `[N, S, S]`, 0..1, and labels `[N]`, 0..9, on the device to compute on."""

    images: Tensor
    labels: Tensor

    def drawn(self, n: int, seed: int) -> "Digits":
        """Return `n` of them, or all there are, drawn by `seed` without replacement."""
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(seed))
        some = order[:n].to(self.images.device)
        return Digits(self.images[some], self.labels[some])


@dataclass(frozen=True)
class Coder:
    """A trained encoder with one of its heads, both frozen.

    Attributes:
        encoder: maps `[B, S, S]` to codes `[B, E]`.
        head: reconstructs or classifies.
        trained: histories of the encoder (none where it was not trained by itself) and of the head.

    """

    encoder: nn.Module
    head: Head
    trained: tuple[Trained, ...]

    def codes(self, images: Tensor) -> Tensor:
        """Return the codes of images `[N, S, S]`, `[N, E]`."""
        return codes_of(self.encoder, images)

    def error(self, digits: Digits) -> float:
        """Return the mean squared error of reconstructed digits, for pixels in 0..1."""
        return (
            reconstruction_error(self.head, self.codes(digits.images), digits.images).mean().item()
        )

    def accuracy(self, digits: Digits) -> float:
        """Return the share of digits that are classified right."""
        right = classified(self.head, self.codes(digits.images)) == digits.labels
        return right.float().mean().item()


@dataclass(frozen=True)
class Experiment:
    """Digits and courses that encoders share. Everything is trained once, and measured once.

    Attributes:
        training: to train on.
        checksum: of the data set that they were cut from.
        local: course of encoders that learn layer by layer.
        through: course of encoders that learn with their head.
        dense: course of heads on frozen codes.

    """

    training: Digits
    checksum: str
    local: Course
    through: Course
    dense: Course
    _latest: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def check(self, kind: Kind) -> None:
        """Make an encoder and see that it fits the digits, before any training.

        Raises:
            InvnbError: it cannot be made, or does not map `[B, S, S]` to `[B, E]`.

        """
        images = self.training.images[:2]
        encoder = kind.made(0, self._size).to(images).eval()
        try:
            found = tuple(encoder(images).shape)
        except Exception as error:  # whatever a reader's own code raises
            raise InvnbError(f"{kind.own} fails on images {list(images.shape)}: {error}") from error
        if len(found) != 2 or found[0] != 2:
            raise InvnbError(f"{kind.own} gives {found} for 2 images, not codes (2, E)")

    def coder(self, kind: Kind, seed: int, *, classify: bool = False) -> Coder:
        """Return an encoder with its reconstruction head, or the one that classifies."""
        if kind.training == "through":
            return self._through(kind, seed, classify)
        encoder, alone = self.encoder(kind, seed)
        labels = self.training.labels if classify else None

        def learn() -> Trained:
            codes = self._codes(kind, encoder)
            head = seeded(lambda: self._head(codes.shape[1], classify), seed)
            head.to(codes.device)
            return train_head(head, codes, self.training.images, labels, self.dense, seed=seed)

        about = {"head": asdict(self.dense), "classify": classify, "encoder": _digest(encoder)}
        (trained,) = self._load_or(about, kind, seed, learn)
        head = self._head(trained.state["first.weight"].shape[1], classify)
        head.load_state_dict(trained.state)
        return Coder(encoder, self._frozen(head), (*alone, trained))

    def encoder(self, kind: Kind, seed: int) -> tuple[nn.Module, tuple[Trained, ...]]:
        """Return an encoder that learned without a head, frozen, and its history if it learned."""
        encoder = kind.made(seed, self._size).to(self.training.images.device)
        if kind.training == "fitted":
            encoder.fit(self.training.images)
        if kind.training != "local":
            return self._frozen(encoder), ()

        def learn() -> Trained:
            return train_locally(encoder, self.training.images, self.local, seed=seed)

        (trained,) = self._load_or({"local": asdict(self.local)}, kind, seed, learn)
        encoder.load_state_dict(trained.state)
        return self._frozen(encoder), (trained,)

    def supervised(self, course: Course, seed: int) -> nn.Module:
        """Return a capsule network that learned to classify by its margin loss, frozen.

        Args:
            course: how it learns.
            seed: of weights and batches.

        """
        network = seeded(lambda: CapsNet(10, self._size), seed).to(self.training.images.device)

        def learn() -> Trained:
            return train_supervised(
                network, self.training.images, self.training.labels, course, seed=seed
            )

        about = {"course": asdict(course), "network": code_hash("invnb.capsules")}
        (trained,) = self._load_or(about, Kind("supervised"), seed, learn)
        network.load_state_dict(trained.state)
        return self._frozen(network)

    def respond(self, kind: Kind, seed: int, digits: Digits, jury: Jury) -> Response:
        """Perturb the codes of some digits, or load what became of them."""
        coder = self.coder(kind, seed)

        def measure() -> dict[str, Tensor]:
            spread = self.units(kind, seed)["spread"].to(digits.images)
            found = respond(Decoder(coder.head), coder.codes(digits.images), spread, jury)
            return {f.name: getattr(found, f.name) for f in fields(found)}

        key = {
            "coder": [_digest(coder.encoder), _digest(coder.head)],
            "jury": _digest(jury),
            "images": [tensors_hash(digits.images), self._digest],
            "code": code_hash(*JUDGING_CODE, "invnb.encoders"),
            "platform": self._platform,
        }
        return Response(**measure_or_load(key, measure))

    def units(self, kind: Kind, seed: int) -> dict[str, Tensor]:
        """Return what each number of a code varies by over the training digits, on the CPU.

        Returns:
            `spread` `[E]`, from `invnb.perturbation.spreads`, the unit of perturbations, and
            `deviation` `[E]`, the standard deviation with its zeros included.

        """
        encoder = self.coder(kind, seed).encoder

        def measure() -> dict[str, Tensor]:
            codes = self._codes(kind, encoder)
            return {"spread": spreads(codes), "deviation": codes.std(0)}

        key = {
            "kind": asdict(kind),
            "own_code": loading.source(kind.own) if kind.own else None,
            "encoder": _digest(encoder),
            "digits": self._digest,
            "code": code_hash(*TRAINING_CODE, "invnb.perturbation"),
            "platform": self._platform,
        }
        return measure_or_load(key, measure)

    def _codes(self, kind: Kind, encoder: nn.Module) -> Tensor:
        """Return the codes of all training digits; those of the latest encoder are kept.

        Two heads and the units of perturbation ask for them one after the other, and they take
        longer than a head learns.
        """
        key = f"{kind}{_digest(encoder)}"
        if key not in self._latest:
            self._latest.clear()
            self._latest[key] = codes_of(encoder, self.training.images, AT_ONCE)
        return self._latest[key]

    def _through(self, kind: Kind, seed: int, classify: bool) -> Coder:
        encoder = kind.made(seed, self._size).to(self.training.images.device)
        head = seeded(lambda: self._head(kind.outputs, classify), seed)
        head.to(self.training.images.device)
        labels = self.training.labels if classify else None

        def learn() -> Trained:
            images = self.training.images
            return train_through(encoder, head, images, labels, self.through, seed=seed)

        about = {"through": asdict(self.through), "classify": classify}
        (trained,) = self._load_or(about, kind, seed, learn)
        nn.Sequential(encoder, head).load_state_dict(trained.state)
        return Coder(self._frozen(encoder), self._frozen(head), (trained,))

    def _load_or(
        self, about: dict[str, Any], kind: Kind, seed: int, learn: Callable[[], Trained]
    ) -> list[Trained]:
        key = about | {
            "kind": asdict(kind),
            "own_code": loading.source(kind.own) if kind.own else None,
            "digits": [self.checksum, self._digest],
            "code": self._code,
            "platform": self._platform,
        }
        return train_or_load(key, [seed], lambda seeds: [learn()])

    def _head(self, code: int, classify: bool) -> Head:
        return classifier(code) if classify else reconstructor(code, self._size)

    def _frozen(self, network: nn.Module) -> nn.Module:
        return network.to(self.training.images.device).eval().requires_grad_(False)

    @cached_property
    def _digest(self) -> str:
        return tensors_hash(self.training.images)

    @cached_property
    def _code(self) -> str:
        return code_hash(*TRAINING_CODE)

    @property
    def _size(self) -> int:
        return self.training.images.shape[-1]

    @property
    def _platform(self) -> list[str]:
        return [torch.__version__, self.training.images.device.type]


def jury(training: Digits, checksum: str, seeds: Sequence[int], steps: int) -> Jury:
    """Return judges that learned from digits, one a seed, trained now or before.

    Args:
        training: 28 x 28 pixels.
        checksum: of the data set that they were cut from.
        seeds: of the judges.
        steps: of each one's training.

    """
    key = {
        "judge": steps,
        "digits": [checksum, tensors_hash(training.images)],
        "code": code_hash("invnb.judging"),
        "platform": [torch.__version__, training.images.device.type],
    }

    def train(missing: list[int]) -> list[Trained]:
        return [train_judge(training.images, training.labels, seed=s, steps=steps) for s in missing]

    return Jury(train_or_load(key, seeds, train, together=1)).to(training.images.device)


def _digest(network: nn.Module) -> str:
    """Return a hash of a network's weights and buffers."""
    return tensors_hash(*network.state_dict().values())
