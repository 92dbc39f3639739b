"""What generated pages are written with: MyST Markdown, coloured verdicts, titles of chapters."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from invnb import paths

BADGES = {
    "reproduced": "success",
    "partly": "warning",
    "not reproduced": "danger",
    "inconclusive": "info",
    "not run": "muted-line",
}
SPECIAL = re.compile(r"([\\`*_{}\[\]<>$|#])")


def escape(text: object) -> str:
    """Return `text` as Markdown that shows it letter by letter, on one line."""
    return SPECIAL.sub(r"\\\1", re.sub(r"[ \n\r\t]+", " ", str(text)).strip())


def badge(verdict: str) -> str:
    """Return `verdict` as a coloured word."""
    return f"{{bdg-{BADGES[verdict]}}}`{verdict}`"


def row(cells: Iterable[str]) -> list[str]:
    """Return the lines of a row of a list-table; a cell of several paragraphs keeps them."""
    indented = [cell.replace("\n", "\n    ") for cell in cells]
    return [f"{'  ' if i else '* '}- {cell}" for i, cell in enumerate(indented)]


def chapter_titles() -> dict[str, str]:
    """Return the chapters' titles by notebook, in the order of the contents."""
    toc = yaml.safe_load((paths.BOOK / "_toc.yml").read_text(encoding="utf-8"))
    pages = [page for part in toc["parts"] for page in part["chapters"]]
    return {
        page["file"].removeprefix("notebooks/"): page["title"]
        for page in pages
        if page["file"].startswith("notebooks/")
    }


def in_order(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run has by notebook in the order of the contents, others behind."""
    order = list(chapter_titles())
    known = [name for name in order if name in run]
    return {name: run[name] for name in [*known, *(n for n in run if n not in order)]}


def by_source(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the rows of the ledger by source, in their order."""
    sources: dict[str, list[Mapping[str, Any]]] = {}
    for one in rows:
        sources.setdefault(one["source"], []).append(one)
    return sources
