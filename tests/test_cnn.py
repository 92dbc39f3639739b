"""invnb.cnn: sizes worked by hand, against scipy and loops, and the tied one invariant."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch.nn.functional import conv2d

from invnb.cnn import CNN, TiedCNN
from invnb.groups import GROUPS, R4, T3

SIZE, CLASSES = 6, 4
BOTH = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
KINDS = {"CNN": CNN, **{g.name: lambda *a, g=g, **k: TiedCNN(g, *a, **k) for g in GROUPS.values()}}
EACH = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def count(network):
    return sum(p.numel() for p in network.parameters())


def images(n=5, size=SIZE, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, size, size, generator=generator, dtype=torch.float64).to(dtype)


def tiny(make):
    torch.manual_seed(0)
    return make(SIZE, CLASSES, hidden=7).double()


def spread(network, group, x):
    """Return the largest change of a logit over the orbits, relative to the logits' deviation."""
    with torch.no_grad():
        logits = torch.stack([network(g) for g in group.orbit(x)])
    return ((logits - logits[0]).abs().max() / logits[0].std()).item()


def test_parameters_worked():
    first, second = 16 * 25 + 16, 32 * 16 * 9 + 32
    dense, read_out = 128 * 32 * 6 * 6 + 128, 9 * 128 + 9
    assert count(CNN()) == first + second + dense + read_out == 153_801
    assert count(TiedCNN(R4)) == count(TiedCNN(T3)) == 153_801


@EACH
@pytest.mark.parametrize("size", [6, 12, 15, 18])
def test_a_logit_per_class_at_any_size(make, size):
    assert make(size, CLASSES, hidden=7)(images(3, size, torch.float32)).shape == (3, CLASSES)
    assert make(size)(images(1, size, torch.float32)).shape == (1, 9)


def convolved(maps, layer, stride):
    """Convolve maps `[C, H, W]` with zeros around them, a pair of channels at a time."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return np.stack(
        [
            sum(correlate2d(m, w, mode="same") for m, w in zip(maps, kernels, strict=True)) + b
            for kernels, b in zip(weight, bias, strict=True)
        ]
    )[:, ::stride, ::stride]


@pytest.mark.parametrize("size", [6, 10])
def test_forward_worked(size):
    """Against scipy's correlation and matrix products, with the network's own weights."""
    network, x = CNN(size, CLASSES, hidden=7).double(), images(2, size)
    (w1, b1), (w2, b2) = (
        [p.detach().numpy() for p in layer.parameters()]
        for layer in (network.dense, network.readout)
    )
    for image, logits in zip(x, network(x), strict=True):
        maps = convolved(image[None].numpy(), network.first, 3).clip(min=0)
        maps = convolved(maps, network.second, 2).clip(min=0)
        hidden = (w1 @ maps.flatten() + b1).clip(min=0)
        np.testing.assert_allclose(logits.detach().numpy(), w2 @ hidden + b2, atol=1e-12)


@EACH
def test_affine_is_affine_and_composes_to_forward(make):
    network, (x, y) = tiny(make), images(2)
    x, y = x[None], y[None]
    mixed = network.affine(0.3 * x + 0.7 * y)
    torch.testing.assert_close(mixed, 0.3 * network.affine(x) + 0.7 * network.affine(y))
    assert (mixed < 0).any()
    assert torch.equal(network.after_affine(network.affine(x)), network(x))


@BOTH
def test_tied_against_a_loop_over_poses(group):
    """The hidden layer's maximum over the poses, each of them seen alone."""
    network, x = tiny(KINDS[group.name]), images()
    (w1, b1), (w2, b2) = ((c.weight, c.bias) for c in (network.first, network.second))
    for image, logits in zip(x, network(x), strict=True):
        strongest = torch.full((7,), -torch.inf)
        for k in range(group.order):
            maps = conv2d(group.act(image, k)[None, None], w1, b1, stride=3, padding=2)
            maps = conv2d(maps.clamp(min=0), w2, b2, stride=2, padding=1).clamp(min=0)
            hidden = network.dense.weight @ maps.flatten() + network.dense.bias
            strongest = torch.maximum(strongest, hidden.clamp(min=0))
        expected = network.readout.weight @ strongest + network.readout.bias
        torch.testing.assert_close(logits, expected)


@BOTH
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_tied_is_invariant_and_the_other_is_not(group, dtype, tolerance):
    torch.manual_seed(0)
    x = images(4, 36, dtype)
    assert spread(TiedCNN(group, hidden=32).to(dtype), group, x) < tolerance
    assert spread(CNN(hidden=32).to(dtype), group, x) > 0.1


@BOTH
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_tied_is_invariant_for_arbitrary_weights(group, scale):
    network = tiny(KINDS[group.name])
    with torch.no_grad():
        for i, p in enumerate(network.parameters()):
            p.normal_(0, scale, generator=torch.Generator().manual_seed(i))
    assert spread(network, group, images()) < 1e-12


def test_tied_is_invariant_to_its_own_group_alone():
    assert spread(tiny(KINDS["R4"]), T3, images()) > 0.1
    assert spread(tiny(KINDS["T3"]), R4, images()) > 0.1
