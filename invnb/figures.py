"""Figures and tables that show a claim: which these are, and how the book marks and finds them.

A code cell that makes one says so in its metadata:
`"invnb": {"id": "rg-around", "title": "...", "claims": ["RG-03"]}`, and optionally `after`, what it
is made after in the source, and `front`, a sentence that takes it to the front page.
"""

import base64
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

KEY = "invnb"  # in the metadata of a cell
PICTURES = {"image/svg+xml": "svg", "image/png": "png"}  # MIME type -> suffix
TABLE = "text/markdown"
ROW_OF_CLAIM = re.compile(r"^\| ([A-Z]{2}-[\w-]+) \|", re.MULTILINE)


@dataclass(frozen=True)
class Figure:
    """A figure or a table, as a notebook declares it.

    Attributes:
        id: what the book links to.
        notebook: name of its chapter.
        title: a few words.
        claims: ids of those that it shows.
        after: figure or table of the source that it remakes; empty where there is none.
        front: sentence beside it on the front page; empty for a figure that stays in its chapter.
        alt: what the picture shows, in words.

    """

    id: str
    notebook: str
    title: str
    claims: tuple[str, ...]
    after: str = ""
    front: str = ""
    alt: str = ""

    @property
    def caption(self) -> str:
        """Title, origin and linked claims, in MyST Markdown."""
        links = ", ".join(f"[{claim}](#{claim.lower()})" for claim in self.claims)
        parts = [f"**{self.title}** (`{self.id}`)"]
        parts += [f"after {self.after}"] if self.after else []
        parts += [f"shows {links}"] if links else []
        return " · ".join(parts)


@dataclass(frozen=True)
class Shown:
    """A figure or a table that an executed chapter has.

    Attributes:
        figure: what it is.
        suffix: of the picture's file; empty for a table.
        content: of that file.

    """

    figure: Figure
    suffix: str = ""
    content: bytes = b""


def declared(name: str, notebook: NotebookNode) -> Iterator[Figure]:
    """Yield the figures and tables that the cells of the notebook `name` declare."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and KEY in cell.metadata:
            yield _figure(name, cell.metadata)


def mark(name: str, chapter: NotebookNode, source: NotebookNode) -> list[Shown]:
    """Give the figures and tables of an executed chapter captions and ids that can be linked to.

    Args:
        name: of the notebook.
        chapter: as it was executed; changed in place.
        source: the notebook as it is now. What it says of a cell counts where the code of that cell
            is still the same, so that a title can be changed without running the chapter again; and
            for cells that said nothing themselves when they were executed, whatever their code.

    Returns:
        Those that this run has: a cell may have had nothing to draw.

    """
    cells = [cell for cell in source.cells if cell.cell_type == "code"]
    now = {cell.source: cell.metadata for cell in cells}
    by_id = {cell.id: cell.metadata for cell in cells}
    found = []
    for cell in chapter.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.update(now.get(cell.source, {}))
        if KEY not in cell.metadata:
            cell.metadata.update(by_id.get(cell.id, {}))
        if KEY not in cell.metadata:
            continue
        figure = _figure(name, cell.metadata)
        pictures = [o for o in cell.outputs if is_picture(o)]
        tables = [o for o in cell.outputs if is_table(o)]
        if len(pictures) == 1:
            about = {"figure": {"name": figure.id, "caption": figure.caption}}
            cell.metadata["mystnb"] = cell.metadata.get("mystnb", {}) | about
        elif pictures or tables:  # above them all: MyST-NB would caption each picture
            text = f"({figure.id})=\n{figure.caption}"
            at = cell.outputs.index((pictures or tables)[0])
            cell.outputs.insert(at, new_output("display_data", {TABLE: text}))
        if pictures or tables:
            found.append(Shown(figure, *(_content(pictures[0]) if pictures else ())))
    return found


def link_claims(chapter: NotebookNode, claims: Collection[str]) -> None:
    """Make the ids of claims at the start of a table's row links to the ledger.

    Args:
        chapter: as it was executed; changed in place.
        claims: ids that the ledger has.

    """
    for cell in chapter.cells:
        for output in cell.get("outputs", []):
            if is_table(output):
                output.data[TABLE] = ROW_OF_CLAIM.sub(
                    lambda row: (
                        f"| [{row[1]}](#{row[1].lower()}) |" if row[1] in claims else row[0]
                    ),
                    output.data[TABLE],
                )


def is_table(output: Mapping[str, Any]) -> bool:
    """Return whether an output is a table in Markdown."""
    return output.get("data", {}).get(TABLE, "").startswith("|")


def is_picture(output: Mapping[str, Any]) -> bool:
    """Return whether an output is a picture."""
    return _kind(output) is not None


def _figure(notebook: str, metadata: Mapping[str, Any]) -> Figure:
    told = metadata[KEY]
    alt = metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    return Figure(notebook=notebook, alt=alt, **told | {"claims": tuple(told["claims"])})


def _kind(output: Mapping[str, Any]) -> str | None:
    """Return the MIME type of an output's picture, None where it has none."""
    return next((kind for kind in PICTURES if kind in output.get("data", {})), None)


def _content(output: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return suffix and bytes of an output's picture."""
    kind = _kind(output)
    text = "".join(output["data"][kind])
    if kind == "image/png":
        return PICTURES[kind], base64.b64decode(text)
    return PICTURES[kind], re.sub(r"^.*?(?=<svg)", "", text, flags=re.DOTALL).encode()
