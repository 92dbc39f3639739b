"""What an executed chapter glued: values by name, which its prose cites."""

import ast
import re
from collections.abc import Iterator, Mapping

import nbformat

from invnb.citations import CITED
from invnb.ledger import NOTHING
from invnb.tables import NO_BREAK

TEXT = "application/papermill.record/text/plain"  # where a glued text is, in an output's data
SEEN = "**Seen:**"
NOTHING_SEEN = f"{SEEN} none of these numbers is in this run."


def once(chapter: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep the last output of each glued name: a name recorded again replaces what it held."""
    seen: set[str] = set()
    for cell in reversed(chapter.cells):
        kept = []
        for output in reversed(cell.get("outputs", [])):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name is None or name not in seen:
                kept.append(output)
                seen.add(name)
        if cell.cell_type == "code":
            cell.outputs = kept[::-1]
    return chapter


def texts(chapter: nbformat.NotebookNode) -> dict[str, str]:
    """Return the texts that a chapter glued, by name."""
    return {name: str(ast.literal_eval(data[TEXT])) for name, data in _glued(chapter)}


def replace(chapter: nbformat.NotebookNode, new: Mapping[str, str]) -> None:
    """Put `new` texts, by name, in the place of what a chapter glued; changed in place."""
    for name, data in _glued(chapter):
        if name in new:
            data[TEXT] = repr(new[name])


def keep_together(chapter: nbformat.NotebookNode) -> None:
    """Let no line end inside of a glued number, its spread or its n; changed in place."""
    known = texts(chapter)
    replace(chapter, {name: unbroken(text) for name, text in known.items() if " = " in text})


def unbroken(text: str) -> str:
    """Return `text` with spaces at which no line ends inside of `± 0.1` and `(n = 4)`."""
    return re.sub(r"± (?=\S)|\(n = \d+\)", lambda m: m[0].replace(" ", NO_BREAK), text)


def _glued(chapter: nbformat.NotebookNode) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield name and data of each text that a chapter glued."""
    for cell in chapter.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name and output.get("data", {}).get(TEXT):
                yield name, output["data"]


def leave_out_unseen(chapter: nbformat.NotebookNode) -> None:
    """Shorten what was seen, where a run has not one of the numbers it speaks of.

    Where something else was seen beside it, in the same cell, it is left out.

    Args:
        chapter: executed; its paragraphs that begin with "Seen" are changed in place.

    """
    known = texts(chapter)
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            told = [_told(one, known) for one in re.split(r"\n{2,}", cell.source)]
            if any(one.startswith(SEEN) and one != NOTHING_SEEN for one in told):
                told = [one for one in told if one != NOTHING_SEEN]
            cell.source = "\n\n".join(told)


def _told(paragraph: str, known: dict[str, str]) -> str:
    cited = [known.get(m["name"], "") for m in CITED.finditer(paragraph)]
    if paragraph.startswith(SEEN) and cited and all(text.startswith(NOTHING) for text in cited):
        return NOTHING_SEEN
    return paragraph
