"""The choice of the regulariser's weight (Moskalev et al., section 4.1).

The paper tunes the weight "such that the resulting saliency invariance similarity SI >= 0.95". As
every larger weight costs accuracy, the smallest weight that reaches the goal is the one to take.
"""

from collections.abc import Mapping

SLACK = 0.02  # how far below the goal a short training may end and a full one still reach it


def weights_to_try(similarity: Mapping[float, float], goal: float) -> list[float]:
    """Return the weights worth a full training, in the order to try them.

    A short training of every weight comes first. Full trainings start at the smallest weight that
    came within `SLACK` of the goal in the short one, and climb until one reaches it.

    Args:
        similarity: validation SI by weight, from the short trainings; at least one.
        goal: SI to reach, 0..1.

    Returns:
        Weights in rising order; the largest alone where none came near.

    """
    near = [nu for nu, si in similarity.items() if si >= goal - SLACK]
    return sorted(nu for nu in similarity if nu >= min(near, default=max(similarity)))
