"""invnb.autoencoding: against plain loops, each seed alone, and stored networks loaded."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from invnb import autoencoding as module
from invnb.autoencoders import Autoencoder, Critic, Rotation, Shift
from invnb.autoencoding import Design, RMSProp, Schedule, load, networks, train
from invnb.errors import InvnbError
from invnb.transforming import Split


class Small(nn.Module):
    """Stands in for an autoencoder: convolutional, and a thousandth as large."""

    encode, decode, forward = Autoencoder.encode, Autoencoder.decode, Autoencoder.forward

    def __init__(self, z, canvas, parameters):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 7, stride=7), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(64, z)
        )
        self.decoder = nn.Sequential(
            nn.Linear(z + parameters, 2 * (canvas // 4) ** 2),
            nn.ReLU(),
            nn.Unflatten(1, (2, canvas // 4, canvas // 4)),
            nn.ConvTranspose2d(2, 1, 4, stride=4),
            nn.Tanh(),
        )


@dataclass(frozen=True)
class SmallDesign(Design):
    def network(self, task):
        return Small(self.z, task.canvas, task.parameters)


@pytest.fixture(autouse=True)
def small_critic(monkeypatch):
    monkeypatch.setattr(module, "Critic", small)


def small(z):
    critic = Critic(z)
    critic[0], critic[2], critic[4] = nn.Linear(z, 8), nn.Linear(8, 8), nn.Linear(8, 1)
    return critic


DESIGN = SmallDesign(z=3)
SCHEDULE = Schedule(steps=3, batch_size=4, decay=0.5)
TASKS = pytest.mark.parametrize("task", [Rotation(), Shift()], ids=["rotation", "shift"])
ADVERSARIAL = pytest.mark.parametrize("adversarial", [False, True])


def make_data(n=40, dtype=torch.float32):
    """Return strokes on background, longer for a greater digit."""
    labels = torch.arange(n) % 10
    images = torch.full((n, 28, 28), -1.0, dtype=dtype)
    for image, digit in zip(images, labels, strict=True):
        image[6 : 8 + 2 * digit, 12:15] = 1.0
    return Split(images, labels)


DATA = make_data()


def run(task=None, design=DESIGN, data=DATA, seeds=(0,), **changes):
    return train(task or Rotation(), design, data, replace(SCHEDULE, **changes), seeds=list(seeds))


def difference(a, b):
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


def descend(parameters, squares, gradients, rate):
    """Do one step of TensorFlow 1's RMSProp."""
    for p, s, g in zip(parameters, squares, gradients, strict=True):
        s.copy_(0.9 * s + 0.1 * g**2)
        p.data -= rate * g / (s + 1e-10).sqrt()


def plain_loop(task, seed, adversarial, design=DESIGN):
    """Train the textbook way; yield the network and its loss after each step."""
    torch.manual_seed(seed)
    network, critic = design.network(task), small(design.z)
    g = torch.Generator().manual_seed(seed)
    of_all, of_critic, of_encoder = (
        [torch.ones_like(p) for p in part.parameters()]
        for part in (network, critic, network.encoder)
    )
    for rate in (1e-3, 1e-3, 1e-3 * 2 / 3):
        which = torch.randint(len(DATA.labels), (4,), generator=g)
        pose = task.draw(DATA.labels[which], g)
        x = DATA.images[which]
        loss = mse_loss(network(x, task.tell(pose)), task.transform(x, pose))
        parameters = list(network.parameters())
        descend(parameters, of_all, torch.autograd.grad(loss, parameters), rate)
        if adversarial:
            for _ in range(5):
                x = DATA.images[torch.randint(len(DATA.labels), (4,), generator=g)]
                real = 2 * torch.rand(4, design.z, generator=g) - 1
                share = torch.rand(4, 1, generator=g)
                fake = network.encode(x).detach()
                of_images, of_prior = critic(fake).mean(), critic(real).mean()
                penalty = critic.gradient_penalty(real, fake, share)
                parameters = list(critic.parameters())
                gradients = torch.autograd.grad(of_images - of_prior + 10 * penalty, parameters)
                descend(parameters, of_critic, gradients, rate)
            parameters = list(network.encoder.parameters())
            gradients = torch.autograd.grad(-critic(network.encode(x)).mean(), parameters)
            descend(parameters, of_encoder, gradients, rate)
        yield network, loss.item()


@TASKS
@ADVERSARIAL
def test_against_a_plain_loop(task, adversarial, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    (ours,) = run(task, adversarial=adversarial, seeds=[7])
    *_, (network, _) = trained = list(plain_loop(task, 7, adversarial))
    losses = [loss for _, loss in trained]
    # Where a gradient is next to nothing, its rounding is divided by its size.
    assert difference(ours.state, network.state_dict()) < 1e-4
    assert ours.losses == pytest.approx([sum(losses[:2]) / 2, losses[2]], rel=1e-4)


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_rmsprop_worked(at_once, monkeypatch):
    """Against numpy, on a parabola, however the numbers are divided for the cache."""
    monkeypatch.setattr(RMSProp, "AT_ONCE", at_once)
    start = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p, expected, square = start.clone().requires_grad_(), start.numpy().copy(), np.ones((5, 3))
    optimizer = RMSProp([p])
    for rate in (0.1, 0.1, 0.05):
        optimizer.minimize((p**2).sum() / 2, rate)
        square = 0.9 * square + 0.1 * expected**2
        expected = expected - rate * expected / np.sqrt(square + 1e-10)
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-12)


def test_rmsprop_without_a_gradient_stays():
    p = torch.ones(3, requires_grad=True)
    RMSProp([p]).minimize((0 * p).sum(), 1.0)
    assert p.tolist() == [1, 1, 1]


@ADVERSARIAL
def test_a_seed_is_the_same_network_in_any_company(adversarial):
    first, second = run(seeds=(5, 2), adversarial=adversarial)
    (alone,) = run(seeds=(2,), adversarial=adversarial)
    assert [first.seed, second.seed] == [5, 2]
    assert difference(second.state, alone.state) == 0
    assert second.losses == alone.losses
    assert difference(first.state, second.state) > 0.01


def test_the_global_generator_and_the_data_are_kept():
    state, images = torch.random.get_rng_state(), DATA.images.clone()
    run(adversarial=True, steps=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(DATA.images, images)


def test_settings_change_the_network():
    base = run()[0].state
    for changes in (dict(bfloat16=True), dict(decay=0.0), dict(adversarial=True)):
        assert 0 < difference(run(**changes)[0].state, base) < 0.1
    for task in (Rotation(within=10.0), Rotation((0, 1, 2)), Rotation(absent=(3,))):
        assert difference(run(task)[0].state, base) > 0


def test_the_loss_decreases():
    (ours,) = run(steps=300, batch_size=8, learning_rate=1e-2)
    assert len(ours.losses) == ours.epoch == 3
    assert ours.losses[-1] < 0.5 * ours.losses[0]


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("decoder", ["dense", "capsules"])
def test_the_sources_networks_learn(decoder, bfloat16, monkeypatch):
    """With a high rate, as RMSProp's first steps are small."""
    monkeypatch.setattr(module, "BLOCK", 2)
    design = Design(decoder=decoder, maps=4)
    (ours,) = run(design=design, steps=10, batch_size=8, learning_rate=0.5, bfloat16=bfloat16)
    assert ours.losses[-1] < 0.9 * ours.losses[0]
    drawn = load(ours, Rotation(), design)(DATA.images, torch.rand(len(DATA.images), 2))
    assert drawn.shape == (len(DATA.images), 28, 28)


@pytest.mark.parametrize("task", [Rotation(encoding="raw"), Rotation(encoding="bins"), Shift()])
def test_networks_of_a_task(task):
    network = Design(maps=4).network(task)
    drawn = network(DATA.images, task.tell(task.draw(DATA.labels, torch.Generator())))
    assert drawn.shape == (len(DATA.images), task.canvas, task.canvas)


def test_what_is_returned(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    (ours,) = run(steps=5)
    assert (ours.epoch, ours.steps, len(ours.losses), ours.validation_accuracy) == (3, 5, 3, [])
    assert ours.seconds > 0
    for t in ours.state.values():
        assert t.dtype == torch.float32
        assert t.is_contiguous()
        assert not t.requires_grad
    network = load(ours, Rotation(), DESIGN)
    assert difference(network.state_dict(), ours.state) == 0
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_no_steps_give_the_initial_network():
    (ours,) = run(steps=0, seeds=[4])
    torch.manual_seed(4)
    assert difference(ours.state, DESIGN.network(Rotation()).state_dict()) == 0
    assert (ours.epoch, ours.losses) == (0, [])


def test_absent_digits_are_never_drawn():
    """Without the 6, its images may be anything."""
    spoilt = Split(DATA.images.clone(), DATA.labels)
    spoilt.images[DATA.labels == 6] = torch.nan
    (ours,) = run(Rotation(absent=(6,)), data=spoilt)
    assert np.isfinite(ours.losses).all()


def test_the_sources_schedule():
    schedule = Schedule()
    assert vars(schedule) == dict(
        steps=100_000,
        batch_size=128,
        learning_rate=1e-3,
        decay=0.0,
        adversarial=False,
        bfloat16=False,
    )
    assert {schedule.rate(step) for step in (0, 5, 99_999)} == {1e-3}


def test_the_rate_falls_at_the_end():
    rates = [Schedule(steps=10, decay=0.4).rate(step) * 1e3 for step in range(10)]
    assert rates == pytest.approx([1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_trained_once(tmp_path, monkeypatch):
    def get(task=None, design=DESIGN, data=DATA, schedule=SCHEDULE, seeds=(1, 0)):
        task = task or Rotation()
        return networks(task, design, data, schedule, seeds=seeds, folder=tmp_path)

    first = get()
    assert [n.seed for n in first] == [1, 0]
    asked = []
    original = module.train
    monkeypatch.setattr(
        module, "train", lambda *a, **k: asked.append(k["seeds"]) or original(*a, **k)
    )
    for ours, theirs in zip(first, get(), strict=True):
        assert difference(ours.state, theirs.state) == 0
        assert ours.losses == theirs.losses
    assert asked == []
    other = Split(-DATA.images, DATA.labels)
    for changed in (
        dict(task=Rotation(within=40.0)),
        dict(task=Rotation(absent=(6,))),
        dict(task=Shift()),
        dict(design=SmallDesign(z=2)),
        dict(data=other),
        dict(schedule=replace(SCHEDULE, adversarial=True)),
        dict(seeds=(2,)),
    ):
        get(**{"seeds": (0,), **changed})
    assert asked == [[0]] * 6 + [[2]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Design(decoder="conv"), "'conv' .*dense, capsules"),
        (lambda: Schedule(decay=1.5), "decay 1.5 .*0 to 1"),
        (lambda: Schedule(steps=-1), "-1 steps"),
        (lambda: run(data=Split(DATA.images[:, 1:], DATA.labels)), r"\(27, 28\) .*\(28, 28\)"),
        (lambda: run(Rotation(absent=tuple(range(10)))), "no image is left"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(InvnbError, match=message):
        make()
