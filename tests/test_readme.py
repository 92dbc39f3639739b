"""The README: its picture is the reference run's, its commands exist."""

import base64
import re

import nbformat
import pytest
from PIL import Image

from invnb import cli, parameters, paths, profiles, shapes

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


PAGES = {name: (paths.BOOK / f"{name}.md").read_text("utf-8") for name in ("rerun", "sweeps")}


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_book_exist(page):
    commands = re.findall(r"^\$ (?:\S+=\S+ )*invnb ([\w-]+)(.*)", PAGES[page], re.MULTILINE)
    assert commands
    for command, rest in commands:
        assert command in cli.app.commands
        options = {name for p in cli.app.commands[command].params for name in p.opts}
        assert set(re.findall(r"(?<!\S)(--?[a-z][\w-]*)", rest)) <= options
        for name in re.findall(r"(?<!\S)-p ([a-z]\w*)", rest):
            notebooks = [n for n in profiles.notebooks() if n in rest] or profiles.notebooks()
            known = (parameters.read(profiles.notebook(n)) for n in notebooks)
            assert name in {p.name for of in known for p in of}, name


def test_the_screening_of_a_classifier_of_ones_own(tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", PAGES["rerun"], re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))
    drawn = shapes.draw(14, seed=0)
    for i, (image, label) in enumerate(zip(drawn.images, drawn.labels.tolist(), strict=True)):
        folder = tmp_path / "pictures" / shapes.CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage" / "models.py").write_text(
        "from invnb import shapes\n\n\n"
        "def make():\n"
        "    network = shapes.train(seed=0)\n"
        "    network.classes = list(shapes.CLASSES)\n"
        "    return network\n"
    )
    found = {}
    exec(example, found)  # as its reader would
    n = len(found["images"])
    assert len(found["table"].frame("rotation")) == 25 * n
    assert set(found["table"].frame("blur").file) == set(found["images"].files)
    assert found["of_class"].classes == tuple(range(7))


def test_the_parameters_that_it_sets_exist():
    known = {p.name for p in parameters.read(profiles.notebook("genuine-invariance"))}
    assert set(re.findall(r"-p (\w+)", README)) <= known
