"""The choice of the regulariser's weight (Moskalev et al., section 4.1).

The paper tunes the weight "such that the resulting saliency invariance similarity SI >= 0.95". As
every larger weight costs accuracy, the smallest weight that reaches the goal is the one to take.
"""

from collections.abc import Mapping


def weights_to_try(similarity: Mapping[float, float], goal: float) -> list[float]:
    """Return the weights worth a full training, in the order to try them.

    A short training of every weight on the grid comes first; full trainings start at the smallest
    weight that reached the goal in the short one and climb, because a longer training may end
    below the goal. Where none reached it, only the weight that came nearest is left.

    Args:
        similarity: validation SI by weight, from the short trainings.
        goal: SI to reach, 0..1.

    """
    reached = [nu for nu, si in similarity.items() if si >= goal]
    if not reached:
        return [max(similarity, key=similarity.__getitem__)]
    return sorted(nu for nu in similarity if nu >= min(reached))
