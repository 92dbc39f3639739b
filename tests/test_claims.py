"""Claims: the files that hold them, the verdicts on them, the ledger that shows them."""

import itertools
import math

import pytest
import yaml

from invnb.claims import VERDICTS, judge, load, verdict
from invnb.criteria import STATES
from invnb.errors import InvnbError
from invnb.ledger import ledger, numbers, published_text
from invnb.measurements import measurement

GROUPS, MODELS, COLUMNS = ("R4", "T3"), ("WT", "DA", "IR"), ("accuracy", "LI", "DI", "SI")
GI = "genuine-invariance"
TABLE_1 = {  # accuracy in %, LI, DI, SI, as the paper prints them
    "R4.WT": ((94.6, 0.1), (0.00, 0.0), (0.0, 0.0), (1.00, 0.00)),
    "R4.DA": ((94.0, 0.5), (98.6, 5.4), (0.3, 0.1), (0.17, 0.04)),
    "R4.IR": ((87.9, 0.8), (0.02, 0.0), (0.0, 0.0), (0.95, 0.03)),
    "T3.WT": ((96.6, 0.1), (0.0, 0.0), (0.0, 0.0), (1.00, 0.0)),
    "T3.DA": ((96.2, 0.2), (50.8, 6.8), (0.1, 0.0), (0.57, 0.08)),
    "T3.IR": ((93.1, 0.1), (0.01, 0.0), (0.0, 0.0), (0.95, 0.07)),
}

FILE = {
    "source": {"short": "A. Author (2020)", "title": "A title", "citation": "author2020"},
    "settings": {"hidden": 128},
    "seeds": 4,
    "data": ["MNIST"],
    "claims": [
        {
            "id": "X-1",
            "place": "section 1",
            "statement": "It is so.",
            "published": {"value": 0.9, "sd": 0.01, "n": 4, "unit": "fraction"},
            "criterion": [{"within": "m.accuracy", "margin": 0.05}, "m.LI <= 1"],
        }
    ],
}
NEARLY = [-0.001, 0.0, 0.0, 0.001]


def write(folder, name="some-notebook", claim=None, **changes):
    """Write a claims file: `FILE` with changes to its top, and to its one claim."""
    entry = FILE["claims"][0] | (claim or {})
    content = FILE | {"claims": [entry]} | changes
    (folder / f"{name}.yml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def measured(accuracy=0.9, li=0.5, seeds=(0, 1, 2, 3), steps=6000, **others):
    """Return measurements with values that hardly differ between seeds."""
    extent = dict(seeds=seeds, steps=[steps] * len(seeds), steps_source=6000)
    rows = {"m.accuracy": accuracy, "m.LI": li}
    return {
        name: measurement(name, [v + e for _, e in zip(seeds, NEARLY, strict=False)],
                          unit="1", **extent)
        for name, v in rows.items()
    } | others  # fmt: skip


def judged(folder, measurements, data="MNIST", **parameters):
    parameters = {"hidden": 128} | parameters
    return judge(load(folder=folder), measurements, parameters, data)["X-1"]


def test_a_claim_may_rest_on_settings_of_its_own(tmp_path):
    folder = write(tmp_path, claim={"settings": {"betas": [0.0, 1.0], "hidden": 64}})
    claim = load(folder=folder)[0]
    assert claim.settings == {"hidden": 64, "betas": [0.0, 1.0]}
    plain = load(folder=write(tmp_path))[0]
    assert plain.criterion_hash != claim.criterion_hash
    write(tmp_path, claim={"settings": {"betas": [0.0, 1.0]}})
    assert judged(tmp_path, measured(), betas=[0, 1])["verdict"] == "reproduced"
    other = judged(tmp_path, measured(), betas=[0, 0.5])
    assert other["verdict"] == "not run"
    assert "betas [0, 0.5], needed [0.0, 1.0]" in other["reason"]


def test_a_claim_may_say_what_training_must_reach_whatever_the_steps(tmp_path):
    folder = write(tmp_path, claim={"trained": ["m.accuracy >= 0.88"]})
    assert judged(folder, measured(steps=300))["verdict"] == "reproduced"
    short = judged(folder, measured(accuracy=0.87, steps=300))
    assert short["verdict"] == "not run"
    assert short["reason"] == (
        "undertrained, m.accuracy >= 0.88 needed, mean 0.870 (300 of 6000 steps)"
    )
    long = judged(folder, measured(accuracy=0.87))
    assert long["reason"] == "undertrained, m.accuracy >= 0.88 needed, mean 0.870"


def test_a_measurement_that_training_must_reach_has_to_be_there(tmp_path):
    folder = write(tmp_path, claim={"trained": ["m.other >= 0.88"]})
    assert judged(folder, measured())["reason"] == "no measurement m.other"


def test_what_training_must_reach_and_seeds_of_its_own_are_part_of_a_criterion(tmp_path):
    plain, *others = [
        load(folder=write(tmp_path, claim=claim))[0]
        for claim in ({}, {"trained": ["m.LI < 1"]}, {"trained": ["m.LI < 2"]}, {"seeds": 2})
    ]
    assert plain.trained == ()
    assert len({c.criterion_hash for c in (plain, *others)}) == 4
    assert judged(tmp_path, measured(seeds=(0, 1)))["verdict"] == "reproduced"


def test_every_claim_of_the_source_is_there_once():
    table = [f"GI-T1-{g}-{m}-{c}" for g, m, c in itertools.product(GROUPS, MODELS, COLUMNS)]
    expected = table + [f"GI-{k:02}" for k in range(1, 19)]
    assert len(expected) == 42
    assert [claim.id for claim in load(GI)] == expected


def test_every_claim_on_rotation_is_there_once():
    found = load("rotation-generalization")
    assert [claim.id for claim in found] == [f"RG-{k:02}" for k in range(1, 22)]
    # what the source's own numbers say of the claims that are about one number
    published = {c.id: c.published["value"] for c in found if c.published}
    assert published["RG-01"] == 0.989
    assert published["RG-02"] == 0.212
    assert published["RG-03"] == 0.003
    assert published["RG-11"] == 2.74


def test_a_network_like_the_sources_reproduces_what_is_said_of_the_baseline():
    scores = {"Ptest": 0.98874, "Pout": 0.21183, "Pinv": 0.00306}
    measurements = {
        f"CNN_00.{name}": measurement(
            "x", [value * (1 + e) for e in (-0.02, -0.01, 0, 0.01, 0.02)], unit="1", seeds=range(5),
            steps=[5640] * 5, steps_source=112800,
        )
        for name, value in scores.items()
    }  # fmt: skip
    settings = {"training_images": 0, "draws": 20, "drawn_images": 50}
    verdicts = judge(load("rotation-generalization"), measurements, settings, "MNIST")
    for claim in ("RG-01", "RG-02", "RG-03"):
        assert verdicts[claim]["verdict"] == "reproduced", verdicts[claim]["reason"]
    assert verdicts["RG-04"]["reason"] == "no measurement BN_00.Pinv"


def test_table_1_is_the_papers():
    claims = {claim.id: claim for claim in load(GI)}
    for row, published in TABLE_1.items():
        for column, (value, sd) in zip(COLUMNS, published, strict=True):
            claim = claims[f"GI-T1-{row.replace('.', '-')}-{column}"]
            scale = 100 if column == "accuracy" else 1
            assert claim.published["value"] == pytest.approx(value / scale)
            assert claim.published["sd"] == pytest.approx(sd / scale)
            assert claim.published["n"] == 4
            assert claim.metrics == (f"{row}.{column}",)
            assert claim.by_construction == (row.endswith("WT") and column != "accuracy")


def test_what_this_notebook_measures_is_named_as_it_records_it():
    known = {f"{g}.{m}.{c}" for g, m, c in itertools.product(GROUPS, MODELS, COLUMNS)}
    known |= {
        f"{g}.DA.{c}" for g in GROUPS for c in ("same_prediction", "DI_shifted", "LI_shifted")
    }
    ids = {"GI-01", "GI-02", "GI-03", "GI-13", "GI-15", "GI-18"}
    for claim in load(GI):
        if claim.id in ids or claim.id.startswith("GI-T1"):
            assert set(claim.metrics) <= known, claim.id


def test_the_papers_own_table_reproduces_the_claims_that_it_states():
    # four seeds with the published means, and a tenth of the published spread
    wiggle = [-math.sqrt(1.5), 0.0, 0.0, math.sqrt(1.5)]
    extent = dict(seeds=range(4), steps=[6000] * 4, steps_source=6000)
    measurements = {
        f"{row}.{column}": measurement(
            "x",
            [(value + 0.1 * sd * w) / (100 if column == "accuracy" else 1) for w in wiggle],
            unit="1",
            **extent,
        )
        for row, published in TABLE_1.items()
        for column, (value, sd) in zip(COLUMNS, published, strict=True)
    }
    claims = load(GI)
    verdicts = judge(claims, measurements, claims[0].settings, "MNIST")
    for claim in ("GI-01", "GI-02", "GI-03", "GI-05", "GI-13"):
        assert verdicts[claim]["verdict"] == "reproduced", verdicts[claim]["reason"]
    # The published spread of these four makes an interval that is wider than the margin by itself.
    wide = {"GI-T1-R4-IR-accuracy", "GI-T1-R4-DA-DI", "GI-T1-T3-DA-SI", "GI-T1-T3-IR-SI"}
    for claim in claims[:24]:
        expected = "inconclusive" if claim.id in wide else "reproduced"
        assert verdicts[claim.id]["verdict"] == expected, verdicts[claim.id]["reason"]


def test_claims_without_their_measurements_are_not_run():
    verdicts = judge(load(GI), {}, {}, "MNIST")
    assert {v["verdict"] for v in verdicts.values()} == {"not run"}
    assert verdicts["GI-04"]["reason"] == "no measurement R4.DA.orbit_over_class_spread"


def test_load_of_one_notebook_and_of_all(tmp_path):
    write(tmp_path, "b", {"id": "B-1"})
    write(tmp_path, "a", {"id": "A-1"})
    assert [claim.id for claim in load(folder=tmp_path)] == ["A-1", "B-1"]
    (claim,) = load("b", tmp_path)
    assert (claim.notebook, claim.source, claim.on) == ("b", "A. Author (2020)", ("MNIST",))
    assert claim.metrics == ("m.accuracy", "m.LI")
    assert claim.criterion_text == "m.accuracy - published within ± 0.05; m.LI <= 1"
    assert load("without-claims", tmp_path) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"claim": {"critereon": []}}, "claim X-1: unknown key 'critereon'.*allowed: .*criterion"),
        ({"claim": {True: []}}, "claim X-1: unknown key 'True'"),
        ({"claim": {"criterion": []}}, "claim X-1, criterion must be a list"),
        ({"claim": {"criterion": "m.LI < 1"}}, "claim X-1, criterion must be a list"),
        (
            {"claim": {"criterion": ["m.LI <"]}},
            "claim X-1, criterion, condition 'm.LI <'",
        ),
        ({"claim": {"criterion": [{"near": "m"}]}}, "claim X-1, criterion, condition .*none of"),
        ({"claim": {"published": {"value": 1}}}, "claim X-1, published: missing key 'n'"),
        ({"claim": {"published": None}}, "claim X-1, criterion, condition .*published value"),
        ({"source": {"short": "A"}}, "source: missing key 'citation'"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"claims": [{"id": "X-1"}]}, "claim X-1: missing key"),
        ({"claims": ["X-1"]}, "must be a mapping"),
        ({"claims": FILE["claims"] * 2}, "claim X-1 is there already"),
    ],
)
def test_a_fault_in_a_file_is_named(tmp_path, change, words):
    with pytest.raises(InvnbError, match=r"some-notebook\.yml.*" + words):
        load(folder=write(tmp_path, **change))


def test_an_id_must_be_unique_over_all_files(tmp_path):
    write(tmp_path, "b")
    with pytest.raises(InvnbError, match=r"b\.yml: claim X-1 is there already"):
        load("a", folder=write(tmp_path, "a"))


@pytest.mark.parametrize("content", ["a: [", "- 1", ""])
def test_a_file_that_is_no_yaml_mapping_is_named(tmp_path, content):
    (tmp_path / "a.yml").write_text(content)
    with pytest.raises(InvnbError, match=r"a\.yml"):
        load(folder=tmp_path)


def test_the_hash_changes_with_all_that_decides_and_with_nothing_else(tmp_path):
    def hashed(**change):
        return load(folder=write(tmp_path, **change))[0].criterion_hash

    looser = [{"within": "m.accuracy", "margin": 0.06}, "m.LI <= 1"]
    published = FILE["claims"][0]["published"] | {"sd": 0.02}
    hashes = {
        hashed(),
        hashed(claim={"criterion": looser}),
        hashed(claim={"published": published}),
        hashed(claim={"data": ["CIFAR-10"]}),
        hashed(settings={"hidden": 64}),
        hashed(seeds=5),
    }
    assert len(hashes) == 6
    assert hashed(claim={"statement": "Put otherwise.", "place": "section 2"}) == hashed()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["holds"], "reproduced"),
        (["contradicted"], "not reproduced"),
        (["undecided"], "inconclusive"),
        (["holds", "holds", "holds"], "reproduced"),
        (["holds", "contradicted", "holds"], "partly"),
        (["holds", "undecided", "contradicted"], "partly"),
        (["holds", "undecided", "holds"], "inconclusive"),
        (["contradicted", "holds"], "not reproduced"),
        (["contradicted", "undecided"], "not reproduced"),
        (["undecided", "contradicted"], "inconclusive"),
        (["undecided", "holds"], "inconclusive"),
    ],
)
def test_verdict_by_the_states_of_the_conditions(states, expected):
    assert verdict(states) == expected


def test_verdict_does_not_depend_on_the_order_of_the_other_conditions():
    for main in STATES:
        for others in itertools.product(STATES, repeat=3):
            found = {verdict([main, *order]) for order in itertools.permutations(others)}
            assert len(found) == 1
            assert found < set(VERDICTS[:-1])


@pytest.mark.parametrize(
    ("values", "expected", "reason"),
    [
        ({}, "reproduced", None),
        ({"li": 2.0}, "partly", "contradicted: m.LI <= 1, with m.LI = 2.0000 [1.9987, 2.0013]"),
        ({"accuracy": 0.7}, "not reproduced", "contradicted: m.accuracy - published"),
        ({"accuracy": 0.7, "li": 2.0}, "not reproduced", "m.LI <= 1"),
        ({"li": 1.0}, "inconclusive", "undecided: m.LI <= 1"),
        ({"accuracy": 0.95, "li": 2.0}, "inconclusive", "undecided: m.accuracy - published"),
    ],
)
def test_a_verdict_and_its_reason(tmp_path, values, expected, reason):
    found = judged(write(tmp_path), measured(**values))
    assert found["verdict"] == expected
    assert found["reason"] is None if reason is None else reason in found["reason"]


def test_some_data_support_no_more_than_partly(tmp_path):
    partly = {"data": ["MNIST", "other"], "partly_on": {"other": "not the source's digits"}}
    (claim,) = load(folder=write(tmp_path, claim=partly))

    def verdict_on(name, **values):
        found = judge([claim], measured(**values), {"hidden": 128}, name)["X-1"]
        return found["verdict"], found["reason"]

    assert verdict_on("MNIST") == ("reproduced", None)
    assert verdict_on("other") == ("partly", "not the source's digits")
    assert verdict_on("other", accuracy=0.7)[0] == "not reproduced"


@pytest.mark.parametrize("partly_on", [{"FashionMNIST": "why"}, ["MNIST"]])
def test_partly_on_names_the_claims_own_data(tmp_path, partly_on):
    with pytest.raises(InvnbError, match="partly_on: must map names of"):
        load(folder=write(tmp_path, claim={"partly_on": partly_on}))


def test_a_verdict_holds_what_it_rests_on(tmp_path):
    measurements = measured()
    found = judged(write(tmp_path), measurements)
    (claim,) = load(folder=tmp_path)
    keys = ("mean", "sd", "ci95", "n", "unit")
    assert found["published"] == FILE["claims"][0]["published"]
    assert found["measured"] == {
        name: {key: measurements[name][key] for key in keys} for name in ("m.accuracy", "m.LI")
    }
    assert found["criterion"] == claim.criterion_text
    assert found["criterion_hash"] == claim.criterion_hash
    assert (found["on"], found["by_construction"]) == ("MNIST", False)
    assert found["conditions"][1] == {
        "text": "m.LI <= 1",
        "state": "holds",
        "subject": "m.LI",
        "estimate": pytest.approx(0.5),
        "ci95": pytest.approx(measurements["m.LI"]["ci95"]),
        "reason": None,
    }


def absent(reason):
    return measurement("m.LI", None, unit="1", reason=reason)


@pytest.mark.parametrize(
    ("measurements", "context", "reason"),
    [
        ({}, {}, "no measurement m.accuracy"),
        (measured() | {"m.LI": absent("left out")}, {}, "no measurement m.LI (left out)"),
        (measured(), {"data": "embedded digits"}, "measured on embedded digits, source MNIST"),
        (measured(), {"data": None}, "measured on unknown data, source MNIST"),
        (measured(steps=300), {}, "undertrained, 300 of 6000 steps"),
        (measured(steps=300), {"hidden": 64}, "undertrained, 300 of 6000 steps"),
        (measured(), {"hidden": 64}, "settings differ (hidden 64, needed 128)"),
        (measured(seeds=(0, 1)), {}, "2 of 4 seeds"),
        (measured(seeds=(0,)), {}, "1 of 4 seeds"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_not_run_and_says_why(tmp_path, measurements, context, reason):
    found = judged(write(tmp_path), measurements, **context)
    assert (found["verdict"], found["reason"], found["conditions"]) == ("not run", reason, [])
    assert found["measured"].keys() == measurements.keys()  # shown all the same


def test_one_short_seed_is_enough_to_be_undertrained(tmp_path):
    short = measured()
    short["m.LI"]["steps"] = [6000, 6000, 6000, 300]  # not of the first measurement, either
    assert judged(write(tmp_path), short)["reason"] == "undertrained, 300 of 6000 steps"


def test_the_condition_with_fewest_seeds_counts(tmp_path):
    fewer = measured(seeds=(0,))["m.LI"]
    found = judged(write(tmp_path), measured() | {"m.LI": fewer})
    assert found["verdict"] == "not run"
    assert found["reason"].startswith("1 of 4 seeds")


def test_every_training_condition_counts(tmp_path):
    folder = write(tmp_path, claim={"trained": ["m.accuracy >= 0.5", "m.LI >= 0.9"]})
    found = judged(folder, measured())
    assert (found["verdict"], found["reason"]) == (
        "not run",
        "undertrained, m.LI >= 0.9 needed, mean 0.500",
    )


def test_all_settings_that_differ_are_named(tmp_path):
    folder = write(tmp_path, settings={"hidden": 128, "layers": 5, "epochs": 300, "rate": 0.1})
    found = judged(folder, measured(), hidden=64, layers=5, epochs=400)
    assert found["reason"] == (
        "settings differ (hidden 64, needed 128; epochs 400, needed 300; rate unknown, needed 0.1)"
    )


def test_of_some_settings_more_is_enough(tmp_path):
    folder = write(tmp_path, settings={"draws": {"at_least": 20}})
    assert judged(folder, measured(), draws=40)["verdict"] == "reproduced"
    found = judged(folder, measured(), draws=19)
    assert found["reason"] == "settings differ (draws 19, needed at least 20)"
    with pytest.raises(InvnbError, match="setting draws: unknown key 'more_than'"):
        load(folder=write(tmp_path, settings={"draws": {"more_than": 20}}))


def test_more_seeds_and_more_steps_than_the_source_are_welcome(tmp_path):
    more = {
        name: measurement(name, [0.9] * 12, unit="1", seeds=range(12), steps=[9000] * 12,
                          steps_source=6000)
        for name in ("m.accuracy", "m.LI")
    }  # fmt: skip
    assert judged(write(tmp_path), more)["verdict"] == "reproduced"


def test_models_are_paired_over_the_seeds_that_all_have(tmp_path):
    folder = write(tmp_path, claim={"criterion": ["a < b"]})
    a = measurement("a", [1.0, 2.0, 3.0, 4.0, 9.0], unit="1", seeds=[0, 1, 2, 3, 7])
    b = measurement("b", [5.1, 4.2, 3.0, 2.0, 0.0], unit="1", seeds=[3, 2, 1, 0, 8])
    found = judged(folder, {"a": a, "b": b})
    assert found["verdict"] == "reproduced"
    assert found["conditions"][0]["estimate"] == pytest.approx((-1.0 - 1.0 - 1.2 - 1.1) / 4)


def test_seeds_without_a_value_do_not_count(tmp_path):
    folder = write(tmp_path, claim={"criterion": ["a < 9"]})
    a = measurement("a", [1.0, None, 3.0, 4.0], unit="1", seeds=range(4), reason="1 diverged")
    assert judged(folder, {"a": a})["reason"] == "3 of 4 seeds; a: 1 diverged"


def test_a_value_without_seeds_stands_beside_each_seed(tmp_path):
    folder = write(tmp_path, claim={"criterion": ["a - b <= 1"]})
    a = measurement("a", [1.0, 1.1, 1.2, 1.1], unit="1", seeds=range(4))
    b = measurement("b", 0.5, unit="1")
    assert judged(folder, {"a": a, "b": b})["conditions"][0]["estimate"] == pytest.approx(0.6)
    assert judged(write(tmp_path, claim={"criterion": ["b < 1"]}), {"b": b})["reason"] == (
        "1 of 4 seeds"
    )


def test_a_curve_is_judged_at_a_point_that_it_has(tmp_path):
    axis = {"name": "beta", "values": [0, 0.1]}
    rows = [[1.0, 3.0], [1.1, 3.2], [1.2, 3.6], [1.0, 3.1]]
    curve = measurement("d", rows, unit="1", seeds=range(4), axis=axis)

    def found(criterion):
        return judged(write(tmp_path, claim={"criterion": [criterion]}), {"d": curve})

    assert found("d[0.1] / d[0] >= 2")["verdict"] == "reproduced"
    assert found("d[0.2] / d[0] >= 2")["reason"] == "no measurement d[0.2]"
    assert found("d >= 2")["reason"] == "no measurement d"


def result(claims, measurements, parameters=None, data="MNIST"):
    """Return as much of a result as the ledger reads."""
    verdicts = judge(claims, measurements, parameters or {"hidden": 128}, data)
    return {"some-notebook": {"measurements": measurements, "claims": verdicts}}


def test_ledger_without_any_run(tmp_path):
    claims = load(folder=write(tmp_path))
    assert ledger({}, {}, claims) == [
        {
            "id": "X-1",
            "notebook": "some-notebook",
            "source": "A. Author (2020)",
            "place": "section 1",
            "statement": "It is so.",
            "published": "0.9 ± 0.01 (n = 4)",
            "reference": "–",
            "this_run": "–",
            "verdict": "not run",
            "reason": "no run of this notebook",
            "on": "MNIST",
            "reference_verdict": "not run",
            "reference_reason": "no run of this notebook",
            "criterion": "m.accuracy - published within ± 0.05; m.LI <= 1",
            "needs": "",
            "by_construction": False,
            "criterion_changed": False,
            "needs_changed": False,
            "verdict_at_run": "",
            "criterion_at_run": "",
        }
    ]


def test_ledger_with_a_reference_and_a_short_run(tmp_path):
    claims = load(folder=write(tmp_path))
    reference, this = result(claims, measured()), result(claims, measured(steps=300))
    (row,) = ledger(reference, this, claims)
    assert (row["verdict"], row["reason"]) == ("not run", "undertrained, 300 of 6000 steps")
    assert (row["reference_verdict"], row["reference_reason"]) == ("reproduced", "")
    assert row["reference"].startswith("m.accuracy - published = ")
    assert row["this_run"] == "–"
    (row,) = ledger(reference, {}, claims)
    assert (row["verdict"], row["this_run"]) == ("reproduced", "–")


def test_ledger_shows_the_one_measurement_even_where_it_cannot_be_judged(tmp_path):
    claims = load(folder=write(tmp_path, claim={"criterion": ["m.accuracy > 0.8"]}))
    (row,) = ledger({}, result(claims, measured(), data="embedded digits"), claims)
    assert row["this_run"] == "0.9000 ± 0.0008 (n = 4)"
    assert (row["verdict"], row["on"]) == ("not run", "embedded digits")


def test_ledger_marks_verdicts_by_an_older_criterion_and_claims_newer_than_the_run(tmp_path):
    old = load(folder=write(tmp_path, claim={"criterion": ["m.accuracy > 0.8"]}))
    this = result(old, measured())
    new = load(folder=write(tmp_path, claim={"criterion": ["m.accuracy > 0.7"]}))
    (row,) = ledger({}, this, new)
    assert (row["criterion_changed"], row["criterion"]) == (True, "m.accuracy > 0.8")
    newer = load(folder=write(tmp_path, claim={"id": "X-2"}))
    assert ledger({}, this, newer)[0]["reason"] == "the claim is newer than the run"


def test_ledger_tells_how_a_claim_was_judged_at_the_run(tmp_path):
    claims = load(folder=write(tmp_path, claim={"criterion": ["m.accuracy > 0.8"]}))
    this = result(claims, measured())
    then = {"verdict": "partly", "criterion": "m.accuracy > 0.5", "criterion_hash": "old"}
    this["some-notebook"]["claims"]["X-1"]["at_run"] = then
    (row,) = ledger({}, this, claims)
    assert row["criterion_changed"]
    assert (row["verdict_at_run"], row["criterion_at_run"]) == ("partly", "m.accuracy > 0.5")
    assert not row["needs_changed"]
    then["criterion"] = "m.accuracy > 0.8"  # the same condition: something else was asked for
    (row,) = ledger({}, this, claims)
    assert (row["criterion_changed"], row["needs_changed"]) == (False, True)


def test_ledger_tells_what_training_must_reach_and_that_it_is_not_known(tmp_path):
    claims = load(folder=write(tmp_path, claim={"trained": ["m.late <= 0.1"]}))
    (row,) = ledger({}, result(claims, measured()), claims)
    assert row["needs"] == "m.late <= 0.1"
    assert row["reason"] == "whether training was enough is not known: no measurement m.late"


@pytest.mark.parametrize(("accuracy", "side"), [(0.5, "below"), (1.5, "above")])
def test_ledger_tells_on_which_side_of_a_range_an_estimate_lies(tmp_path, accuracy, side):
    claim = {"criterion": ["0.8 <= m.accuracy <= 1"], "published": None}
    claims = load(folder=write(tmp_path, claim=claim))
    (row,) = ledger({}, result(claims, measured(accuracy)), claims)
    assert row["verdict"] == "not reproduced"
    assert row["reason"].endswith(f"], {side} the range")


def test_published_numbers_have_a_name_where_there_is_one_and_a_unit(tmp_path):
    published = {"value": 0.9, "sd": 0.01, "n": 4, "unit": "nats"}
    one = {"criterion": [{"within": "m.accuracy", "margin": 0.05}], "published": published}
    (row,) = ledger({}, {}, load(folder=write(tmp_path, claim=one)))
    assert row["published"] == "m.accuracy 0.9 ± 0.01 (n = 4), nats"
    (row,) = (r for r in ledger({}, {}) if r["id"] == "RG-05")
    assert row["published"] == "BN_02.Ptest 0.9936; BN_02.Pout 0.27; BN_02.Pinv 0.037"


def test_numbers_behind_a_row_are_numbers(tmp_path):
    (claim,) = load(folder=write(tmp_path))
    made = result([claim], measured())["some-notebook"]
    made |= {"run": "mine", "runs": {"r1": {"commit": "0123"}}}
    found = numbers(claim, made)
    assert (found["published_value"], found["published_unit"]) == (0.9, "fraction")
    assert (found["subject"], found["n"], found["unit"]) == ("m.accuracy - published", 4, "1")
    assert found["low"] < found["estimate"] < found["high"]
    assert (found["run"], found["commit"]) == ("mine", "0123")
    assert numbers(claim, None)["estimate"] is None


def test_published_text_has_the_sources_digits():
    assert published_text(None) == "–"
    assert published_text({"value": 98.6, "sd": 5.4, "n": 4, "unit": "1"}) == "98.6 ± 5.4 (n = 4)"
    assert published_text({"value": 0.989, "sd": None, "n": None, "unit": "1"}) == "0.989"
