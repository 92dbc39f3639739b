"""invnb.sensitivity: against jacrev and loops, and worked for linear networks."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import nn
from torch.func import jacrev

from invnb.cnn import CNN
from invnb.groups import GROUPS, R4
from invnb.models import MLP, TiedMLP
from invnb.sensitivity import (
    largest_singular_value,
    randomly_changed,
    relative_change,
    sensitivities,
)

SIZE, CLASSES = 6, 4
BOTH = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def images(n=5, seed=0):
    return randn(n, SIZE, SIZE, seed=seed)


def linear(weight=None):
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, CLASSES)).double()
    if weight is not None:
        network[1].weight.data = weight
    return network


NETWORKS = {
    "MLP": lambda: MLP(SIZE, CLASSES, hidden=8, layers=2),
    "TiedMLP": lambda: TiedMLP(R4, SIZE, CLASSES, hidden=8, layers=2),
    "CNN": lambda: CNN(SIZE, CLASSES, hidden=8),
    "linear": linear,
}
EACH = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def made(make):
    torch.manual_seed(0)
    return make().double().requires_grad_(False)


# --- the largest singular value ---


@EACH
def test_largest_singular_value_against_jacrev(make):
    network, x = made(make), images()
    found = largest_singular_value(network, x)
    assert found.shape == (5,)
    for image, sigma in zip(x, found, strict=True):
        jacobian = jacrev(lambda i: network(i[None])[0])(image).reshape(CLASSES, -1)
        assert sigma.item() == pytest.approx(torch.linalg.svdvals(jacobian)[0].item(), rel=1e-10)


def test_of_a_linear_network_it_is_the_spectral_norm_at_every_image():
    network = made(linear)
    norm = np.linalg.norm(network[1].weight.numpy(), ord=2)
    assert largest_singular_value(network, images()).tolist() == pytest.approx([norm] * 5)


def test_of_a_linear_network_it_is_the_spectral_norm_worked():
    weight = torch.zeros(CLASSES, SIZE**2, dtype=torch.float64)
    weight[0, :2], weight[1, 5] = torch.tensor([3.0, 4.0]), 2
    assert largest_singular_value(linear(weight), images(2)).tolist() == pytest.approx([5, 5])


@EACH
@pytest.mark.parametrize("chunk", [1, 3, 5])
def test_chunks_change_nothing(make, chunk):
    network, x = made(make), images()
    whole = largest_singular_value(network, x)
    torch.testing.assert_close(largest_singular_value(network, x, chunk=chunk), whole)


@EACH
def test_one_image_alone(make):
    network, x = made(make), images()
    alone = torch.cat([largest_singular_value(network, x[b : b + 1]) for b in range(5)])
    torch.testing.assert_close(alone, largest_singular_value(network, x))


def test_neither_network_nor_images_are_touched():
    network, x = made(NETWORKS["MLP"]).requires_grad_(), images()
    found = largest_singular_value(network, x)
    assert torch.equal(x, images())
    assert not x.requires_grad
    assert not found.requires_grad
    assert all(p.grad is None for p in network.parameters())


# --- changes ---


@EACH
def test_relative_change_against_a_loop(make):
    network, x, changed = made(make), images(), images(seed=1)
    found = relative_change(network, x, changed)
    assert found.shape == (5,)
    for b in range(5):
        rise = (network(changed[b][None]) - network(x[b][None])).numpy()
        length = np.sqrt(((changed[b] - x[b]).numpy() ** 2).sum())
        assert found[b].item() == pytest.approx(np.sqrt((rise**2).sum()) / length)


def test_relative_change_is_0_where_nothing_changes():
    network, x = made(NETWORKS["MLP"]), images()
    changed = x.clone()
    changed[1:3, 0, 0] += 1
    found = relative_change(network, x, changed)
    assert (found > 0).tolist() == [False, True, True, False, False]
    assert (found == 0).tolist() == [True, False, False, True, True]


def drawn(x, changed, seed=0):
    return randomly_changed(x, changed, torch.Generator().manual_seed(seed))


def test_random_changes_are_as_long():
    x, changed = images(), images(seed=1)
    changed[3] = x[3]
    found = drawn(x, changed)
    assert found.shape == x.shape
    for b in range(5):
        length = np.linalg.norm((changed[b] - x[b]).numpy())
        assert np.linalg.norm((found[b] - x[b]).numpy()) == pytest.approx(length, abs=1e-14)
    assert torch.equal(found[3], x[3])


def test_random_directions_depend_on_the_generator_alone():
    def directions(x, changed, seed=0):
        return nn.functional.normalize((drawn(x, changed, seed) - x).flatten(1))

    ours = directions(images(), images(seed=1))
    state = torch.random.get_rng_state()
    torch.testing.assert_close(directions(images(seed=2), images(seed=3)), ours)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (directions(images(), images(seed=1), seed=1) - ours).abs().max() > 0.1
    generator = torch.Generator().manual_seed(0)
    first, second = (randomly_changed(images(), images(seed=1), generator) for _ in "ab")
    assert (first - second).abs().max() > 0.1


def test_random_directions_are_uniform():
    """On the sphere in three dimensions, every projection is uniform over [-1, 1] (Archimedes)."""
    n = 2000
    x = torch.zeros(n, 1, 3, dtype=torch.float64)
    directions = drawn(x, x + torch.tensor([1.0, 0.0, 0.0])).flatten(1)
    # A coordinate's variance is 1/3; five standard errors of its mean.
    assert directions.mean(0).abs().max() < 5 / (3 * n) ** 0.5
    for onto in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, -1, 1]):
        axis = torch.tensor(onto).double()
        projected = directions @ axis / axis.norm()
        assert kstest(projected.numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3


# --- together ---


@BOTH
@EACH
def test_sensitivities_against_brute_force(make, group):
    network, x = made(make), images(3)

    def change(a, b):
        rise = network(b[None]) - network(a[None])
        return np.linalg.norm(rise.numpy()) / np.linalg.norm((b - a).numpy())

    generator = torch.Generator().manual_seed(0)
    orbit, random, other, sigma = [], [], [], []
    for k in range(1, group.order):
        d = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        for b in range(3):
            turned = group.act(x[b], k)
            step = np.linalg.norm((turned - x[b]).numpy()) / np.linalg.norm(d[b].numpy())
            orbit.append(change(x[b], turned))
            random.append(change(x[b], x[b] + d[b] * step))
    for b in range(3):
        other.append(change(x[b], x[b - 1]))
        jacobian = jacrev(lambda i: network(i[None])[0])(x[b]).reshape(CLASSES, -1)
        sigma.append(np.linalg.norm(jacobian.numpy(), ord=2))
    assert sensitivities(network, x, group) == pytest.approx(
        {
            "sigma_max": np.mean(sigma),
            "orbit_over_random": np.mean(orbit) / np.mean(random),
            "orbit_over_image": np.mean(orbit) / np.mean(other),
        },
        abs=1e-12,
    )


@BOTH
def test_sensitivities_of_the_identity_are_1(group):
    found = sensitivities(nn.Flatten(), images(), group)
    assert found == pytest.approx(dict.fromkeys(found, 1))
    assert list(found) == ["sigma_max", "orbit_over_random", "orbit_over_image"]


@BOTH
def test_along_the_orbit_an_invariant_network_is_not_sensitive(group):
    """With integers, of which sums are exact."""
    generator = torch.Generator().manual_seed(0)
    x, filters = (
        torch.randint(-9, 10, (n, SIZE, SIZE), generator=generator).double() for n in (5, CLASSES)
    )
    network = linear(group.orbit(filters).sum(0).flatten(1))
    network[1].bias.data.zero_()
    found = sensitivities(network, x, group)
    assert found["orbit_over_random"] == found["orbit_over_image"] == 0
    assert found["sigma_max"] > 1


@BOTH
@pytest.mark.parametrize("factor", [0.01, -5.0])
def test_the_scale_of_the_logits_moves_sigma_max_alone(group, factor):
    network, x = made(NETWORKS["MLP"]), images()
    plain = sensitivities(network, x, group)
    scaled = sensitivities(lambda i: factor * network(i), x, group)
    assert scaled == pytest.approx(plain | {"sigma_max": abs(factor) * plain["sigma_max"]})


def test_a_network_that_answers_to_nothing_has_no_sensitivity_at_all():
    def silent(x):
        return x.sum((1, 2))[:, None] * torch.zeros(3)

    found = sensitivities(silent, torch.randn(4, 6, 6), R4)
    assert found == {"sigma_max": 0.0, "orbit_over_random": 0.0, "orbit_over_image": 0.0}
