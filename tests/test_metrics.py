"""invnb.metrics: equations 1 and 2 against loops and scipy, and how the two relate (GI-18)."""

import math

import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from invnb.groups import GROUPS, R4
from invnb.metrics import (
    distribution_invariance,
    logit_invariance,
    orbit_logits,
    orbit_mean,
    relative_logit_change,
    same_prediction,
)
from invnb.models import MLP, TiedMLP


def make_logits(scale=3.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(6, 4, 9, generator=generator, dtype=torch.float64).to(dtype)


def test_logit_invariance_worked():
    logits = torch.tensor([[[1.0, 2.0], [1.0, 2.0], [4.0, -2.0]]])
    assert logit_invariance(logits).tolist() == [[0.0, 0.0, 12.5]]  # (3² + 4²) / 2


def test_distribution_invariance_worked():
    logits = torch.tensor([[[0.0, 0.0], [0.0, math.log(3)]]], dtype=torch.float64)
    # u = (1/2, 1/2), q = (1/4, 3/4): KL = log(2) / 2 + log(2/3) / 2
    expected = math.log(2) / 2 + math.log(2 / 3) / 2
    assert distribution_invariance(logits)[0].tolist() == pytest.approx([0, expected])


def test_against_loops():
    logits = make_logits()
    li, di = logit_invariance(logits), distribution_invariance(logits)
    assert li.shape == di.shape == (6, 4)
    for b in range(6):
        for g in range(4):
            f_x, f_gx = logits[b, 0].tolist(), logits[b, g].tolist()
            distance = 0.5 * sum((p - q) ** 2 for p, q in zip(f_x, f_gx, strict=True))
            assert li[b, g].item() == pytest.approx(distance, rel=1e-12)
            divergence = entropy(softmax(f_x), softmax(f_gx))
            assert di[b, g].item() == pytest.approx(divergence, rel=1e-10, abs=1e-14)


def test_divergence_is_directed():
    logits = make_logits()[:, :2]
    swapped = distribution_invariance(logits.flip(1))
    assert (distribution_invariance(logits)[:, 1] - swapped[:, 1]).abs().min() > 1e-3


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_extreme_logits_stay_finite(scale):
    assert distribution_invariance(make_logits(scale, torch.float32)).isfinite().all()


def test_rounding_makes_no_divergence_negative():
    logits = make_logits(dtype=torch.float32)[:, :1]
    almost = logits + 1e-6 * make_logits(dtype=torch.float32)
    log_u, log_q = logits.log_softmax(-1), almost.log_softmax(-1)
    assert (log_u.exp() * (log_u - log_q)).sum(-1).min() < 0  # what the sum alone would give
    assert distribution_invariance(torch.cat((logits, almost), 1)).min() == 0


def test_zero_at_the_identity_and_never_negative():
    for values in (logit_invariance(make_logits()), distribution_invariance(make_logits())):
        assert values[:, 0].abs().max() == 0
        assert values[:, 1:].min() > 0


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
def test_a_constant_added_to_the_logits_leaves_di_and_changes_li(dtype, tolerance):
    """GI-18: LI = 0 implies DI = 0, not the reverse."""
    logits = make_logits(dtype=dtype)
    constant = 5 * torch.randn(6, 4, 1, generator=torch.Generator().manual_seed(1), dtype=dtype)
    shifted = logits + constant
    moved = distribution_invariance(shifted) - distribution_invariance(logits)
    assert moved.abs().max() < tolerance
    assert (logit_invariance(shifted) - logit_invariance(logits))[:, 1:].abs().min() > 1e-2

    invariant = logits[:, :1].expand(6, 4, 9)
    assert logit_invariance(invariant).abs().max() == 0
    assert distribution_invariance(invariant).abs().max() == 0
    assert distribution_invariance(invariant + constant).abs().max() < tolerance
    assert logit_invariance(invariant + constant)[:, 1:].min() > 1e-2


def test_same_prediction():
    logits = torch.zeros(4, 3, 5)
    predicted = [[2, 2, 2], [2, 2, 1], [1, 2, 2], [0, 0, 0]]
    for b, row in enumerate(predicted):
        for g, k in enumerate(row):
            logits[b, g, k] = 1
    assert same_prediction(logits).tolist() == [True, False, False, True]


def test_orbit_mean_leaves_the_identity_out():
    values = torch.tensor([[100.0, 1.0, 2.0, 6.0], [0.0, 0.0, 0.0, 3.0]])
    assert orbit_mean(values).tolist() == [3.0, 1.0]


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_orbit_logits_against_a_loop(group, chunk):
    network = MLP(6, 4, hidden=5, layers=2).double()
    images = torch.randn(7, 6, 6, dtype=torch.float64)
    logits = orbit_logits(network, images, group, chunk=chunk)
    assert logits.shape == (7, group.order, 4)
    assert not logits.requires_grad
    for b in range(7):
        for k in range(group.order):
            alone = network(group.act(images[b : b + 1], k))[0]
            torch.testing.assert_close(logits[b, k], alone.detach())


def test_an_invariant_network_has_no_error():
    images = torch.randn(5, 36, 36, dtype=torch.float64)
    logits = orbit_logits(TiedMLP(R4).double(), images, R4)
    assert logit_invariance(logits).max() < 1e-24
    assert distribution_invariance(logits).abs().max() < 1e-12
    assert same_prediction(logits).all()


def test_relative_logit_change_against_all_pairs():
    generator = torch.Generator().manual_seed(0)
    logits, changed = torch.randn(2, 7, 4, generator=generator, dtype=torch.float64)
    pairs = [((logits[i] - logits[j]) ** 2).sum() for i in range(7) for j in range(7) if i != j]
    expected = ((changed - logits) ** 2).sum(-1).mean() / (sum(pairs) / len(pairs))
    assert relative_logit_change(logits, changed) == pytest.approx(expected.item())


def test_relative_logit_change_is_0_unchanged_1_for_another_image_and_blind_to_scale():
    logits = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert relative_logit_change(logits, logits) == 0
    shuffled = logits.roll(1, 0)
    # 3,000 squared distances with 4 degrees of freedom: a standard error of .013
    assert relative_logit_change(logits, shuffled) == pytest.approx(1, abs=0.06)
    scaled = relative_logit_change(10 * logits + 3, 10 * shuffled + 3)
    assert scaled == pytest.approx(relative_logit_change(logits, shuffled).item())


def test_relative_logit_change_of_one_answer_to_all_images_is_0():
    assert relative_logit_change(torch.ones(5, 3), torch.ones(5, 3)) == 0
