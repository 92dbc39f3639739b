"""The table that a screening fills: what a network made of every image at every magnitude.

Axes: N images, M magnitudes of a transformation, K classes. A table is a folder,

    about.json              model, classes, images, seed
    labels.npy              int64 [N], indices into the classes
    000000/rotation-1f0c2a77.npz    images 0 to 511 at all magnitudes of one transformation

with one file for each transformation and block of images, written in one step. The figures in its
name stand for the magnitudes, and for the code of a transformation of one's own. With up to 64
classes a file holds

    softmax     float32 [M, B, K]

and with more, for the five strongest classes and, behind them, the image's own one,

    classes     int32 [M, B, 6]
    softmax     float32 [M, B, 6]
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from inspect import getsource
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from invnb.errors import InvnbError
from invnb.image_transformations import Transformation

BLOCK = 512  # images a file: what is in memory at a time
ALL_CLASSES = 64
TOP = 5


@dataclass(frozen=True)
class Table:
    """The results of one model under some transformations.

    Attributes:
        folder: where they are.
        transformations: those that are read here; the folder may hold more.

    """

    folder: Path
    transformations: tuple[Transformation, ...]

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the table is of: "model", "classes", "images", "files", "seed"."""
        return json.loads((self.folder / "about.json").read_text(encoding="utf-8"))

    @cached_property
    def labels(self) -> np.ndarray:
        """The images' classes, int64 `[N]`."""
        return np.load(self.folder / "labels.npy")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return tuple(self.about["classes"])

    @property
    def present(self) -> list[int]:
        """The classes that there are images of, in increasing order."""
        return np.unique(self.labels).tolist()

    def transformation(self, name: str) -> Transformation:
        """Return one of the table's transformations.

        Raises:
            InvnbError: one that was not screened.

        """
        for one in self.transformations:
            if one.name == name:
                return one
        there = ", ".join(one.name for one in self.transformations)
        raise InvnbError(f"transformation {name!r} was not screened: there are {there}")

    def file(self, transformation: Transformation, start: int) -> Path:
        """Return the file of the block of images that begins with `start`."""
        about = [transformation.neutral, transformation.magnitudes, _own_code(transformation)]
        digest = sha256(json.dumps(about).encode()).hexdigest()[:8]
        return self.folder / f"{start:06d}" / f"{transformation.name}-{digest}.npz"

    def predicted(self, name: str) -> np.ndarray:
        """Return the class with the largest softmax, int64 `[M, N]`."""
        return np.concatenate([block.predicted for block in self._blocks(name)], axis=1)

    def softmax_of_label(self, name: str) -> np.ndarray:
        """Return the softmax of each image's own class, float32 `[M, N]`."""
        return np.concatenate([block.of_label for block in self._blocks(name)], axis=1)

    def mean_softmax(self, name: str, label: int) -> np.ndarray:
        """Return the mean softmax of all classes over the images of one class, `[M, K]`.

        With more than 64 classes, what is not among an image's five strongest counts as 0, which
        is too low by less than the fifth one.

        Raises:
            InvnbError: a class that there are no images of.

        """
        n = int((self.labels == label).sum())
        if n == 0:
            raise InvnbError(f"there are no images of class {self.classes[label]!r} in the table")
        return sum(block.summed(label) for block in self._blocks(name)) / n

    def frame(self, name: str) -> pd.DataFrame:
        """Return one transformation's results, a row for each magnitude and image.

        Columns: model, class, transformation, magnitude, image, file, predicted, softmax (of the
        predicted class) and softmax_of_class (of the image's own).
        """
        one, names = self.transformation(name), np.array(self.classes, dtype=object)
        m, n = len(one.magnitudes), len(self.labels)
        strongest = np.concatenate([b.softmax.max(-1) for b in self._blocks(name)], axis=1)
        return pd.DataFrame(
            {
                "model": self.about["model"],
                "class": np.tile(names[self.labels], m),
                "transformation": name,
                "magnitude": [v for v in one.magnitudes for _ in range(n)],
                "image": np.tile(np.arange(n), m),
                "file": np.tile(np.array(self.about["files"], dtype=object), m),
                "predicted": names[self.predicted(name).ravel()],
                "softmax": strongest.ravel(),
                "softmax_of_class": self.softmax_of_label(name).ravel(),
            }
        )

    def _blocks(self, name: str) -> Iterator["Block"]:
        one = self.transformation(name)
        for start in range(0, len(self.labels), BLOCK):
            block = self.read(one, start)
            if block is None:
                raise InvnbError(
                    f"{self.folder} lacks {name} of the images from {start} on: screen them again"
                )
            yield block

    def read(self, transformation: Transformation, start: int) -> "Block | None":
        """Return the block of images that begins with `start`; None where it is not there."""
        try:
            with np.load(self.file(transformation, start)) as content:
                classes = content.get("classes")
                softmax = content["softmax"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return Block(softmax, classes, self.labels[start : start + BLOCK], len(self.classes))

    def write(self, transformation: Transformation, start: int, block: "Block") -> None:
        """Store a block of images in one step, so that a killed run leaves no half a file."""
        content = {"softmax": block.softmax}
        if block.classes is not None:
            content["classes"] = block.classes
        _write(self.file(transformation, start), lambda handle: np.savez(handle, **content))


@dataclass(frozen=True)
class Block:
    """What a network made of B images at M magnitudes.

    Attributes:
        softmax: float32 `[M, B, K]`, or of the classes in `classes`.
        classes: int32 `[M, B, 6]`, None where all classes are kept.
        labels: `[B]`.
        k: number of classes.

    """

    softmax: np.ndarray
    classes: np.ndarray | None
    labels: np.ndarray
    k: int

    @classmethod
    def of(cls, softmax: np.ndarray, labels: np.ndarray) -> "Block":
        """Keep of the softmax of all classes, `[M, B, K]`, what a table keeps."""
        k = softmax.shape[-1]
        if k <= ALL_CLASSES:
            return cls(softmax, None, labels, k)
        top = np.argpartition(-softmax, TOP, axis=-1)[..., :TOP]
        order = np.argsort(-np.take_along_axis(softmax, top, -1), axis=-1, kind="stable")
        top = np.take_along_axis(top, order, -1)
        own = np.broadcast_to(labels[:, None], (*top.shape[:2], 1))
        classes = np.concatenate([top, own], axis=-1)
        kept = np.take_along_axis(softmax, classes, -1)
        return cls(kept, classes.astype(np.int32), labels, k)

    @classmethod
    def joined(cls, blocks: Sequence["Block"]) -> "Block":
        """Return blocks of the same magnitudes and classes as one, their images in a row."""
        first = blocks[0]
        classes = [block.classes for block in blocks]
        return cls(
            np.concatenate([block.softmax for block in blocks], axis=1),
            None if first.classes is None else np.concatenate(classes, axis=1),
            np.concatenate([block.labels for block in blocks]),
            first.k,
        )

    @property
    def predicted(self) -> np.ndarray:
        """The class with the largest softmax, `[M, B]`."""
        if self.classes is None:
            return self.softmax.argmax(-1)
        return self.classes[..., 0].astype(np.int64)

    @property
    def of_label(self) -> np.ndarray:
        """The softmax of each image's own class, `[M, B]`."""
        if self.classes is None:
            return self.softmax[:, np.arange(len(self.labels)), self.labels]
        return self.softmax[..., -1]

    def summed(self, label: int) -> np.ndarray:
        """Return the softmax summed over the images of one class, float64 `[M, K]`."""
        these = self.labels == label
        softmax = self.softmax[:, these].astype(np.float64)
        if self.classes is None:
            return softmax.sum(1)
        classes = self.classes[:, these]
        among = (classes[..., :TOP] == label).any(-1)
        softmax[..., -1][among] = 0  # the own class must not count twice
        total = np.zeros((len(softmax), self.k))
        for row, of, values in zip(total, classes, softmax, strict=True):
            np.add.at(row, of.ravel(), values.ravel())
        return total


def create(
    folder: Path,
    about: dict[str, Any],
    labels: Sequence[int],
    transformations: tuple[Transformation, ...],
) -> Table:
    """Return the table in `folder`, made where there is none."""
    text = json.dumps(about, indent=1).encode()
    _write(folder / "about.json", lambda handle: handle.write(text))
    _write(folder / "labels.npy", lambda handle: np.save(handle, np.array(labels, np.int64)))
    return Table(folder, transformations)


def _own_code(transformation: Transformation) -> str:
    """Return what stands for a function that is not one of ours, "" for one that is.

    Its source and what it closes over. Where there is no source, as with `functools.partial`, what
    it is printed as, which differs from process to process.
    """
    function = transformation.function
    if getattr(function, "__module__", None) == Transformation.__module__:
        return ""  # `invnb.screening.CODE` has it
    try:
        source = getsource(function)
    except (OSError, TypeError):
        return repr(function)
    cells = getattr(function, "__closure__", None) or ()
    return "\n".join([source, *(repr(cell.cell_contents) for cell in cells)])


def _write(file: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Let `fill` write to a temporary file, and put it in its place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as opened:
            fill(opened)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
