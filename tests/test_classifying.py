"""invnb.classifying: the losses, the two courses, and training that depends on the seed alone."""

import math

import pytest
import torch
from torch import nn

from invnb.classifying import Course, double_softmax, train
from invnb.errors import InvnbError
from invnb.turning import CIRCLE, Digits


def small(n=64):
    """Return images of which the brighter half is told by the label."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, 8, 8, generator=generator) * 0.2
    labels = torch.arange(n) % 2
    images[labels == 1, 2:6, 2:6] += 0.8
    return Digits(images, labels, ("0", "1"), torch.tensor([CIRCLE, CIRCLE]))


def factory():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2)
    )


COURSE = Course(epochs=3, batch_size=16, learning_rate=1e-2)


def test_a_course_names_what_it_does_not_know():
    with pytest.raises(InvnbError, match="unknown loss 'mse'; there are double_softmax, softmax"):
        Course(loss="mse")
    with pytest.raises(InvnbError, match="unknown precision 'int8'"):
        Course(precision="int8")


def test_double_softmax_moves_between_the_two_ends_that_the_source_has():
    labels = torch.arange(8)
    assert double_softmax(torch.zeros(8, 8), labels).item() == pytest.approx(math.log(8))
    perfect = double_softmax(1000 * torch.eye(8), labels).item()
    assert perfect == pytest.approx(math.log(1 + 7 / math.e), abs=1e-5)
    assert perfect == pytest.approx(1.274, abs=1e-3)


def test_the_sources_course_has_its_number_of_steps():
    assert Course().steps(48133) == 112_800
    assert Course(epochs=100, epoch_steps=1200).steps(48133) == 120_000


def test_the_learning_rate_falls_in_stairs_or_goes_through_one_cycle(monkeypatch):
    rates = []
    step = torch.optim.Adam.step

    def spy(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    course = Course(epochs=2, batch_size=16, learning_rate=1e-3, decay_steps=3)
    train(factory, small(), course, seed=0)
    assert rates == pytest.approx([1e-3] * 3 + [9e-4] * 3 + [8.1e-4] * 2)
    rates.clear()
    train(
        factory,
        small(),
        Course(epochs=5, batch_size=16, learning_rate=1e-3, one_cycle=True),
        seed=0,
    )
    assert len(rates) == 20
    assert rates[0] == pytest.approx(4e-5)
    assert max(rates) == pytest.approx(1e-3)
    assert 3 < rates.index(max(rates)) < 7
    assert rates[-1] < 1e-5


def test_a_seed_makes_the_same_network_again_and_leaves_the_generator():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = (train(factory, small(), COURSE, seed=3) for _ in range(2))
    other = train(factory, small(), COURSE, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert not torch.equal(first.state["1.weight"], other.state["1.weight"])
    assert (first.seed, first.steps, len(first.losses)) == (3, 12, 3)


def test_training_learns():
    trained = train(factory, small(), Course(epochs=30, batch_size=16, learning_rate=1e-2), seed=0)
    network = factory()
    network.load_state_dict(trained.state)
    network.eval()
    digits = small()
    assert (network(digits.images).argmax(-1) == digits.labels).double().mean() > 0.95
    assert trained.losses[-1] < trained.losses[0]


def test_every_image_meets_angles_of_its_class(monkeypatch):
    met = []
    monkeypatch.setattr(
        Digits, "turned", lambda self, which, a: met.append((which, a)) or self.images[which]
    )
    digits = Digits(
        *(getattr(small(), n) for n in ("images", "labels", "digits")),
        torch.tensor([[-45.0, 46.0], [0.0, 360.0]]),
    )
    train(factory, digits, Course(epochs=20, batch_size=64), seed=0)
    which, angles = (torch.cat(x) for x in zip(*met, strict=True))
    narrow = digits.labels[which] == 0
    assert -45 <= angles[narrow].min() < -40
    assert 40 < angles[narrow].max() < 46
    assert angles[~narrow].max() > 340
    assert len(which.unique()) < 64 * 20  # drawn with replacement
    assert torch.bincount(which).float().std() > 2


def test_a_network_with_a_loss_of_its_own_is_trained_with_that():
    epochs = []

    class Own(nn.Linear):
        def loss(self, images, labels, epoch):
            epochs.append(epoch)
            return self.weight.square().sum()

    trained = train(lambda: Own(3, 3), small(), COURSE, seed=0)
    assert sorted(set(epochs)) == [0, 1, 2]
    assert trained.losses[-1] < trained.losses[0]


def test_half_precision_stays_near_to_full():
    full, half = (
        train(factory, small(), Course(epochs=3, batch_size=16, precision=p), seed=0)
        for p in ("float32", "bfloat16")
    )
    assert half.losses == pytest.approx(full.losses, rel=0.02)
    assert all(tensor.dtype == torch.float32 for tensor in half.state.values())


def test_a_short_course_leaves_batch_norms_with_the_statistics_of_now():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.dense = nn.BatchNorm2d(1, momentum=1e-6), nn.Linear(64, 2)

        def forward(self, images):
            return self.dense(self.norm(images.unsqueeze(1)).flatten(1))

    digits = small(256)
    mean, variance = digits.images.mean().item(), digits.images.var().item()
    short = train(Normed, digits, Course(epochs=1, batch_size=16, one_cycle=True), seed=0)
    full = train(Normed, digits, Course(epochs=1, batch_size=16), seed=0)
    # turning darkens the corners of the frame a little
    assert short.state["norm.running_mean"].item() == pytest.approx(mean, rel=0.1)
    assert short.state["norm.running_var"].item() == pytest.approx(variance, rel=0.2)
    assert full.state["norm.running_mean"].item() == pytest.approx(0, abs=1e-3)
