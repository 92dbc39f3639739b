"""invnb.pairing: values of the same seeds, and their differences."""

from invnb.measurements import measurement
from invnb.pairing import difference, on_common_seeds

MEASURED = {
    "a": measurement("a", [1.0, 2.0, 4.0], unit="fraction", seeds=[0, 1, 2]),
    "b": measurement("b", [3.0, 1.0, 1.0], unit="fraction", seeds=[2, 1, 3]),
    "c": measurement("c", [5.0], unit="fraction", seeds=[7]),
    "none": measurement("none", None, unit="1", reason="not in this run"),
}


def test_measurements_on_the_seeds_that_all_have():
    a, b = on_common_seeds(MEASURED, "a", "b")
    assert (a["seeds"], a["values"], b["values"]) == ([1, 2], [2.0, 4.0], [1.0, 3.0])
    assert (a["mean"], b["n"], b["unit"]) == (3.0, 2, "fraction")
    assert on_common_seeds(MEASURED, "a", "c") == [None, None]


def test_what_was_not_made_takes_no_seeds_away():
    for missing in ("none", "never heard of"):
        a, nothing = on_common_seeds(MEASURED, "a", missing)
        assert (a["seeds"], nothing) == ([0, 1, 2], None)
        assert on_common_seeds(MEASURED, missing) == [None]
        assert difference(MEASURED, "a", missing) is None


def test_differences_are_paired_over_seeds():
    found = difference(MEASURED, "a", "b")
    assert (found["seeds"], found["values"]) == ([1, 2], [1.0, 1.0])
    assert (found["ci95"], found["unit"]) == ([1.0, 1.0], "fraction")
    assert difference(MEASURED, "a", "c") is None
