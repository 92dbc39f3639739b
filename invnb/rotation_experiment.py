"""The classifiers of the rotation chapter: made by name, trained through the cache, compared."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from invnb import circle, loading
from invnb.cache import measure_or_load, tensors_hash, train_or_load
from invnb.capsules import CapsNet
from invnb.circle import Seen
from invnb.classifying import Course, train
from invnb.convnets import TRUNKS, ConvNet
from invnb.em_routing import EMCapsNet
from invnb.errors import InvnbError
from invnb.oracles import SpatialTransformer, TurnPooled
from invnb.provenance import code_hash
from invnb.training import Trained
from invnb.turning import Digits

EM_FORMS = {"EM_source": "source", "EM_published": "published"}
WITH_DECODER = ("CapsNet", *EM_FORMS)  # and with losses of their own
ORACLES = {"C4": 4, "C8": 8, "C16": 16}  # networks pooled over so many turns
TURN_AWARE = (*ORACLES, "STN")  # that know of rotation, or can act on it
KNOWN = (*TRUNKS, "CapsNet", *EM_FORMS, *TURN_AWARE)
SHARED_CODE = ("invnb.turning", "invnb.rotation", "invnb.classifying")


def check_names(
    models: Sequence[str], others: Sequence[str], proper: Sequence[str]
) -> dict[str, str]:
    """Return what measurements call each network of a run.

    Args:
        models: of `KNOWN`, or import paths.
        others: further ones.
        proper: those that are also trained with one softmax.

    Raises:
        InvnbError: an unknown network, two that measurements would call alike, or one in `proper`
            whose loss is its own, or that comes trained.

    """
    names: dict[str, str] = {}
    for model in dict.fromkeys((*models, *others, *proper)):
        if model not in KNOWN and ":" not in model:
            raise InvnbError(f"unknown network {model!r}; there are {', '.join(KNOWN)}")
        short = loading.short_name(model) if ":" in model else model
        if ":" in model and (short in KNOWN or short in names.values()):
            raise InvnbError(
                f"{model!r} would be called {short!r}, as another network is; rename it"
            )
        names[model] = short
    for model in proper:
        if model in WITH_DECODER or "@" in model:
            raise InvnbError(f"{model!r} in proper is not trained with the loss that this replaces")
    return names


def source_course(model: str) -> Course:
    """Return how the source trains a network; its convolutional ones all alike."""
    if model == "CapsNet":  # the learning rate falls after every epoch
        steps = 481
        return Course(200, batch_size=100, learning_rate=1e-3, beta1=0.9, decay_steps=steps)
    if model in EM_FORMS:  # whose epochs have the steps of all ten digits
        steps = 1200
        return Course(100, 50, learning_rate=1e-3, beta1=0.9, decay=1.0, epoch_steps=steps)
    return Course()


def short_course(model: str, epochs: int, learning_rate: float) -> Course:
    """Return a shorter course than the source's: the learning rate rises and falls once.

    Momentum and batches are the source's. An epoch has the steps of the images that there are, so
    that a run on few of them is short for every network.

    Args:
        model: to be trained.
        epochs: of the course.
        learning_rate: at the top.

    """
    full = source_course(model)
    return Course(epochs, full.batch_size, learning_rate, full.beta1, one_cycle=True)


@dataclass(frozen=True)
class Classifiers:
    """Digits that networks share. A network is trained once, and looked at once.

    Attributes:
        training: digits to train on, on the device to work on.
        test: digits to look at, on the same device.
        checksum: of the data set that both were cut from.

    """

    training: Digits
    test: Digits
    checksum: str

    def factory(self, model: str) -> Callable[[], nn.Module]:
        """Return what makes an untrained network (or the one with its checkpoint).

        Args:
            model: one of `KNOWN`, or an import path `package.module:factory[@checkpoint]`.

        """
        classes = len(self.training.digits)
        if model in TRUNKS:
            return lambda: ConvNet(model, classes)
        if model in ORACLES:
            return lambda: TurnPooled(ORACLES[model], classes=classes)
        if model in EM_FORMS:
            return lambda: EMCapsNet(classes, form=EM_FORMS[model])
        if model in ("CapsNet", "STN"):
            made = CapsNet if model == "CapsNet" else SpatialTransformer
            return lambda: made(classes=classes)
        return loading.from_import_path(model)

    def check(self, model: str) -> None:
        """Make the network once, untrained, and see that it fits the digits.

        Raises:
            InvnbError: it cannot be made, or does not map `[B, H, W]` to a logit per class.

        """
        images = self.training.images[:2]
        network = self.factory(model)().to(images)
        loading.check_logits(network, images, len(self.training.digits), model)

    def train(self, model: str, seeds: Sequence[int], course: Course) -> list[Trained]:
        """Train one network per seed, or load those trained before with equal settings.

        An import path with a checkpoint gives that one network, untouched.
        """
        if "@" in model:
            return [Trained(seeds[0], self.factory(model)().state_dict(), 0, 0, 0.0)]

        def missing(of: list[int]) -> list[Trained]:
            make, digits = self.factory(model), self.training
            return [train(make, digits, course, seed=seed, label=model) for seed in of]

        key = {"course": asdict(course), "digits": self._about(self.training)}
        return train_or_load(key | self._code(model), seeds, missing, together=1)

    def network(self, model: str, trained: Trained) -> nn.Module:
        """Return a trained network, in evaluation mode, on the device."""
        network = self.factory(model)().to(self.training.images.device)
        network.load_state_dict(trained.state)
        return network.eval().requires_grad_(False)

    def look(self, model: str, trained: Trained, digits: Digits, degrees: Tensor) -> Seen:
        """Return what a network makes of digits at given angles, from the cache where it may.

        Args:
            model: what the network was trained as.
            trained: the network.
            digits: N test images.
            degrees: `[N, D]`.

        """
        key = {
            "state": tensors_hash(*trained.state.values()),
            "digits": self._about(digits),
            "degrees": tensors_hash(degrees),
            "look": code_hash("invnb.circle"),
        }
        found = measure_or_load(
            key | self._code(model),
            lambda: {"predicted": circle.look(self.network(model, trained), digits, degrees)},
        )
        return Seen(digits.labels.cpu(), degrees % 360, found["predicted"], len(digits.digits))

    def _about(self, digits: Digits) -> list[Any]:
        """Return what tells which digits these are: where from, which, and at what angles."""
        return [self.checksum, digits.digits, digits.ranges.tolist(), tensors_hash(digits.labels)]

    def _code(self, model: str) -> dict[str, Any]:
        own = ("invnb.convnets",)
        if model in TURN_AWARE:
            own = ("invnb.convnets", "invnb.oracles")
        elif model == "CapsNet":
            own = ("invnb.capsules",)
        elif model in EM_FORMS:
            own = ("invnb.em_routing",)
        elif model.startswith("invnb.turned_mlps:"):  # whose source alone is not what they are
            own = ("invnb.groups", "invnb.models", "invnb.penalties")
        return {
            "model": model,
            "model_code": None if model in KNOWN else loading.source(model),
            "code": code_hash(*SHARED_CODE, *own),
            "platform": [torch.__version__, self.training.images.device.type],
        }
