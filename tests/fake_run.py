"""A run made up for the tests of the book: one executed chapter with glue, maths and a widget."""

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from invnb import paths, results, vendor
from invnb.errors import InvnbError

NAME = "genuine-invariance"
WORD = "kookaburra"
GLUE = re.compile(r"\{glue:text\}`[^`]*::([^`:]+):s`")

PROSE = f"""# A made-up chapter

The word {WORD} is here to be found. An orbit: $\\mathcal{{O}}_x = \\{{gx : g \\in G\\}}$,

$$ LI = \\tfrac{{1}}{{2}} \\| f(x) - f(gx) \\|_2^2 . $$
"""
RECORD = """
from IPython.display import display
for name in NAMES:
    display(
        {"application/papermill.record/text/plain": repr("0.5 ± 0.1 (n = 2)")},
        metadata={"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}},
        raw=True,
    )
"""
WIDGET = """
import io
import matplotlib.pyplot as plt
from invnb import widgets

def picture(turns):
    figure, axes = plt.subplots(figsize=(3, 3), facecolor="white")
    axes.bar(range(turns + 1), range(turns + 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()

widgets.slider({"0": picture(0), "1": picture(1)}, name="turns", description="Bars.")
"""


def place(folder: Path) -> dict[str, Path]:
    """Return where to build a book inside `folder`, with the book's scripts installed there."""
    kept = paths.ROOT / "_build" / "vendor"  # fetched once for all tests and books of a checkout
    try:
        vendor.install(paths.BOOK / "package.json", kept)
    except InvnbError as error:
        pytest.skip(str(error))
    shutil.copytree(kept, folder / "out" / "vendor")
    return {"results": folder / "results", "out": folder / "out"}


def glue_names() -> list[str]:
    """Return the names of all values that the prose of the book refers to."""
    return sorted({n for page in paths.BOOK.glob("*.md") for n in GLUE.findall(page.read_text())})


def write(folder: Path, names: list[str], **changed: Any) -> None:
    """Write a run into `folder` whose chapter records `names`; `changed` is for its JSON."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    notebook.cells = [nbformat.v4.new_markdown_cell(PROSE)]
    for code in (f"NAMES = {names!r}", RECORD, WIDGET):
        notebook.cells.append(nbformat.v4.new_code_cell(code.strip()))
    folder.mkdir(parents=True)
    path = folder / f"{NAME}.ipynb"
    nbformat.write(notebook, path)
    papermill.execute_notebook(path, path, progress_bar=False)
    write_result(folder, **changed)


def write_result(folder: Path, **changed: Any) -> None:
    """Write the JSON of a run without measurements into `folder`."""
    described = {"name": "digits", "source": "embedded", "checksum": "0", "n": 1797}
    piece = {
        "commit": "0123456789ab",
        "started": "2026-11-21T09:00:00+00:00",
        "seconds": 90.0,
        "device": "a made-up processor",
        "packages": {"python": "3.11.7", "torch": "2.13.0"},
        "data": described,
    }
    parameters = {"seeds": [0, 1], "hidden": 64}
    result = {
        "notebook": NAME,
        "run": folder.name,
        "profile": "quick",
        "status": "complete",
        "error": None,
        "provenance": {"device": "cpu", "content_hash": "0" * 64, "parameters": parameters},
        "runs": {"r1": piece},
        "measurements": {},
    }
    results.write_json(folder / f"{NAME}.json", results.judged(result) | changed)


def glued(**texts: str) -> list[nbformat.NotebookNode]:
    """Return the outputs of a cell that glued texts, by name."""
    return [
        nbformat.v4.new_output(
            "display_data",
            {"application/papermill.record/text/plain": repr(text)},
            metadata={"scrapbook": {"name": name}},
        )
        for name, text in texts.items()
    ]
