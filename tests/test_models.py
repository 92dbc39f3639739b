"""invnb.models: sizes worked by hand, WT invariant whatever its weights, DA not."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from invnb.groups import GROUPS, R4, T3
from invnb.models import MLP, TiedMLP

BOTH = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)


def count(network):
    return sum(p.numel() for p in network.parameters())


def images(n=7, size=36, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, size, size, generator=generator, dtype=torch.float64)


def spread(network, group, x):
    """Return the largest change of a logit over the orbits, relative to the logits' deviation."""
    with torch.no_grad():
        logits = torch.stack([network(g) for g in group.orbit(x)])
    return ((logits - logits[0]).abs().max() / logits[0].std()).item()


def test_parameters_worked():
    first, hidden, read_out = 36 * 36 * 128 + 128, 4 * (128 * 128 + 128), 128 * 9 + 9
    assert (first, hidden, read_out) == (166016, 66048, 1161)
    assert count(MLP()) == first + hidden + read_out == 233_225
    assert count(TiedMLP(R4)) == count(TiedMLP(T3)) == 233_225
    assert count(MLP(layers=4)) == 216_713


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_forward_worked(layers):
    """Against matrix products written out with the network's own weights."""
    network = MLP(6, 4, hidden=3, layers=layers).double()
    x = images(size=6)
    weights = list(network.parameters())
    assert len(weights) == 2 * (layers + 1)
    a = x.view(7, 36)
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        a = (a @ w.T + b).clamp(min=0)
    torch.testing.assert_close(network(x), a @ weights[-2].T + weights[-1])
    assert network(x[:1]).shape == (1, 4)


@BOTH
def test_tied_first_layer_is_the_strongest_over_transformed_images(group):
    """<g w, x> = <w, g^-1 x>: the filter's poses seen by x are the image's poses seen by w."""
    network = TiedMLP(group, 6, 4, hidden=5, layers=1).double()
    x = images(size=6)
    w, b = network.first.weight.detach(), network.first.bias.detach()
    hidden = torch.stack(
        [
            torch.stack([(w @ group.act(image, k).flatten() + b) for k in range(group.order)])
            .clamp(min=0)
            .amax(0)
            for image in x
        ]
    )
    torch.testing.assert_close(network(x), network.rest(hidden))


def test_units_worked():
    z = torch.tensor([[-1.0, 2.0, -3.0, 4.0, -5.0, -6.0, 7.0, -8.0]])
    assert MLP(6, 4, hidden=8).units(z).tolist() == [[0, 2, 0, 4, 0, 0, 7, 0]]
    assert TiedMLP(R4, 6, 4, hidden=2).units(z).tolist() == [[7, 4]]  # of R4's four poses


@BOTH
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_penultimate_is_what_the_read_out_is_given(group, tied, layers):
    sizes = dict(hidden=5, layers=layers)
    network = (TiedMLP(group, 6, 4, **sizes) if tied else MLP(6, 4, **sizes)).double()
    read_out, given = network.rest[-1], []
    read_out.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    x = images(size=6)
    logits, found = network(x), network.penultimate(x)
    assert found.shape == (7, 5)
    assert torch.equal(found, given[0])
    assert len(given) == 1
    assert torch.equal(read_out(found), logits)
    assert found.min() >= 0
    if layers == 1:
        assert torch.equal(found, network.units(network.affine(x)))


@BOTH
@pytest.mark.parametrize("layers", [1, 3])
def test_penultimate_of_the_tied_alone_is_invariant(group, layers):
    sizes, x = dict(hidden=16, layers=layers), images(size=6)
    assert spread(TiedMLP(group, 6, 4, **sizes).double().penultimate, group, x) < 1e-12
    assert spread(MLP(6, 4, **sizes).double().penultimate, group, x) > 0.1


@BOTH
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_tied_is_invariant_for_arbitrary_weights(group, scale):
    network = TiedMLP(group, hidden=32).double()
    with torch.no_grad():
        for i, p in enumerate(network.parameters()):
            p.normal_(0, scale, generator=torch.Generator().manual_seed(i))
    assert spread(network, group, images()) < 1e-12


@BOTH
@pytest.mark.parametrize("kind", ["WT", "DA"])
def test_invariance_before_and_after_training(group, kind):
    torch.manual_seed(0)
    network = (TiedMLP(group, hidden=32) if kind == "WT" else MLP(hidden=32)).double()
    x, y = images(64), torch.arange(64) % 9
    before = spread(network, group, x)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    after = spread(network, group, x)
    if kind == "WT":
        assert max(before, after) < 1e-12
    else:
        assert min(before, after) > 0.1


def test_tied_is_invariant_to_its_own_group_alone():
    assert spread(TiedMLP(R4, hidden=16).double(), T3, images()) > 0.1
    assert spread(TiedMLP(T3, hidden=16).double(), R4, images()) > 0.1


@pytest.mark.parametrize("make", [MLP, lambda: TiedMLP(R4), lambda: TiedMLP(T3)])
def test_affine_is_affine_and_composes_to_forward(make):
    network, (x, y) = make().double(), images(2)
    x, y = x[None], y[None]
    mixed = network.affine(0.3 * x + 0.7 * y)
    torch.testing.assert_close(mixed, 0.3 * network.affine(x) + 0.7 * network.affine(y))
    assert torch.equal(network.after_affine(network.affine(x)), network(x))


def test_any_leading_axes():
    for network in (MLP().double(), TiedMLP(R4).double()):
        x = images(6)
        stacked = network(x.view(2, 3, 36, 36))
        torch.testing.assert_close(stacked, network(x).view(2, 3, 9))
