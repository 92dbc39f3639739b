"""What one chapter says to another, in words that follow from the numbers.

Each comparison is there only if the networks that it speaks of were measured. What they could not
be compared for is named at the end, as a question that this copy leaves open.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from invnb.across_table import Network

FREE, RESTRICTED = "_free", "_restricted"  # ends of names in the rotation chapter
UNASKED = ("equivariance-perturbation", "cnn-screening")  # trained without turned images


def comparisons(found: Sequence[Network], circle: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the paragraphs, and what the missing ones would take.

    Args:
        found: the networks that were looked at.
        circle: rows of the table of scores at far angles, of networks of both chapters.

    """
    asked = [
        (
            _right_and_invariant(found),
            "Is a network that is right about turned images also invariant?",
            "the networks of the rotation chapter and of genuine invariance",
        ),
        (
            _on_other_digits(found),
            "Does invariance that was learned reach data that it was not learned on?",
            "the networks of the rotation chapter",
        ),
        (
            _far_angles(circle),
            "At angles without labels, what helps: a penalty, a symmetry, or nothing?",
            "the perceptrons of genuine invariance on the rotation chapter's data",
        ),
        (
            _never_asked(found),
            "How invariant are networks that were never shown a turned image?",
            "the encoders or the classifiers of photographs",
        ),
    ]
    unanswered = []
    for paragraphs, question, takes in asked:
        told = list(paragraphs)
        yield from told
        if not told:
            unanswered.append(f"- {question} (It takes {takes}.)")
    if unanswered:
        yield "**Not answered by this copy**, whose runs do not have the measures:"
        yield "\n".join(unanswered)


def _right_and_invariant(found: Sequence[Network]) -> Iterator[str]:
    free = [n for n in found if n.name.endswith(FREE)]
    tied = [n for n in found if n.chapter == "genuine-invariance" and n.name.endswith("_WT")]
    if not (free and tied):
        return
    right, knows = max(free, key=lambda n: n.value("accuracy")), tied[0]
    yield (
        "**Being right, and being invariant.** The rotation chapter counts right answers, the "
        "chapter on genuine invariance asks for equal reasons."
    )
    yield (
        f"{right.title} is right about {right.value('accuracy'):.1%} of upright digits and gives "
        f"{right.value('same_prediction'):.1%} of them one prediction in all four poses; its "
        f"saliency maps agree at {right.value('SI'):.2f}. {knows.title}, whose weights know the "
        f"group, is right about {knows.value('accuracy'):.1%}, and its maps agree at "
        f"{knows.value('SI'):.2f}, by construction. They are also of different sizes, and learned "
        "from different angles; counting right answers tells none of this."
    )


def _on_other_digits(found: Sequence[Network]) -> Iterator[str]:
    named = {n.name: n for n in found}
    pairs = [
        (one, named[other])
        for name, one in named.items()
        if name.endswith(FREE) and (other := name.removesuffix(FREE) + RESTRICTED) in named
    ]
    if not pairs:
        return
    yield (
        "**Invariance that was learned, on other data.** The restricted digits are the control "
        "that the paper on genuine invariance does not have: the same network, the same weights, "
        "the same transformation, and two classes for which it was never shown."
    )
    told = [
        f"{free.title.removesuffix(' free')} gives one prediction to all four poses of "
        f"{free.value('same_prediction'):.0%} of the free digits and "
        f"{held.value('same_prediction'):.0%} of the restricted ones (relative LI "
        f"{free.value('relative_LI'):.2f} and {held.value('relative_LI'):.2f})"
        for free, held in pairs
    ]
    yield (
        "; ".join(told) + ". What differs between the two cannot be a property of the "
        "architecture alone. Some of it is one of the digits: a 0, a 1 and an 8 look much alike "
        "after a half turn, a 3 and a 4 do not; the relative LI is divided by distances within "
        "each group's own digits."
    )


def _far_angles(circle: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not any("genuine" in row["chapter"] for row in circle):
        return
    yield (
        "**A penalty, a symmetry, or nothing.** The perceptrons of the one chapter on the data of "
        "the other, at the angles where 3 and 4 were never seen with a label. A symmetry in the "
        "weights does not know of classes; if it is what matters, it carries over to all of them. "
        "A penalty acts on every image that it is shown turned, labelled or not. Augmentation "
        "speaks of labelled images alone."
    )
    yield (
        "*Pinv* in the table below says how far each of them got. Quarter turns take every angle "
        "to within 45° of upright, so that for a network with that symmetry no angle is far. The "
        "rotation chapter's own networks were trained with the source's loss of two softmaxes, "
        "where the perceptrons have one; a random guess is right one time in eight."
    )


def _never_asked(found: Sequence[Network]) -> Iterator[str]:
    unasked = [n for n in found if n.chapter in UNASKED]
    if not unasked:
        return
    yield (
        "**What a network was never asked.** The encoders and the classifiers of photographs were "
        "trained without turned images. Their rows show what is left of a prediction that nobody "
        "asked to be invariant. Their columns of transformations tell what else they bear unasked."
    )
    told = [f"{n.title} {n.value('same_prediction'):.0%}" for n in unasked]
    yield f"One prediction in all four poses, share of images: {', '.join(told)}."
