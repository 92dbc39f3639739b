"""Use of capsules, what feedback changes, effects of the ablation, information about digits."""

from itertools import product
from math import log

import numpy as np
import pytest
import torch

from invnb.encoder_measures import (
    at_equal_error,
    changed_by_feedback,
    effect,
    in_deviations,
    information,
    least_use,
)
from invnb.encoders import LAYERS
from invnb.predcaps import PredCaps, Rules


@pytest.fixture(scope="module")
def images():
    return torch.rand(6, 28, 28, generator=torch.Generator().manual_seed(0))


def capsules(**rules):
    torch.manual_seed(0)
    return PredCaps(Rules(**rules)).eval().requires_grad_(False)


def test_least_use_is_that_of_the_rarest_winner(images):
    encoder = capsules(winners=4)
    by_hand = []
    for layer, state in zip(LAYERS, encoder.settle(images), strict=True):
        wins = np.zeros(layer.capsules)
        for image, row, column in product(*map(range, state.outputs[:, 0].shape)):
            if (state.outputs[image, :, row, column] != 0).any():
                for capsule in range(layer.capsules):
                    wins[capsule] += state.chosen[image, capsule * layer.atoms, row, column].item()
        by_hand.append(wins.min() / wins.mean())
    assert least_use(encoder, images) == pytest.approx(min(by_hand), rel=1e-5)


def test_feedback_changes_nothing_where_there_is_none_or_all_stay(images):
    assert changed_by_feedback(capsules(winners=4, feedback="none"), images) == 0
    assert changed_by_feedback(capsules(winners=16, feedback="strength"), images) == 0


def test_what_feedback_changes_is_counted_layer_by_layer(images):
    encoder, blind = capsules(winners=4), capsules(winners=4, feedback="none")
    blind.load_state_dict(encoder.state_dict(), strict=False)
    shares = []
    for state, plain in zip(encoder.settle(images), blind.settle(images), strict=True):
        pairs = list(
            zip(state.chosen.flatten().tolist(), plain.chosen.flatten().tolist(), strict=True)
        )
        shares.append(sum(a > b for a, b in pairs) / sum(a for a, _ in pairs))
    assert np.mean(shares) > 0
    assert changed_by_feedback(encoder, images) == pytest.approx(np.mean(shares))
    assert encoder.rules.feedback == Rules().feedback  # as it was


def test_area_at_equal_error_lies_on_a_line_in_the_logarithm():
    errors, areas = [0.008, 0.002], [0.9, 0.7]
    assert at_equal_error(errors, areas, 0.004) == pytest.approx(0.8)  # halfway: twice, half
    third = 0.7 + 0.2 * log(0.003 / 0.002) / log(4)
    assert at_equal_error(errors, areas, 0.003) == pytest.approx(third)
    assert np.isnan(at_equal_error(errors, areas, 0.001))
    assert np.isnan(at_equal_error(errors, areas, 0.01))


def test_effects_are_those_that_a_sum_was_made_of():
    # value = 1 + 2 A - 3 B + 4 AB + 0.5 ABC, letters as -1 and 1: an effect is twice its factor
    cells = {}
    for on in product((True, False), repeat=3):
        a, b, c = (1 if x else -1 for x in on)
        name = "x" + "".join(letter for letter, x in zip("ABC", on, strict=True) if x)
        cells[name] = 1 + 2 * a - 3 * b + 4 * a * b + 0.5 * a * b * c
    expected = {"A": 4, "B": -6, "C": 0, "AB": 8, "AC": 0, "BC": 0, "ABC": 1}
    assert {letters: effect(cells, letters) for letters in expected} == pytest.approx(expected)


def test_information_is_all_of_a_capsule_that_is_the_class_and_none_of_one_at_random():
    labels = torch.tensor([0, 0, 1, 1])
    perfect, blind = labels == 1, torch.tensor([True, False, True, False])
    assert information(torch.stack([perfect, blind], 1), labels, 2) == pytest.approx([1, 1])
    assert information(blind.unsqueeze(1), labels, 2) == pytest.approx([0, 0], abs=1e-12)


def test_information_of_a_worked_case():
    # the class is one of four images, the capsule is there in it and in one more
    labels, there = torch.tensor([1, 0, 0, 0]), torch.tensor([[1], [1], [0], [0]])
    entropy = -(0.25 * log(0.25) + 0.75 * log(0.75))
    shared = (
        0.25 * log(0.25 / (0.25 * 0.5)) + 0.25 * log(0.25 / (0.75 * 0.5))
        + 0.5 * log(0.5 / (0.75 * 0.5))
    )  # fmt: skip
    assert information(there, labels, 2)[1] == pytest.approx(shared / entropy)


def test_distances_in_deviations():
    usual = torch.tensor([[1.0, 5.0, 7.0], [3.0, 5.0, -1.0]])  # means 2, 5, 3; deviations 1, 0, 4
    assert in_deviations(usual, usual) == pytest.approx(1)
    codes = torch.tensor([[4.0, 9.0, 3.0], [2.0, 0.0, 19.0]])  # 2 and 0, 0 and 4 deviations
    assert in_deviations(codes, usual) == pytest.approx(((4 + 16) / 4) ** 0.5)
