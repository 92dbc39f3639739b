"""A note in chapters that were judged anew: what they say of their claims, and what counts now."""

import ast
from collections.abc import Mapping
from typing import Any

import nbformat

HEADING = "## Verdicts"


def mark(chapter: nbformat.NotebookNode, claims: Mapping[str, Mapping[str, Any]]) -> None:
    """Put a note under a chapter's verdicts, where some are no longer those that count.

    Args:
        chapter: executed; changed in place.
        claims: the verdicts that the chapter's result has now, by id.

    """
    then = _glued(chapter)
    changed = {
        i: c["verdict"] for i, c in claims.items() if then.get(i, c["verdict"]) != c["verdict"]
    }
    if not changed:
        return
    told = ", ".join(
        f"[{i}](#{i.lower()}) *{verdict}* (then *{then[i]}*)" for i, verdict in changed.items()
    )
    note = (
        ":::{note}\n"
        "Criteria have been sharpened since this chapter was executed, and its numbers were judged "
        f"anew. The verdicts that count are those of the [ledger](../book/ledger.md): {told}.\n"
        ":::"
    )
    headings = (i for i, cell in enumerate(chapter.cells) if cell.source.startswith(HEADING))
    at = next(headings, len(chapter.cells) - 1)  # else at the end
    chapter.cells.insert(at + 1, nbformat.v4.new_markdown_cell(note))


def _glued(chapter: nbformat.NotebookNode) -> dict[str, str]:
    """Return the texts that a chapter glued, by name."""
    found = {}
    for cell in chapter.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = output.get("data", {}).get("application/papermill.record/text/plain")
            if name and text:
                found[name] = str(ast.literal_eval(text))
    return found
