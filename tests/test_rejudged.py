"""invnb.rejudged: the note under verdicts that are no longer those that count."""

import fake_run
import nbformat

from invnb import rejudged


def chapter(**verdicts):
    cells = [
        nbformat.v4.new_markdown_cell("## Verdicts\n\nComputed."),
        nbformat.v4.new_code_cell("", outputs=fake_run.glued(**verdicts)),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def test_a_chapter_whose_verdicts_count_is_left_alone():
    made = chapter(**{"CS-01": "partly"})
    rejudged.mark(made, {"CS-01": {"verdict": "partly"}, "CS-99": {"verdict": "not run"}})
    assert len(made.cells) == 2


def test_verdicts_that_changed_are_named_with_both():
    made = chapter(**{"CS-01": "partly", "CS-02": "reproduced"})
    rejudged.mark(made, {"CS-01": {"verdict": "partly"}, "CS-02": {"verdict": "inconclusive"}})
    assert [cell.cell_type for cell in made.cells] == ["markdown", "markdown", "code"]
    note = made.cells[1].source
    assert "[CS-02](#cs-02) *inconclusive* (then *reproduced*)" in note
    assert "CS-01" not in note
