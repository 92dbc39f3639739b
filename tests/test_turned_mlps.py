"""Perceptrons on digits that turn."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from invnb import paths, results, turned_mlps
from invnb.classifying import Course
from invnb.groups import R4
from invnb.rotation_experiment import Classifiers
from invnb.turned_mlps import plain, regularised, tied
from invnb.turning import CIRCLE, Digits


@pytest.fixture
def images():
    return torch.rand(6, 28, 28, generator=torch.Generator().manual_seed(0))


def test_all_map_digits_to_eight_logits_and_normalise_them(images):
    for make in (plain, tied, regularised):
        network = make()
        assert network(images).shape == (6, 8)
        mean = torch.full((1, 28, 28), turned_mlps.MEAN)
        torch.testing.assert_close(network.affine(mean)[0, :3], network.first.bias[:3])


def test_only_the_tied_one_is_invariant_to_quarter_turns(images):
    turned = R4.act(images, 1)
    network = tied()
    torch.testing.assert_close(network(turned), network(images), rtol=1e-4, atol=1e-5)
    other = plain()
    assert (other(turned) - other(images)).abs().max() > 1e-3


def test_the_penalty_is_half_the_squared_distance_to_a_turned_image():
    image = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(1))
    label = torch.tensor([3])
    network = regularised()
    logits = network(image)
    by_turn = [
        cross_entropy(logits, label)
        + turned_mlps.NU * (logits - network(R4.act(image, k))).square().sum() / 2
        for k in (1, 2, 3)
    ]
    found = {round(network.loss(image, label, 0).item(), 4) for _ in range(60)}
    assert found == {round(value.item(), 4) for value in by_turn}


def test_a_classifier_by_import_path_trains_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path))
    images, ranges = torch.rand(16, 28, 28), torch.tensor([CIRCLE] * 8)
    digits = Digits(images, torch.arange(16) % 8, tuple("01234578"), ranges)
    of = Classifiers(digits, digits, "checksum")
    for name in ("plain", "tied", "regularised"):
        path = f"invnb.turned_mlps:{name}"
        of.check(path)
        (one,) = of.train(path, [0], Course(1, 8, loss="softmax"))
        assert one.steps == 2


def test_weight_of_the_regulariser_is_what_the_reference_run_chose():
    kept = results.read(paths.RESULTS / "reference" / "genuine-invariance.json")
    assert kept["measurements"]["R4.IR.nu"]["mean"] == turned_mlps.NU
