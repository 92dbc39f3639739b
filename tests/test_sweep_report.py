import pandas as pd
import pytest

from invnb import results, statistics, sweep_report, sweep_table
from invnb.errors import InvnbError
from invnb.measurements import measurement


def result(rate, seeds, status="complete", **measured):
    piece = {"commit": "c0ffee", "seconds": 7.0, "device": "cpu", "data": {"name": "x"}}
    return {
        "notebook": "tiny",
        "run": "any",
        "profile": "quick",
        "status": status,
        "error": None if status == "complete" else {"cell": 2, "message": "no | luck"},
        "provenance": {
            "device": "cpu",
            "content_hash": "ab",
            "parameters": {"rate": rate, "seeds": seeds, "kinds": [1]},
        },
        "runs": {"r1": piece},
        "measurements": measured,
        "claims": {},
    }


def scores(rate, seeds):
    return measurement("T.score", [rate + s for s in seeds], unit="pixels", seeds=seeds)


CURVE = measurement(
    "T.curve", [[1, 2, 3]], unit="1", seeds=[0], axis={"name": "angle", "values": [0, 10, 20]}
)


@pytest.fixture
def folder(tmp_path):
    for name, content in {
        "rate=1,seeds=0": result(1.0, [0], **{"T.score": scores(1.0, [0]), "T.curve": CURVE}),
        "rate=1,seeds=1+2": result(1.0, [1, 2], **{"T.score": scores(1.0, [1, 2])}),
        "rate=3,seeds=0": result(3.0, [0], **{"T.score": scores(3.0, [0])}),
        "rate=3,seeds=0+5": result(3.0, [0, 5], **{"T.score": scores(3.0, [0, 5])}),
        "rate=4,seeds=0": result(4.0, [0], "failed"),
    }.items():
        results.write_json(tmp_path / name / "tiny.json", content)
    return tmp_path


def test_table_has_a_row_a_value(folder):
    sweep = sweep_table.read("tiny", folder)
    assert sweep.swept == ["rate"]
    assert (len(sweep.results), sweep.complete) == (5, 4)
    assert list(sweep.table.columns) == [*sweep_table.OWN[:2], "rate", *sweep_table.OWN[2:]]
    score = sweep.table[sweep.table.measurement == "T.score"]
    assert sorted(zip(score.rate, score.seed, score.value, strict=True)) == [
        (1.0, 0, 1.0),
        (1.0, 1, 2.0),
        (1.0, 2, 3.0),
        (3.0, 0, 3.0),
        (3.0, 0, 3.0),
        (3.0, 5, 8.0),
    ]
    curve = sweep.table[sweep.table.measurement == "T.curve"]
    assert list(zip(curve["axis"], curve["at"], curve.value, strict=True)) == [
        ("angle", "0.0", 1),
        ("angle", "10.0", 2),
        ("angle", "20.0", 3),
    ]


def test_intervals_are_over_the_seeds_of_all_points_each_counted_once(folder):
    found = sweep_table.over_seeds(sweep_table.read("tiny", folder), "T.score").set_index("rate")
    for rate, values in {1.0: [1.0, 2.0, 3.0], 3.0: [3.0, 8.0]}.items():
        expected = statistics.student(values)
        line = found.loc[rate]
        assert line["n"] == len(values)
        assert (line["mean"], line.low, line.high) == pytest.approx(
            (expected.mean, expected.low, expected.high)
        )


def test_report_has_tables_a_plot_and_a_page(folder):
    page = sweep_report.write("tiny", folder)
    text = page.read_text()
    csv = pd.read_csv(page.parent / "measurements.csv")
    parquet = pd.read_parquet(page.parent / "measurements.parquet")
    assert len(csv) == len(parquet) == 9
    assert csv.value.tolist() == parquet.value.tolist()
    assert (page.parent / "T.score.svg").stat().st_size > 0
    assert "5 points of tiny, 4 of them complete" in text
    assert "failed: no \\| luck" in text
    assert "| 3.0 | 5.5 | -26.27 to 37.27 | 2 |" in text
    assert sweep_report.write("tiny", folder) == page, "the report itself is no point"


def test_plot_draws_a_group_for_each_further_parameter():
    table = pd.DataFrame(
        [(1.0, "a", 1, 0.5, 1.5, 2), (2.0, "a", 2, 1.5, 2.5, 2), (1.0, "b", 5, None, None, 1)],
        columns=["rate", "kind", "mean", "low", "high", "n"],
    )
    (ax,) = sweep_report.plot(table, "T.score", "pixels", ["rate", "kind"]).axes
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["kind = a", "kind = b"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1.0", "2.0"]
    a, b = (container[0].get_xydata() for container in ax.containers)
    assert a[:, 1].tolist() == [1, 2]
    assert a[1, 0] - a[0, 0] == pytest.approx(1)
    assert 0 < b[0, 0] - a[0, 0] < 0.5
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("rate", "T.score (pixels)")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"measurements": ["T.scor"]}, "no point measured 'T.scor' (nearest: T.score)"),
        ({"measurements": ["T.curve"]}, "T.curve is a curve"),
        ({"against": "rat"}, "'rat' is not swept here (nearest: rate); swept are rate"),
    ],
)
def test_wrong_names_are_sentences(folder, options, sentence):
    with pytest.raises(InvnbError) as error:
        sweep_report.write("tiny", folder, **options)
    assert sentence in str(error.value)
    assert not (folder / "report").exists()


def test_a_measurement_without_a_number_is_left_out(tmp_path):
    none = measurement("T.none", [None], unit="1", seeds=[0], reason="not reached")
    of = {"T.score": scores(1.0, [0]), "T.none": none}
    results.write_json(tmp_path / "seeds=0" / "tiny.json", result(1.0, [0], **of))
    page = sweep_report.write("tiny", tmp_path).read_text()
    assert "T.score" in page
    assert "T.none" not in page
    with pytest.raises(InvnbError, match=r"no point has a number for 'T\.none'"):
        sweep_report.write("tiny", tmp_path, measurements=["T.none"])


def test_nothing_to_report(tmp_path):
    with pytest.raises(InvnbError, match="there are no points of tiny in"):
        sweep_report.write("tiny", tmp_path)
