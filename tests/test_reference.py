"""invnb.reference: what a chapter shows of the reference run beside its own numbers."""

import json

from invnb import paths, profiles, reference, results

NAME = "genuine-invariance"


def kept(folder, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", folder)
    (folder / "reference").mkdir()
    result = dict.fromkeys(results.KEYS) | {"measurements": {"R4.DA.LI": {"mean": 0.5}}}
    result |= {"runs": {"r1": {}}, "provenance": dict.fromkeys(results.PROVENANCE)}
    text = json.dumps(result)
    (folder / "reference" / f"{NAME}.json").write_text(text)


def test_a_run_with_other_settings_is_shown_the_reference(tmp_path, monkeypatch):
    kept(tmp_path, monkeypatch)
    used = profiles.resolve(NAME, "quick")
    assert reference.beside(NAME, used) == {"R4.DA.LI": {"mean": 0.5}}


def test_a_run_that_repeats_or_replaces_it_is_not(tmp_path, monkeypatch):
    kept(tmp_path, monkeypatch)
    assert reference.beside(NAME, profiles.resolve(NAME, "full")) is None


def test_nothing_is_shown_where_none_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    assert reference.beside(NAME, profiles.resolve(NAME, "quick")) is None
