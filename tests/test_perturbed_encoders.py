"""invnb.perturbed_encoders: the ablation's cells, and what names stand for."""

import pytest
import torch

from invnb.perturbed_encoders import Kind, cells, kinds, seeded
from invnb.predcaps import PredCaps, Rules

CHOSEN = Rules(winners=2, feedback="explained", scaling="layer")


def test_the_ablation_has_twelve_cells_of_which_ten_differ():
    found = cells(CHOSEN)
    assert len(found) == 12
    assert len(set(found.values())) == 10
    assert found["cell_SGCN"] == CHOSEN
    assert found["cell_CN"] == found["cell_N"]
    assert found["cell_C"] == found["cell_none"]


def test_each_switch_changes_its_rule_alone():
    found = cells(CHOSEN)
    assert found["cell_SGC"] == Rules(winners=2, feedback="explained", scaling="running")
    assert found["cell_SGN"] == Rules(winners=2, feedback="none", scaling="layer")
    assert found["cell_SCN"] == Rules(
        winners=2, grouped=False, feedback="explained", scaling="layer"
    )
    assert found["cell_N"].winners == 0


@pytest.mark.parametrize("name", kinds(CHOSEN))
def test_every_encoder_can_be_made(name):
    kind = kinds(CHOSEN)[name]
    codes = kind.made(0, 28)(torch.rand(2, 28, 28))
    assert codes.shape == (2, kind.outputs)


def test_the_sparse_control_has_no_groups_no_feedback_and_no_competition():
    rules = kinds(CHOSEN)["KSparse"].rules
    assert (rules.grouped, rules.feedback, rules.scaling) == (False, "none", "running")
    assert rules.winners == 2
    assert kinds(CHOSEN)["KSparse_16"].rules.winners == 1


def test_sixteen_numbers_are_active_in_the_controls_of_that_size():
    images = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(0))
    for name in ("KSparse_16", "BP_top1"):
        assert ((kinds(CHOSEN)[name].made(0, 28)(images) != 0).sum(1) <= 16).all()
    for name in ("BP_16", "PCA_16"):
        assert kinds(CHOSEN)[name].outputs == 16


def test_a_seed_makes_the_same_weights_and_leaves_the_generator():
    before = torch.random.get_rng_state()
    kind = Kind("local", rules=CHOSEN)
    one, two, other = kind.made(3, 28), kind.made(3, 28), kind.made(4, 28)
    assert isinstance(one, PredCaps)
    assert torch.equal(one.layers[1].weight, two.layers[1].weight)
    assert not torch.equal(one.layers[1].weight, other.layers[1].weight)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert seeded(lambda: torch.rand(1), 5) == seeded(lambda: torch.rand(1), 5)
