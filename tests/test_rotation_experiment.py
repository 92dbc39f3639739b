"""invnb.rotation_experiment: networks by name, trained once and looked at once."""

import sys

import pytest
import torch

from invnb import circle, rotation_experiment
from invnb.classifying import Course
from invnb.convnets import TRUNKS
from invnb.errors import InvnbError
from invnb.rotation_experiment import (
    KNOWN,
    Classifiers,
    check_names,
    short_course,
    source_course,
)
from invnb.turning import CIRCLE, INSIDE, Digits

OWN = """
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 8))

def ten():
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
"""
COURSE = Course(epochs=1, batch_size=8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_classifier.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_classifier", None)


def digits(n=16):
    generator = torch.Generator().manual_seed(n)
    ranges = torch.tensor([CIRCLE] * 3 + [INSIDE] * 2 + [CIRCLE] * 3)
    return Digits(
        torch.rand(n, 28, 28, generator=generator), torch.arange(n) % 8, tuple("01234578"), ranges
    )


def classifiers():
    return Classifiers(digits(16), digits(24), "checksum")


def counted(monkeypatch, module, name):
    """Count the calls of a function, which goes on to work."""
    calls, function = [], getattr(module, name)

    def spy(*args, **kwargs):
        calls.append(kwargs)
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, spy)
    return calls


@pytest.mark.parametrize("model", KNOWN)
def test_every_name_makes_a_network_of_eight_logits(model):
    if model in TRUNKS:  # some have 103 million weights
        with torch.device("meta"):
            network = classifiers().factory(model)()
            assert network(torch.empty(2, 28, 28)).shape == (2, 8)
    else:
        classifiers().check(model)


def test_a_network_is_trained_once_for_all_that_matters(monkeypatch):
    calls = counted(monkeypatch, rotation_experiment, "train")
    of = classifiers()
    (first,) = of.train("CNN_02", [0], COURSE)
    (again,) = of.train("CNN_02", [0], COURSE)
    assert len(calls) == 1
    assert all(torch.equal(first.state[k], again.state[k]) for k in first.state)
    of.train("CNN_02", [0], Course(epochs=1, batch_size=8, loss="softmax"))
    of.train("dropout_00", [0], COURSE)
    Classifiers(digits(16), digits(24), "other").train("CNN_02", [0], COURSE)
    Classifiers(digits(32), digits(24), "checksum").train("CNN_02", [0], COURSE)
    of.train("CNN_02", [0, 1], COURSE)
    assert len(calls) == 6


def test_a_network_is_looked_at_once(monkeypatch):
    calls = counted(monkeypatch, circle, "look")
    of = classifiers()
    one, two = of.train("CNN_02", [0, 1], COURSE)
    degrees = circle.drawn(of.test, 3)
    first, again = (of.look("CNN_02", one, of.test, degrees) for _ in range(2))
    assert len(calls) == 1
    assert torch.equal(first.predicted, again.predicted)
    expected = of.network("CNN_02", one)(of.test.turned(torch.arange(24), degrees[:, 1])).argmax(-1)
    assert torch.equal(first.predicted[:, 1].long(), expected)
    of.look("CNN_02", two, of.test, degrees)
    of.look("CNN_02", one, of.test, degrees + 1)
    of.look("CNN_02", one, of.test.of([3, 4]), circle.around(of.test.of([3, 4]), 3))
    assert len(calls) == 4


def test_the_sources_courses_have_its_steps():
    assert source_course("CNN_00").steps(48133) == source_course("C4").steps(48133) == 112_800
    assert source_course("CapsNet").steps(48133) == 200 * 481
    assert source_course("EM_source").steps(48133) == 120_000


def test_a_short_course_has_the_steps_of_the_images_that_there_are():
    for model, size in (("CNN_00", 128), ("CapsNet", 100), ("EM_source", 50)):
        short, full = short_course(model, 2, 0.01), source_course(model)
        assert short.steps(600) == 2 * (600 // size)
        assert (short.batch_size, short.beta1) == (full.batch_size, full.beta1)
        assert (short.learning_rate, short.one_cycle) == (0.01, True)


def test_capsule_networks_are_trained_with_losses_of_their_own():
    of = Classifiers(digits(8), digits(8), "checksum")
    for model in ("CapsNet", "EM_source"):
        (one,) = of.train(model, [0], Course(epochs=1, batch_size=4))
        assert one.steps == 2
        assert torch.isfinite(torch.tensor(one.losses)).all()


def test_a_network_of_ones_own(own_module):
    of = classifiers()
    of.check("own_classifier:make")
    (one,) = of.train("own_classifier:make", [0], COURSE)
    assert one.state["1.weight"].shape == (8, 784)
    with pytest.raises(InvnbError, match=r"gives \(2, 10\) for 2 images, not logits \(2, 8\)"):
        of.check("own_classifier:ten")


def test_a_network_that_comes_trained_stays_as_it_is(own_module, tmp_path):
    of, file = classifiers(), tmp_path / "own.pt"
    weights = {"1.weight": torch.randn(8, 784), "1.bias": torch.zeros(8)}
    torch.save(weights, file)
    (one,) = of.train(f"own_classifier:make@{file}", [3, 4], COURSE)
    assert torch.equal(one.state["1.weight"], weights["1.weight"])
    assert one.steps == 0


def test_networks_that_measurements_would_call_alike_are_refused_before_any_work():
    named = check_names(["CNN_00", "a.b:mine"], ["C4"], ["CNN_00", "c.d:other"])
    assert named == {"CNN_00": "CNN_00", "a.b:mine": "mine", "C4": "C4", "c.d:other": "other"}
    for models, proper, message in (
        (["CNN_0"], [], "unknown network 'CNN_0'"),
        (["a.b:CNN_00"], [], "'a.b:CNN_00' would be called 'CNN_00'"),
        (["a.b:mine", "c.d:mine"], [], "'c.d:mine' would be called 'mine'"),
        (["CNN_00"], ["CapsNet"], "'CapsNet' in proper is not trained"),
        (["CNN_00"], ["a.b:mine@trained.pt"], "in proper is not trained"),
    ):
        with pytest.raises(InvnbError, match=message):
            check_names(models, [], proper)
