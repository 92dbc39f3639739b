"""invnb.saliency: against captum, brute force and numbers worked by hand."""

import math

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from scipy.integrate import fixed_quad
from scipy.ndimage import convolve
from torch import nn

from invnb.groups import GROUPS, R4, T3
from invnb.models import MLP, TiedMLP
from invnb.saliency import (
    integrated_gradients,
    realigned_maps,
    saliency_map,
    saliency_similarity,
)

BOTH = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
SIDE = math.exp(-0.5) / (1 + 2 * math.exp(-0.5))  # of the Gaussian 3/1, normalised
MIDDLE = 1 - 2 * SIDE


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 5, stride=3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(484, 9),
        )

    def forward(self, images):
        return self.layers(images.unsqueeze(1))


class Smooth(nn.Module):
    """No kinks in its gradient, so that quadrature converges fast."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 9))

    def forward(self, images):
        return self.layers(images)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.read_out = nn.Linear(36, 9)

    def forward(self, images):
        return self.read_out(images.flatten(1))


NETWORKS = {"MLP": MLP, "WT R4": lambda: TiedMLP(R4), "WT T3": lambda: TiedMLP(T3), "CNN": CNN}


def make(factory, dtype=torch.float64):
    torch.manual_seed(0)
    return factory().to(dtype).eval()


def batch(n=12, size=36, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(n, size, size, generator=generator, dtype=torch.float64)
    return images.to(dtype), torch.arange(n) % 9


def captum(network, x, y, baseline=0.0, steps=32):
    start = torch.full_like(x, baseline)
    return IntegratedGradients(network).attribute(
        x, start, target=y, n_steps=steps, method="gausslegendre", return_convergence_delta=True
    )


# --- integrated gradients ---


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("baseline", [0.0, -0.4])
def test_against_captum(name, dtype, baseline):
    network, (x, y) = make(NETWORKS[name], dtype), batch(dtype=dtype)
    theirs, delta = captum(network, x, y, baseline)
    ours, gap = integrated_gradients(network, x, y, baseline=baseline)
    assert (ours.dtype, ours.shape, gap.shape) == (dtype, x.shape, y.shape)
    error = (ours - theirs).abs().amax((1, 2))
    if dtype == torch.float32:
        # a pre-activation that rounds to the other side of ReLU's kink at a node may move an image
        assert error.median() < 1e-7
        assert (error < 1e-6).double().mean() > 0.8
    else:  # captum's weights are rounded to float32
        assert error.max() < 1e-7 * theirs.abs().max()
    assert (gap - delta.abs()).abs().median() < 1e-6
    assert theirs.abs().max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("absolute", [False, True])
def test_against_scipys_quadrature(name, absolute):
    """The same rule in float64, one gradient of the whole network a node."""
    network, (x, y) = make(NETWORKS[name]), batch(3)

    def gradients(nodes):
        found = []
        for a in nodes:
            point = (a * x).requires_grad_()
            (gradient,) = torch.autograd.grad(network(point)[range(3), y].sum(), point)
            found.append(gradient.abs() if absolute else gradient)
        return torch.stack(found, -1).numpy()

    integral, _ = fixed_quad(gradients, 0, 1, n=32)
    ours, _ = integrated_gradients(network, x, y, absolute=absolute)
    torch.testing.assert_close(ours, x * torch.from_numpy(integral), rtol=0, atol=1e-14)


def test_the_affine_path_is_the_generic_path():
    """The same network, without the methods that lead behind its first layer."""
    network, (x, y) = make(MLP), batch()
    generic = nn.Sequential(nn.Flatten(), network.first, nn.ReLU(), network.rest)
    for found, expected in zip(
        integrated_gradients(network, x, y), integrated_gradients(generic, x, y), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("baseline", [0.0, 0.7])
@pytest.mark.parametrize("steps", [1, 5])
def test_linear_network_worked(steps, baseline):
    network, (x, y) = make(Linear), batch(size=6)
    weights = network.read_out.weight[y].view_as(x).detach()
    ours, gap = integrated_gradients(network, x, y, baseline=baseline, steps=steps)
    torch.testing.assert_close(ours, (x - baseline) * weights)
    assert gap.max() < 1e-12
    ours, _ = integrated_gradients(network, x, y, baseline=baseline, steps=steps, absolute=True)
    torch.testing.assert_close(ours, (x - baseline) * weights.abs())


@pytest.mark.parametrize("absolute", [False, True])
def test_against_a_riemann_sum(absolute):
    network, (x, y) = make(Smooth), batch(4, 6)
    x, start, cells = 3 * x, 0.2, 4000
    total = torch.zeros_like(x)
    for i in range(cells):
        point = (start + (i + 0.5) / cells * (x - start)).requires_grad_()
        (gradient,) = torch.autograd.grad(network(point)[range(4), y].sum(), point)
        total += gradient.abs() if absolute else gradient
    ours, _ = integrated_gradients(network, x, y, baseline=start, steps=300, absolute=absolute)
    error = (ours - (x - start) * total / cells).abs().max() / ours.abs().max()
    assert error < (1e-4 if absolute else 1e-6)


def test_absolute_is_another_reading():
    network, (x, y) = make(MLP), batch()
    signed, _ = integrated_gradients(network, x, y)
    absolute, _ = integrated_gradients(network, x, y, absolute=True)
    assert (absolute.abs() >= signed.abs() - 1e-12).all()
    assert (absolute.abs() - signed.abs()).max() > 0.05 * signed.abs().max()


def test_absolute_of_a_tied_network_keeps_its_symmetry():
    network, (x, y) = make(lambda: TiedMLP(R4)), batch(4)
    upright, _ = integrated_gradients(network, x, y, absolute=True)
    turned, _ = integrated_gradients(network, R4.act(x, 1), y, absolute=True)
    torch.testing.assert_close(turned, R4.act(upright, 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_completeness_gap_shrinks_with_the_steps(name):
    network, (x, y) = make(NETWORKS[name]), batch()
    gaps = [integrated_gradients(network, x, y, steps=m)[1].mean().item() for m in (2, 16, 256)]
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2]


def test_completeness_gap_by_hand():
    network, (x, y) = make(MLP), batch()
    attributions, gap = integrated_gradients(network, x, y, baseline=0.3, steps=3)
    with torch.no_grad():
        rise = network(x)[range(12), y] - network(torch.full_like(x, 0.3))[range(12), y]
    torch.testing.assert_close(gap, (attributions.sum((1, 2)) - rise).abs())


@pytest.mark.parametrize("name", ["MLP", "CNN"])
@pytest.mark.parametrize("absolute", [False, True])
def test_the_chunk_does_not_matter(name, absolute):
    network, (x, y) = make(NETWORKS[name]), batch(5)
    whole, _ = integrated_gradients(network, x, y, chunk=32, absolute=absolute)
    for chunk in (1, 7, 100):
        ours, _ = integrated_gradients(network, x, y, chunk=chunk, absolute=absolute)
        torch.testing.assert_close(ours, whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["MLP", "CNN"])
def test_memory_does_not_grow_with_the_steps(name):
    """What the network is given at a time is bounded by chunk x images."""
    network, (x, y) = make(NETWORKS[name]), batch(5)
    read_out = [m for m in network.modules() if isinstance(m, nn.Linear)][-1]
    rows = []
    read_out.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    for steps in (8, 256):
        rows.clear()
        integrated_gradients(network, x, y, steps=steps, chunk=8)
        assert max(rows) == 8 * 5
        assert sum(rows) == (steps + 2) * 5  # and twice for the gap


def test_images_are_independent():
    network, (x, y) = make(MLP), batch(5)
    together, _ = integrated_gradients(network, x, y)
    for i in range(5):
        alone, _ = integrated_gradients(network, x[i : i + 1], y[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-14)


def test_nothing_is_left_behind():
    network, (x, y) = make(MLP), batch(3)
    attributions, gap = integrated_gradients(network, x, y)
    assert not any(t.requires_grad for t in (x, attributions, gap))
    assert all(p.grad is None for p in network.parameters())


def test_network_with_an_attribute_named_affine():
    network, (x, y) = make(Smooth), batch(3, 6)
    expected, _ = integrated_gradients(network, x, y)
    network.affine = True  # as in PyTorch's own normalisation layers
    torch.testing.assert_close(integrated_gradients(network, x, y)[0], expected)


# --- the paper's map ---


def test_map_worked_on_five_by_five():
    x = torch.zeros(1, 5, 5, dtype=torch.float64)
    x[0, 2, 2], x[0, 0, 0], x[0, 3, 1] = 9.0, -10.0, 8.99  # .9 of the maximum, it, and below
    column = torch.tensor([[SIDE], [MIDDLE], [SIDE]], dtype=torch.float64)
    spot = column * column.T
    expected = torch.zeros(5, 5, dtype=torch.float64)
    expected[1:4, 1:4] += 9 * spot
    for i, row in zip((4, 0, 1), spot, strict=True):  # the corner's neighbours wrap around
        for j, value in zip((4, 0, 1), row, strict=True):
            expected[i, j] += 10 * value
    found = saliency_map(x)[0]
    torch.testing.assert_close(found, expected)
    assert found[0, 0].item() == pytest.approx(10 * MIDDLE**2)
    assert found[4, 4].item() == pytest.approx(10 * SIDE**2)
    assert found[1, 1].item() == pytest.approx(19 * SIDE**2)
    assert found[3, 0].item() == 0
    assert found.sum().item() == pytest.approx(19)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9, 1.0])
def test_map_against_scipy(threshold):
    x, _ = batch(4, 7)
    maps = saliency_map(x, threshold=threshold)
    for found, one in zip(maps.numpy(), x.abs().numpy(), strict=True):
        torch.testing.assert_close(found, smooth(np.where(one < threshold * one.max(), 0, one)))


def smooth(salience):
    kernel = np.outer([SIDE, MIDDLE, SIDE], [SIDE, MIDDLE, SIDE])
    return convolve(salience, kernel, mode="wrap")


@BOTH
def test_map_commutes_with_the_group(group):
    x, _ = batch(4)
    for k in range(group.order):
        torch.testing.assert_close(saliency_map(group.act(x, k)), group.act(saliency_map(x), k))


def test_zero_attributions_give_a_zero_map():
    maps = saliency_map(torch.zeros(2, 6, 6))
    assert maps.abs().max() == 0


# --- equation 3 ---


def test_similarity_worked():
    maps = torch.zeros(1, 4, 2, 2)
    maps[0, 0, 0, 0] = 2.0
    maps[0, 1, 0, 0] = 7.0  # the same direction
    maps[0, 2, 1, 1] = 2.0  # no overlap
    maps[0, 3] = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert saliency_similarity(maps)[0].tolist() == pytest.approx([1.0, 1.0, 0.0, 0.6])


def test_a_zero_map_is_similar_to_none():
    maps = torch.rand(2, 3, 4, 4)
    maps[0, 0], maps[1, 2] = 0, 0
    similarity = saliency_similarity(maps)
    assert similarity[0].tolist() == [0, 0, 0]
    assert similarity[1, 2] == 0
    assert similarity[1, 1] > 0.1


@BOTH
@pytest.mark.parametrize("absolute", [False, True])
def test_similarity_of_a_tied_network_is_one(group, absolute):
    network, (x, y) = make(lambda: TiedMLP(group)), batch()
    maps = realigned_maps(network, x, y, group, absolute=absolute)
    assert (saliency_similarity(maps) - 1).abs().max() < 1e-12
    other = saliency_similarity(realigned_maps(make(MLP), x, y, group, absolute=absolute))
    assert other[:, 1:].mean() < 0.8


@BOTH
@pytest.mark.parametrize("recipe", [{}, {"baseline": -0.4}, {"threshold": 0.5}])
def test_realigned_maps_against_captum_and_scipy(group, recipe):
    network, (x, y) = make(CNN), batch(5)
    maps = realigned_maps(network, x, y, group, **recipe)
    assert maps.shape == (5, group.order, 36, 36)
    for k in range(group.order):
        salience = captum(network, group.act(x, k), y, recipe.get("baseline", 0.0))[0].abs()
        for b in range(5):
            one = salience[b].numpy()
            one = np.where(one < recipe.get("threshold", 0.9) * one.max(), 0, one)
            back = group.act(torch.from_numpy(smooth(one)), group.order - k)
            torch.testing.assert_close(maps[b, k], back)


@BOTH
def test_similarity_against_loops(group):
    x, y = batch(6)
    maps = realigned_maps(make(MLP), x, y, group)
    found = saliency_similarity(maps)
    for b in range(6):
        for k in range(group.order):
            u, v = maps[b, 0].numpy().ravel(), maps[b, k].numpy().ravel()
            cosine = u @ v / (np.linalg.norm(u) * np.linalg.norm(v))
            assert found[b, k].item() == pytest.approx(cosine, abs=1e-12)
