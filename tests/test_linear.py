"""invnb.linear: proposition 3.1 against scipy, loops, and the theorem itself (GI-12)."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from invnb.groups import GROUPS, R4, T3
from invnb.linear import (
    GradientFlow,
    descend,
    difference_covariance,
    invariance_error,
    largest_singular_value,
)
from invnb.metrics import logit_invariance, orbit_logits

BOTH = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
ELEMENTS = pytest.mark.parametrize("elements", [[1], [1, 2], [1, 2, 3]], ids=str)
SIZE = 6


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(group=R4, elements=(1,), n=100):
    """Return W `[9, 36]` and S; with 100 images S vanishes on what the elements leave alone."""
    return randn(9, SIZE**2), difference_covariance(randn(n, SIZE, SIZE, seed=1), group, elements)


def descent(step):
    return lambda layers: torch.optim.SGD(layers, lr=step)


def top(covariance):
    return np.linalg.eigvalsh(covariance.numpy())[-1]


def rises(sizes):
    return max(b - a for a, b in pairwise(sizes))


# --- the error ---


@BOTH
@ELEMENTS
def test_covariance_against_outer_products(group, elements):
    images = randn(5, SIZE, SIZE).float()
    expected = np.zeros((SIZE**2, SIZE**2))
    for image in images:
        for k in elements:
            gap = (image - group.act(image, k)).numpy().astype(float).ravel()
            expected += np.outer(gap, gap) / (5 * len(elements))
    found = difference_covariance(images, group, iter(elements))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.from_numpy(expected))


def test_covariance_worked():
    found = difference_covariance(torch.tensor([[[1.0, 0.0, 0.0]]]), T3, [1])
    assert found.tolist() == [[1, -1, 0], [-1, 1, 0], [0, 0, 0]]


@BOTH
@pytest.mark.parametrize("whole", [False, True])
def test_error_is_the_mean_logit_invariance(group, whole):
    elements = list(range(1, group.order)) if whole else [1]
    images, weights = randn(20, SIZE, SIZE, seed=1), randn(9, SIZE**2)
    logits = orbit_logits(lambda x: x.flatten(1) @ weights.T, images, group)
    expected = logit_invariance(logits)[:, elements].mean()
    covariance = difference_covariance(images, group, elements)
    torch.testing.assert_close(invariance_error(weights, covariance), expected)


@BOTH
def test_gradient_of_the_error(group):
    weights, covariance = make(group)
    weights.requires_grad_()
    (gradient,) = torch.autograd.grad(invariance_error(weights, covariance), weights)
    torch.testing.assert_close(gradient, weights.detach() @ covariance)


@BOTH
def test_invariant_weights_have_no_error(group):
    weights, covariance = make(group, range(1, group.order))
    average = group.orbit(weights.view(9, SIZE, SIZE)).mean(0).flatten(1)
    assert invariance_error(average, covariance).abs() < 1e-12
    assert invariance_error(weights, covariance) > 1


# --- sigma_max ---


@pytest.mark.parametrize("shape", [(9, 36), (36, 9), (5, 5), (1, 7), (7, 1)], ids=str)
def test_sigma_max_is_torchs(shape):
    for weights in (randn(*shape), 1e-3 * randn(*shape).float()):
        found = largest_singular_value(weights)
        assert found.shape == ()
        torch.testing.assert_close(found, torch.linalg.svdvals(weights)[0])


def test_sigma_max_worked():
    assert largest_singular_value(torch.tensor([[0.0, -3.0], [2.0, 0.0]])).item() == (
        pytest.approx(3)
    )
    assert largest_singular_value(torch.outer(torch.ones(3), torch.full((4,), 2.0))).item() == (
        pytest.approx(48**0.5)
    )
    assert largest_singular_value(torch.zeros(3, 4)) == 0


# --- the flow ---


@BOTH
@ELEMENTS
@pytest.mark.parametrize("time", [0.0, 0.1, 1.0, 7.0])
def test_flow_is_the_matrix_exponential(group, elements, time):
    weights, covariance = make(group, elements)
    expected = weights.numpy() @ expm(-covariance.numpy() * time)
    found = GradientFlow(covariance)(weights, time)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_flow_starts_at_the_weights():
    weights, covariance = make()
    torch.testing.assert_close(GradientFlow(covariance)(weights, 0), weights, rtol=0, atol=1e-13)


def test_flow_solves_the_differential_equation():
    """With the gradient of the error itself on the right."""
    weights = randn(2, 6)
    covariance = difference_covariance(randn(3, 2, 3, seed=1), T3, [1])

    def downhill(_, flat):
        w = torch.tensor(flat).view(2, 6).requires_grad_()
        (gradient,) = torch.autograd.grad(invariance_error(w, covariance), w)
        return -gradient.flatten().numpy()

    times = [0.1, 0.5, 1.0]
    solution = solve_ivp(downhill, (0, 1), weights.flatten(), t_eval=times, rtol=1e-6, atol=1e-8)
    flow = GradientFlow(covariance)
    for time, expected in zip(times, solution.y.T, strict=True):
        assert flow(weights, time).flatten().numpy() == pytest.approx(expected, abs=1e-5)
    assert (flow(weights, 1.0) - weights).abs().max() > 0.1


@BOTH
def test_one_image_worked(group):
    """S = e e^T: W loses its part along e at the rate |e|²."""
    weights, covariance = make(group, n=1)
    image = randn(1, SIZE, SIZE, seed=1)
    e = (image - group.act(image, 1)).flatten()
    along = torch.outer(weights @ e, e) / (e @ e)
    for time in (0.001, 0.02, 1.0):
        expected = weights - along * (1 - torch.exp(-time * (e @ e)))
        torch.testing.assert_close(GradientFlow(covariance)(weights, time), expected)


@pytest.mark.parametrize(
    ("group", "elements", "left"),
    [
        (R4, [1], range(4)),
        (R4, [1, 2, 3], range(4)),
        (R4, [2], [0, 2]),
        (T3, [1], range(3)),
        (T3, [1, 2], range(3)),
    ],
)
def test_flow_ends_at_the_invariant_projection(group, elements, left):
    """The average over the subgroup that the elements make."""
    weights, covariance = make(group, elements)
    poses = [group.act(weights.view(9, SIZE, SIZE), k).flatten(1) for k in left]
    found = GradientFlow(covariance)(weights, 1e4)
    torch.testing.assert_close(found, sum(poses) / len(poses), rtol=0, atol=1e-9)
    assert (found - weights).abs().max() > 0.5


@BOTH
@ELEMENTS
@pytest.mark.parametrize("seed", range(3))
def test_sigma_max_never_rises_along_the_flow(group, elements, seed):
    """GI-12, and that backwards in time it does."""
    _, covariance = make(group, elements)
    weights, flow = randn(9, SIZE**2, seed=10 + seed), GradientFlow(covariance)
    times = [0, *np.geomspace(1e-4, 1e3, 40)]
    sizes = [torch.linalg.svdvals(flow(weights, t))[0].item() for t in times]
    assert rises(sizes) < 1e-12
    assert sizes[-1] < 0.9 * sizes[0]
    assert torch.linalg.svdvals(flow(weights, -0.1))[0].item() > sizes[0]


# --- descent ---


def test_descent_of_one_layer_against_numpy():
    weights, covariance = make()
    found, sizes, errors = descend([weights], covariance, descent(0.05), 6)
    w, s = weights.numpy().copy(), covariance.numpy()
    for step in range(7):
        assert sizes[step] == pytest.approx(np.linalg.norm(w, 2))
        assert errors[step] == pytest.approx(np.trace(w @ s @ w.T) / 2)
        if step < 6:
            w -= 0.05 * w @ s
    torch.testing.assert_close(found, torch.from_numpy(w))
    assert len(sizes) == len(errors) == 7


def test_descent_tends_to_the_flow_at_first_order():
    weights, covariance = make()
    time = 1 / top(covariance)
    expected = GradientFlow(covariance)(weights, time)
    gaps = []
    for steps in (25, 50, 100):
        found, *_ = descend([weights], covariance, descent(time / steps), steps)
        gaps.append((found - expected).norm().item())
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.03)
    assert gaps[1] / gaps[2] == pytest.approx(2, rel=0.03)
    assert gaps[2] < 1e-2 * expected.norm()


@BOTH
def test_sigma_max_rises_with_too_long_a_step_only(group):
    weights, covariance = make(group)
    _, short, _ = descend([weights], covariance, descent(1.9 / top(covariance)), 25)
    _, long, _ = descend([weights], covariance, descent(2.2 / top(covariance)), 25)
    assert rises(short) < 1e-12
    assert rises(long) > 0.1
    assert long[-1] > 2 * long[0]


@pytest.mark.parametrize("widths", [(9, 36), (9, 5, 36), (9, 5, 7, 36)], ids=str)
def test_descent_of_several_layers_against_the_chain_rule(widths):
    _, covariance = make()
    layers = [randn(a, b, seed=a) / b**0.5 for a, b in pairwise(widths)]
    given = [layer.clone() for layer in layers]
    found, sizes, errors = descend(layers, covariance, descent(0.02), 4)

    def product(factors, size):
        out = np.eye(size)
        for factor in factors:
            out = out @ factor
        return out

    factors, s = [layer.numpy().copy() for layer in given], covariance.numpy()
    for step in range(5):
        w = product(factors, 9)
        assert sizes[step] == pytest.approx(np.linalg.norm(w, 2))
        assert errors[step] == pytest.approx(np.trace(w @ s @ w.T) / 2)
        if step < 4:
            factors = [
                f - 0.02 * product(factors[:i], 9).T @ w @ s @ product(factors[i + 1 :], b).T
                for i, (f, b) in enumerate(zip(factors, widths[1:], strict=True))
            ]
    torch.testing.assert_close(found, torch.from_numpy(w))
    assert not found.requires_grad
    assert len(sizes) == len(errors) == 5
    for layer, before in zip(layers, given, strict=True):
        assert torch.equal(layer, before)
        assert not layer.requires_grad
        assert layer.grad is None


def test_descent_by_the_given_optimizer():
    """Adam's first step is lr times the sign of the gradient."""
    weights, covariance = make()
    found, *_ = descend([weights], covariance, lambda w: torch.optim.Adam(w, lr=0.01), 1)
    expected = weights - 0.01 * (weights @ covariance).sign()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_no_steps():
    weights, covariance = make()
    found, sizes, errors = descend([weights], covariance, descent(0.1), 0)
    assert torch.equal(found, weights)
    assert sizes == [largest_singular_value(weights).item()]
    assert errors == [invariance_error(weights, covariance).item()]
