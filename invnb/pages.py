"""The generated parts of the book: each is MyST Markdown that a page of `book/` includes.

So prose stays prose, and every number in it is a run's.
"""

from collections.abc import Sequence
from pathlib import Path

from invnb import across_page, claims, front_page, ledger_page, status_page
from invnb.figures import Shown
from invnb.ledger import Run, ledger
from invnb.markup import chapter_titles, in_order

SWEEP_PAGE = Path("report") / "page.md"  # of a sweep, in its folder
REFERENCE = "reference"  # name of the run that is kept with the code


def write(folder: Path, name: str, reference: Run, this: Run, shown: Sequence[Shown] = ()) -> None:
    """Write the parts for the run `name` into `folder`.

    Args:
        folder: made by this function.
        name: name of the run that the book shows.
        reference: chapters of the reference run, empty where there is none.
        this: chapters of the run `name`.
        shown: figures and tables that the book's chapters have.

    """
    folder.mkdir(parents=True)
    reference, this = in_order(reference), in_order(this)
    order = list(chapter_titles())
    judged = sorted(claims.load(), key=lambda claim: order.index(claim.notebook))
    rows = ledger(reference, this, judged)
    complete = {n for run in (reference, this) for n in run if run[n]["status"] == "complete"}
    for row in rows:
        of = [s.figure for s in shown if row["id"] in s.figure.claims]
        places = [f"notebooks/{figure.notebook}.html#{figure.id}" for figure in of]
        if not places and row["verdict"] != claims.NOT_RUN and row["notebook"] in complete:
            places = [f"notebooks/{row['notebook']}.html#{ledger_page.VERDICTS}"]
        row["shown_in"] = "; ".join(places)
    beside = {} if name == REFERENCE else this  # a column would only repeat the reference run's
    parts = {
        "run": front_page.which_run(name, this),
        "bars": front_page.bars(rows, {*reference, *this}),
        "front": front_page.figures(folder, shown, rows),
        "verdicts": front_page.verdicts(rows, beside),
        "ledger": ledger_page.tables(rows, beside),
        "status": status_page.status(name, reference, this),
        "expected": status_page.expected(reference, rows),
    }
    for part, text in parts.items():
        (folder / f"{part}.md").write_text(text + "\n", encoding="utf-8")
    ledger_page.write_files(folder, rows, judged, {**reference, **this})
    across_page.write(folder, reference, this)
