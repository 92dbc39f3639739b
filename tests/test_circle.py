"""invnb.circle: scores in ranges of angles against counting by hand."""

import pytest
import torch
from torch import nn

from invnb import circle
from invnb.circle import Seen, around, drawn, look, scores
from invnb.turning import CIRCLE, Digits


def digits(n=6):
    labels = torch.arange(n) % 3
    ranges = torch.tensor([[-45.0, 46.0], [0.0, 360.0], [0.0, 360.0]])
    return Digits(torch.rand(n, 12, 12), labels, ("3", "1", "2"), ranges)


class Half(nn.Module):
    """Sees class 0 where the upper half is the brighter one, else class 1."""

    def forward(self, images):
        upper, lower = images[:, :6].sum((1, 2)), images[:, 6:].sum((1, 2))
        return torch.stack([upper, lower, torch.zeros_like(upper)], -1)


def test_a_network_looks_at_every_image_at_its_own_angles(monkeypatch):
    monkeypatch.setattr(circle, "CHUNK", 4)
    images = torch.zeros(3, 12, 12)
    images[:, 1:4, 5:7] = 1  # above the centre
    some = Digits(images, torch.zeros(3, dtype=torch.long), ("0", "1", "2"), torch.zeros(3, 2))
    degrees = torch.tensor([[0.0, 180.0, 10.0], [170.0, -170.0, 350.0], [80.0, 100.0, 0.0]])
    expected = [[0, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert look(Half(), some, degrees).tolist() == expected


def seen():
    labels = torch.tensor([0, 1])
    degrees = torch.tensor([[0.0, 50.0, 180.0, 340.0], [10.0, 140.0, 225.0, 316.0]])
    predicted = torch.tensor([[0, 1, 2, 0], [1, 0, 1, 2]], dtype=torch.uint8)
    return Seen(labels, degrees, predicted, 3)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (CIRCLE, 4 / 8),
        ((-45, 46), 3 / 4),  # 0, 340, 10, and 316, which is -44
        ((46, 315), 1 / 4),  # 50, 180, 140, 225
        ((135, 226), 1 / 3),
    ],
)
def test_accuracy_in_a_range_of_angles(span, expected):
    assert seen().accuracy(*span) == pytest.approx(expected)


def test_the_curve_counts_by_bins():
    curve = seen().curve(4)  # 0 to 90: 0 right, 50 wrong, 10 right; 90 to 180: 140 wrong; ...
    assert curve == pytest.approx([2 / 3, 0, 1 / 2, 1 / 2])


def test_confusion_of_one_class():
    assert seen().confusion(0, 46, 315) == pytest.approx([0, 0.5, 0.5])
    assert seen().confusion(1, *CIRCLE) == pytest.approx([0.25, 0.5, 0.25])


def test_angles_as_in_training():
    some = digits(60)
    degrees = drawn(some, draws=50)
    narrow = some.labels == 0
    assert degrees.shape == (60, 50)
    assert -45 <= degrees[narrow].min() < -43
    assert 44 < degrees[narrow].max() < 46
    assert degrees[~narrow].max() > 350
    assert torch.equal(degrees, drawn(some, draws=50))


def test_angles_around_the_circle_hit_every_part_once():
    degrees = around(digits(5), strata=80)
    assert degrees.shape == (5, 80)
    assert torch.equal((degrees / 4.5).long(), torch.arange(80).expand(5, 80))
    assert (degrees % 4.5).std() > 1


def test_the_far_range_gets_at_least_twenty_draws_an_image():
    degrees = around(digits(200))
    assert ((degrees >= 135) & (degrees < 226)).sum(1).double().mean() >= 20


def test_the_scores_are_those_of_the_source():
    everything = Seen(torch.tensor([1]), torch.tensor([[7.0, 8.0]]), torch.tensor([[1, 0]]), 3)
    assert scores(everything, seen()) == pytest.approx(
        {"Ptest": 0.5, "Pin": 0.75, "Pout": 0.25, "Pinv": 1 / 3}
    )
