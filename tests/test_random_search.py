"""invnb.random_search: against the search written out, within its budget, and true to its level."""

import pytest
import torch
from torch import nn

from invnb.cifar_nets import normalise
from invnb.errors import InvnbError
from invnb.itn import displacement, inverse, magnitude, transform, unit_vectors
from invnb.random_search import distance, search


class Brightness(nn.Module):
    """Says 1 where an image is, on average, brighter than half, after normalisation."""

    def __init__(self):
        super().__init__()
        self.middle = nn.Parameter(normalise(torch.full((3, 1, 1), 0.5)).mean())

    def forward(self, images):
        bright = images.mean((1, 2, 3)) - self.middle
        return torch.stack((-bright, bright), 1)


@pytest.fixture
def pictures():
    """Return dark and bright noise; one label of 20 is wrong."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % 2
    base = 60 + 100 * labels.reshape(-1, 1, 1, 1)
    images = base + torch.randint(30, (20, 3, 6, 6), generator=generator)
    labels[0] = 1
    return images.to(torch.uint8), labels


def run(pictures, **changes):
    settings = dict(budget=600, level=0.9, seed=0, chunk=7, c_theta=2.0)
    return search(Brightness(), *pictures, **(settings | changes))


def accuracy(pictures, colour, sampler):
    images, labels = pictures
    changed = transform(images / 255, colour.unsqueeze(0), sampler.unsqueeze(0))
    return (Brightness()(normalise(changed)).argmax(1) == labels).double().mean().item()


@pytest.mark.parametrize("climbing", [False, True])
@pytest.mark.parametrize("loss_on", ["sampler", "image"])
def test_search_is_the_loop_written_out(pictures, climbing, loss_on):
    found = run(pictures, climbing=climbing, loss_on=loss_on)
    generator = torch.Generator().manual_seed(0)
    low, high = torch.tensor([1e-3, 1.0], dtype=torch.float64).log().tolist()
    best = identity = torch.eye(3, 4), torch.eye(2, 3)
    furthest = 0.0
    for _ in range(found.proposals):
        sizes = torch.rand(2, generator=generator, dtype=torch.float64) * (high - low) + low
        of_colour, of_space = sizes.exp().float()
        noise = torch.randn(18, generator=generator)
        start = best if climbing else identity
        pair = (
            start[0] + of_colour * noise[:12].reshape(3, 4),
            start[1] + of_space * noise[12:].reshape(2, 3),
        )
        space = pair[1] if loss_on == "sampler" else inverse(pair[1])
        far = 2 * 2.0 * magnitude(pair[0]) ** 2 / 4 + 2 * magnitude(space) ** 2 / 3
        if far > furthest and accuracy(pictures, *pair) >= 0.9:
            best, furthest = pair, far.item()
    assert furthest > 0
    assert found.distance == pytest.approx(furthest, rel=1e-5)
    torch.testing.assert_close((found.colour, found.sampler), best)
    assert found.accuracy == accuracy(pictures, *best)


@pytest.mark.parametrize("seed", range(5))
def test_budget_and_level_are_kept(pictures, seed):
    found = run(pictures, seed=seed, budget=300)
    assert found.accuracy >= 0.9
    assert found.shown <= 300
    assert found.shown > 280 or found.proposals == 300


def test_climbing_goes_further_than_starting_anew(pictures):
    anew, climbed = (
        sum(run(pictures, seed=s, climbing=c, budget=1500).distance for s in range(5))
        for c in (False, True)
    )
    assert climbed > 2 * anew


def test_level_that_nothing_keeps_leaves_the_identity(pictures):
    found = run(pictures, level=1.0, spread=(1e-3, 1e-2))
    assert (found.distance, found.accuracy) == (0, 0.95)
    assert torch.equal(found.colour, torch.eye(3, 4))
    assert torch.equal(found.sampler, torch.eye(2, 3))
    only = run(pictures, budget=20)
    assert (only.proposals, only.shown, only.distance) == (0, 20, 0)


def test_distance_is_what_the_net_raises_on_average():
    torch.manual_seed(0)
    colour, sampler = torch.randn(3, 4), torch.eye(2, 3) + 0.2 * torch.randn(2, 3)
    generator = torch.Generator().manual_seed(0)
    s4, s3 = unit_vectors(200_000, 4, generator), unit_vectors(200_000, 3, generator)
    of_colour = displacement(colour.unsqueeze(0), s4).item()
    for loss_on, space in (("sampler", sampler), ("image", inverse(sampler))):
        want = -2 * (5 * of_colour + displacement(space.unsqueeze(0), s3).item())
        assert distance(colour, sampler, 5.0, loss_on).item() == pytest.approx(want, rel=0.02)
    assert distance(torch.eye(3, 4), torch.eye(2, 3)).item() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 19}, "budget must be 20 or more, all images once, got 19"),
        ({"level": 90.0}, "level is a fraction, 0 to 1, got 90"),
        ({"spread": (0.0, 1.0)}, r"two increasing numbers above 0, got \(0.0, 1.0\)"),
        ({"padding": "wrap"}, "padding must be one of zeros, border, reflection, got 'wrap'"),
        ({"loss_on": "both"}, "loss_on must be one of sampler, image"),
    ],
)
def test_settings_that_cannot_be_are_refused(pictures, changes, message):
    with pytest.raises(InvnbError, match=message):
        run(pictures, **changes)
