"""Profiles: files that set parameters of several notebooks at once.

`profiles/quick.yml` holds one mapping per notebook; a notebook that is not in it runs with its own
defaults:

    genuine-invariance:
      epochs: 30
      learning_rate: 8e-4
"""

import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from invnb import parameters, paths
from invnb.errors import InvnbError
from invnb.parameters import nearest

SUFFIXES = (".yml", ".yaml")


def notebooks() -> list[str]:
    """Return the names of all notebooks."""
    return sorted(file.stem for file in paths.NOTEBOOKS.glob("*.ipynb"))


def notebook(name: str) -> Path:
    """Return the file of the notebook `name`, which may be written with its folder and ending.

    Raises:
        InvnbError: there is no such notebook.

    """
    stem = Path(name).name.removesuffix(".ipynb")
    if stem not in notebooks():
        raise InvnbError(
            f"there is no notebook {name!r}{nearest(stem, notebooks())}; there are "
            f"{', '.join(notebooks()) or 'none'}"
        )
    return paths.NOTEBOOKS / f"{stem}.ipynb"


def resolve(name: str, profile: str, assignments: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """Return every parameter of a notebook: its defaults, under a profile, under assignments.

    Args:
        name: of the notebook.
        profile: name of a file in `profiles`, or a path.
        assignments: name and text as on the command line; the last of a name counts.

    Raises:
        InvnbError: an unknown name, a value that is not allowed, or an unreadable profile.

    """
    file = notebook(name)
    values = dict(load(profile).get(file.stem, {}))
    where = file.stem
    try:
        known = {p.name: p for p in parameters.read(file)}
        where = f"{file.stem}, profile {profile}"
        parameters.check(known.values(), values)
        where = file.stem
        for key, text in assignments:
            is_known = key in known
            values[key] = parameters.parse_assignment(known[key], text) if is_known else text
        return parameters.check(known.values(), values)
    except InvnbError as error:
        raise InvnbError(f"{where}: {error}") from error


def load(profile: str) -> dict[str, dict[str, Any]]:
    """Return the content of a profile: name of notebook -> parameter -> value.

    Args:
        profile: name of a file in `profiles`, or the path of any other file.

    Raises:
        InvnbError: no such profile, not readable, or not a mapping of known notebooks to mappings.

    """
    file = _find(profile)
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader) or {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InvnbError(f"profile {profile} cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InvnbError(f"profile {profile} is not valid YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InvnbError(f"profile {profile} must map notebooks to parameters, not {content!r}")
    for name, values in content.items():
        if name not in notebooks():
            raise InvnbError(
                f"profile {profile} names an unknown notebook {name!r}"
                f"{nearest(str(name), notebooks())}; there are {', '.join(notebooks())}"
            )
        if not isinstance(values, dict | None):
            raise InvnbError(
                f"profile {profile}: {name} must hold lines `parameter: value`, not {values!r}"
            )
    return {name: values or {} for name, values in content.items()}


def label(profile: str) -> str:
    """Return the short name of a profile, which may be a path."""
    return Path(profile).stem if _is_path(profile) else profile


def _is_path(profile: str) -> bool:
    return Path(profile).suffix in SUFFIXES or Path(profile).name != profile


def _find(profile: str) -> Path:
    if _is_path(profile):
        return Path(profile)
    known = sorted(f.stem for f in paths.PROFILES.glob("*.yml"))
    if profile not in known:
        raise InvnbError(
            f"there is no profile {profile!r}{nearest(profile, known)}; there are "
            f"{', '.join(known) or 'none'}, and a path of a .yml file works too"
        )
    return paths.PROFILES / f"{profile}.yml"


class _Loader(yaml.SafeLoader):
    """YAML as people write it: 8e-4 is a number, and a key that is given twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)
