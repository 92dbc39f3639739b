"""invnb.citations: what prose cites is found, and recorded as missing where it was not measured."""

import json

import pytest

from invnb import citations, paths
from invnb.recording import measurements, record, reset

PROSE = """
At {glue:text}`R4.DA.LI` and, over T3, {glue:text}`T3.DA.LI`: {glue:text}`a_sentence`,
**{glue:text}`GI-01`**, another {glue:text}`../notebooks/other.ipynb::R4.DA.SI:s`.
"""
PAGE = """
{glue:text}`../notebooks/chapter.ipynb::R4.WT.DI:s` {glue:text}`../notebooks/other.ipynb::X.Y:s`
{glue:text}`R4.own.page`
"""


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    cells = [
        {"cell_type": "markdown", "source": PROSE.splitlines(keepends=True)},
        {"cell_type": "code", "source": ["x = '{glue:text}`no.prose`'"]},
    ]
    (tmp_path / "chapter.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "page.md").write_text(PAGE)
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(paths, "BOOK", tmp_path)
    reset()
    yield
    reset()


def test_names_in_own_prose_and_in_other_pages():
    assert citations.cited("chapter") == {"R4.DA.LI", "T3.DA.LI", "R4.WT.DI"}


def test_names_in_claims_count_too():
    assert "R4.DA.orbit_near_own_class" in citations.cited_by_claims("genuine-invariance")


def test_only_what_was_not_measured_is_recorded_as_missing():
    record("R4.DA.LI", [1.0, 2.0], unit="1", seeds=[0, 1])
    assert citations.record_missing("chapter") == ["R4.WT.DI", "T3.DA.LI"]
    found = measurements()
    assert found["R4.DA.LI"]["mean"] == 1.5
    for name in ("R4.WT.DI", "T3.DA.LI"):
        assert (found[name]["mean"], found[name]["reason"]) == (None, "not in this run")
    assert citations.record_missing("chapter") == []
