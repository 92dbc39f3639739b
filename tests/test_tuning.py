from types import SimpleNamespace

import pytest
import torch

from invnb import tuning
from invnb.groups import R4
from invnb.transforming import Split
from invnb.tuning import SLACK, choose, neighbour, short_trainings, weights_to_try


def test_starts_at_the_nearest_where_none_came_near():
    assert weights_to_try({1.0: 0.5, 4.0: 0.7, 2.0: 0.8}, goal=0.95) == [2.0, 4.0]


def test_a_single_weight():
    assert weights_to_try({3.0: 0.1}, goal=0.95) == [3.0]


def test_starts_at_the_smallest_that_came_near_and_climbs():
    similarity = {8.0: 0.99, 1.0: 0.6, 4.0: 0.94, 2.0: 0.8}
    assert weights_to_try(similarity, goal=0.95) == [4.0, 8.0]


def test_near_is_within_the_slack():
    goal = 0.75  # with the slack, a number that floats hold to the last digit
    assert weights_to_try({1.0: goal - SLACK, 2.0: 1.0}, goal) == [1.0, 2.0]
    assert weights_to_try({1.0: goal - SLACK - 1e-9, 2.0: 1.0}, goal) == [2.0]


def test_a_dip_after_a_weight_that_came_near_is_tried_too():
    """The search cannot know whether a dip is chance, so it leaves nothing out on its way up."""
    assert weights_to_try({1.0: 0.96, 2.0: 0.7, 4.0: 0.97}, goal=0.95) == [1.0, 2.0, 4.0]


def test_neighbour_is_the_next_smaller_else_the_next_larger():
    assert neighbour([8, 1, 4, 2], 4) == 2
    assert neighbour([8, 1, 4, 2], 1) == 2
    assert neighbour([3], 3) is None


class Pretended:
    """An experiment whose networks are numbers: SI is 1 - 1 / nu, less a little for the seed."""

    saliency_images = 5

    def __init__(self):
        self.trained = []

    def validation(self, group):
        return make_split(9)

    def train(self, model, group, seeds, *, nu, epochs=None):
        self.trained.append((model, group.name, nu, tuple(seeds), epochs))
        return [SimpleNamespace(seed=s, si=1 - 1 / nu - 0.01 * s) for s in seeds]

    def network(self, model, group, one):
        return one

    def measure(self, network, split, group):
        return {"SI": network.si, "accuracy": len(split.images)}


@pytest.fixture
def pretended(monkeypatch):
    def similarity(network, split, group):
        assert len(split.images) == Pretended.saliency_images
        return network.si

    monkeypatch.setattr(tuning, "mean_similarity", similarity)
    monkeypatch.setattr(tuning, "sensitivities", lambda *_: {"sigma_max": 2.0})
    return Pretended()


def make_split(n):
    return Split(torch.zeros(n, 6, 6), torch.zeros(n, dtype=torch.int64))


def test_short_trainings_give_a_row_per_weight_and_seed(pretended):
    rows = short_trainings(pretended, "IR", R4, [2.0, 4.0], seeds=[0, 1], epochs=7)
    assert [(r["group"], r["model"], r["nu"], r["seed"]) for r in rows] == [
        ("R4", "IR", nu, seed) for nu in (2.0, 4.0) for seed in (0, 1)
    ]
    assert [r["SI"] for r in rows] == [0.5, 0.49, 0.75, 0.74]
    assert all((r["accuracy"], r["sigma_max"]) == (9, 2.0) for r in rows)
    assert pretended.trained == [("IR", "R4", nu, (0, 1), 7) for nu in (2.0, 4.0)]


def test_the_smallest_weight_that_reaches_the_goal_in_full_is_chosen(pretended):
    # near by the short trainings from 8 on; in full, 1 - 1/8 = .875 and 1 - 1/16 = .9375
    short = {4.0: 0.5, 8.0: 0.93, 16.0: 0.94, 32.0: 0.99}
    assert choose(pretended, "IR", R4, short, 0.93, [0]) == 16.0
    assert [nu for _, _, nu, _, _ in pretended.trained] == [8.0, 16.0]


def test_the_mean_over_seeds_must_reach_the_goal(pretended):
    # the second seed lies .01 lower: means .9325 and .96375
    assert choose(pretended, "IR", R4, {16.0: 1.0, 32.0: 1.0}, 0.935, [0, 1]) == 32.0


def test_the_nearest_in_full_where_none_reaches_the_goal(pretended, monkeypatch):
    assert choose(pretended, "IR", R4, {2.0: 0.99, 4.0: 0.99}, 0.95, [0]) == 4.0
    monkeypatch.setattr(tuning, "mean_similarity", lambda network, *_: 1 - network.si)
    assert choose(pretended, "IR", R4, {2.0: 0.99, 4.0: 0.99}, 0.95, [0]) == 2.0
