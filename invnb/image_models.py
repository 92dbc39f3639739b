"""Classifiers of colour images with what belongs to them: preprocessing and class names.

Preprocessing is in two halves, so that transformations act in between: `fit` brings a picture to
the network's size, in [0, 255], and `normalise` makes of it what the network was trained on.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from invnb import loading
from invnb.downloads import downloading
from invnb.errors import InvnbError
from invnb.vision import torchvision

LIBRARIES = ("torch", "torchvision", "invnb")  # whose code has a version, or a hash of its own
InterpolationMode = torchvision.transforms.InterpolationMode
functional = torchvision.transforms.functional


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a network's input.

    Attributes:
        size: pixels a side of the input, the centre of the resized picture; None: pictures are
            taken as they are, and must all be of one size.
        resize: pixels of the picture's short side before the crop; None: `size`.
        mean: of each colour, in [0, 1], which is subtracted.
        std: of each colour, in [0, 1], which is divided by.
        interpolation: how the picture is resized, with antialiasing.

    """

    size: int | None = None
    resize: int | None = None
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: InterpolationMode = InterpolationMode.BILINEAR

    def fit(self, picture: Image.Image) -> Tensor:
        """Return a picture as the network's input before normalisation, uint8 `[3, H, W]`.

        Raises:
            InvnbError: pixels of 32 bits, whose white is not known.

        """
        if picture.mode.startswith("I;16"):  # which Pillow would cut off at 255
            picture = Image.fromarray((np.asarray(picture) / 257).round().astype(np.uint8))
        if picture.mode in ("I", "F"):
            raise InvnbError("pixels of 32 bits are not allowed: save it with 8 or 16")
        picture = picture.convert("RGB")
        if self.size is not None and picture.size != (self.size, self.size):
            picture = functional.resize(
                picture, [self.resize or self.size], self.interpolation, antialias=True
            )
            picture = functional.center_crop(picture, [self.size])
        return functional.pil_to_tensor(picture)

    def normalise(self, images: Tensor) -> Tensor:
        """Map float images `[B, 3, H, W]` in [0, 255] to the network's input."""
        shift, factor = _line(self.mean, self.std, images.dtype, images.device)
        return torch.addcmul(shift, images, factor)


@lru_cache
@torch.inference_mode(mode=False)  # what is kept must do for a network that learns, too
def _line(
    mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return a and b, `[3, 1, 1]`, where normalising maps x in [0, 255] to a + b x.

    Kept, as a small network is done with an image in the time that making these takes.
    """
    means, stds = (
        torch.tensor(numbers, dtype=dtype, device=device).view(3, 1, 1) for numbers in (mean, std)
    )
    return -means / stds, 1 / (255 * stds)


@dataclass(frozen=True)
class ImageModel:
    """A classifier of colour images.

    Attributes:
        name: as it was asked for.
        network: in evaluation mode; maps `[B, 3, H, W]`, normalised, to logits `[B, K]`.
        preprocessing: of the network.
        classes: names of the K classes; None where neither network nor weights know them.

    """

    name: str
    network: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None = None

    @property
    def short_name(self) -> str:
        """What measurements call the model: its name without folders, weights or modules."""
        head = self.name.partition("@")[0]
        return head.partition(":")[0] if _is_torchvisions(head) else loading.short_name(head)

    def fingerprint(self) -> str:
        """Return a checksum over the network, its weights and its preprocessing, in hex.

        One's own network counts with the text of the files that its factory and its parts are
        defined in. (A class typed into a session has no file.)
        """
        digest = sha256(f"{self.network}{self.preprocessing}".encode())
        for text in sorted(self._own_code()):
            digest.update(text.encode())
        for name, value in self.network.state_dict().items():
            digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(raw.numpy())
        return digest.hexdigest()

    def _own_code(self) -> set[str]:
        texts = set()
        head = self.name.partition("@")[0]
        if ":" in head and not _is_torchvisions(head):
            with suppress(ImportError):  # the name of a network made elsewhere may be any
                texts.add(loading.source(head))
        for kind in {type(module) for module in self.network.modules()}:
            if kind.__module__.partition(".")[0] not in LIBRARIES:
                with suppress(TypeError, OSError):
                    texts.add(Path(inspect.getsourcefile(kind)).read_text(encoding="utf-8"))
        return texts


def load(
    name: str,
    *,
    preprocessing: Preprocessing | None = None,
    classes: Sequence[str] | None = None,
) -> ImageModel:
    """Return a model by name.

    Args:
        name: one of
            `alexnet`: torchvision's classifier of this name with its best published weights;
            `alexnet:IMAGENET1K_V1`: with these weights;
            `alexnet@checkpoint.pt`: with the weights of a file, for as many classes as they tell
            apart, and with the preprocessing of the published ones, and their classes if there are
            as many;
            `package.module:factory` or `package.module:factory@checkpoint.pt`: one's own, where the
            factory takes no arguments and returns a network that maps `[B, 3, H, W]` to logits
            `[B, K]`, and that may bring `preprocessing` and `classes` as attributes.
        preprocessing: in place of the network's own; one's own network that has none gets the
            default: pictures as they are, in [0, 1].
        classes: in place of the network's own.

    Raises:
        InvnbError: an unknown name, weights that cannot be had or do not fit, or a factory that
            cannot be used.

    """
    head, _, checkpoint = name.partition("@")
    if _is_torchvisions(head):
        found = _torchvisions(name, head, checkpoint)
    elif ":" in head:
        network = loading.from_import_path(name)()
        own, names = (getattr(network, x, None) for x in ("preprocessing", "classes"))
        if not isinstance(own, Preprocessing | None):
            raise InvnbError(
                f"model {name!r}: its preprocessing is a {type(own).__name__}; it must be an "
                "invnb.image_models.Preprocessing"
            )
        if not isinstance(names, list | tuple | int | None):  # a number of classes has no names
            raise InvnbError(
                f"model {name!r}: its classes are a {type(names).__name__}; they must be a list of "
                "names in the order of its outputs"
            )
        own, names = own or Preprocessing(), None if isinstance(names, int) else names
        found = ImageModel(name, network, own, names)
    else:
        near = get_close_matches(head.lower(), _names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvnbError(
            f"model {name!r} is neither the name of a torchvision classifier, such as 'alexnet' or "
            f"'resnet101', nor package.module:factory[@checkpoint.pt]{hint}"
        )
    given = classes if classes is not None else found.classes
    return ImageModel(
        name,
        found.network.eval(),
        preprocessing or found.preprocessing,
        None if given is None else tuple(given),
    )


def _names() -> list[str]:
    """Return the names of torchvision's classifiers of images."""
    return torchvision.models.list_models(module=torchvision.models)


def _is_torchvisions(head: str) -> bool:
    return head.partition(":")[0] in _names()


def _torchvisions(name: str, head: str, checkpoint: str) -> ImageModel:
    architecture, colon, wanted = head.partition(":")
    published = torchvision.models.get_model_weights(architecture)
    if (colon and wanted not in published.__members__) or (colon and checkpoint):
        raise InvnbError(
            f"model {name!r}: weights of {architecture} are {', '.join(published.__members__)}, "
            f"or a file as in {architecture}@checkpoint.pt"
        )
    if "@" in name and not checkpoint:
        raise InvnbError(f"model {name!r}: no file after the @")
    weights = published[wanted] if wanted else published.DEFAULT
    classes = tuple(weights.meta["categories"])
    build = torchvision.models.get_model_builder(architecture)
    if checkpoint:
        state = loading.read_checkpoint(Path(checkpoint))
        network = build(weights=None, num_classes=len(classes))
        told_apart = _told_apart(network, state, len(classes))
        if told_apart != len(classes):
            network = build(weights=None, num_classes=told_apart)
        loading.check_state(network, state, name)
        network.load_state_dict(state)
        classes = classes if told_apart == len(classes) else None
    else:
        network = _downloaded(name, build, weights)
    preset = weights.transforms()
    preprocessing = Preprocessing(
        preset.crop_size[0],
        preset.resize_size[0],
        tuple(preset.mean),
        tuple(preset.std),
        preset.interpolation,
    )
    return ImageModel(name, network, preprocessing, classes)


def _told_apart(network: nn.Module, state: dict[str, Tensor], published: int) -> int:
    """Return for how many classes a state dict is: where it differs from a network for `published`.

    That many there are where it does not, or where another part of it does not fit either.
    """
    for name, own in network.state_dict().items():
        other = state.get(name, own)
        if own.shape[:1] != (published,) or other.shape[:1] == own.shape[:1]:
            continue
        if other.ndim == own.ndim and other.shape[1:] == own.shape[1:]:
            return len(other)
    return published


def _downloaded(
    name: str, build: Callable[..., nn.Module], weights: torchvision.models.WeightsEnum
) -> nn.Module:
    """Return torchvision's network with published weights, downloaded where they are not yet."""

    def failure(reason: str) -> InvnbError:
        file = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
        return InvnbError(
            f"weights {weights} of model {name!r} cannot be had ({reason}): check the network, put "
            f"the file at {file}, or name one as in {name.partition(':')[0]}@checkpoint.pt"
        )

    with downloading(failure):
        return build(weights=weights)
