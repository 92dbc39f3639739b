"""The choice of a regulariser's weight (Moskalev et al., section 4.1).

The paper tunes the weight "such that the resulting saliency invariance similarity SI >= 0.95". As
every larger weight costs accuracy, the smallest weight that reaches the goal is the one to take.
All of it happens on validation images.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from invnb.experiment import Experiment, mean_similarity
from invnb.groups import CyclicGroup
from invnb.sensitivity import sensitivities
from invnb.training import Trained

SLACK = 0.02  # how far below the goal a short training may end and a full one still reach it


def short_trainings(
    experiment: Experiment,
    model: str,
    group: CyclicGroup,
    weights: Sequence[float],
    *,
    seeds: Sequence[int],
    epochs: int,
) -> list[dict[str, Any]]:
    """Train with every weight for a few epochs and measure on validation images.

    Args:
        experiment: what to train, and on what.
        model: a kind of network with a penalty.
        group: to train for.
        weights: of the penalty.
        seeds: one network each per weight.
        epochs: of each training.

    Returns:
        A row per weight and seed: `group`, `model`, `nu`, `seed`, what `Experiment.measure` gives,
        and what `invnb.sensitivity.sensitivities` gives.

    """
    validation, rows = experiment.validation(group), []
    for nu in weights:
        for one in experiment.train(model, group, seeds, nu=nu, epochs=epochs):
            network = experiment.network(model, group, one)
            rows.append(
                {"group": group.name, "model": model, "nu": nu, "seed": one.seed}
                | experiment.measure(network, validation, group)
                | sensitivities(network, validation.images, group)
            )
    return rows


def validation_similarity(
    experiment: Experiment, model: str, group: CyclicGroup, networks: Sequence[Trained]
) -> list[float]:
    """Return the validation SI of each network."""
    some = experiment.validation(group).first(experiment.saliency_images)
    made = (experiment.network(model, group, one) for one in networks)
    return [mean_similarity(network, some, group) for network in made]


def choose(
    experiment: Experiment,
    model: str,
    group: CyclicGroup,
    similarity: Mapping[float, float],
    goal: float,
    seeds: Sequence[int],
) -> float:
    """Return the smallest weight whose full trainings reach a mean validation SI of `goal`.

    Args:
        experiment: what to train, and on what.
        model: a kind of network with a penalty.
        group: to train for.
        similarity: validation SI by weight, from short trainings; at least one.
        goal: SI to reach, 0..1.
        seeds: one full training each per weight that is tried.

    Returns:
        The weight; where none reaches the goal, the one that came nearest.

    """
    reached: dict[float, float] = {}
    for nu in weights_to_try(similarity, goal):
        trained = experiment.train(model, group, seeds, nu=nu)
        values = validation_similarity(experiment, model, group, trained)
        reached[nu] = sum(values) / len(values)
        if reached[nu] >= goal:
            break
    return max(reached, key=reached.get)


def weights_to_try(similarity: Mapping[float, float], goal: float) -> list[float]:
    """Return the weights worth a full training, in the order to try them.

    A short training of every weight comes first. Full trainings start at the smallest weight that
    came within `SLACK` of the goal in the short one, or where none did at the one that came
    nearest, and climb until one reaches the goal.

    Args:
        similarity: validation SI by weight, from the short trainings; at least one.
        goal: SI to reach, 0..1.

    Returns:
        Weights in rising order.

    """
    near = [nu for nu, si in similarity.items() if si >= goal - SLACK]
    start = min(near) if near else max(similarity, key=similarity.get)
    return sorted(nu for nu in similarity if nu >= start)


def neighbour(weights: Sequence[float], chosen: float) -> float | None:
    """Return the next smaller weight, else the next larger one; None where there is no other."""
    smaller = [w for w in weights if w < chosen]
    larger = [w for w in weights if w > chosen]
    return max(smaller) if smaller else min(larger, default=None)
