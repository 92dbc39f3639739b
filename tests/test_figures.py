"""Figures and tables: what notebooks declare, and how the book marks them."""

import base64
from itertools import chain

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from invnb import claims, figures, paths

# The figures of the sources that the book remakes.
REMADE = {
    "rg-capsnet-redrawn", "rg-rotation-grid", "rg-error-by-angle", "rg-4-and-9", "rg-shift-grid",
    "ep-rows",
    "gi-figure-1-3", "gi-figure-2", "gi-figure-4", "gi-figure-5",
    "cs-figure-1", "cs-figure-2-3", "cs-figure-2d-3d", "cs-figure-4a", "cs-figure-4b",
    "cs-figure-5", "cs-figure-6-7",
}  # fmt: skip
PNG = base64.b64encode(b"a picture").decode()
SVG = '<?xml version="1.0"?>\n<svg><path d="M0 0"/></svg>'


def of_the_book():
    notebooks = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
    return [f for n in notebooks for f in figures.declared(n.stem, nbformat.read(n, as_version=4))]


def test_every_remade_figure_is_declared_once_with_a_source_and_words_for_the_blind():
    declared = of_the_book()
    ids = [f.id for f in declared]
    assert len(set(ids)) == len(ids)
    assert set(ids) >= REMADE
    assert all(f.after and f.alt for f in declared if f.id in REMADE)


def test_every_claim_is_shown_somewhere():
    shown = set(chain.from_iterable(f.claims for f in of_the_book()))
    known = {claim.id: claim.notebook for claim in claims.load()}
    assert set(known) == shown
    for figure in of_the_book():
        assert {known[claim] for claim in figure.claims} <= {figure.notebook}


def test_front_page_gets_a_figure_of_every_chapter():
    assert {f.notebook for f in of_the_book() if f.front} == {
        p.stem for p in paths.NOTEBOOKS.glob("*.ipynb")
    }


def chapter(*outputs, source="draw()", **told):
    about = {"invnb": {"id": "xy-1", "title": "A title", "claims": ["RG-01"]} | told}
    about["mystnb"] = {"image": {"alt": "words"}}
    return new_notebook(cells=[new_code_cell(source, metadata=about, outputs=list(outputs))])


def output(**data):
    return new_output("display_data", {k.replace("_", "/"): v for k, v in data.items()})


def test_a_picture_gets_a_caption_and_a_name():
    made = chapter(output(image_png=PNG), after="figure 3")
    (shown,) = figures.mark("n", made, made)
    assert (shown.suffix, shown.content) == ("png", b"a picture")
    about = made.cells[0].metadata["mystnb"]
    assert about["image"] == {"alt": "words"}
    assert about["figure"] == {
        "name": "xy-1",
        "caption": "**A title** (`xy-1`) · after figure 3 · shows [RG-01](#rg-01)",
    }


def test_a_drawing_comes_without_what_is_not_for_a_page():
    made = chapter(output(**{"image_svg+xml": SVG}))
    (shown,) = figures.mark("n", made, made)
    assert (shown.suffix, shown.content) == ("svg", SVG.splitlines()[1].encode())


@pytest.mark.parametrize(
    "outputs",
    [
        [output(text_markdown="| a |\n| --- |\n| 1 |")],
        [output(image_png=PNG), output(image_png=PNG)],
    ],
    ids=["a table", "two pictures"],
)
def test_what_is_no_single_picture_gets_its_caption_above(outputs):
    made = chapter(*outputs)
    (shown,) = figures.mark("n", made, made)
    assert shown.figure.id == "xy-1"
    first, *rest = made.cells[0].outputs
    assert first["data"]["text/markdown"].startswith("(xy-1)=\n**A title**")
    assert rest == outputs
    assert "figure" not in made.cells[0].metadata["mystnb"]


def test_a_cell_that_had_nothing_to_draw_is_not_linked_to():
    made = chapter(output(text_markdown="Nothing is in this run."))
    assert figures.mark("n", made, made) == []


def test_a_title_counts_as_the_notebook_has_it_now_where_the_code_is_the_same():
    made, now = chapter(output(image_png=PNG)), chapter(title="Better")
    assert figures.mark("n", made, now)[0].figure.title == "Better"
    made, now = chapter(output(image_png=PNG)), chapter(title="Better", source="draw(2)")
    assert figures.mark("n", made, now)[0].figure.title == "A title"


def test_a_cell_that_said_nothing_yet_is_known_by_its_id():
    made, now = chapter(output(image_png=PNG)), chapter(source="draw(2)")
    made.cells[0].metadata = {}
    assert figures.mark("n", made, now) == []
    made.cells[0].id = now.cells[0].id
    assert figures.mark("n", made, now)[0].figure.title == "A title"


def test_ids_of_claims_at_the_start_of_a_row_are_links():
    table = "| id | claim |\n| --- | --- |\n| GI-T1-R4-WT-LI | as RG-01 |\n| AB-12 | of no ledger |"
    executed = chapter(output(text_markdown=table), output(text_markdown="RG-01: a sentence"))
    figures.link_claims(executed, {"GI-T1-R4-WT-LI", "RG-01"})
    linked, sentence = (o.data["text/markdown"] for o in executed.cells[0].outputs)
    assert linked == table.replace("| GI-T1-R4-WT-LI", "| [GI-T1-R4-WT-LI](#gi-t1-r4-wt-li)")
    assert sentence == "RG-01: a sentence"
