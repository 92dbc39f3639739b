"""Intervals against scipy's own, a textbook's numbers, and simulation."""

import numpy as np
import pytest
from scipy import stats

from invnb import statistics
from invnb.statistics import ONE_VALUE, Estimate

VALUES = [0.941, 0.944, 0.939, 0.946]
OTHER = [0.945, 0.947, 0.946, 0.944]


def test_one_value_has_no_spread_and_says_so():
    assert statistics.sd([3.0]) is None
    for estimate in (
        statistics.student([3.0]),
        statistics.prediction([3.0]),
        statistics.paired([5.0], [2.0]),
        statistics.welch([5.0], 2.0, 1.0, 4),
    ):
        assert estimate == Estimate(3.0, None, None, ONE_VALUE)
        assert estimate.ci95 is None


def test_equal_values_give_an_interval_of_no_width():
    assert statistics.student([2.0, 2.0, 2.0]).ci95 == [2.0, 2.0]
    assert statistics.welch([2.0, 2.0], 1.5, 0.0, 4).ci95 == [0.5, 0.5]


def test_mean_and_sd():
    assert statistics.mean([1, 2, 3, 4]) == 2.5
    assert statistics.sd([1, 2, 3, 4]) == pytest.approx((5 / 3) ** 0.5)


def test_student_by_the_table_of_quantiles():
    # t(0.975, 3) = 3.182; sd of 1, 2, 3, 4 is 1.291
    assert statistics.student([1, 2, 3, 4]).ci95 == pytest.approx(
        [2.5 - 3.182 * 1.291 / 2, 2.5 + 3.182 * 1.291 / 2], abs=1e-3
    )


def test_student_is_scipys():
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert statistics.student(VALUES).ci95 == pytest.approx(list(expected))


def test_paired_is_scipys_and_keeps_the_sign():
    expected = stats.ttest_rel(VALUES, OTHER).confidence_interval(0.95)
    estimate = statistics.paired(VALUES, OTHER)
    assert estimate.ci95 == pytest.approx(list(expected))
    assert estimate.mean == pytest.approx(np.mean(VALUES) - np.mean(OTHER))


def test_welch_is_scipys_from_two_samples():
    expected = stats.ttest_ind(VALUES, OTHER, equal_var=False).confidence_interval(0.95)
    estimate = statistics.welch(VALUES, np.mean(OTHER), np.std(OTHER, ddof=1), len(OTHER))
    assert estimate.ci95 == pytest.approx(list(expected))


def test_welch_agrees_with_scipys_test_from_published_numbers():
    # the p value of a test is 0.05 where the interval's end touches zero
    published = {"mean_other": 98.6, "sd_other": 5.4, "n_other": 4}
    ours = np.array([60.0, 75.0, 80.0, 95.0])
    low, _ = statistics.welch(ours, **published).ci95
    touching = ours - low
    p = stats.ttest_ind_from_stats(
        touching.mean(), touching.std(ddof=1), 4, 98.6, 5.4, 4, equal_var=False
    ).pvalue
    assert p == pytest.approx(0.05)


def test_welch_with_a_published_sd_of_zero_is_students():
    shifted = statistics.student(VALUES).mapped(lambda x: x - 0.9)
    assert statistics.welch(VALUES, 0.9, 0.0, 4).ci95 == pytest.approx(shifted.ci95)


def test_prediction_covers_one_more_value_95_times_in_100():
    generator = np.random.default_rng(0)
    draws = generator.normal(size=(4000, 6))
    covered = 0
    for *seen, new in draws:
        low, high = statistics.prediction(seen).ci95
        covered += low <= new <= high
    assert covered / len(draws) == pytest.approx(0.95, abs=0.01)


def test_prediction_is_wider_than_student_by_the_square_root_of_n_plus_1():
    student, prediction = statistics.student(VALUES), statistics.prediction(VALUES)
    ratio = (prediction.high - prediction.low) / (student.high - student.low)
    assert ratio == pytest.approx(5**0.5)


def test_mapped_moves_mean_and_both_limits():
    assert Estimate(0.0, -1.0, 1.0).mapped(np.exp).ci95 == pytest.approx([np.exp(-1), np.exp(1)])
    assert Estimate(0.0, None, None, "why").mapped(np.exp) == Estimate(1.0, None, None, "why")


def test_jackknife_of_the_mean_gives_the_values():
    assert statistics.jackknife(np.mean, np.array(VALUES)) == pytest.approx(VALUES)


def test_jackknife_worked():
    # of the maximum: 3 x 1 - 2 x 1 without a zero, 3 x 1 - 2 x 0 without the one
    assert statistics.jackknife(np.max, np.array([0.0, 1.0, 0.0])) == [1, 3, 1]


@pytest.mark.parametrize("n", [2, 3, 10])
def test_jackknife_makes_the_variance_unbiased(n):
    values = np.random.default_rng(0).normal(size=n)
    pseudo = statistics.jackknife(np.var, values)
    assert len(pseudo) == n
    assert np.mean(pseudo) == pytest.approx(np.var(values, ddof=1), rel=1e-12)


def test_jackknife_leaves_out_whole_seeds():
    values = np.random.default_rng(0).normal(size=(5, 4)) + np.arange(4)

    def trend(rows):
        return stats.spearmanr(np.tile(np.arange(4), len(rows)), np.ravel(rows)).statistic

    expected = []
    for left_out in range(5):
        rest = [row.tolist() for i, row in enumerate(values) if i != left_out]
        expected.append(5 * trend(values) - 4 * trend(rest))
    found = statistics.jackknife(trend, values)
    assert found == pytest.approx(expected)
    assert np.ptp(found) > 0.1


def test_interval_is_students_and_nothing_for_one_value():
    assert statistics.interval(VALUES) == tuple(statistics.student(VALUES).ci95)
    assert np.isnan(statistics.interval([3.0])).all()
