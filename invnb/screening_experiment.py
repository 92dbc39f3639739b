"""The models of the screening chapter: made by name, trained through the cache where need be."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor, nn

from invnb import cifar_nets, image_models, labelled_images, published_weights, screening, shapes
from invnb.cache import train_or_load
from invnb.cifar_nets import MEAN, SD, AlexNet, ResNet
from invnb.errors import InvnbError
from invnb.image_models import ImageModel, Preprocessing
from invnb.image_training import ImageCourse, train
from invnb.labelled_images import LabelledImages
from invnb.provenance import code_hash
from invnb.training import Trained
from invnb.vision import torchvision

SIDE = 32
AS_CIFAR = Preprocessing(None, None, MEAN, SD)
TRAINED_HERE = {  # and the learning rate, which a network without batch norms wants lower
    "AlexNet": (AlexNet, 0.02),
    "ResNet20": (partial(ResNet, 20), 0.1),
}
SMALL = "small"  # for shapes: trained in seconds
# torchvision's names count as the source's, and so does what is trained here in their place
ROLES = {"alexnet": "AlexNet", "resnet101": "ResNet", "ResNet20": "ResNet"}
NO_IDENTIFIER = re.compile(r"\W+", re.ASCII)
CHECKSUM = re.compile(r"-[0-9a-f]{8}$")  # that names of published weights end with
# Accuracies that networks in these roles are expected to have: on CIFAR-10 those made here, on
# ImageNet torchvision's with their first weights.
GOALS = {
    "CIFAR-10": {"AlexNet": 0.75, "ResNet": 0.86},
    "ImageNet": {"AlexNet": 0.56, "ResNet": 0.77},
}
DATA = {"cifar10": "CIFAR-10", "cifar10-jpeg": "CIFAR-10", "imagenet": "ImageNet"}
IMAGENET = torchvision.models.AlexNet_Weights.DEFAULT.meta["categories"]  # of its folders in order


class OnPixels(nn.Module):
    """A model as a classifier of images normalised as CIFAR's are, whatever it takes itself."""

    def __init__(self, model: ImageModel):
        super().__init__()
        self.network, self.preprocessing = model.network, model.preprocessing

    def forward(self, normalised: Tensor) -> Tensor:
        """Map images `[B, 3, H, W]`, normalised by `cifar_nets.normalise`, to logits `[B, K]`."""
        if self.preprocessing == AS_CIFAR:
            return self.network(normalised)
        mean, sd = (normalised.new_tensor(t).view(3, 1, 1) for t in (MEAN, SD))
        return self.network(self.preprocessing.normalise(255 * (normalised * sd + mean)))


@dataclass(frozen=True)
class Screened:
    """Images to screen on, and what is needed to train networks for them.

    Attributes:
        data: as `invnb.labelled_images.load` knows it.
        course: of networks that are trained here, but for the learning rate.
        seed: of these.
        device: where to compute.
        at_most: images of each class to screen on; none for all.
        training_images: to train on; none for all.
        skip_unreadable: leave out images that cannot be read.
        only: classes to screen, as their folders are called, or as torchvision calls ImageNet's;
            none for all. Networks that are trained here learn all of them.

    """

    data: str
    course: ImageCourse
    seed: int = 0
    device: torch.device | str = "cpu"
    at_most: int | None = None
    training_images: int | None = None
    skip_unreadable: bool = False
    only: tuple[str, ...] = ()

    @property
    def data_name(self) -> str:
        """What claims call the data: what is measured on some classes is not about all."""
        return f"{self._of_all}, some classes" if self.only else self._of_all

    @property
    def _of_all(self) -> str:
        return DATA.get(self.data.partition(".")[0], self.data)

    @property
    def source(self) -> str:
        """What the images are kept as: `embedded`, `torchvision`, or such as `folder of JPG`.

        Pictures may have lost something as JPEG, which their name does not say.
        """
        if self.data == "shapes":
            return "embedded"
        kind = Path(self.images.files[0]).suffix[1:].upper()
        return f"folder of {kind}" if kind else "torchvision"

    @cached_property
    def images(self) -> LabelledImages:
        """The images to screen on."""
        found = self._test_set
        if not (self.only or self.at_most):
            return found
        as_folders = {}
        if self._of_all == "ImageNet" and len(found.classes) == len(IMAGENET):
            as_folders = dict(zip(IMAGENET, found.classes, strict=True))
        some = [as_folders.get(name, name) for name in self.only]
        return found.of(some or found.classes, self.at_most)

    @property
    def fewest(self) -> int:
        """Images of the class that has the fewest, of those that have any."""
        return min(Counter(self.images.labels).values())

    def fits(self, name: str) -> bool:
        """Return whether a model is for these data; published weights are for CIFAR-10 alone."""
        published = name.rpartition("@")[2] in published_weights.FILES
        return self._of_all == "CIFAR-10" or not published

    @cached_property
    def training(self) -> tuple[Tensor, Tensor, str]:
        """Images `[N, 3, H, W]`, uint8, labels `[N]`, both on the device, and their checksum."""
        found = self._training_set
        if self.training_images and self.training_images < len(found):
            order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
            found = found.chosen(order[: self.training_images].tolist())
        images, labels = found.block(0, len(found), AS_CIFAR.fit)
        return images.to(self.device), torch.as_tensor(labels).to(self.device), found.checksum

    def model(self, name: str) -> ImageModel:
        """Return a model by name, trained where it is one of those that are trained here.

        Args:
            name: `AlexNet` or `ResNet20`, trained on the data's training images; `small`, trained
                on shapes; `ResNet@FILE`, a residual network for CIFAR-10 from a checkpoint, which
                may be a published one (`invnb.published_weights`); else what
                `invnb.image_models.load` takes.

        Raises:
            InvnbError: an unknown name, or weights that cannot be had or do not fit.

        """
        head, _, file = name.partition("@")
        if head in TRAINED_HERE and not file:
            return ImageModel(name, self._trained(head), AS_CIFAR, self.images.classes)
        if name == SMALL:
            network = shapes.train(seed=self.seed)
            return ImageModel(name, network, Preprocessing(), shapes.CLASSES)
        if head == "ResNet" and file:
            weights = published_weights.find(file)
            network = cifar_nets.load_resnet(weights, len(self.images.classes))
            return ImageModel(name, network, AS_CIFAR, self.images.classes)
        return image_models.load(name)

    def check(self, names: Sequence[str], parts: int = 1) -> None:
        """See that models can be had and fit images and each other, before anything is trained.

        Args:
            names: of models.
            parts: that the images of each class are divided into.

        Raises:
            InvnbError: as `model` and `invnb.screening.outputs`; one that is trained here on images
                of another size; classes that do not fit the images; two models that count classes
                in different orders; or a class with fewer images than parts.

        """
        if self.fewest < parts:
            raise InvnbError(
                f"a class of {self.data!r} has {self.fewest} images to screen on; there must be "
                f"one for each of {parts} parts"
            )
        classes = {name: self._classes(name) for name in dict.fromkeys(names)}
        first = next(iter(classes))
        for name, own in classes.items():
            if own != classes[first]:
                pairs = list(zip_longest(classes[first], own))
                i = next(i for i, (one, other) in enumerate(pairs) if one != other)
                raise InvnbError(
                    f"models {first!r} and {name!r} count classes differently (class {i} is "
                    f"{pairs[i][0]!r} for the one and {pairs[i][1]!r} for the other): screen them "
                    "in separate runs"
                )

    def _classes(self, name: str) -> tuple[str, ...]:
        """Return the classes that a model's outputs stand for."""
        head, _, file = name.partition("@")
        if name == SMALL:
            return self.images.labelled_for(shapes.CLASSES, len(shapes.CLASSES)).classes
        if head in TRAINED_HERE and not file:
            image, _ = self.images.block(0, 1, AS_CIFAR.fit)
            if tuple(image.shape[2:]) != (SIDE, SIDE):
                raise InvnbError(
                    f"model {name!r} is for {SIDE} x {SIDE} pixels, and {self.data!r} has images "
                    f"of {image.shape[3]} x {image.shape[2]}: name another, such as resnet101"
                )
            if self._training_set.checksum == self._test_set.checksum:
                raise InvnbError(
                    f"model {name!r} is trained here, and {self.data!r} has no training images "
                    "besides those to screen on: put them in folders train and test, or name a "
                    "model that is trained already"
                )
            return self.images.classes
        model = self.model(name)
        model.network.to(self.device).eval()
        number = screening.outputs(model, self.images, self.device)
        return self.images.labelled_for(model.classes, number).classes

    def block(self, model: ImageModel, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return images to screen on, uint8 `[N, 3, H, W]`, at a model's size, and labels `[N]`."""
        images, labels = self.images.block(start, stop, model.preprocessing.fit)
        return images.to(self.device), torch.as_tensor(labels).to(self.device)

    def _trained(self, name: str) -> nn.Module:
        images, labels, checksum = self.training
        build, rate = TRAINED_HERE[name]
        make = partial(build, classes=len(self.images.classes))
        course = replace(self.course, learning_rate=rate)
        key = {
            "model": name,
            "course": asdict(course),
            "images": checksum,
            "code": code_hash("invnb.cifar_nets", "invnb.image_training"),
            "platform": [torch.__version__, images.device.type],
        }

        def missing(seeds: list[int]) -> list[Trained]:
            return [train(make, images, labels, course, seed=s, label=name) for s in seeds]

        (trained,) = train_or_load(key, [self.seed], missing, together=1)
        network = make()
        network.load_state_dict(trained.state)
        return network.to(self.device).eval().requires_grad_(False)

    @cached_property
    def _training_set(self) -> LabelledImages:
        return self._load("train")

    @cached_property
    def _test_set(self) -> LabelledImages:
        return self._load("test")

    def _load(self, split: str) -> LabelledImages:
        return labelled_images.load(self.data, split, skip_unreadable=self.skip_unreadable)


def roles(models: Iterable[ImageModel]) -> dict[str, str]:
    """Return what measurements and claims call models, by the models' names.

    `AlexNet` and `ResNet` are the networks of the source, or those trained here in their place; any
    other has its short name. Where several would be called the same, the first of them is, and the
    others have the name of their weights behind it, without a checksum.
    """
    found: dict[str, str] = {}
    for model in models:
        short = ROLES.get(model.short_name, model.short_name)
        head, _, file = model.name.partition("@")
        weights = Path(file).stem if file else head.rpartition(":")[2]
        longer = (f"{short}_{CHECKSUM.sub('', weights)}", f"{short}_{weights}", model.name)
        named = (short, *(NO_IDENTIFIER.sub("_", n) for n in longer))
        found[model.name] = next(name for name in named if name not in found.values())
    return found
