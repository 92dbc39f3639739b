"""invnb.penalties: against loops, scipy and exact singular values."""

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from invnb.penalties import OVER_ORBIT, PENALTIES, SpectralNorms

S, B, K = 2, 3, 4
EACH = pytest.mark.parametrize("name", OVER_ORBIT)
NORMS = ("norm", "norm_through")


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make_logits():
    return 2 * randn(S, B, K, seed=0), 2 * randn(S, B, K, seed=1)


def brute_force(name, f, g):
    if name == "KL":
        return entropy(softmax(f), softmax(g))
    distance = sum((p - q) ** 2 for p, q in zip(f, g, strict=True))
    return distance / 2 if name == "LI" else distance / sum(p**2 for p in f)


def gradients(name):
    pair = [f.requires_grad_() for f in make_logits()]
    return torch.autograd.grad(OVER_ORBIT[name](*pair).sum(), pair)


# --- over the orbit ---


def test_names():
    assert list(PENALTIES) == ["LI", "KL", *NORMS, "decay", "spectral"]


@pytest.mark.parametrize(
    ("name", "logits", "turned", "expected"),
    [
        ("LI", [1.0, 2.0], [4.0, -2.0], 12.5),  # (3² + 4²) / 2
        ("norm", [1.0, 2.0], [4.0, -2.0], 5.0),  # (3² + 4²) / (1² + 2²)
        ("norm_through", [1.0, 2.0], [4.0, -2.0], 5.0),
        # u = (1/2, 1/2), q = (1/4, 3/4)
        ("KL", [0.0, 0.0], [0.0, math.log(3)], math.log(2) / 2 + math.log(2 / 3) / 2),
    ],
)
def test_worked(name, logits, turned, expected):
    found = OVER_ORBIT[name](torch.tensor([[logits]]), torch.tensor([[turned]]))
    assert found.shape == (1, 1)
    assert found.item() == pytest.approx(expected)


@EACH
def test_against_loops(name):
    logits, turned = make_logits()
    found = OVER_ORBIT[name](logits, turned)
    assert found.shape == (S, B)
    for s in range(S):
        for b in range(B):
            expected = brute_force(name, logits[s, b].tolist(), turned[s, b].tolist())
            assert found[s, b].item() == pytest.approx(expected, rel=1e-10)


@EACH
def test_zero_where_the_pose_changes_nothing(name):
    logits, _ = make_logits()
    assert OVER_ORBIT[name](logits, logits).abs().max() == 0


@pytest.mark.parametrize("name", ["KL", *NORMS])
def test_directed(name):
    logits, turned = make_logits()
    there, back = (OVER_ORBIT[name](*pair) for pair in ((logits, turned), (turned, logits)))
    assert (there - back).abs().min() > 1e-3


def test_kl_alone_is_blind_to_a_constant_added_to_all_logits_of_one_pose():
    logits, turned = make_logits()
    shifted = turned + 5 * randn(S, B, 1, seed=2)
    for name, penalty in OVER_ORBIT.items():
        moved = (penalty(logits, shifted) - penalty(logits, turned)).abs()
        assert moved.max() < 1e-12 if name == "KL" else moved.min() > 1e-2


@pytest.mark.parametrize("factor", [0.01, 7.0])
def test_the_norms_alone_are_blind_to_the_scale_of_the_network(factor):
    pair = make_logits()
    ratio = {n: p(*(factor * f for f in pair)) / p(*pair) for n, p in OVER_ORBIT.items()}
    assert all((ratio[name] - 1).abs().max() < 1e-12 for name in NORMS)
    assert (ratio["LI"] / factor**2 - 1).abs().max() < 1e-12
    assert (ratio["KL"] - 1).abs().min() > 0.1


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_extreme_logits_stay_finite(scale):
    pair = [(scale * f).float().requires_grad_() for f in make_logits()]
    divergence = OVER_ORBIT["KL"](*pair)
    assert divergence.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(divergence.sum(), pair))


@EACH
def test_gradients_reach_both_arguments(name):
    for gradient in gradients(name):
        assert gradient.abs().min() > 0


@pytest.mark.parametrize("name", ["LI", "KL", "norm_through"])
def test_gradients_against_finite_differences(name):
    assert torch.autograd.gradcheck(OVER_ORBIT[name], [f.requires_grad_() for f in make_logits()])


def test_gradient_of_norm_takes_the_magnitude_for_given():
    logits, turned = make_logits()
    expected = 2 * (logits - turned) / logits.square().sum(-1, keepdim=True)
    of_logits, of_turned = gradients("norm")
    torch.testing.assert_close(of_logits, expected)
    torch.testing.assert_close(of_turned, -expected)


def test_norm_through_alone_pays_for_a_constant_added_to_all_logits():
    constant = {name: sum(gradients(name)).sum(-1) for name in OVER_ORBIT}
    assert all(constant[name].abs().max() < 1e-12 for name in ("LI", "KL", "norm"))
    assert constant["norm_through"].abs().min() > 1e-3


def test_norm_alone_pays_for_smaller_logits():
    """Its gradient, not its value: along f and g together it is twice the value (Euler)."""
    pair = make_logits()

    def radial(name):
        return sum((f * g).sum(-1) for f, g in zip(pair, gradients(name), strict=True))

    torch.testing.assert_close(radial("norm"), 2 * OVER_ORBIT["norm"](*pair))
    assert radial("norm_through").abs().max() < 1e-12


# --- spectral norms ---

SHAPES = pytest.mark.parametrize(
    "shapes",
    [[(4, 6)], [(5, 2), (3, 5)], [(4, 2, 3, 3)], [(4, 1, 3, 3), (2, 4, 2, 1), (3, 8)]],
    ids=["matrix", "matrices", "convolution", "mixed"],
)


def make_weights(shapes):
    return [randn(S, *shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]


def converged(weights):
    norms = SpectralNorms(weights)
    for _ in range(300):
        found = norms.penalty()
    return found


def exact(weights, s):
    """Return half the sum of one seed's squared spectral norms."""
    matrices = [w[s].detach().reshape(w.shape[1], -1) for w in weights]
    return sum(torch.linalg.matrix_norm(m, ord=2).item() ** 2 for m in matrices) / 2


@SHAPES
def test_spectral_norms_after_many_calls(shapes):
    weights = make_weights(shapes)
    found = converged(weights)
    assert found.shape == (S,)
    assert found.tolist() == pytest.approx([exact(weights, s) for s in range(S)], rel=1e-9)


@SHAPES
def test_gradient_of_spectral_norms(shapes):
    """Of sigma² / 2 it is sigma u v', with the first singular vectors u and v."""
    weights = make_weights(shapes)
    gradients = torch.autograd.grad(converged(weights).sum(), weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient.shape == weight.shape
        for s in range(S):
            u, sigma, vt = np.linalg.svd(weight[s].detach().flatten(1).numpy())
            np.testing.assert_allclose(
                gradient[s].flatten(1).numpy(), sigma[0] * np.outer(u[:, 0], vt[0]), atol=1e-6
            )


@SHAPES
def test_one_iteration_a_call(shapes):
    weights = make_weights(shapes)
    norms = SpectralNorms(weights)
    found = [norms.penalty().tolist() for _ in range(3)]
    for s in range(S):
        matrices = [w[s].detach().flatten(1).numpy() for w in weights]
        right = [np.ones(m.shape[1]) for m in matrices]
        for call in range(3):
            expected = 0
            for i, m in enumerate(matrices):
                left = m @ right[i] / np.linalg.norm(m @ right[i])
                right[i] = left @ m / np.linalg.norm(left @ m)
                expected += (left @ m @ right[i]) ** 2 / 2
            assert found[call][s] == pytest.approx(expected, rel=1e-12)


def test_spectral_norms_leave_biases_out():
    (weight,), bias = make_weights([(4, 6)]), randn(S, 4, seed=9).requires_grad_()
    found = converged([bias, weight, bias])
    assert torch.equal(found, converged([weight]))
    assert torch.autograd.grad(found.sum(), bias, allow_unused=True) == (None,)


def test_spectral_norms_of_seeds_do_not_mix():
    weights = make_weights([(4, 2, 3, 3), (3, 5)])
    together = SpectralNorms(weights)
    alone = [SpectralNorms([w[s : s + 1] for w in weights]) for s in range(S)]
    for _ in range(4):
        found = together.penalty()
        assert found.tolist() == pytest.approx([a.penalty().item() for a in alone], rel=1e-12)
    for gradient in torch.autograd.grad(found[0], weights):
        assert gradient[0].abs().max() > 0
        assert gradient[1].abs().max() == 0


def test_spectral_norms_follow_weights_that_move_slowly():
    """The singular vectors turn by a right angle: those of the start would end up with 1/2."""
    weight = torch.zeros(1, 2, 2, dtype=torch.float64)
    norms = SpectralNorms([weight])
    for step, angle in enumerate(np.linspace(0.3, 0.3 + np.pi / 2, 150)):
        c, s = np.cos(angle), np.sin(angle)
        weight[0] = torch.tensor([[3 * c, 3 * s], [-s, c]])
        found = norms.penalty().item()
        if step > 20:
            assert found == pytest.approx(4.5, rel=1e-4)
