"""Conditions: each form in its three outcomes, against intervals computed here by scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from invnb.criteria import CONTRADICTED, HOLDS, UNDECIDED, parse
from invnb.errors import InvnbError
from invnb.expressions import Quantity

PUBLISHED = {"value": 0.94, "sd": 0.005, "n": 4, "unit": "fraction"}
TIGHT = np.array([-1.0, 0.0, 0.0, 1.0]) * 1e-6  # a spread that decides


def state(written, published=PUBLISHED, **values):
    """Return the outcome for columns given as `R4_DA_LI=[...]`, or as one number, nearly equal."""
    columns = {
        Quantity(name.replace("_", ".")): np.array(v if isinstance(v, list) else v + TIGHT)
        for name, v in values.items()
    }
    return parse(written, published).judge(columns, published)


def student(values):
    return list(stats.ttest_1samp(values, 0).confidence_interval(0.95))


@pytest.mark.parametrize(
    ("written", "a", "expected"),
    [
        ("a <= 0.5", 0.4, HOLDS),
        ("a <= 0.5", 0.6, CONTRADICTED),
        ("a <= 0.5", 0.5, UNDECIDED),
        ("a < 0.5", 0.4, HOLDS),
        ("a < 0.5", 0.6, CONTRADICTED),
        ("a >= 0.5", 0.6, HOLDS),
        ("a >= 0.5", 0.4, CONTRADICTED),
        ("a > 0.5", 0.5, UNDECIDED),
        ("-1 <= a <= 1/2", 0.4, HOLDS),
        ("-1 <= a <= 1/2", 0.6, CONTRADICTED),
        ("-1 <= a <= 1/2", -1.1, CONTRADICTED),
        ("-1 <= a <= 1/2", 0.5, UNDECIDED),
        ("-1 <= a <= 1/2", -1.0, UNDECIDED),
    ],
)
def test_a_bound_holds_is_contradicted_or_undecided(written, a, expected):
    assert state(written, a=a).state == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a <= 0.5", HOLDS),
        ("a < 0.5", CONTRADICTED),
        ("a >= 0.5", HOLDS),
        ("a > 0.5", CONTRADICTED),
        ("0.5 <= a <= 1", HOLDS),
        ("0.5 < a <= 1", CONTRADICTED),
        ("0 <= a < 0.5", CONTRADICTED),
    ],
)
def test_constant_values_on_a_bound_are_decided_by_whether_it_belongs(written, expected):
    assert state(written, a=[0.5, 0.5, 0.5, 0.5]).state == expected


def test_an_interval_wider_than_the_region_is_undecided():
    assert state("-1 <= a <= 1", a=[-9.0, 9.0, -9.0, 9.0]).state == UNDECIDED


def test_one_seed_decides_nothing_and_says_why():
    for written in ("a <= 9", {"within": "a", "margin": 9}, {"upper": "a", "at_least": 0}):
        outcome = state(written, a=[0.94])
        assert (outcome.state, outcome.estimate.ci95) == (UNDECIDED, None)
        assert outcome.estimate.reason == "a single value has no interval"


def test_a_comparison_of_two_is_of_their_paired_difference():
    a, b = [0.91, 0.95, 0.93, 0.97], [0.90, 0.94, 0.92, 0.95]  # noisy, but a is always above
    outcome = state("R4.DA.LI > T3.DA.LI", R4_DA_LI=a, T3_DA_LI=b)
    assert outcome.estimate.ci95 == pytest.approx(student(np.subtract(a, b)))
    assert (outcome.state, outcome.subject) == (HOLDS, "R4.DA.LI - T3.DA.LI")
    assert state("a < b", a=a, b=b).state == CONTRADICTED
    assert state("a > b", a=a, b=b[::-1]).state == UNDECIDED


def test_the_extreme_of_several_is_taken_seed_by_seed():
    a, b, c = [1.0, 4.0, 2.0], [3.0, 1.0, 1.5], [2.0, 2.0, 2.5]
    found = state("max(a, b, c) < 5", a=a, b=b, c=c)  # 3, 4, 2.5
    assert (found.estimate.mean, found.estimate.high) == pytest.approx(
        (9.5 / 3, student([3, 4, 2.5])[1])
    )
    assert state("c > min(a, b)", a=a, b=b, c=c).estimate.mean == pytest.approx(1)  # 1, 1, 1


def test_a_ratio_has_its_interval_on_the_log_scale():
    a, b = [70.0, 95.0, 60.0, 80.0], [0.02, 0.05, 0.04, 0.03]
    outcome = state("a / b >= 100", a=a, b=b)
    expected = np.exp(student(np.log(np.divide(a, b))))
    assert outcome.estimate.ci95 == pytest.approx(list(expected))
    assert outcome.estimate.mean == pytest.approx(stats.gmean(np.divide(a, b)))
    assert outcome.state == HOLDS


@pytest.mark.parametrize(
    ("written", "values", "expected"),
    [
        ("2 * a <= 9", {"a": [1.0, 2.0, 4.0]}, [2.0, 4.0, 8.0]),  # one measurement
        ("a - 2 * b <= 9", {"a": [1.0, 2.0, 4.0], "b": [1.0, 1.0, 3.0]}, [-1.0, 0.0, -2.0]),
        ("a / b <= 9", {"a": [0.0, 2.0, 4.0], "b": [1.0, 1.0, 4.0]}, [0.0, 2.0, 1.0]),  # a zero
        ("-a / b <= 9", {"a": [1.0, 2.0, 4.0], "b": [1.0, 1.0, 4.0]}, [-1.0, -2.0, -1.0]),
        ("(a + b) / b <= 9", {"a": [1.0, 2.0, 4.0], "b": [1.0, 1.0, 4.0]}, [2.0, 3.0, 2.0]),
    ],
)
def test_all_else_has_its_interval_on_the_plain_scale(written, values, expected):
    assert state(written, **values).estimate.ci95 == pytest.approx(student(expected))


def test_division_by_zero_is_undecided():
    for zero_by_seed in ([0.0, 1.0, 1.0], [0.0, 0.0, 0.0]):
        outcome = state("a / b >= 100", a=[0.0, 1.0, 2.0], b=zero_by_seed)
        assert outcome.state == UNDECIDED
        assert (outcome.estimate.mean, outcome.estimate.reason) == (None, "division by zero")


def test_a_curve_is_read_at_one_value_of_its_axis():
    condition = parse("R4.DA.DI_drift[0.1] / R4.DA.DI_drift[0] >= 2", None)
    near, far = Quantity("R4.DA.DI_drift", 0.1), Quantity("R4.DA.DI_drift", 0.0)
    assert condition.quantities == (near, far)
    assert [str(q) for q in condition.quantities] == ["R4.DA.DI_drift[0.1]", "R4.DA.DI_drift[0]"]
    assert condition.judge({near: 3 + TIGHT, far: 1 + TIGHT}, None).state == HOLDS


@pytest.mark.parametrize(
    ("ours", "expected"), [(0.943, HOLDS), (0.97, CONTRADICTED), (0.952, UNDECIDED)]
)
def test_within_a_margin(ours, expected):
    values = ours + np.array([-1.0, 0.0, 0.0, 1.0]) * 1e-3
    outcome = state({"within": "R4.DA.accuracy", "margin": 0.012}, R4_DA_accuracy=list(values))
    theirs = 0.94 + 0.005 * np.array([-1, 1, -1, 1]) * math.sqrt(3) / 2  # mean .94, sd .005, n 4
    expected_interval = stats.ttest_ind(values, theirs, equal_var=False).confidence_interval(0.95)
    assert outcome.estimate.ci95 == pytest.approx(list(expected_interval))
    assert outcome.state == expected


@pytest.mark.parametrize(("sd", "expected"), [(0.02, True), (0.05, True), (0.07, False)])
def test_a_published_spread_may_leave_no_room_in_the_margin(sd, expected):
    """Of four networks, t is 3.18, so that a spread of .063 fills a margin of .1."""
    published = {"value": 0.95, "sd": sd, "n": 4, "unit": "cosine"}
    condition = parse({"within": "T3.IR.SI", "margin": 0.1}, published)
    assert condition.can_hold(published) == expected


LI = {"value": 98.6, "sd": 5.4, "n": 4, "unit": "squared logits"}
SMALL = {"value": 0.02, "sd": 0.0, "n": 4, "unit": "squared logits"}
ZERO = {"value": 0.0, "sd": 0.0, "n": 4, "unit": "squared logits"}
FACTOR = {"within_factor": "R4.DA.LI", "factor": 1.5, "or_both_below": 0.05}


@pytest.mark.parametrize(
    ("published", "ours", "expected"),
    [
        (LI, 98.6, HOLDS),
        (LI, 60.0, CONTRADICTED),
        (LI, 180.0, CONTRADICTED),
        (LI, 68.0, UNDECIDED),
        (LI, 0.01, CONTRADICTED),  # both must be below
        (LI, [98.6, 98.6, 98.6, 0.0], CONTRADICTED),  # no ratio
        (SMALL, 0.001, HOLDS),  # another factor, but small
        (SMALL, 0.02, HOLDS),
        (SMALL, 0.06, CONTRADICTED),
        (SMALL, [0.01, 0.02, 0.05, 0.15], UNDECIDED),
        (ZERO, [0.0, 0.0, 0.0, 0.0], HOLDS),
        (ZERO, 0.04, HOLDS),
        (ZERO, 0.06, CONTRADICTED),
        (ZERO, [0.01, 0.02, 0.05, 0.15], UNDECIDED),
        (ZERO, [0.05, 0.05, 0.05, 0.05], CONTRADICTED),  # below means below
    ],
)
def test_within_a_factor_or_both_small(published, ours, expected):
    assert state(FACTOR, published, R4_DA_LI=ours).state == expected


def test_within_a_factor_compares_logarithms_with_a_log_normal_of_the_published_moments():
    ours = np.array([60.0, 75.0, 80.0, 95.0])
    outcome = state({"within_factor": "R4.DA.LI", "factor": 1.5}, LI, R4_DA_LI=list(ours))
    theirs = stats.lognorm(s=math.sqrt(math.log1p((5.4 / 98.6) ** 2)))
    scale = 98.6 / theirs.mean()
    assert scale * theirs.std() == pytest.approx(5.4)  # the oracle has the published moments
    centre, spread = math.log(scale), theirs.kwds["s"]
    sample = centre + spread * np.array([-1, 1, -1, 1]) * math.sqrt(3) / 2
    expected = stats.ttest_ind(np.log(ours), sample, equal_var=False).confidence_interval(0.95)
    assert outcome.estimate.ci95 == pytest.approx(list(np.exp(expected)))


@pytest.mark.parametrize(
    ("written", "ours", "expected"),
    [
        # mean 5, sd 1, n 4: prediction interval 5 ± 3.182 * 1 * sqrt(1 + 1 / 4), 1.44 to 8.56
        ({"predicted": "a"}, 8.5, HOLDS),
        ({"predicted": "a"}, 8.6, CONTRADICTED),
        ({"predicted": "a", "or_within": 3.7}, 8.6, HOLDS),
        ({"predicted": "a", "or_within": 3.5}, 8.6, CONTRADICTED),
    ],
)
def test_a_published_network_may_be_one_more_of_ours(written, ours, expected):
    published = {"value": ours, "sd": None, "n": 1, "unit": "1"}
    values = [5 + e * 0.75**0.5 for e in (-1, -1, 1, 1)]
    assert state(written, published, a=values).state == expected


def test_one_network_predicts_nothing_but_may_be_near():
    published = {"value": 1.0, "sd": None, "n": 1, "unit": "1"}
    assert state({"predicted": "a"}, published, a=[1.0]).state == UNDECIDED
    assert state({"predicted": "a", "or_within": 0.1}, published, a=[1.05]).state == HOLDS


def test_a_prediction_needs_a_published_value():
    with pytest.raises(InvnbError, match="needs a published value"):
        parse({"predicted": "a"}, None)


def test_upper_limit_reaches():
    written = {"upper": "R4.IR.SI", "at_least": 0.95}
    wide = [0.90, 0.94, 0.92, 0.96]
    assert state(written, R4_IR_SI=wide).estimate.high == pytest.approx(student(wide)[1])
    assert state(written, R4_IR_SI=wide).state == HOLDS
    assert state(written, R4_IR_SI=0.94).state == CONTRADICTED
    assert state(written, R4_IR_SI=[0.95, 0.95]).state == HOLDS


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "cannot be read"),
        ("a <", "cannot be read"),
        ("a", "compares nothing"),
        ("a == 1", "<, <=, > and >="),
        ("1 < 2", "must be one of"),
        ("1 < a", "must be one of"),
        ("a < b < 1", "must be one of"),
        ("1 >= a >= 0", "rise"),
        ("1 <= a <= 0", "rise"),
        ("a ** 2 < 1", "not allowed"),
        ("abs(a) < 1", "not allowed"),
        ("max(a) < 1", "not allowed"),
        ("max(a, key=b) < 1", "not allowed"),
        ("__import__('os').name < 1", "not allowed"),
        ("a.b[c] < 1", "not allowed"),
        ("a[0][1] < 1", "not allowed"),
        ("a[0].b < 1", "not allowed"),
        ("'a' < b", "not allowed"),
        ("True < a < 2", "not allowed"),
        (7, "none of"),
        ({}, "none of"),
        ({"outside": "a", "margin": 1}, "none of"),
        ({"within": "a"}, "none of"),
        ({"within": "a", "margin": 1, "extra": 2}, "none of"),
        ({"within": "a / b", "margin": 1}, "not the name"),
        ({"within": "a", "margin": "1"}, "margin must be a number"),
        ({"within": "a", "margin": True}, "margin must be a number"),
        ({"upper": 3, "at_least": 1}, "not the name"),
    ],
)
def test_what_is_no_condition_is_refused(written, words):
    with pytest.raises(InvnbError, match=words):
        parse(written, PUBLISHED)


@pytest.mark.parametrize("published", [None, PUBLISHED | {"sd": None}, PUBLISHED | {"n": 1}])
def test_comparing_with_what_was_not_published_is_refused(published):
    for written in ({"within": "a", "margin": 1}, {"within_factor": "a", "factor": 2}):
        with pytest.raises(InvnbError, match="published value"):
            parse(written, published)
    parse({"upper": "a", "at_least": 1}, published)


def test_the_text_of_a_condition_is_what_a_reader_can_follow():
    assert parse("a / b >= 100", None).text == "a / b >= 100"
    assert parse({"within": "a.b", "margin": 0.012}, PUBLISHED).text == (
        "a.b - published within ± 0.012"
    )
    assert parse(FACTOR, LI).text == (
        "R4.DA.LI / published within a factor of 1.5, or both below 0.05"
    )
    assert parse({"upper": "a", "at_least": 0.95}, None).text == "interval of a reaches 0.95"


@pytest.mark.parametrize(
    ("values", "state"), [([8], "holds"), ([7.9], CONTRADICTED), ([6, 11], "holds")]
)
def test_reached_needs_no_interval(values, state):
    condition = parse({"reached": "m.count", "at_least": 8}, None)
    assert condition.text == "m.count reaches 8"
    outcome = condition.judge({condition.quantity: np.array(values, dtype=float)}, None)
    assert outcome.state == state
    assert outcome.estimate.ci95 is None
