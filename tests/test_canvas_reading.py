"""invnb.canvas_reading: digits against their shifts, readings against each step by hand."""

from dataclasses import replace

import pytest
import torch

from invnb import affine_digits, canvas_reading, readout
from invnb.canvas_reading import MARGIN, canvas, read
from invnb.data import load
from invnb.encoder_measures import in_deviations
from invnb.equivariance_experiment import Digits
from invnb.perturbed_encoders import Kind

KIND = Kind("frozen")


@pytest.fixture(scope="module")
def parts():
    data = load("digits")
    images = data.images.float() / 255
    return Digits(images[:120], data.labels[:120]), Digits(images[120:300], data.labels[120:300])


@pytest.fixture(scope="module")
def digits(parts):
    return canvas(*parts, readout_images=80)


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path))
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1600, 12), torch.nn.ReLU())


def test_training_digits_are_shifted_within_the_margin_both_ways(parts, digits):
    middle = affine_digits.centred(parts[0].images)
    seen = set()
    for image, moved in zip(middle, digits.training.images, strict=True):
        by = [
            (x, y)
            for x in range(-MARGIN, MARGIN + 1)
            for y in range(-MARGIN, MARGIN + 1)
            if torch.equal(image.roll((-y, x), (0, 1)), moved)
        ]
        assert len(by) == 1
        seen |= set(by)
    for axis in range(2):
        assert {by[axis] for by in seen} == set(range(-MARGIN, MARGIN + 1))


def test_read_outs_learn_from_the_first_training_digits_and_are_asked_of_others(parts, digits):
    training, test = parts
    assert list(digits.to_learn) == ["plain", "shifted", "affine"]
    for some in digits.to_learn.values():
        assert torch.equal(some.labels, training.labels[:80])
    assert torch.equal(digits.to_learn["shifted"].images, digits.training.images[:80])
    assert torch.equal(
        digits.to_learn["affine"].images, affine_digits.affine(training.images[:80], 1)[0]
    )
    for name in ("plain", "shifted", "affine"):
        assert torch.equal(digits.to_test[name].labels, test.labels)
    assert torch.equal(digits.to_test["plain"].images, affine_digits.centred(test.images))


def test_near_digits_are_those_whose_map_shifts_no_further_than_in_training(parts, digits):
    _, test = parts
    images, maps = affine_digits.affine(test.images, 0)
    close = [
        i for i in range(len(images)) if max(abs(maps["shift_x"][i]), abs(maps["shift_y"][i])) <= 6
    ]
    assert 0 < len(close) < len(images)
    assert torch.equal(digits.to_test["near"].images, images[close])
    assert torch.equal(digits.to_test["near"].labels, test.labels[close])


def test_a_reading_is_that_of_the_read_outs_on_the_codes(digits, encoder):
    found = read(KIND, encoder, digits)
    with torch.no_grad():
        learned, asked = (
            {name: (encoder(some.images), some.labels) for name, some in of.items()}
            for of in (digits.to_learn, digits.to_test)
        )
    of_learned = {"plain": {"plain", "near", "affine"}, "shifted": set(asked), "affine": {"affine"}}
    for source, names in of_learned.items():
        for reader in readout.READERS:
            by_hand = readout.accuracies(reader, learned[source], {k: asked[k] for k in names})
            for name, value in by_hand.items():
                assert found.accuracies.pop((reader, source, name)) == value
    assert not found.accuracies
    usual = learned["shifted"][0]
    assert found.deviations == {
        "test": pytest.approx(in_deviations(asked["shifted"][0], usual)),
        "near": pytest.approx(in_deviations(asked["near"][0], usual)),
        "affine": pytest.approx(in_deviations(asked["affine"][0], usual)),
    }


def test_a_reading_is_made_once_for_an_encoder_a_kind_and_digits(digits, encoder, monkeypatch):
    first = read(KIND, encoder, digits)
    monkeypatch.setattr(canvas_reading, "codes_of", None)
    assert read(KIND, encoder, digits) == first
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1600, 12), torch.nn.ReLU())
    fewer = replace(digits, to_test=digits.to_test | {"near": digits.to_test["plain"]})
    for asked in ((Kind("local"), encoder, digits), (KIND, other, digits), (KIND, encoder, fewer)):
        with pytest.raises(TypeError, match="not callable"):
            read(*asked)
