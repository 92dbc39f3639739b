"""What must be equal for two machines to measure the same numbers: code, packages, data."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from invnb import data, labelled_images, profiles, provenance, runner
from invnb.errors import InvnbError

NAMED = 3  # differences that a refusal names; more are counted

Identity = dict[str, str]


def identity(notebook: str, images: Sequence[str], folder: str | None) -> Identity:
    """Return what must be equal for two machines to measure the same numbers.

    Args:
        notebook: name of the notebook.
        images: names of the data that it is run on.
        folder: data folder; None for this machine's own.

    Returns:
        Module, package or data -> hash, version or checksum; what is wrong with the data where
        they cannot be read.

    """
    return (
        provenance.code_hashes(profiles.notebook(notebook))
        | provenance.packages()
        | {f"data {name}": _checksum(name, folder) for name in images}
    )


def images_of(values: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what the parameters `data` and `..._data` of all points name."""
    return sorted(
        {v for point in values for k, v in point.items() if k == "data" or k.endswith("_data")}
    )


def _checksum(name: str, folder: str | None) -> str:
    try:
        root = runner.data_folder(folder and Path(folder))
        with redirect_stdout(StringIO()):  # a notice that nobody sees here
            if name in data.NAMES:
                return data.load(name, root, download=False).checksum
            return labelled_images.load(name, root=root, download=False).checksum
    except InvnbError as error:
        return type(error).__name__


def differences(ours: Identity, theirs: Identity) -> str:
    """Return how another machine differs, in words; nothing where it does not."""
    found = []
    for key in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(key), theirs.get(key)
        if here == there:
            continue
        if key.startswith("data "):
            found.append(f"{key} have checksum {str(there)[:12]}, here {str(here)[:12]}")
        elif key.startswith("invnb.") or key.endswith(".ipynb"):
            found.append(f"{key} has other code" if there else f"{key} is missing")
        else:
            found.append(f"{key} is {there or 'missing'}, here {here or 'missing'}")
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more
