"""invnb.representation: loops over poses, sets of units, and clusters placed by hand."""

import numpy as np
import pytest
import torch

from invnb.representation import (
    active_overlap,
    another_of_class,
    near_own_class,
    orbit_over_class_spread,
)

LABELS = torch.tensor([3, 0, 7, 3, 0, 3, 7, 0])  # of 0..7 only three occur


def make_features(poses=4, units=5):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(LABELS), poses, units, generator=generator, dtype=torch.float64)
    return noise + 0.2 * LABELS.view(-1, 1, 1)


def spread(points):
    mean = sum(points) / len(points)
    return np.sqrt(sum(((p - mean) ** 2).sum() for p in points) / len(points))


def of_class(features, k):
    return [pose for x, y in zip(features, LABELS, strict=True) if y == k for pose in x.numpy()]


def moved(features):
    return -3 * features + torch.arange(features.shape[-1])


# --- spread ---


def test_ratio_against_loops():
    features = make_features()
    ratio = orbit_over_class_spread(features, LABELS)
    assert ratio.shape == LABELS.shape
    for b, k in enumerate(LABELS.tolist()):
        expected = spread(list(features[b].numpy())) / spread(of_class(features, k))
        assert ratio[b].item() == pytest.approx(expected, rel=1e-12)


def test_ratio_worked():
    # the class is -3, -1, 1, 3: a spread of sqrt(5), and of 1 about -2 and 2
    features = torch.tensor([[[-3.0], [-1.0]], [[3.0], [1.0]], [[50.0], [60.0]]])
    ratio = orbit_over_class_spread(features, torch.tensor([0, 0, 1]))
    assert ratio.tolist() == pytest.approx([5**-0.5, 5**-0.5, 1.0])


def test_an_orbit_at_one_point_has_no_spread():
    features = make_features()
    features[2] = features[2, :1]
    ratio = orbit_over_class_spread(features, LABELS)
    assert ratio[2] < 1e-12
    assert ratio[6] > 0.1


def test_a_class_of_one_orbit_has_ratio_one():
    features = make_features()
    alone = orbit_over_class_spread(features, torch.arange(len(features)))
    again = orbit_over_class_spread(features.repeat(2, 1, 1), torch.arange(len(features)).repeat(2))
    for ratio in (alone, again):
        torch.testing.assert_close(ratio, torch.ones_like(ratio))


def test_law_of_total_variance():
    """Mean squared ratio of a class = 1 - the share of the images' own means."""
    features = make_features()
    squared = orbit_over_class_spread(features, LABELS).square()
    for k in (0, 3, 7):
        own = torch.tensor([y == k for y in LABELS])
        between = spread([x.numpy().mean(0) for x in features[own]])
        share = (between / spread(of_class(features, k))) ** 2
        assert squared[own].mean().item() == pytest.approx(1 - share)
        assert share > 0.1


# --- class means ---


def test_nearest_against_loops():
    features = make_features()
    near = near_own_class(features, LABELS)
    means = {k: np.mean(of_class(features, k), 0) for k in (0, 3, 7)}
    for b, k in enumerate(LABELS.tolist()):
        for g in range(4):
            nearest = min(means, key=lambda c: np.linalg.norm(features[b, g].numpy() - means[c]))
            assert near[b, g].item() == (nearest == k)
    assert 0.2 < near.double().mean() < 0.9


def test_far_clusters():
    noise = make_features() / 10
    features = noise + 100 * LABELS.view(-1, 1, 1)
    assert near_own_class(features, LABELS).all()
    features[1, 2] += 700  # one pose of a 0 among the sevens
    expected = torch.ones(len(LABELS), 4, dtype=torch.bool)
    expected[1, 2] = False
    assert torch.equal(near_own_class(features, LABELS), expected)


def test_one_class_is_always_its_own():
    assert near_own_class(make_features(), torch.full((len(LABELS),), 5)).all()


# --- both ---


def test_translation_and_scale_change_nothing():
    features = make_features()
    torch.testing.assert_close(
        orbit_over_class_spread(moved(features), LABELS), orbit_over_class_spread(features, LABELS)
    )
    assert torch.equal(near_own_class(moved(features), LABELS), near_own_class(features, LABELS))


@pytest.mark.parametrize("measure", [orbit_over_class_spread, near_own_class])
def test_only_the_partition_matters(measure):
    renamed = torch.tensor([2, 8, 0, 2, 8, 2, 0, 8])
    assert torch.equal(measure(make_features(), renamed), measure(make_features(), LABELS))


@pytest.mark.parametrize("measure", [orbit_over_class_spread, near_own_class])
def test_the_order_of_images_and_poses_does_not_matter(measure):
    features, order = make_features(), torch.tensor([5, 2, 7, 0, 1, 6, 4, 3])
    poses = torch.tensor([2, 0, 3, 1])
    found, expected = measure(features[order], LABELS[order]), measure(features, LABELS)[order]
    torch.testing.assert_close(found, expected)
    found, expected = measure(features[:, poses], LABELS), measure(features, LABELS)
    torch.testing.assert_close(found, expected if found.ndim == 1 else expected[:, poses])


# --- active units ---


def test_overlap_worked():
    units = torch.tensor(
        [
            [1.0, 2.0, 3.0, 0.0, 0.0],
            [0.0, 5.0, 0.1, 9.0, 0.0],  # 2 of 4
            [7.0, 1.0, 1.0, -1.0, -2.0],  # the same units
            [0.0, 0.0, 0.0, 1.0, 1.0],  # disjoint
            [1.0, 1.0, 1.0, 1.0, 1.0],  # 3 of 5
            [0.0, 0.0, 0.0, 0.0, 0.0],
        ]
    )
    overlap = active_overlap(units.unsqueeze(0))
    assert overlap[0].tolist() == pytest.approx([1, 0.5, 1, 0, 0.6, 0])


def test_empty_sets_are_the_same():
    units = torch.zeros(1, 3, 4)
    units[0, 1] = -1
    units[0, 2, 0] = 1
    assert active_overlap(units).tolist() == [[1, 1, 0]]


def test_overlap_against_sets():
    units = make_features() - 0.6
    overlap = active_overlap(units)
    assert (overlap[:, 0] == 1).all()
    for b, poses in enumerate(units.tolist()):
        active = [{f for f, value in enumerate(pose) if value > 0} for pose in poses]
        for g, found in enumerate(active):
            either = active[0] | found
            expected = len(active[0] & found) / len(either) if either else 1
            assert overlap[b, g].item() == pytest.approx(expected)
    assert 0.1 < overlap[:, 1:].mean() < 0.9


def test_a_class_at_one_point_has_no_spread_at_all():
    assert (
        orbit_over_class_spread(torch.zeros(3, 4, 2), torch.tensor([0, 0, 1])).tolist() == [0] * 3
    )


def test_nearness_survives_a_large_offset_in_single_precision():
    labels = torch.arange(40) % 3
    features = torch.randn(40, 4, 8, generator=torch.Generator().manual_seed(0))
    features = features + 2 * labels[:, None, None]
    assert torch.equal(near_own_class(features + 1e3, labels), near_own_class(features, labels))


def test_another_of_a_class():
    labels = torch.tensor([3, 1, 3, 3, 0, 1])
    partner = another_of_class(labels)
    assert torch.equal(labels[partner], labels)
    assert sorted(partner.tolist()) == list(range(6))
    assert (partner == torch.arange(6)).tolist() == [i == 4 for i in range(6)]  # the only 0
