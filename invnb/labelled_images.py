"""Labelled colour images by name: shapes, torchvision's data sets, folders and archives of them.

Images are read when they are needed, so memory does not grow with their number.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from invnb import shapes
from invnb.archives import unpacked
from invnb.data import DataError, DataUnavailableError
from invnb.downloads import downloading
from invnb.paths import data_dir
from invnb.vision import torchvision

NAMES = ("shapes", "cifar10", "imagenet")
SPLITS = {"test": ("test", "val", "validation"), "train": ("train",)}  # and names of folders
N_SHAPES = 700


@dataclass(frozen=True)
class LabelledImages:
    """N labelled images.

    Attributes:
        name: as it was asked for.
        read: returns the picture of an index, decoded.
        labels: of the N images, indices into `classes`.
        classes: names of the classes.
        files: names of the N images.
        skipped: names of images that were left out because they cannot be read.
        checksum: of the images and where they are in the folder, in hex.
        sizes: width and height of the N images; none where all are of one size.

    """

    name: str
    read: Callable[[int], Image.Image] = field(repr=False)
    labels: tuple[int, ...] = field(repr=False)
    classes: tuple[str, ...]
    files: tuple[str, ...] = field(repr=False)
    checksum: str
    skipped: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def block(
        self, start: int, stop: int, fit: Callable[[Image.Image], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return images `[B, 3, H, W]` and labels `[B]` of the indices from `start` to `stop`.

        Args:
            start: first index.
            stop: end of the indices, left out; it may lie beyond the last image.
            fit: makes a tensor `[3, H, W]` of a picture.

        Raises:
            DataError: an image that cannot be read, or images of several sizes.

        """
        stop = min(stop, len(self))
        images = []
        for i in range(start, stop):
            try:
                images.append(fit(self.read(i)))
            except Exception as error:  # whatever a decoder raises at a damaged file
                raise DataError(f"image {self.files[i]} cannot be read ({_why(error)})") from error
            if images[-1].shape != images[0].shape:
                self.check_sizes()
        return torch.stack(images), torch.tensor(self.labels[start:stop])

    def check_sizes(self) -> None:
        """See that all images are of one size, for a network that takes them as they are.

        Raises:
            DataError: naming the first that differs from the first of all.

        """
        for i, size in enumerate(self.sizes):
            if size != self.sizes[0]:
                raise DataError(
                    f"image {self.files[i]} has {size[0]} x {size[1]} pixels and {self.files[0]} "
                    f"{self.sizes[0][0]} x {self.sizes[0][1]}: give the model a size"
                )

    def chosen(self, indices: Sequence[int]) -> "LabelledImages":
        """Return some of the images; their labels stay what they were."""
        indices = tuple(indices)
        return replace(
            self,
            read=lambda i: self.read(indices[i]),
            labels=tuple(self.labels[i] for i in indices),
            files=tuple(self.files[i] for i in indices),
            sizes=tuple(self.sizes[i] for i in indices) if self.sizes else (),
            checksum=_checksum(self.checksum, indices),
        )

    def of(self, classes: Sequence[str], at_most: int | None = None) -> "LabelledImages":
        """Return the images of some classes, at most so many of each, the first ones.

        Raises:
            DataError: a class that there is not.

        """
        if unknown := [name for name in classes if name not in self.classes]:
            raise DataError(
                f"class {unknown[0]!r} is none of the {len(self.classes)} classes of {self.name}: "
                f"{_some(self.classes)}"
            )
        left = dict.fromkeys((self.classes.index(name) for name in classes), at_most or len(self))
        kept = []
        for i, label in enumerate(self.labels):
            if left.get(label, 0):
                left[label] -= 1
                kept.append(i)
        return self.chosen(kept)

    def labelled_for(self, classes: Sequence[str] | None, outputs: int) -> "LabelledImages":
        """Return the images with labels that count a network's classes.

        Classes are matched by name where all names of the images are among the network's, and where
        none is, by their order, if there are as many (as in ImageNet, whose folders are called
        n01440764 and whose published weights call it tench; both are sorted alike).

        Args:
            classes: names of the network's classes, None where it has none.
            outputs: their number.

        Raises:
            DataError: labels that count no class of the images, or classes that do not fit.

        """
        if wrong := [label for label in self.labels if not 0 <= label < len(self.classes)]:
            raise DataError(
                f"label {wrong[0]} of {self.name} is out of range: its classes count from 0 to "
                f"{len(self.classes) - 1}"
            )
        if classes is not None and set(self.classes) <= set(classes):
            index = [list(classes).index(name) for name in self.classes]
            labels = tuple(index[label] for label in self.labels)
            return replace(self, labels=labels, classes=tuple(classes))
        if common := set(self.classes) & set(classes or ()):
            other = [name for name in self.classes if name not in common]
            raise DataError(
                f"{len(other)} of the {len(self.classes)} classes of {self.name} have no "
                f"counterpart among the model's, first {other[0]!r}, and others have: name all "
                f"folders as the model names classes ({_some(classes)}), or none"
            )
        if len(self.classes) == outputs:
            return replace(self, classes=tuple(classes or self.classes))
        by_name = f"; or name folders as it names classes ({_some(classes)})" if classes else ""
        raise DataError(
            f"{self.name} has {len(self.classes)} classes ({_some(self.classes)}), and the model "
            f"{outputs} outputs: they must be as many{by_name}"
        )


def load(
    name: str,
    split: str = "test",
    *,
    root: Path | None = None,
    download: bool = True,
    skip_unreadable: bool = False,
) -> LabelledImages:
    """Return labelled images, all of them known to be readable.

    Args:
        name: "shapes" (700 of `invnb.shapes`, 32 x 32); "cifar10"; "imagenet" (in
            `root/imagenet/val`, or unpacked from the published archives in `root/imagenet`); else
            the path, from here or from `root`, of a folder with a folder of images for each class,
            or of an archive (.tar, .tar.xz, .tar.gz) of one.
        split: "test", for ImageNet its validation images, or "train"; in a folder, what its folder
            `test`, `val`, `validation` or `train` holds, where there is one.
        root: data folder; default `invnb.paths.data_dir()`.
        download: whether torchvision may download CIFAR-10, which it checks.
        skip_unreadable: whether to leave out images that cannot be read; `skipped` names them.

    Raises:
        DataError: nothing of this name, a folder without images, or an image that cannot be read;
            the first one is named, and their number.
        DataUnavailableError: data that are not there and cannot be downloaded.

    """
    root = data_dir() if root is None else Path(root)
    if split not in SPLITS:
        raise DataError(f"split {split!r} is unknown: there are {', '.join(SPLITS)}")
    if name == "shapes":
        drawn = shapes.draw(N_SHAPES, seed=1 if split == "test" else 2)
        pictures = drawn.images.permute(0, 2, 3, 1).contiguous().numpy()
        return _in_memory(name, pictures, drawn.labels.tolist(), shapes.CLASSES)
    if name == "cifar10":
        found = _by_torchvision(
            lambda: torchvision.datasets.CIFAR10(str(root), split == "train", download=download),
            "CIFAR-10",
            root,
        )
        return _in_memory(name, found.data, found.targets, tuple(found.classes))
    if name == "imagenet":
        folder, part = root / "imagenet", "train" if split == "train" else "val"
        if not (folder / part).is_dir():
            _by_torchvision(
                lambda: torchvision.datasets.ImageNet(str(folder), part), "ImageNet", folder
            )
        return _in_folder(name, folder / part, skip_unreadable)
    for path in (Path(name).expanduser(), root / name):
        if path.is_dir():
            return _in_folder(name, _class_folders(path, split), skip_unreadable)
        if path.is_file():
            return _in_folder(name, _class_folders(unpacked(path), split), skip_unreadable)
    raise DataError(
        f"images {name!r} are neither {', '.join(NAMES)} nor a folder or an archive, here or in "
        f"{root}"
    )


def _in_memory(
    name: str, pictures: np.ndarray, labels: Sequence[int], classes: tuple[str, ...]
) -> LabelledImages:
    """Return images that are there already, as an array `[N, H, W, 3]`."""
    return LabelledImages(
        name,
        lambda i: Image.fromarray(pictures[i]),
        tuple(labels),
        classes,
        tuple(f"{name}[{i}]" for i in range(len(labels))),
        _checksum(sha256(pictures.tobytes()).hexdigest(), labels),
    )


def _by_torchvision(make: Callable[[], object], title: str, root: Path) -> object:
    def failure(reason: str) -> DataUnavailableError:
        return DataUnavailableError(
            f"{title} is not in {root}, and torchvision cannot get it ({reason}): put it there, or "
            "set INVNB_DATA to a folder that has it"
        )

    with downloading(failure):
        return make()


def _in_folder(name: str, folder: Path, skip_unreadable: bool) -> LabelledImages:
    """Return the images of a folder, after a look at every one of them."""
    try:
        found = torchvision.datasets.ImageFolder(str(folder), allow_empty=True)
    except OSError as error:
        raise DataError(f"images {name!r}: {folder} has no folders of classes") from error
    if not found.samples:
        raise DataError(f"images {name!r}: the folders of classes in {folder} hold no images")
    unreadable, digests, sizes = {}, {}, {}
    for i, (path, _) in enumerate(tqdm(found.samples, f"reading {name}", leave=False)):
        try:
            content = Path(path).read_bytes()
            with Image.open(BytesIO(content)) as picture:
                picture.load()
            digests[path] = sha256(content).hexdigest()
            sizes[path] = picture.size
        except Exception as error:  # whatever a decoder raises at a damaged file
            unreadable[i] = f"{path} ({_why(error)})"
    if unreadable and not skip_unreadable:
        raise DataError(
            f"{len(unreadable)} of {len(found.samples)} images of {name!r} cannot be read, first "
            f"{next(iter(unreadable.values()))}: mend or remove them, or let them be skipped"
        )
    kept = [sample for i, sample in enumerate(found.samples) if i not in unreadable]
    if not kept:
        raise DataError(f"none of the {len(unreadable)} images of {name!r} can be read")
    described = [(os.path.relpath(path, folder), digests[path]) for path, _ in kept]
    return LabelledImages(
        name,
        lambda i: Image.open(kept[i][0]),
        tuple(label for _, label in kept),
        tuple(found.classes),
        tuple(path for path, _ in kept),
        _checksum(described),
        tuple(unreadable.values()),
        tuple(sizes[path] for path, _ in kept),
    )


def _class_folders(folder: Path, split: str) -> Path:
    """Return the folder that has the folders of classes: the split's, where there are splits.

    A folder called `train` (or `test` ...) that has no folders may be a class of that name.
    """
    for part in SPLITS[split]:
        if _has_folders(folder / part):
            return folder / part
    beside = [entry for entry in folder.iterdir() if _has_folders(entry)]
    others = {name for names in SPLITS.values() for name in names}
    if len(beside) > 1 and any(entry.name in others for entry in beside):
        raise DataError(
            f"{folder} has {', '.join(sorted(e.name for e in beside))}, and none of "
            f"{', '.join(SPLITS[split])} for the {split} images: rename one of its folders"
        )
    inner = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if len(inner) == 1 and _has_folders(inner[0]):
        return _class_folders(inner[0], split)
    return folder


def _has_folders(folder: Path) -> bool:
    return folder.is_dir() and any(entry.is_dir() for entry in folder.iterdir())


def _checksum(*what: object) -> str:
    return sha256(json.dumps(what).encode()).hexdigest()


def _why(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
