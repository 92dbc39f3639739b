"""Tables of a chapter: Markdown, so that Jupyter and the book show them alike."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from IPython.display import Markdown

from invnb.measurements import number

NO_BREAK = "\u00a0"  # a space at which no line ends
# Names of measurements, which would make a column as wide as they are long
LONG_NAME = re.compile(r"\b[A-Za-z][\w.]{19,}\b")


def markdown_table(rows: Iterable[Mapping[str, Any]]) -> Markdown:
    """Return rows of equal keys as a Markdown table; the keys are its head, NaN is a dash.

    Names of 20 letters and more, but for code and links, may be broken behind a dot or an
    underscore.
    """
    rows = list(rows)
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([*row.values()] for row in rows)]
    return Markdown("\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines))


def with_interval(measured: Mapping[str, Any] | None, *, count: bool = True) -> str:
    """Return a measurement as `mean [low, high] (n)`, the interval being the 95 % one.

    A line may end between these three alone.

    Args:
        measured: as in `invnb.measurements`; None where there is none.
        count: tell n.

    """
    if measured is None or measured["mean"] is None:
        return "–"
    n = f" (n{NO_BREAK}={NO_BREAK}{measured['n']})" if count else ""
    if measured["ci95"] is None:
        return f"{number(measured['mean'])}{n}"
    low, high = measured["ci95"]
    mean, low, high = (number(x, (high - low) / 2) for x in (measured["mean"], low, high))
    return f"{mean} [{low},{NO_BREAK}{high}]{n}"


def _cell(value: Any) -> str:
    text = str(value).replace("|", "\\|").replace("\n", " ")
    if "`" not in text and "](" not in text:  # code and addresses stay as they are
        text = LONG_NAME.sub(lambda name: re.sub(r"([._])", r"\1<wbr>", name[0]), text)
    return "–" if text == "nan" else text
