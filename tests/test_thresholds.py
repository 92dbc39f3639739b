"""invnb.thresholds, its curves and correlation: tables made by hand, and counting."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from invnb.errors import InvnbError
from invnb.image_transformations import TRANSFORMATIONS
from invnb.invariance_correlation import correlation, fisher_mean, spearman
from invnb.screening_curves import accuracy, softmax_curves, takeover, translation_map
from invnb.screening_table import BLOCK, Block, create
from invnb.thresholds import Thresholds, class_thresholds, critical, critical_frame

BRIGHT = replace(TRANSFORMATIONS["brightness"], magnitudes=(-0.2, -0.1, 0.0, 0.1, 0.2))
BLUR = replace(TRANSFORMATIONS["blur"], magnitudes=(0.0, 1.0, 2.0, 4.0))
ZOOM = replace(TRANSFORMATIONS["zoom"], magnitudes=(0.25, 0.5, 1.0, 2.0, 4.0))


def table(folder, softmax, labels, *transformations, classes="abcd"):
    """Return a table with the same softmax `[M, N, K]` for all transformations."""
    about = {"model": "made", "classes": list(classes), "images": {"n": len(labels)}, "seed": 0}
    about["files"] = [f"{i}.png" for i in range(len(labels))]
    made = create(folder, about, labels, transformations)
    for one in transformations:
        for start in range(0, len(labels), BLOCK):
            part = slice(start, start + BLOCK)
            block = Block.of(softmax[:, part].astype(np.float32), np.array(labels[part]))
            made.write(one, start, block)
    return made


def one_hot(predicted, k=4):
    return np.eye(k)[np.array(predicted)] * 0.9 + 0.1 / k


def random_table(folder, seed=0, n=40, stay=0.75, one=ZOOM):
    """Return a table of labels 0, 1, 2, whose predictions walk away from the neutral magnitude."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 3).tolist()
    neutral = one.magnitudes.index(one.neutral)
    predicted = np.empty((len(one.magnitudes), n), int)
    predicted[neutral] = np.where(rng.random(n) < 0.8, labels, 3)
    for order in (range(neutral + 1, len(one.magnitudes)), range(neutral - 1, -1, -1)):
        last = predicted[neutral]
        for m in order:
            last = np.where(rng.random(n) < stay, last, rng.integers(0, 4, n))
            predicted[m] = last
    return table(folder, one_hot(predicted), labels, one), predicted, np.array(labels)


def test_critical_worked():
    predicted = np.array(
        [
            [1, 0, 0, 2, 1],  # -.2
            [1, 0, 1, 2, 0],  # -.1
            [0, 0, 0, 2, 0],
            [0, 0, 1, 3, 0],  # .1
            [0, 1, 1, 2, 0],  # .2
        ]
    )
    found = critical(predicted, BRIGHT)
    assert list(found) == ["down", "up"]
    np.testing.assert_array_equal(found["down"].magnitude, [-0.1, np.nan, -0.1, np.nan, -0.2])
    np.testing.assert_array_equal(found["up"].magnitude, [np.nan, 0.2, 0.1, 0.1, np.nan])
    assert found["down"].returns.tolist() == [False, False, True, False, False]
    assert found["up"].returns.tolist() == [False, False, False, True, False]
    assert found["up"].distances.tolist() == [0, 0.1, 0.2]


def test_critical_frame(tmp_path):
    # rows are magnitudes of zoom, the third the neutral one; the last image is wrong there
    predicted = [[1, 0, 1], [0, 0, 1], [0, 0, 1], [2, 0, 1], [0, 0, 1]]
    made = table(tmp_path, one_hot(predicted), [0, 0, 0], ZOOM)
    frame = critical_frame(made, "zoom")
    assert frame.direction.tolist() == ["down", "down", "up", "up"]
    assert frame.file.tolist() == ["0.png", "1.png", "0.png", "1.png"]
    np.testing.assert_equal(frame.critical.to_numpy(), [0.25, np.nan, 2.0, np.nan])
    assert frame.returns.tolist() == [False, False, True, False]
    assert set(frame["class"]) == {"a"}


def test_critical_with_the_neutral_magnitude_at_an_end():
    found = critical(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), BLUR)
    assert list(found) == ["up"]
    assert found["up"].magnitude.tolist() == [2, 1]
    assert found["up"].returns.tolist() == [False, True]


def test_critical_by_brute_force():
    rng = np.random.default_rng(1)
    predicted = rng.integers(0, 2, (5, 60))
    found = critical(predicted, ZOOM)
    assert found["down"].distances.tolist() == [0, 1, 2]
    for name, walk in (("down", [2, 1, 0]), ("up", [2, 3, 4])):
        for i in range(60):
            flips = [predicted[m, i] != predicted[2, i] for m in walk]
            if True in flips:
                first = flips.index(True)
                assert found[name].magnitude[i] == ZOOM.magnitudes[walk[first]]
                assert found[name].returns[i] == (False in flips[first:])
            else:
                assert math.isnan(found[name].magnitude[i])
                assert not found[name].returns[i]


def test_critical_of_pairs():
    with pytest.raises(InvnbError, match="translation has pairs of magnitudes"):
        critical(np.zeros((121, 2)), TRANSFORMATIONS["translation"])


def test_class_thresholds_worked(tmp_path):
    """Of four right images, one flips at 1, one at 2, two at 4: half are left between 2 and 4."""
    predicted = np.array([[0] * 4 + [3], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 2, 2, 0]])
    found = class_thresholds(table(tmp_path, one_hot(predicted), [0] * 5, BLUR), "blur")
    assert (found.classes, found.n.tolist(), found.end) == ((0,), [4], 4)
    assert found.values.tolist() == [2]  # .75 are left at 1, .5 at 2, none at 4
    assert found.reached.tolist() == [True]


def test_a_threshold_is_the_least_distance_with_half_of_the_images_left(tmp_path):
    """One of two flips at 1, the other at 4: half are left from 1 on, as the equation counts."""
    predicted = np.array([[0, 0], [1, 0], [1, 0], [1, 1]])
    found = class_thresholds(table(tmp_path, one_hot(predicted), [0, 0], BLUR), "blur")
    assert found.values.tolist() == [1]


def test_class_thresholds_that_are_not_reached(tmp_path):
    predicted = np.array([[0, 0, 1, 1, 2, 3]] + [[0, 0, 1, 0, 0, 3]] * 3)
    made = table(tmp_path, one_hot(predicted), [0, 0, 1, 1, 2, 0], BLUR)
    found = class_thresholds(made, "blur")
    assert found.values.tolist() == [4, 1, 0.5]  # of two, one flips, at 1: that is half of them
    assert found.reached.tolist() == [False, True, True]
    assert found.estimate(0).reason == "the interval reaches beyond what was screened"
    assert found.estimate(2).reason == "one image has no spread"


def test_an_end_of_many_digits_is_not_reached(tmp_path):
    """A distance such as log2 of 7 is rounded; no image flips, so the end is all that is known."""
    one = replace(ZOOM, magnitudes=(1.0, 2.0, 7.0))
    found = class_thresholds(table(tmp_path, one_hot([[0, 0]] * 3), [0, 0], one), "zoom")
    assert found.values.tolist() == [found.end]
    assert found.end == pytest.approx(math.log2(7))
    assert found.reached.tolist() == [False]
    assert found.estimate(0).reason == "the interval reaches beyond what was screened"


def test_class_without_right_images(tmp_path):
    predicted = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0], [0, 1, 0]])
    found = class_thresholds(table(tmp_path, one_hot(predicted), [0, 0, 1], BLUR), "blur")
    assert math.isnan(found.values[0])
    assert found.estimate(0).mean is None
    assert found.estimate(0).reason == "no image is right at the neutral magnitude"
    assert found.variance_ratio() is None


def by_hand(predicted, right, one, steps=20001):
    """Return the threshold by drawing the share of images that stand over a fine grid."""
    distances = np.array([one.distance(v) for v in one.magnitudes])
    neutral = one.magnitudes.index(one.neutral)
    grid = np.linspace(0, 2, steps)
    shares = []
    for walk in (range(neutral, -1, -1), range(neutral, len(distances))):
        stands, left = np.ones(predicted.shape[1], bool), []
        for m in walk:
            stands &= predicted[m] == predicted[neutral]
            left.append(stands[right].mean())
        shares.append(np.interp(grid, distances[list(walk)], left))
    below = np.mean(shares, 0) < 0.5
    return grid[below.argmax()] if below.any() else grid[-1]


@pytest.mark.parametrize("stay", [0.3, 0.6, 0.75, 0.95])
def test_class_thresholds_by_brute_force(tmp_path, stay):
    made, predicted, labels = random_table(tmp_path, stay=stay)
    found = class_thresholds(made, "zoom", samples=50)
    for k, label in enumerate(found.classes):
        these = labels == label
        right = predicted[2][these] == label
        assert found.n[k] == right.sum()
        assert found.values[k] == pytest.approx(by_hand(predicted[:, these], right, ZOOM), abs=2e-4)


def test_bootstrap_samples_are_thresholds_of_resampled_images(tmp_path):
    made, predicted, labels = random_table(tmp_path)
    found = class_thresholds(made, "zoom", samples=20, seed=4)
    for k, label in enumerate(found.classes):
        n = int((labels == label).sum())
        counts = np.random.default_rng([4, label]).multinomial(n, np.full(n, 1 / n), 20)
        for r in range(20):
            drawn = np.repeat(predicted[:, labels == label], counts[r], axis=1)
            expected = by_hand(drawn, drawn[2] == label, ZOOM)
            assert found.samples[r, k] == pytest.approx(expected, abs=2e-4)


def test_one_direction(tmp_path):
    made, predicted, labels = random_table(tmp_path)
    mirrored = predicted.copy()
    mirrored[3:] = predicted[1::-1]
    both = class_thresholds(table(tmp_path / "m", one_hot(mirrored), labels.tolist(), ZOOM), "zoom")
    found = class_thresholds(made, "zoom", direction="down")
    np.testing.assert_allclose(found.values, both.values)
    with pytest.raises(InvnbError, match=r"zoom was not screened in direction 'left': \['down'"):
        class_thresholds(made, "zoom", direction="left")


def test_intervals_cover(tmp_path):
    """Half of a class flips at 1 and half at 4: the interval spans both; a sure class has none."""
    n = 40
    predicted = np.zeros((4, 2 * n), int)
    predicted[:, n:] = 1
    predicted[1:, : n // 2] = 2
    predicted[3, n // 2 : n] = 2
    predicted[2:, n:] = 2
    made = table(tmp_path, one_hot(predicted), [0] * n + [1] * n, BLUR)
    found = class_thresholds(made, "blur", samples=400)
    wide, narrow = found.estimate(0), found.estimate(1)
    assert wide.low < 1
    assert wide.high > 2
    assert (narrow.mean, narrow.low, narrow.high) == (1.5, 1.5, 1.5)
    assert found.standard_errors[1] == 0


def test_variance_ratio():
    rng = np.random.default_rng(0)
    values = np.array([1.0, 2.0, 4.0, 9.0])
    samples = values + rng.normal(0, 0.5, (2000, 4))
    found = Thresholds((0, 1, 2, 3), np.array([5, 5, 5, 1]), 9.0, values, samples)
    between = values[:3].var(ddof=1)
    assert found.variance_ratio() == pytest.approx(between / 0.25, rel=0.1)
    same = replace(found, samples=np.tile(values, (2000, 1)))
    assert same.variance_ratio() == math.inf
    assert replace(same, values=np.ones(4)).variance_ratio() == 0
    assert replace(found, n=np.array([5, 1, 1, 0])).variance_ratio() is None
    bounded = replace(found, end=4.0)  # the third class flips beyond what was screened
    assert bounded.variance_ratio() == pytest.approx(values[:2].var(ddof=1) / 0.25, rel=0.1)
    assert replace(found, end=2.0).variance_ratio() is None
    # of the third class a part of the samples lies beyond the end, and is cut off there
    cut = replace(found, end=4.5, samples=np.minimum(samples, 4.5))
    assert cut.variance_ratio() == pytest.approx(values[:2].var(ddof=1) / 0.25, rel=0.1)


def test_spearman_is_scipys():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 20).astype(float), rng.normal(size=20)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    gone = np.where(np.arange(20) < 3, np.nan, y)
    assert spearman(x, gone) == pytest.approx(stats.spearmanr(x[3:], y[3:]).statistic)
    assert spearman(np.ones(5), np.arange(5.0)) is None


def test_fisher_mean():
    assert fisher_mean([0.5, 0.5]) == pytest.approx(0.5)
    assert fisher_mean([0.9, None, 0.1]) == pytest.approx(
        math.tanh((math.atanh(0.9) + math.atanh(0.1)) / 2)
    )
    assert fisher_mean([1.0]) == pytest.approx(0.999)
    assert fisher_mean([None]) is None


def thresholds(values, noise, seed):
    values = np.array(values, float)
    samples = values + noise * np.random.default_rng(seed).normal(size=(500, len(values)))
    n = np.full(len(values), 9)
    return Thresholds(tuple(range(len(values))), n, 99.0, values, samples)


def test_correlation_of_like_and_unlike_models():
    rng = np.random.default_rng(0)
    names = ("zoom", "blur", "noise")
    base = {name: rng.normal(size=12) for name in names}
    first = {name: thresholds(base[name], 0.1, 1) for name in names}
    alike = {name: thresholds(base[name] + 0.3 * rng.normal(size=12), 0.1, 2) for name in names}
    found = correlation(first, alike)
    for name in names:
        expected = stats.spearmanr(first[name].values, alike[name].values).statistic
        assert found.by_transformation[name] == pytest.approx(expected)
    assert found.mean.mean == fisher_mean(list(found.by_transformation.values()))
    assert 0 < found.mean.low < found.mean.mean
    assert found.positive == 3
    unlike = {name: thresholds(rng.normal(size=12), 0.1, 3) for name in names}
    assert correlation(first, unlike).mean.low < 0
    against = {name: thresholds(-base[name], 0.1, 3) for name in names}
    assert correlation(first, against).mean.high < 0
    assert correlation(first, against).positive == 0


def test_correlation_where_nothing_differs():
    flat = {"blur": thresholds([1, 1, 1], 0, 0)}
    found = correlation(flat, flat)
    assert (found.by_transformation, found.mean.mean) == ({"blur": None}, None)
    assert found.positive == 0


def test_correlation_of_what_does_not_go_together():
    one = {"blur": thresholds([1, 2, 3], 0.1, 0)}
    with pytest.raises(InvnbError, match="same transformations"):
        correlation(one, {"zoom": one["blur"]})
    with pytest.raises(InvnbError, match="same classes"):
        correlation(one, {"blur": thresholds([1, 2], 0.1, 0)})


def test_accuracy(tmp_path):
    made, predicted, labels = random_table(tmp_path, n=BLOCK + 5)
    np.testing.assert_allclose(accuracy(made, "zoom"), (predicted == labels).mean(1))
    third = labels == 2
    expected = (predicted[:, third] == 2).mean(1)
    np.testing.assert_allclose(accuracy(made, "zoom", third), expected)


def test_softmax_curves(tmp_path):
    rng = np.random.default_rng(0)
    softmax = rng.dirichlet([0.3] * 6, (4, 30))
    labels = (np.arange(30) % 2).tolist()
    found = softmax_curves(table(tmp_path, softmax, labels, BLUR, classes="abcdef"), "blur", 1)
    means = softmax[:, 1::2].mean(1).T
    peaks = {k: means[k].max() for k in range(6)}
    first = sorted(peaks, key=peaks.get, reverse=True)[:3]
    assert found.classes == tuple("abcdef"[k] for k in first)
    np.testing.assert_allclose(found.means, means[first], atol=1e-6)
    rest = [k for k in range(6) if k not in first]
    np.testing.assert_allclose(found.others, means[rest].max(0), atol=1e-6)
    assert found.magnitudes == BLUR.magnitudes


def test_softmax_curves_of_few_classes(tmp_path):
    softmax = np.full((4, 2, 3), 1 / 3)
    found = softmax_curves(table(tmp_path, softmax, [0, 1], BLUR, classes="abc"), "blur", 0)
    assert (len(found.means), found.others) == (3, None)


def test_translation_map(tmp_path):
    pairs = ((-0.1, 0.0), (-0.1, 0.2), (0.0, 0.0), (0.0, 0.2), (0.3, 0.0), (0.3, 0.2))
    one = replace(TRANSFORMATIONS["translation"], magnitudes=pairs)
    rng = np.random.default_rng(0)
    softmax = rng.dirichlet([0.3] * 4, (6, 9))
    labels = [0, 1, 1] * 3
    made = table(tmp_path, softmax, labels, one)
    found = translation_map(made, 1)
    assert (found.x.tolist(), found.y.tolist()) == ([-0.1, 0, 0.3], [0, 0.2])
    of_class = softmax[:, np.array(labels) == 1]
    for j, y in enumerate(found.y):
        for i, x in enumerate(found.x):
            at = of_class[pairs.index((x, y))]
            assert found.softmax[j, i] == pytest.approx(at[:, 1].mean(), abs=1e-6)
            assert found.accuracy[j, i] == (at.argmax(1) == 1).mean()
    some = np.arange(9) < 5  # of images 1, 2 and 4, which are of the class
    part = translation_map(made, 1, among=some)
    np.testing.assert_allclose(part.softmax[0, 0], of_class[0, :3, 1].mean(), atol=1e-6)
    assert part.accuracy[0, 0] == (of_class[0, :3].argmax(1) == 1).mean()


def test_takeover(tmp_path):
    predicted = np.array([[0] * 4, [0, 1, 1, 0], [0, 2, 3, 2], [0, 0, 0, 0]])
    made = table(tmp_path, one_hot(predicted), [0] * 4, BLUR)
    assert vars(takeover(made, "blur", 0, 2.0)) == {"name": "c", "share": 0.5}
    assert vars(takeover(made, "blur", 0, 4.0)) == {"name": None, "share": 0.0}
