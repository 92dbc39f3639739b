"""Labelled images: MNIST and Fashion-MNIST from a folder or by download, and embedded digits.

torchvision checks the archives it downloads, but takes whatever uncompressed file it finds. Here
every file is compared with the published one before use, a bad file stops the run, and nothing that
lies in the folder is changed or deleted.
"""

import gzip
import os
import zlib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from hashlib import md5, sha256
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate, pad
from tqdm.auto import tqdm

from invnb.downloads import downloading
from invnb.errors import InvnbError
from invnb.paths import data_dir
from invnb.vision import torchvision

# torchvision's own bar is text, whose lines would stay in the executed chapter
torchvision.datasets.utils.tqdm = partial(tqdm, leave=False)


class DataError(InvnbError):
    """Data that cannot be used: which, where, and what to do."""


class DataUnavailableError(DataError):
    """Data that is neither in the folder nor to be had by download; nothing is known to be bad."""


@dataclass(frozen=True)
class ImageData:
    """Labelled images, and where they came from.

    Attributes:
        images: uint8 `[N, H, W]`, 0 is background.
        labels: int64 `[N]`, classes 0..9.
        name: "MNIST", "FashionMNIST" or "embedded digits".
        source: "folder", "download" or "embedded".
        checksum: sha256 in hex over the bytes of the images, then of the labels (a byte each).

    """

    images: Tensor
    labels: Tensor
    name: str
    source: str
    checksum: str

    def describe(self) -> dict[str, str | int]:
        """Return name, source, checksum and number of images, for the results file."""
        return {
            "name": self.name,
            "source": self.source,
            "checksum": self.checksum,
            "n": len(self.images),
        }


# The four files of each data set in torchvision's layout, and the shape of their bytes.
FILES = {
    "train-images-idx3-ubyte": (60000, 28, 28),
    "train-labels-idx1-ubyte": (60000,),
    "t10k-images-idx3-ubyte": (10000, 28, 28),
    "t10k-labels-idx1-ubyte": (10000,),
}


@dataclass(frozen=True)
class Published:
    """A published data set: torchvision's class for it, and the md5 of each of its `FILES`."""

    dataset: type[torchvision.datasets.MNIST]
    md5: dict[str, str]

    @property
    def name(self) -> str:
        """The name of torchvision's class, which is also the name of its folder."""
        return self.dataset.__name__


# The md5 are those of the published archives' content, as `gunzip` gives it. They are listed here
# because torchvision knows only the md5 of the archives themselves.
PUBLISHED = {
    "mnist": Published(
        torchvision.datasets.MNIST,
        {
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    ),
    "fashion-mnist": Published(
        torchvision.datasets.FashionMNIST,
        {
            "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
    ),
}
NAMES = (*PUBLISHED, "digits", "auto")


def load(name: str, root: Path | None = None, download: bool = True) -> ImageData:
    """Return all images of a data set, its training and test files pooled in this order.

    Args:
        name: "mnist" or "fashion-mnist" (70,000 images, 28 x 28); "digits" (scikit-learn's 1,797
            handwritten digits, made to look like MNIST's); "auto": MNIST where it is in the folder
            or can be downloaded, else the digits, after printing a notice that says why.
        root: folder in torchvision's layout (`root/MNIST/raw/train-images-idx3-ubyte`, plain or
            .gz); default `invnb.paths.data_dir()`.
        download: whether to download what the folder lacks, by torchvision.

    Raises:
        DataError: when the name is unknown, or a file in the folder cannot be read or differs from
            the published one; with "auto", too.
        DataUnavailableError: when files are missing and are not, or cannot be, downloaded.

    """
    if name not in NAMES:
        near = get_close_matches(name.lower(), NAMES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"data {name!r} is unknown: allowed are {', '.join(NAMES)}{hint}")
    if name == "digits":
        return _digits()
    root = data_dir() if root is None else Path(root)
    if name != "auto":
        return _published(PUBLISHED[name], root, download)
    try:
        return _published(PUBLISHED["mnist"], root, download)
    except DataUnavailableError as error:
        print(
            "NOTICE: what follows is measured on scikit-learn's 1,797 embedded digits, "
            f"not on MNIST, because {error}"
        )
        return _digits()


def _published(published: Published, root: Path, download: bool) -> ImageData:
    """Read a published data set from `root`, after downloading the files that are missing."""
    raw = root / published.name / "raw"
    found = _read_all(published, raw)
    missing = [file for file in FILES if file not in found]
    if missing and not download:
        raise DataUnavailableError(
            f"{published.name} is not complete in {raw} ({missing[0]} is missing): let it be "
            f"downloaded, or set INVNB_DATA to a folder that has {published.name}/raw"
        )
    if missing:
        found |= _download(published, raw, missing)
    return _image_data(
        torch.cat([found["train-images-idx3-ubyte"], found["t10k-images-idx3-ubyte"]]),
        torch.cat([found["train-labels-idx1-ubyte"], found["t10k-labels-idx1-ubyte"]]).long(),
        published.name,
        "download" if missing else "folder",
    )


def _read_all(published: Published, raw: Path) -> dict[str, Tensor]:
    """Return the content of those `FILES` that exist in `raw`, each one checked."""
    contents = {file: _read(raw / file, FILES[file], published.md5[file]) for file in FILES}
    return {file: content for file, content in contents.items() if content is not None}


def _read(file: Path, shape: tuple[int, ...], published_md5: str) -> Tensor | None:
    """Return an idx file's content, uint8 of `shape`; None where neither it nor its .gz exists."""
    for path, expand in ((file, bytes), (Path(f"{file}.gz"), gzip.decompress)):
        try:
            content = expand(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _bad(path, f"cannot be unpacked ({error})") from error
        except OSError as error:
            raise _bad(path, f"cannot be read ({error.strerror})") from error
        header = 4 + 4 * len(shape)  # a magic number, and the size of each dimension
        size = header + prod(shape)
        if len(content) != size:
            raise _bad(path, f"has {len(content):,} bytes in place of {size:,}")
        if md5(content, usedforsecurity=False).hexdigest() != published_md5:
            raise _bad(path, f"differs from the published file (md5 {published_md5})")
        writable = bytearray(content)  # as torch wants it
        return torch.frombuffer(writable, dtype=torch.uint8, offset=header).view(shape)
    return None


def _bad(path: Path, fault: str) -> DataError:
    """Return the error for a file that exists and must not be used."""
    return DataError(f"{path} {fault}: mend or delete it, and run again to have it downloaded anew")


def _download(published: Published, raw: Path, missing: list[str]) -> dict[str, Tensor]:
    """Let torchvision download the data set, check it, and move the missing files into `raw`.

    The temporary folder lies inside `raw`, so that a checked file is moved in one step; what an
    interrupted download may leave behind there is never read.
    """
    try:
        raw.mkdir(parents=True, exist_ok=True)
        temporary = TemporaryDirectory(prefix=".download-", dir=raw)
    except OSError as error:
        raise DataUnavailableError(
            f"{published.name} cannot be downloaded into {raw} ({error.strerror}): "
            "make this folder writable, or set INVNB_DATA to one that is"
        ) from error

    def failure(reason: str) -> DataUnavailableError:
        return DataUnavailableError(
            f"{published.name} could not be downloaded into {raw} ({reason}): check the network "
            f"and run again, or set INVNB_DATA to a folder that has {published.name}/raw"
        )

    with downloading(failure), temporary as folder:
        published.dataset(folder, download=True)
        downloaded = Path(folder, published.name, "raw")
        found = _read_all(published, downloaded)
        for file in missing:
            os.replace(downloaded / file, raw / file)
    return found


def _digits() -> ImageData:
    """Return scikit-learn's 1,797 digits, 28 x 28.

    As in MNIST, the digit fills a box of 20 x 20 pixels with a margin of 4: the 8 x 8 pixels are
    enlarged bilinearly, and their range 0..16 becomes 0..255.
    """
    digits = load_digits()
    pixels = torch.from_numpy(digits.images)[:, None]  # [N, 1, 8, 8], float64
    box = interpolate(pixels, size=(20, 20), mode="bilinear", align_corners=False)[:, 0]
    box = (box * (255 / 16) + 1e-6).round()  # halves go up, whatever the machine's rounding errors
    images = pad(box, (4, 4, 4, 4)).to(torch.uint8)
    return _image_data(
        images, torch.from_numpy(digits.target).long(), "embedded digits", "embedded"
    )


def _image_data(images: Tensor, labels: Tensor, name: str, source: str) -> ImageData:
    checksum = sha256(images.numpy().tobytes() + labels.to(torch.uint8).numpy().tobytes())
    return ImageData(images, labels, name, source, checksum.hexdigest())
