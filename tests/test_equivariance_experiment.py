"""invnb.equivariance_experiment: what is trained once, what is frozen, readers' own encoders."""

import sys

import pytest
import torch

from invnb import cache, equivariance_experiment
from invnb.data import load
from invnb.encoding import Course, codes_of
from invnb.equivariance_experiment import Digits, Experiment, jury
from invnb.errors import InvnbError
from invnb.perturbed_encoders import Kind, kinds
from invnb.predcaps import Rules

KINDS = kinds(Rules(winners=2))
FAST = Course(steps=2, batch_size=8)


@pytest.fixture
def digits():
    data = load("digits")
    return Digits(data.images[:60].float() / 255, data.labels[:60])


@pytest.fixture
def experiment(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))
    return Experiment(digits, "checksum", FAST, FAST, FAST)


def stored(kind="networks"):
    return len(list((cache.paths.cache_dir() / kind).glob("*.pt")))


def same(a, b):
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    "name", ["Untrained", "DeepBP", "PredCaps", "KSparse", "PCA_16", "BP_top1"]
)
def test_a_coder_codes_and_is_frozen(name, experiment, digits):
    coder = experiment.coder(KINDS[name], 0)
    assert coder.codes(digits.images).shape == (60, KINDS[name].outputs)
    assert 0 < coder.error(digits) < 1
    by_class = experiment.coder(KINDS[name], 0, classify=True)
    assert 0 <= by_class.accuracy(digits) <= 1
    for network in (coder.encoder, coder.head):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_the_untrained_encoder_stays_as_it_was_initialised(experiment):
    kind = KINDS["Untrained"]
    for classify in (False, True):
        assert same(experiment.coder(kind, 3, classify=classify).encoder, kind.made(3, 28))


def test_end_to_end_training_moves_the_encoder_for_each_head(experiment):
    kind = KINDS["DeepBP"]
    draws, tells = (experiment.coder(kind, 0, classify=c).encoder for c in (False, True))
    assert not same(draws, kind.made(0, 28))
    assert not same(draws, tells)


def test_heads_share_an_encoder_that_learned_alone(experiment):
    one, two = (experiment.coder(KINDS["PredCaps"], 0, classify=c).encoder for c in (False, True))
    assert same(one, two)
    assert not same(one, KINDS["PredCaps"].made(0, 28))


def test_everything_is_trained_once(experiment, monkeypatch):
    first = experiment.coder(KINDS["PredCaps"], 0)
    before = stored()

    def never(*args, **kwargs):
        raise AssertionError("trained again")

    for name in ("train_locally", "train_head", "train_through"):
        monkeypatch.setattr(equivariance_experiment, name, never)
    again = experiment.coder(KINDS["PredCaps"], 0)
    assert same(first.head, again.head)
    assert same(first.encoder, again.encoder)
    assert stored() == before
    with pytest.raises(AssertionError, match="trained again"):
        experiment.coder(KINDS["PredCaps"], 1)


def test_cells_that_are_the_same_network_are_trained_once(experiment):
    experiment.coder(KINDS["cell_N"], 0)
    before = stored()
    experiment.coder(KINDS["cell_CN"], 0)
    assert stored() == before


def test_responses_are_measured_once(experiment, digits, monkeypatch):
    judges = jury(digits, "checksum", [0], 2)
    some = digits.drawn(1, 0)
    kind = Kind("fitted", 3)
    first = experiment.respond(kind, 0, some, judges)
    assert first.change.shape == (1, 3, 2, 7)
    monkeypatch.setattr(equivariance_experiment, "respond", None)
    again = experiment.respond(kind, 0, some, judges)
    assert torch.equal(again.change, first.change)
    assert stored("measured") == 2  # the response, and the units of its steps


def test_training_digits_are_coded_once_for_two_heads_and_the_units(
    experiment, digits, monkeypatch
):
    seen = []

    def counting(encoder, images, batch_size=500):
        seen.append(len(images))
        return codes_of(encoder, images, batch_size)

    monkeypatch.setattr(equivariance_experiment, "codes_of", counting)
    for classify in (False, True):
        experiment.coder(KINDS["PredCaps"], 0, classify=classify)
    units = experiment.units(KINDS["PredCaps"], 0)
    assert seen == [len(digits.images)]
    codes = codes_of(experiment.coder(KINDS["PredCaps"], 0).encoder, digits.images)
    assert torch.allclose(units["deviation"], codes.std(0), atol=1e-6)
    there = [column[column != 0] for column in codes.T]
    expected = torch.stack([c.std() if len(c) > 1 else torch.tensor(0.0) for c in there])
    assert torch.allclose(units["spread"], expected, atol=1e-5)
    experiment.units(KINDS["PredCaps"], 0)
    experiment.coder(KINDS["KSparse"], 0)
    assert seen == 2 * [len(digits.images)], "another encoder has codes of its own"


def test_drawn_digits_depend_on_the_seed_alone(digits):
    one, again, other = digits.drawn(5, 1), digits.drawn(5, 1), digits.drawn(5, 2)
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, other.images)
    assert len(digits.drawn(1000, 0).labels) == 60


def test_a_supervised_network_learns_and_is_kept(experiment, monkeypatch):
    network = experiment.supervised(FAST, 0)
    assert network(torch.rand(2, 28, 28)).shape == (2, 10)
    monkeypatch.setattr(equivariance_experiment, "train_supervised", None)
    assert same(network, experiment.supervised(FAST, 0))


OWN = """
import torch
from torch import nn

class Means(nn.Module):
    def forward(self, images):
        return images.unflatten(1, (4, 7)).unflatten(3, (4, 7)).mean((2, 4)).flatten(1)

def rows():
    return nn.Flatten(0)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "their_codes.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("their_codes", None)


def test_a_readers_own_encoder(own, experiment, digits):
    kind = Kind("frozen", own="their_codes:Means")
    experiment.check(kind)
    coder = experiment.coder(kind, 0)
    assert coder.codes(digits.images).shape == (60, 16)
    assert coder.head.first.in_features == 16


def test_an_encoder_that_gives_no_codes(own, experiment):
    with pytest.raises(InvnbError, match=r"their_codes:rows gives \(1568,\) for 2 images"):
        experiment.check(Kind("frozen", own="their_codes:rows"))
