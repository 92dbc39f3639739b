"""The experiment behind Table 1 of Moskalev et al.: train a kind of model, measure its invariance.

The kinds are WT (weight-tying), DA (data augmentation), and DA with one of the penalties of
`invnb.penalties` in the loss: the paper's regularisers IR (of logits), IR_KL and IR_norm (in two
readings), and their rivals decay and spectral. An import path names a network of one's own, which
is trained like DA, or taken as it is when it comes with a checkpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from invnb import loading, metrics, saliency
from invnb.cache import train_or_load
from invnb.cnn import CNN, TiedCNN
from invnb.data import ImageData
from invnb.errors import InvnbError
from invnb.groups import R4, CyclicGroup
from invnb.models import MLP, TiedMLP
from invnb.provenance import code_hash
from invnb.training import Schedule, Trained, train
from invnb.transforming import Split, Splits

PENALTY = {
    "IR": "LI",
    "IR_KL": "KL",
    "IR_norm": "norm",
    "IR_through": "norm_through",
    "decay": "decay",
    "spectral": "spectral",
}
KINDS = ("WT", "DA", *PENALTY)
ARCHITECTURES = {"MLP": (MLP, TiedMLP), "CNN": (CNN, TiedCNN)}  # the second for WT
# The embedded digits are too few for the paper's splits.
EMBEDDED_SIZES = {"train": 1000, "test": 400, "validation": 200}
# Poses of the validation and the test images; training draws come from the networks' own seeds.
VALIDATION_POSES, TEST_POSES = 1, 2
# What a trained network depends on; the data enter by their checksum.
TRAINING_CODE = (
    "invnb.cnn",
    "invnb.groups",
    "invnb.models",
    "invnb.penalties",
    "invnb.training",
    "invnb.transforming",
)


@dataclass(frozen=True)
class Experiment:
    """Data, sizes and schedule that all kinds of models share.

    Attributes:
        splits: upright images, on the device to work on.
        checksum: of the data set that the splits were cut from.
        hidden: units of each hidden layer.
        layers: hidden layers of the MLP.
        schedule: of training; its nu is 0, the penalties set it.
        saliency_images: how many test images SI is measured on; LI and DI are on all.
        architecture: MLP, which is the paper's, or CNN.

    """

    splits: Splits
    checksum: str
    hidden: int
    layers: int
    schedule: Schedule
    saliency_images: int
    architecture: str = "MLP"

    @property
    def device(self) -> torch.device:
        """Where the data are, and the work is done."""
        return self.splits.train.images.device

    def factory(self, model: str, group: CyclicGroup) -> Callable[[], nn.Module]:
        """Return what makes an untrained network of this kind (or the one with its checkpoint)."""
        if model not in KINDS:
            return loading.from_import_path(model)
        plain, tied = ARCHITECTURES[self.architecture]
        size = self.splits.train.images.shape[-1]
        if model == "WT":
            return lambda: tied(group, size, **self.sizes)
        return lambda: plain(size, **self.sizes)

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that the architecture takes, by name."""
        layers = {"layers": self.layers} if self.architecture == "MLP" else {}
        return {"hidden": self.hidden, **layers}

    def check(self, model: str) -> None:
        """Make the network once, untrained, and see that it fits the data.

        Raises:
            InvnbError: it cannot be made, or does not map `[B, H, W]` to a logit per class.

        """
        images, labels = self.splits.train.images[:2], self.splits.train.labels
        network = self.factory(model, R4)().to(images)
        loading.check_logits(network, images, int(labels.max()) + 1, model)

    def train(
        self,
        model: str,
        group: CyclicGroup,
        seeds: Sequence[int],
        *,
        nu: float = 0.0,
        epochs: int | None = None,
    ) -> list[Trained]:
        """Train one network per seed, or load those that were trained before with equal settings.

        An import path with a checkpoint gives that one network, untouched.

        Args:
            model: one of `KINDS` or an import path.
            group: to augment with, to tie over (WT), to regularise over (IR, IR_KL, IR_norm).
            seeds: one network each.
            nu: weight of the penalty, for the kinds that have one; 0 makes them DA.
            epochs: instead of the schedule's.

        Raises:
            InvnbError: a weight for a kind that has no penalty.

        """
        if nu and model not in PENALTY:
            raise InvnbError(f"{model} takes no weight, got {nu:g}; {', '.join(PENALTY)} do")
        factory = self.factory(model, group)
        if "@" in model:  # a network that comes trained is one network, whatever the seeds
            return [Trained(seeds[0], factory().state_dict(), 0, 0, 0.0)]
        splits = self.splits
        schedule = replace(self.schedule, epochs=epochs or self.schedule.epochs)
        if nu:
            schedule = replace(schedule, nu=float(nu), penalty=PENALTY[model])
        tied = "tied" if model == "WT" else "plain"
        key = {
            "model": f"{self.architecture} {tied}" if model in KINDS else model,
            "model_code": None if model in KINDS else loading.source(model),
            "sizes": self.sizes,
            "group": group.name,
            "data": self.checksum,
            "splits": _selection(splits.train, splits.validation),
            "schedule": asdict(schedule),
            "code": code_hash(*TRAINING_CODE),
            "platform": [torch.__version__, self.device.type],
        }
        return train_or_load(
            key,
            seeds,
            lambda missing: train(
                factory,
                group,
                splits.train,
                self.validation(group),
                schedule,
                seeds=missing,
                label=f"{group.name} {model}" + (f" ν={nu:g}" if nu else ""),
            ),
        )

    def network(self, model: str, group: CyclicGroup, trained: Trained) -> nn.Module:
        """Return the trained network, in evaluation mode, on the device."""
        network = self.factory(model, group)().to(self.device)
        network.load_state_dict(trained.state)
        return network.eval().requires_grad_(False)

    def validation(self, group: CyclicGroup) -> Split:
        """Return the validation images in their fixed poses."""
        return _posed(self.splits.validation, group, VALIDATION_POSES)

    def test(self, group: CyclicGroup) -> Split:
        """Return the test images in their fixed poses."""
        return _posed(self.splits.test, group, TEST_POSES)

    def measure(self, network: nn.Module, split: Split, group: CyclicGroup) -> dict[str, float]:
        """Return accuracy, LI, DI, SI and the share of orbits with one prediction.

        All are means over the images; LI, DI and SI over the orbit without the identity too.

        """
        logits = metrics.orbit_logits(network, split.images, group)  # (B, G, K)
        return {
            "accuracy": (logits[:, 0].argmax(-1) == split.labels).double().mean().item(),
            "LI": metrics.orbit_mean(metrics.logit_invariance(logits)).double().mean().item(),
            "DI": metrics.orbit_mean(metrics.distribution_invariance(logits))
            .double()
            .mean()
            .item(),
            "SI": mean_similarity(network, split.first(self.saliency_images), group),
            "same_prediction": metrics.same_prediction(logits).double().mean().item(),
        }


def split_sizes(data: ImageData, *, train: int, test: int, validation: int) -> dict[str, int]:
    """Return how many images each split gets: what is asked, but of embedded digits fewer.

    Args:
        data: to be split; of the embedded digits, at most 1,000, 400 and 200 are taken, so that
            a run that asks for the paper's sizes works where there is no MNIST.
        train: images to train on.
        test: images to measure on.
        validation: images to select and tune on.

    """
    asked = {"train": train, "test": test, "validation": validation}
    if data.source != "embedded":
        return asked
    return {name: min(n, EMBEDDED_SIZES[name]) for name, n in asked.items()}


def orbit_similarity(
    network: nn.Module, split: Split, group: CyclicGroup, chunk: int = 500, **recipe: float
) -> Tensor:
    """Return SI per image and element `[B, G]`, a chunk of images at a time.

    Args:
        network: maps `[B, H, W]` to logits `[B, K]`.
        split: images and the labels whose logits are attributed.
        group: whose orbit to take.
        chunk: images at a time.
        recipe: passed on to `invnb.saliency.realigned_maps`.

    """
    return torch.cat(
        [
            saliency.saliency_similarity(saliency.realigned_maps(network, x, y, group, **recipe))
            for x, y in zip(split.images.split(chunk), split.labels.split(chunk), strict=True)
        ]
    )


@cache
def _posed(split: Split, group: CyclicGroup, seed: int) -> Split:
    return split.transformed(group, seed)


def mean_similarity(network: nn.Module, split: Split, group: CyclicGroup, **recipe: float) -> float:
    """Return the SI of a network: `orbit_similarity` averaged over images and group elements.

    The identity is left out of the mean; the arguments are those of `orbit_similarity`.

    """
    similarity = orbit_similarity(network, split, group, **recipe)
    return metrics.orbit_mean(similarity).double().mean().item()


def _selection(*splits: Split) -> list[Any]:
    """Return what tells which images of a data set are in the splits: sizes, and labels hashed."""
    labels = torch.cat([split.labels for split in splits]).to("cpu", torch.uint8)
    return [*(len(s.labels) for s in splits), sha256(labels.numpy().tobytes()).hexdigest()]
