"""Notes in chapters that are older than their code or were judged anew: what counts now.

A chapter keeps the pages that it was executed to. Its code may have changed since, and what its
claims are judged by may have been sharpened. Then a reader is told so at the top, and each verdict
that the prose cites is given as it is now.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import nbformat

from invnb import glue

HEADING = "## Verdicts"
LEDGER = "[ledger](../book/ledger.md)"
MANY = 6  # claims that are not listed one by one
OLDER = (
    "The notebook or its code has changed since this chapter was executed; it shows the numbers of "
    "the older code ([](../book/status.md))."
)

Claims = Mapping[str, Mapping[str, Any]]  # as in a result


def mark(chapter: nbformat.NotebookNode, claims: Claims, *, stale: bool = False) -> None:
    """Put notes under a chapter's title and under its verdicts, where it needs them.

    Args:
        chapter: executed; changed in place.
        claims: the verdicts that the chapter's result has now, by id.
        stale: whether its notebook or code has changed since it was executed.

    """
    then = {i: verdict for i, verdict in glue.texts(chapter).items() if i in claims}
    then |= {i: claim["at_run"]["verdict"] for i, claim in claims.items() if claim.get("at_run")}
    changed = [i for i, verdict in then.items() if claims[i]["verdict"] != verdict]
    if changed:
        told = ", ".join(f"{_link(i)} *{claims[i]['verdict']}* (then *{then[i]}*)" for i in changed)
        counting = f"The verdicts that count are those of the {LEDGER}: {told}."
        headings = (i for i, c in enumerate(chapter.cells) if c.source.startswith(HEADING))
        _insert(chapter, next(headings, len(chapter.cells) - 1) + 1, counting)  # else at the end
        now = {i: f"{claims[i]['verdict']} (then {then[i]})" for i in changed}
        glue.replace(chapter, now)
    sentences = [OLDER] if stale else []
    if others := _judged_by_others(claims, changed):
        sentences.append(others)
    if sentences:
        _insert(chapter, 1, " ".join(sentences))


def _judged_by_others(claims: Claims, changed: Iterable[str]) -> str:
    """Return which claims are judged by other criteria than at the run, nothing if none is."""
    anew = {i: claim["at_run"] for i, claim in claims.items() if "at_run" in claim}
    newer = [i for i, one in anew.items() if one is None]
    conditions = [
        i for i, one in anew.items() if one and one["criterion"] != claims[i]["criterion"]
    ]
    needs = [i for i in anew if i not in (*newer, *conditions)]
    told = [f"by other conditions {_links(conditions)}"] if conditions else []
    told += [f"with other settings or training asked for {_links(needs)}"] if needs else []
    told += [f"newer than the run {_links(newer)}"] if newer else []
    if unknown := [i for i in changed if i not in anew]:
        told.append(_links(unknown))
    if not told:
        return ""
    return (
        "Criteria have been sharpened since then, and its numbers were judged anew: "
        f"{'; '.join(told)} ({LEDGER})."
    )


def _link(claim: str) -> str:
    return f"[{claim}](#{claim.lower()})"


def _links(claims: Sequence[str]) -> str:
    """Return links to claims, to the first and the last of many."""
    if len(claims) > MANY:
        return f"{len(claims)} claims, {_link(claims[0])} to {_link(claims[-1])}"
    return ", ".join(map(_link, claims))


def _insert(chapter: nbformat.NotebookNode, at: int, text: str) -> None:
    note = f":::{{note}}\n{text}\n:::"
    chapter.cells.insert(at, nbformat.v4.new_markdown_cell(note))
