"""What an executed chapter glued: values by name, which its prose cites."""

import ast
import re

import nbformat

from invnb.citations import CITED
from invnb.ledger import NOTHING

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
    found = {}
    for cell in chapter.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = output.get("data", {}).get("application/papermill.record/text/plain")
            if name and text:
                found[name] = str(ast.literal_eval(text))
    return found


def leave_out_unseen(chapter: nbformat.NotebookNode) -> None:
    """Shorten what was seen, where a run has not one of the numbers it speaks of.

    Args:
        chapter: executed; its paragraphs that begin with "Seen" are changed in place.

    """
    known = texts(chapter)
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            paragraphs = re.split(r"(\n{2,})", cell.source)
            cell.source = "".join(_told(one, known) for one in paragraphs)


def _told(paragraph: str, known: dict[str, str]) -> str:
    cited = [known.get(m["name"], "") for m in CITED.finditer(paragraph)]
    if paragraph.startswith(SEEN) and cited and all(text.startswith(NOTHING) for text in cited):
        return NOTHING_SEEN
    return paragraph
