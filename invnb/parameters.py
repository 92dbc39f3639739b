"""Parameters of a notebook: read from its tagged cell, checked before anything runs.

The cell tagged `parameters` holds one line a parameter,

    epochs: int = 2  # passes over the training images [>= 1]

with a type out of `TYPES`, a literal, and a comment that may end in a constraint: `[> 0]`,
`[>= 1]`, `[< 1]`, `[<= 1]`, a closed range `[0..1]`, one of `[auto | cpu | cuda]`, where `*` stands
for any text. A constraint holds for each element of a list; `distinct` (alone or after a comma)
forbids repeated elements, and `or none` at the end allows an empty list where the default is not.
"""

import ast
import io
import json
import math
import operator
import re
import tokenize
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from invnb import paths
from invnb.errors import InvnbError

ELEMENTS = {"int": int, "float": float, "bool": bool, "str": str}
TYPES = (*ELEMENTS, "list[int]", "list[float]", "list[str]")
COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
COMPARISON = re.compile(rf"(>=|<=|>|<)\s*({NUMBER})")
RANGE = re.compile(rf"({NUMBER})\s*\.\.\s*({NUMBER})")
COMMENT = re.compile(r"(?P<help>.*?)\s*(?:\[(?P<constraint>[^\[\]]*)\])?")
LIST_OF_WORDS = re.compile(r"\[?([^\[\]'\"]+)\]?")


@dataclass(frozen=True)
class Constraint:
    """What the elements of a parameter may be.

    Attributes:
        rule: the constraint in words that end a sentence "each must be ...".
        allows: whether one element is allowed.
        choices: the words of `[a | b | c]`, else nothing.
        distinct: whether a list must not hold an element twice.
        empty: whether a list may hold nothing.

    """

    rule: str
    allows: Callable[[Any], bool]
    choices: tuple[str, ...] = ()
    distinct: bool = False
    empty: bool = False

    def __str__(self) -> str:
        more = ", distinct" if self.distinct and self.rule != "distinct" else ""
        return self.rule + more + (" or none" if self.empty else "")


def constraint(text: str) -> Constraint:
    """Return the constraint that an author wrote between brackets.

    Raises:
        InvnbError: `text` is in none of the forms that this module's docstring lists.

    """
    if text.endswith(" or none"):
        return replace(constraint(text.removesuffix(" or none").rstrip(" ,")), empty=True)
    rule = text.removesuffix("distinct").rstrip(" ,")
    distinct = text.endswith("distinct")
    if not rule and distinct:
        return Constraint("distinct", lambda _: True, distinct=True)
    if "|" in rule:
        choices = tuple(word.strip() for word in rule.split("|"))
        return Constraint(
            f"one of {', '.join(choices)}",
            lambda e: any(fnmatchcase(str(e), choice) for choice in choices),
            choices,
            distinct,
        )
    if match := COMPARISON.fullmatch(rule):
        compare, bound = COMPARISONS[match[1]], float(match[2])
        return Constraint(rule, lambda e: compare(e, bound), distinct=distinct)
    if match := RANGE.fullmatch(rule):
        low, high = float(match[1]), float(match[2])
        return Constraint(f"in {rule}", lambda e: low <= e <= high, distinct=distinct)
    raise InvnbError(
        f"constraint [{text}] is none of [> 0], [>= 1], [< 1], [<= 1], [0..1], [a | b | c], "
        "[distinct], [>= 0, distinct] and [>= 0, distinct or none]"
    )


@dataclass(frozen=True)
class Parameter:
    """One line of the tagged cell.

    Attributes:
        name: the variable.
        type: one of `TYPES`.
        default: the literal, of that type.
        help: the comment without constraint: what it does, unit.
        constraint: what is allowed besides the type; None where everything is.

    """

    name: str
    type: str
    default: Any
    help: str
    constraint: Constraint | None

    def checked(self, value: Any) -> Any:
        """Return `value`, an int made float where a float is due.

        Raises:
            InvnbError: wrong type, not finite, out of range, an element twice, or an empty list
                where neither the default nor the constraint is one.

        """
        element_type = self.type.removeprefix("list[").removesuffix("]")
        is_list = self.type != element_type
        elements = value if is_list and isinstance(value, list | tuple) else [value]
        if isinstance(value, list | tuple) != is_list or not all(
            _is_a(e, element_type) for e in elements
        ):
            raise InvnbError(
                f"parameter {self.name} is {value!r} ({type(value).__name__}), but must be "
                f"{self.type}{' of finite size' if 'float' in self.type else ''}, "
                f"such as {self.default!r}"
            )
        may_be_empty = not self.default or (self.constraint and self.constraint.empty)
        if is_list and not elements and not may_be_empty:
            raise InvnbError(f"parameter {self.name} is empty, but needs at least one element")
        for element in elements:
            if self.constraint and not self.constraint.allows(element):
                raise InvnbError(self._not_allowed(value, element))
        if self.constraint and self.constraint.distinct and len(set(elements)) < len(elements):
            raise InvnbError(f"parameter {self.name} is {value!r}, but elements must be distinct")
        converted = [ELEMENTS[element_type](e) for e in elements]
        return converted if is_list else converted[0]

    def _not_allowed(self, value: Any, element: Any) -> str:
        each = "each element " if isinstance(value, list) else ""
        return (
            f"parameter {self.name} is {value!r}, but {each}must be {self.constraint.rule}"
            f"{nearest(str(element), self.constraint.choices)}"
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `" (nearest: ...)"` for the name in `known` most like `name`, or nothing."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (nearest: {near[0]})" if near else ""


def read(notebook: Path) -> list[Parameter]:
    """Return the parameters of a notebook file, in the order of its tagged cell.

    Raises:
        InvnbError: no such file, not a notebook, no tagged cell, or a line that is no parameter.

    """
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    except OSError as error:
        raise InvnbError(f"notebook {notebook} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvnbError(f"{notebook} is not a notebook: {error}") from error
    tagged = [c for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise InvnbError(f"{notebook} has {len(tagged)} cells tagged 'parameters', but needs one")
    return parse("".join(tagged[0]["source"]))


def parse(source: str) -> list[Parameter]:
    """Return the parameters that the code `source` of a tagged cell declares.

    Raises:
        InvnbError: a line is not `name: type = literal  # help [constraint]`.

    """
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    try:
        comments = {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}
        statements = ast.parse(source).body
    except (SyntaxError, tokenize.TokenError) as error:
        raise InvnbError(f"the parameters cell is not valid Python: {error}") from error
    return [_parameter(s, ast.get_source_segment(source, s), comments) for s in statements]


def _parameter(statement: ast.stmt, code: str, comments: Mapping[int, str]) -> Parameter:
    try:
        kind = ast.unparse(statement.annotation)
        default = ast.literal_eval(statement.value)
        name = statement.target.id
        if kind not in TYPES or statement.lineno != statement.end_lineno:
            raise ValueError(kind)
    except (AttributeError, ValueError) as error:
        raise InvnbError(
            f"{code!r} in the parameters cell is not `name: type = literal  # help` on one line, "
            f"with a type out of {', '.join(TYPES)}"
        ) from error
    comment = COMMENT.fullmatch(comments.get(statement.end_lineno, "").lstrip("# "))
    limits = comment["constraint"] and constraint(comment["constraint"].strip())
    parameter = Parameter(name, kind, default, comment["help"].rstrip(" ,;"), limits)
    parameter.checked(default)
    return parameter


def check(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every parameter: that in `values`, else the default.

    Raises:
        InvnbError: a name that is no parameter, or a value that its parameter does not allow.

    """
    known = {p.name: p for p in parameters}
    for name in values:
        if name not in known:
            raise InvnbError(
                f"unknown parameter {name!r}{nearest(name, known)}; known are {', '.join(known)}"
            )
    return {name: p.checked(values.get(name, p.default)) for name, p in known.items()}


def parse_assignment(parameter: Parameter, text: str) -> Any:
    """Return the value that `text` from a command line means for `parameter`.

    Numbers and lists are written as in Python (`1e-3`, `[0, 1]`), bool also as `true` and `false`,
    strings without quotes; a list of strings also as `[a, b]` or as a single word.

    Raises:
        InvnbError: the value is not one that the parameter allows.

    """
    if parameter.type == "str":
        return parameter.checked(text)
    if parameter.type == "bool":
        return parameter.checked({"true": True, "false": False}.get(text.lower(), text))
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        words = LIST_OF_WORDS.fullmatch(text.strip())
        is_words = parameter.type == "list[str]" and words
        value = [word.strip() for word in words[1].split(",")] if is_words else text
    return parameter.checked(list(value) if isinstance(value, tuple) else value)


def check_namespace(notebook: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Check the parameters of a running notebook, however it was started, and return them.

    Called in the cell after the tagged one, as `check_namespace("name", globals())`: Jupyter and
    plain papermill then stop at a wrong value with the sentence that `invnb run` gives.

    Args:
        notebook: name of the notebook, without folder and ending.
        namespace: variables of the kernel.

    Raises:
        InvnbError: a parameter is missing, or has a value that is not allowed.

    """
    declared = read(paths.NOTEBOOKS / f"{notebook}.ipynb")
    for parameter in declared:
        if parameter.name not in namespace:
            raise InvnbError(f"parameter {parameter.name} is missing: run the parameters cell")
    return {p.name: p.checked(namespace[p.name]) for p in declared}


def _is_a(value: Any, name: str) -> bool:
    """Return whether `value` is of the element type `name`; an int is a float, a bool no number."""
    if name == "float":
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is ELEMENTS[name]
