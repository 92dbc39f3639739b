"""The points of a sweep: every combination of the values that parameters are swept over.

A parameter is swept where it is given a list of what it takes: `-p nu '[0.1, 1, 10]'` for a number,
`-p seeds '[[0], [1]]'` for a list. Anything else is one value for all points.
"""

import ast
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invnb import parameters, profiles
from invnb.errors import InvnbError
from invnb.parameters import LIST_OF_WORDS, Parameter, nearest

LONGEST = 100  # characters of a folder's name; file systems allow 255 bytes
UNSAFE = re.compile(r"[^\w.,=+-]", re.ASCII)


@dataclass(frozen=True)
class Point:
    """One run of the notebook.

    Attributes:
        name: of its folder, from what is swept, such as `nu=0.1,seeds=0`.
        values: every parameter of the notebook.

    """

    name: str
    values: dict[str, Any]


def points(notebook: str, profile: str, assignments: Sequence[tuple[str, str]]) -> list[Point]:
    """Return the points of a sweep, the last parameter varying fastest.

    Args:
        notebook: its name.
        profile: name of a profile or path of one, for what is not assigned.
        assignments: name and text as on the command line; the last of a name counts.

    Raises:
        InvnbError: an unknown name, a value that its parameter does not allow, or one that is swept
            over nothing or twice over the same.

    """
    known = {p.name: p for p in parameters.read(profiles.notebook(notebook))}
    swept, fixed = {}, {}
    for name, text in dict(assignments).items():
        if name not in known:
            raise InvnbError(
                f"{notebook}: unknown parameter {name!r}{nearest(name, known)}; known are "
                f"{', '.join(known)}"
            )
        alternatives = _alternatives(known[name], text)
        if alternatives is None:
            fixed[name] = text
        else:
            swept[name] = _checked(known[name], alternatives)
    base = profiles.resolve(notebook, profile, list(fixed.items()))
    combinations = (dict(zip(swept, c, strict=True)) for c in itertools.product(*swept.values()))
    return [Point(folder(chosen), base | chosen) for chosen in combinations]


def folder(chosen: Mapping[str, Any]) -> str:
    """Return the name of a folder for the values of the swept parameters.

    Different values have different names: where characters had to go, a hash stands at the end.
    """
    text = ",".join(f"{name}={_brief(value)}" for name, value in chosen.items()) or "all"
    safe = UNSAFE.sub("_", text)
    if safe == text and len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:8]
    return f"{safe[: LONGEST - 9]}~{digest}"


def _brief(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _alternatives(parameter: Parameter, text: str) -> list[Any] | None:
    """Return what `text` sweeps `parameter` over; None where it is one value."""
    text = text.strip()
    try:
        given = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        words = LIST_OF_WORDS.fullmatch(text) if text.startswith("[") else None
        given = [word.strip() for word in words[1].split(",")] if words else text
    if not isinstance(given, list | tuple):
        return None
    given = list(given)
    if not parameter.type.startswith("list"):
        return given
    return given if given and all(isinstance(e, list | tuple) for e in given) else None


def _checked(parameter: Parameter, alternatives: list[Any]) -> list[Any]:
    if not alternatives:
        raise InvnbError(f"parameter {parameter.name} is swept over nothing: give at least a value")
    values = [parameter.checked(_plain(a, parameter.type)) for a in alternatives]
    for i, value in enumerate(values):
        if value in values[:i]:
            raise InvnbError(f"parameter {parameter.name} is swept over {value!r} twice")
    return values


def _plain(value: Any, type_name: str) -> Any:
    """Return a value as parameters take it: lists for tuples, bool for its words."""
    if type_name == "bool" and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), value)
    return list(value) if isinstance(value, tuple) else value
