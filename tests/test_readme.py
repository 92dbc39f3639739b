"""The README: its picture is the reference run's, its commands exist."""

import base64
import re

import nbformat

from invnb import cli, parameters, paths, profiles

README = (paths.ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = paths.RESULTS / "reference"


def test_the_picture_is_a_figure_of_the_reference_run():
    (shown,) = re.findall(r"\]\((book/assets/\w+\.png)\)", README)
    chapter = nbformat.read(REFERENCE / "genuine-invariance.ipynb", as_version=4)
    figures = [
        base64.b64decode(output.data["image/png"])
        for cell in chapter.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert (paths.ROOT / shown).read_bytes() in figures


def test_every_command_and_file_that_it_names_exists():
    targets = re.findall(r"^(\w+):", (paths.ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"\$ make (\w+)", README)) <= set(targets)
    assert set(re.findall(r"\$ invnb (\w+)", README)) <= set(cli.app.commands)
    for name in re.findall(r"`((?:\w[\w./-]*/|LICENSE|CITATION)[\w.-]*)`", README):
        assert (paths.ROOT / name).exists(), name


def test_the_parameters_that_it_sets_exist():
    known = {p.name for p in parameters.read(profiles.notebook("genuine-invariance"))}
    assert set(re.findall(r"-p (\w+)", README)) <= known
