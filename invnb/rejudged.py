"""A note in chapters that were judged anew: what they say of their claims, and what counts now."""

from collections.abc import Mapping
from typing import Any

import nbformat

from invnb import glue

HEADING = "## Verdicts"


def mark(chapter: nbformat.NotebookNode, claims: Mapping[str, Mapping[str, Any]]) -> None:
    """Put a note under a chapter's verdicts, where some are no longer those that count.

    Args:
        chapter: executed; changed in place.
        claims: the verdicts that the chapter's result has now, by id.

    """
    then = glue.texts(chapter)
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
