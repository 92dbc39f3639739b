"""invnb.turning: which digits take part, as what class, at which angles."""

import pytest
import torch

from invnb import data
from invnb.data import ImageData
from invnb.errors import InvnbError
from invnb.rotation import rotate
from invnb.turning import CIRCLE, INSIDE, Digits, train_and_test


def made(n=700):
    labels = torch.arange(n) % 10
    images = (labels * 20).to(torch.uint8).reshape(n, 1, 1).expand(n, 28, 28)
    return ImageData(images, labels, "made", "embedded", "0")


def test_classes_are_counted_without_the_digits_left_out():
    training, test = train_and_test(made())
    assert training.digits == test.digits == ("0", "1", "2", "3", "4", "5", "7", "8")
    assert (len(training.images), len(test.images)) == (480, 80)  # eight tenths of 600 and of 100
    # an image of digit d has the value 20 d / 255
    of = (training.images[:, 0, 0] * 255 / 20).round().long()
    assert [training.digits[label] for label in training.labels] == [str(d.item()) for d in of]


def test_mnist_keeps_its_own_test_set():
    training, test = train_and_test(made(70_000), leave_out=())
    assert (len(training.images), len(test.images)) == (60_000, 10_000)


def test_ranges_belong_to_classes():
    training, _ = train_and_test(made())
    expected = [INSIDE if d in "34" else CIRCLE for d in training.digits]
    assert training.ranges.tolist() == [list(r) for r in expected]


def test_merged_digits_are_one_class_that_turns_all_around():
    training, _ = train_and_test(made(), leave_out=(), restricted=(), merged=(6, 9))
    assert training.digits == ("0", "1", "2", "3", "4", "5", "7", "8", "6, 9")
    of = (training.images[:, 0, 0] * 255 / 20).round().long()
    assert set(of[training.labels == 8].tolist()) == {6, 9}
    assert training.ranges.tolist() == [list(CIRCLE)] * 9


@pytest.mark.parametrize("wrong", [{"restricted": [6]}, {"merged": [6, 9], "restricted": ()}])
def test_a_digit_cannot_be_left_out_and_take_part(wrong):
    with pytest.raises(InvnbError, match="digit 6 is left out"):
        train_and_test(made(), **wrong)


def test_fewer_images_on_demand():
    training, test = train_and_test(made(), at_most=60)
    assert (len(training.images), len(test.images)) == (60, 10)


def test_angles_stay_in_the_range_of_the_class_and_fill_it():
    training, _ = train_and_test(made())
    which = torch.arange(len(training.images)).repeat_interleave(50)
    angles = training.angles(which, torch.linspace(0, 1 - 1e-6, 50).repeat(len(training.images)))
    restricted = torch.isin(training.labels[which], torch.tensor([3, 4]))
    assert (angles[restricted].min(), angles[restricted].max()) == (
        -45,
        pytest.approx(46, abs=0.01),
    )
    assert (angles[~restricted].min(), angles[~restricted].max()) == (
        0,
        pytest.approx(360, abs=0.01),
    )


def test_images_turn_by_their_own_angles():
    images = torch.rand(4, 28, 28)
    digits = Digits(images, torch.arange(4), tuple("0123"), torch.tensor([CIRCLE] * 4))
    which, degrees = torch.tensor([2, 0]), torch.tensor([90.0, 33.0])
    turned = digits.turned(which, degrees)
    torch.testing.assert_close(turned[0], images[2].rot90(), rtol=0, atol=1e-5)
    torch.testing.assert_close(turned[1:], rotate(images[:1], 33.0))


def test_some_digits_keep_their_labels():
    _, test = train_and_test(made())
    some = test.of([4, 7])
    assert set(some.labels.tolist()) == {4, 6}
    assert len(some.images) == 20


def test_embedded_digits_serve():
    training, test = train_and_test(data.load("digits"))
    assert training.images.shape[1:] == (28, 28)
    assert 0 <= training.images.min() < training.images.max() <= 1
    assert set(test.labels.tolist()) == set(range(8))
