"""A made-up checkout: tiny notebooks and profiles in a temporary folder."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from invnb import paths

PARAMETERS = """\
seeds: list[int] = [0, 1]  # one network each [>= 0, distinct]
rate: float = 0.5  # step size, 1 [> 0]
data: str = "auto"  # images [auto | digits | mnist]"""

MEASURE = """\
from invnb.recording import describe_run, record
describe_run(data={"name": "embedded digits", "source": "embedded"}, device="cpu")
record("T.score", [rate + seed for seed in seeds], unit="1", seeds=seeds)"""


def make(folder: Path, monkeypatch) -> Path:
    """Point `invnb.paths` at an empty checkout in `folder`, and return its results folder."""
    for name in ("NOTEBOOKS", "PROFILES", "RESULTS"):
        monkeypatch.setattr(paths, name, folder / name.lower())
        (folder / name.lower()).mkdir()
    (folder / "data").mkdir()
    monkeypatch.setenv("INVNB_DATA", str(folder / "data"))
    return paths.RESULTS


def add_notebook(name: str, *code: str, parameters: str = PARAMETERS) -> Path:
    """Write a notebook with a tagged cell and further code cells, and return its path."""
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# Tiny"), tagged, *map(new_code_cell, code)]
    path = paths.NOTEBOOKS / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def add_profile(name: str, text: str) -> Path:
    """Write a profile and return its path."""
    path = paths.PROFILES / f"{name}.yml"
    path.write_text(text, encoding="utf-8")
    return path
