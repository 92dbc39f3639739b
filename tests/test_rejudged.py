"""invnb.rejudged: the note under verdicts that are no longer those that count."""

import fake_run
import nbformat

from invnb import glue, rejudged


def chapter(**verdicts):
    cells = [
        nbformat.v4.new_markdown_cell("## Verdicts\n\nComputed."),
        nbformat.v4.new_code_cell("", outputs=fake_run.glued(**verdicts)),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def judged(verdict, then=None, criterion="a > 1"):
    """Return a claim of a result, with how it was judged at the run where that is given."""
    claim = {"verdict": verdict, "criterion": criterion}
    if then:
        claim["at_run"] = {"verdict": then[0], "criterion": then[1], "criterion_hash": "old"}
    return claim


def test_a_chapter_whose_verdicts_count_is_left_alone():
    made = chapter(**{"CS-01": "partly"})
    rejudged.mark(made, {"CS-01": {"verdict": "partly"}, "CS-99": {"verdict": "not run"}})
    assert len(made.cells) == 2


def test_verdicts_that_changed_are_named_with_both():
    made = chapter(**{"CS-01": "partly", "CS-02": "reproduced"})
    rejudged.mark(made, {"CS-01": {"verdict": "partly"}, "CS-02": {"verdict": "inconclusive"}})
    assert [cell.cell_type for cell in made.cells] == ["markdown", *["markdown"] * 2, "code"]
    top, note = (cell.source for cell in made.cells[1:3])
    assert "judged anew: [CS-02](#cs-02)" in top
    assert "[CS-02](#cs-02) *inconclusive* (then *reproduced*)" in note
    assert "CS-01" not in top + note
    assert glue.texts(made) == {"CS-01": "partly", "CS-02": "inconclusive (then reproduced)"}


def test_claims_are_named_whose_criterion_changed_and_whose_verdict_did_not():
    claims = {
        "CS-01": judged("partly", ("partly", "a > 0")),
        "CS-02": judged("partly", ("partly", "a > 1")),
        "CS-03": judged("not run") | {"at_run": None},
        "CS-04": judged("partly"),
    }
    made = chapter(**{i: "partly" for i in claims if i != "CS-03"})
    rejudged.mark(made, claims)
    (note,) = (cell.source for cell in made.cells if ":::{note}" in cell.source)
    assert "by other conditions [CS-01](#cs-01);" in note
    assert "with other settings or training asked for [CS-02](#cs-02);" in note
    assert "newer than the run [CS-03](#cs-03)" in note
    assert "CS-04" not in note


def test_many_claims_are_counted():
    ids = [f"CS-{n:02}" for n in range(1, 9)]
    made = chapter(**dict.fromkeys(ids, "partly"))
    rejudged.mark(made, {i: judged("partly", ("partly", "a > 0")) for i in ids})
    assert "8 claims, [CS-01](#cs-01) to [CS-08](#cs-08)" in made.cells[1].source


def test_a_stale_chapter_says_so_below_its_title():
    made = chapter(**{"CS-01": "partly"})
    rejudged.mark(made, {"CS-01": judged("partly")}, stale=True)
    assert rejudged.OLDER in made.cells[1].source
    assert len(made.cells) == 3
