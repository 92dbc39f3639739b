"""Results: reading them from notebooks, writing them, joining them."""

import json
import math
import os
from dataclasses import replace

import nbformat
import pytest

from invnb import results
from invnb.claimfile import load
from invnb.errors import InvnbError
from invnb.measurements import measurement, summarise
from invnb.merging import fullest, merge
from invnb.recording import MEASUREMENT, RUN

DATA = {"name": "MNIST", "source": "folder", "checksum": "ab", "n": 70000}


def content_hash(parameters):
    return "code " + json.dumps(parameters, sort_keys=True)


def result(run="one", seeds=(0, 1), data=DATA, error=None, claims=(), **measured):
    """Return a result of 'some-notebook' that measured `name=[value per seed]`."""
    parameters = {"seeds": list(seeds), "hidden": 128}
    return results.build(
        notebook="some-notebook",
        run=run,
        profile="full",
        parameters=parameters,
        content_hash=content_hash(parameters),
        measurements={
            name: values
            if isinstance(values, dict)
            else measurement(
                name, values, unit="1", seeds=seeds, steps=[9] * len(seeds), steps_source=9
            )
            for name, values in measured.items()
        },
        description=data and {"data": data, "device": "cpu"},
        commit="0123456789ab",
        started=f"2026-11-21T09:00:00 {run}",
        seconds=1.5,
        packages={"python": "3.11.7"},
        error=error,
        claims=claims,
    )


def joined(*pieces, **arguments):
    return merge(pieces, run="all", content_hash=content_hash, claims=(), **arguments)


def output(mime, content):
    return nbformat.v4.new_output("display_data", data={mime: content, "text/plain": "x"})


def recorded(name, values, seeds):
    return output(MEASUREMENT, {"name": name, **measurement(name, values, unit="1", seeds=seeds)})


def code_cell(*outputs):
    return nbformat.v4.new_code_cell(outputs=list(outputs))


def test_collect_finds_nothing_in_a_notebook_that_failed_at_once():
    failed = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    stream = nbformat.v4.new_output("stream", text="hello")
    cells = [nbformat.v4.new_markdown_cell("# A"), code_cell(stream, failed), code_cell()]
    assert results.collect(nbformat.v4.new_notebook(cells=cells)) == ({}, None)


def test_collect_reads_what_a_partial_notebook_recorded(tmp_path):
    description = {"data": DATA, "device": "cpu"}
    failed = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    cells = [
        code_cell(output(RUN, description)),
        code_cell(recorded("a", [1.0], [0]), recorded("b", [1.0, 2.0], [0, 1])),
        code_cell(recorded("c", [3.0], [0]), failed),
        code_cell(),
    ]
    path = tmp_path / "chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    measurements, found = results.collect(path)
    assert found == description
    assert list(measurements) == ["a", "b", "c"]
    assert measurements["b"] == measurement("b", [1.0, 2.0], unit="1", seeds=[0, 1])
    assert type(measurements["b"]) is dict


def test_collect_takes_the_last_of_what_was_recorded_twice():
    cells = [code_cell(recorded("a", [1.0], [0])), code_cell(recorded("a", [2.0], [0]))]
    measurements, _ = results.collect(nbformat.v4.new_notebook(cells=cells))
    assert measurements["a"]["values"] == [2.0]


def test_build_names_everything_that_a_number_came_from():
    built = result(a=[1.0, 2.0])
    assert built["status"] == "complete"
    assert built["error"] is None
    assert built["provenance"] == {
        "device": "cpu",
        "content_hash": content_hash({"seeds": [0, 1], "hidden": 128}),
        "parameters": {"seeds": [0, 1], "hidden": 128},
    }
    assert built["runs"] == {
        "r1": {
            "commit": "0123456789ab",
            "started": "2026-11-21T09:00:00 one",
            "seconds": 1.5,
            "memory": None,
            "device": "cpu",
            "packages": {"python": "3.11.7"},
            "data": DATA,
        }
    }
    assert built["measurements"]["a"]["runs"] == ["r1", "r1"]


def test_build_of_a_failed_run_says_so_and_keeps_what_was_measured():
    error = {"cell": 3, "message": "ValueError: no"}
    built = result(error=error, data=None, a=[1.0, 2.0])
    assert (built["status"], built["error"]) == ("failed", error)
    assert built["provenance"]["device"] is None
    assert built["measurements"]["a"]["n"] == 2


def test_build_judges_the_claims_of_its_notebook():
    claims = load("genuine-invariance")
    verdicts = result(claims=claims)["claims"]
    assert list(verdicts) == [claim.id for claim in claims]
    assert verdicts["GI-03"]["reason"] == "no measurement R4.IR.accuracy"
    assert verdicts["GI-03"]["on"] == "MNIST"
    assert result(claims=claims, data=None)["claims"]["GI-03"]["on"] is None


def test_judging_anew_keeps_how_a_claim_was_judged_at_the_run():
    claims = load("genuine-invariance")[:2]
    name, other = (claim.id for claim in claims)
    first = results.judged(result(), claims)
    assert "at_run" not in first["claims"][name]
    changed = replace(claims[0], criterion_hash="new")
    again = results.judged(first, [changed, claims[1]])
    then = {key: first["claims"][name][key] for key in ("verdict", "criterion", "criterion_hash")}
    assert again["claims"][name]["at_run"] == then
    assert "at_run" not in again["claims"][other]
    assert results.judged(again, [changed, claims[1]]) == again
    third = results.judged(again, [replace(claims[0], criterion_hash="third"), claims[1]])
    assert third["claims"][name]["at_run"] == then
    assert results.judged(third, claims) == first  # as it was at the run


def test_a_claim_newer_than_the_run_says_so():
    claims = load("genuine-invariance")[:2]
    first = results.judged(result(), claims[:1])
    again = results.judged(results.judged(first, claims), claims)
    assert again["claims"][claims[1].id]["at_run"] is None
    assert "at_run" not in again["claims"][claims[0].id]


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "new" / "some-notebook.json"
    results.write_json(path, result(a=[1.0, 2.0]))
    assert results.read(path) == result(a=[1.0, 2.0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, object(), {"deep": [math.nan]}])
def test_what_is_no_json_is_refused_and_leaves_the_old_file(tmp_path, bad):
    path = tmp_path / "a.json"
    results.write_json(path, {"old": 1})
    with pytest.raises(InvnbError, match=r"a\.json was not written"):
        results.write_json(path, {"new": bad})
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_an_error_half_way_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    results.write_json(path, {"old": 1})

    def fails(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(results.os, "replace", fails)
    with pytest.raises(InvnbError, match="disk full"):
        results.write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_folder_that_is_a_file_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvnbError, match="was not written"):
        results.write_json(tmp_path / "file" / "a.json", {})


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"notebook": "a"}'])
def test_what_is_no_result_cannot_be_read(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvnbError, match=r"a\.json"):
        results.read(path)


def test_merge_of_one_changes_nothing_but_the_name():
    one = result(a=[1.0, 2.0])
    assert joined(one) == {**one, "run": "all"}


def test_merge_joins_seeds_in_order_and_summarises_anew():
    merged = joined(
        result("late", (3, 2), a=[4.0, 8.0], only_here=[1.0, 1.0]), result("early", a=[1.0, 2.0])
    )
    assert merged["run"] == "all"
    assert merged["provenance"]["parameters"] == {"seeds": [0, 1, 2, 3], "hidden": 128}
    assert merged["provenance"]["content_hash"] == content_hash(
        {"seeds": [0, 1, 2, 3], "hidden": 128}
    )
    assert merged["measurements"]["a"] == measurement(
        "a",
        [1.0, 2.0, 8.0, 4.0],
        unit="1",
        seeds=[0, 1, 2, 3],
        steps=[9, 9, 9, 9],
        steps_source=9,
        runs=["r2", "r2", "r1", "r1"],
    )
    assert [r["started"][20:] for r in merged["runs"].values()] == ["late", "early"]
    assert merged["measurements"]["only_here"]["n"] == 2


def test_merge_of_merged_results_renumbers_runs_and_keeps_each_once():
    a, b, c = (result(f"run {k}", (k,), a=[float(k)]) for k in range(3))
    merged = joined(joined(a, b), joined(c, a))
    assert [r["started"][20:] for r in merged["runs"].values()] == ["run 0", "run 1", "run 2"]
    assert merged["measurements"]["a"]["values"] == [0.0, 1.0, 2.0]
    assert merged["measurements"]["a"]["runs"] == ["r1", "r2", "r3"]


def test_merge_drops_the_reason_for_no_spread():
    one, two = result("one", (0,), a=[1.0]), result("two", (1,), a=[2.0])
    assert one["measurements"]["a"]["reason"] == "a single value has no interval"
    assert joined(one, two)["measurements"]["a"]["reason"] is None


def test_merge_of_the_same_seed_twice():
    one, again = result("one", a=[1.0, 2.0]), result("two", (1, 2), a=[2.0, 3.0])
    assert joined(one, again)["measurements"]["a"]["values"] == [1.0, 2.0, 3.0]
    assert joined(one, again)["measurements"]["a"]["runs"] == ["r1", "r1", "r2"]
    other = result("two", (1, 2), a=[2.5, 3.0])
    with pytest.raises(InvnbError, match=r"a: the value of seed 1 is 2\.0 and 2\.5"):
        joined(one, other)


def test_merge_prefers_a_value_to_its_absence():
    gap = measurement("a", [1.0, None], unit="1", seeds=[0, 1], reason="seed 1 diverged",
                      steps=[9, 9], steps_source=9)  # fmt: skip
    merged = joined(result("one", a=gap), result("two", (1,), a=[2.0]))["measurements"]["a"]
    assert (merged["values"], merged["reason"], merged["n"]) == ([1.0, 2.0], None, 2)
    still = joined(result("one", a=gap), result("two", (2,), a=[3.0]))["measurements"]["a"]
    assert (still["values"], still["reason"]) == ([1.0, None, 3.0], "seed 1 diverged")
    nothing = measurement("a", None, unit="1", reason="not in this run")
    whole = joined(result("one", a=nothing), result("two", (2, 3), a=[3.0, 4.0]))
    assert whole["measurements"]["a"]["values"] == [3.0, 4.0]


def test_merge_of_a_value_without_seeds():
    nu, same, other = (measurement("nu", v, unit="1") for v in (0.3, 0.3, 0.5))
    merged = joined(result("one", nu=nu), result("two", (2,), nu=same))
    assert merged["measurements"]["nu"] == nu
    with pytest.raises(InvnbError, match=r"nu: the value is 0\.3 and 0\.5"):
        joined(result("one", nu=nu), result("two", (2,), nu=other))


def test_merge_of_curves():
    axis = {"name": "beta", "values": [0, 1]}
    curves = [
        measurement("a", [[float(k), 2.0 * k]], unit="1", seeds=[k], axis=axis) for k in range(2)
    ]
    merged = joined(*(result(f"{k}", (k,), a=curve) for k, curve in enumerate(curves)))
    assert merged["measurements"]["a"] == summarise(
        {**merged["measurements"]["a"], "values": [[0.0, 0.0], [1.0, 2.0]]}
    )
    other = measurement("a", [[1.0]], unit="1", seeds=[1], axis={"name": "beta", "values": [0]})
    with pytest.raises(InvnbError, match="a: axis is"):
        joined(result("0", (0,), a=curves[0]), result("1", (1,), a=other))


def changed(piece, **provenance):
    return {**piece, "provenance": {**piece["provenance"], **provenance}}


def test_merge_refuses_what_was_made_otherwise():
    one, two = result("one", a=[1.0, 2.0]), result("two", (2, 3), a=[3.0, 4.0])
    for other, words in (
        ({**two, "notebook": "other"}, "'one' and 'two'.*some-notebook and other"),
        (changed(two, parameters={"seeds": [2], "hidden": 64}), "hidden is 128 and 64"),
        (changed(two, parameters={"seeds": [2]}), "hidden is 128 and None"),
        (changed(two, content_hash="other code"), "'two' was made by another notebook or code"),
        (result("two", (2,), data={**DATA, "checksum": "cd"}), "data are MNIST"),
        (result("two", (2,), data=None), "unknown"),
        (
            result("two", (2,), a={**two["measurements"]["a"], "unit": "s"}),
            "a: unit is '1' and 's'",
        ),
        (result("two", (2,), a={**two["measurements"]["a"], "steps_source": 8}), "a: steps_source"),
    ):
        with pytest.raises(InvnbError, match=words):
            joined(one, other)


def test_merge_does_not_mind_where_the_same_data_were_read_from():
    elsewhere = result("two", (2,), data={**DATA, "source": "download"}, a=[3.0])
    assert joined(result(a=[1.0, 2.0]), elsewhere)["measurements"]["a"]["n"] == 3


def test_merge_with_a_failed_piece_has_failed():
    error = {"cell": 3, "message": "ValueError: no"}
    merged = joined(result(a=[1.0, 2.0]), result("two", (2,), error=error, a=[3.0]))
    assert (merged["status"], merged["error"]) == ("failed", error)
    assert merged["measurements"]["a"]["n"] == 3


def test_merge_judges_anew_whatever_the_pieces_were_judged_to_be():
    claims = load("genuine-invariance")
    pieces = [result(claims=claims[:3]), result("two", (2, 3), claims=claims[:3])]
    for piece in pieces:
        for claim in piece["claims"].values():
            claim["criterion_hash"] = "of another criterion"
    merged = merge(pieces, run="all", content_hash=content_hash, claims=claims)
    assert len(merged["claims"]) == len(claims)
    assert not any("at_run" in claim for claim in merged["claims"].values())


def test_merge_tells_all_devices():
    other = result("two", (2,), a=[3.0])
    other["runs"]["r1"]["device"] = "cuda"
    assert joined(result(a=[1.0, 2.0]), other)["provenance"]["device"] == "cpu, cuda"


def test_the_chapter_to_show_is_a_complete_one_with_most_seeds():
    error = {"cell": 3, "message": "no"}
    pieces = [result(seeds=(0,)), result(seeds=(1, 2)), result(seeds=(3, 4, 5), error=error)]
    assert fullest(pieces) == 1
    assert fullest(pieces[:1]) == 0


@pytest.mark.parametrize("change", [{"runs": {}}, {"provenance": {"device": "cpu"}}])
def test_a_result_without_its_origin_is_none(tmp_path, change):
    path = tmp_path / "some-notebook.json"
    results.write_json(path, result(a=[1.0, 2.0]) | change)
    with pytest.raises(InvnbError, match="lacks a run, or its provenance"):
        results.read(path)
