"""Tables and figures of the reference run in the chapter of another run."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from invnb import beside
from invnb.figures import KEY, TABLE

OURS, THEIRS = "| a |\n| --- |\n| 1 |", "| a |\n| --- |\n| 2 |"
CAPTION = "(an-id)=\n**A title** (`an-id`)"  # as figures.mark puts it above a table


def markdown(text):
    return new_output("display_data", {TABLE: text})


def picture(content="<svg/>"):
    return new_output("display_data", {"image/svg+xml": content})


def chapter(*outputs, name="an-id", marked=True):
    metadata = {KEY: {"id": name, "title": "A title", "claims": []}} if marked else {}
    return new_notebook(cells=[new_code_cell("x", metadata=metadata, outputs=list(outputs))])


def texts(notebook):
    return [output["data"].get(TABLE) for output in notebook.cells[0].outputs]


def test_a_table_of_the_reference_run_is_folded_below_this_runs():
    found = chapter(markdown(CAPTION), markdown(OURS))
    beside.put(found, chapter(markdown(CAPTION), markdown(THEIRS)))
    folded = f":::{{dropdown}} A title, in the reference run's chapter\n\n{THEIRS}\n\n:::"
    assert texts(found) == [CAPTION, OURS, folded]


def test_a_table_that_this_run_lacks_is_there_from_the_reference_run():
    found = chapter(markdown("Not in this run."))
    beside.put(found, chapter(markdown(OURS), markdown(THEIRS)))
    assert texts(found)[0] == "Not in this run."
    assert f"{OURS}\n\n{THEIRS}" in texts(found)[1]


def test_a_figure_that_this_run_lacks_is_there_from_the_reference_run():
    found, theirs = chapter(markdown("Not in this run.")), chapter(picture())
    beside.put(found, theirs)
    assert texts(found) == ["Not in this run.", "*A title, in the reference run's chapter:*", None]
    assert found.cells[0].outputs[2] == picture()
    assert len(theirs.cells[0].outputs) == 1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (chapter(markdown(OURS)), chapter(markdown(OURS))),  # equal
        (chapter(picture("<svg>1</svg>")), chapter(picture())),  # a figure of its own
        (chapter(markdown(OURS)), chapter(picture())),
        (chapter(markdown(OURS)), chapter(markdown(THEIRS), name="another")),
        (chapter(markdown(OURS), marked=False), chapter(markdown(THEIRS))),
        (chapter(markdown(OURS)), chapter(markdown("Not in this run."))),
    ],
)
def test_nothing_is_added_where_there_is_nothing_to_tell(ours, theirs):
    before = len(ours.cells[0].outputs)
    beside.put(ours, theirs)
    assert len(ours.cells[0].outputs) == before
