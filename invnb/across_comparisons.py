"""What one chapter says to another, in words that follow from the numbers.

Each comparison is a paragraph that stands there only if the networks it speaks of were measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from invnb.across_table import Network

FREE, RESTRICTED = "_free", "_restricted"  # ends of names in the rotation chapter
UNASKED = ("equivariance-perturbation", "cnn-screening")  # trained without turned images


def comparisons(found: Sequence[Network], circle: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the paragraphs, or for each what it would take.

    Args:
        found: the networks that were looked at.
        circle: rows of the table of scores at far angles, of networks of both chapters.

    """
    yield from _right_and_invariant(found)
    yield from _on_other_digits(found)
    yield from _far_angles(circle)
    yield from _never_asked(found)


def _missing(what: str) -> str:
    return f"*Not in this run: it takes {what}.*"


def _right_and_invariant(found: Sequence[Network]) -> Iterator[str]:
    yield (
        "**Being right is not being invariant.** The rotation chapter counts right answers, the "
        "chapter on genuine invariance asks for equal reasons."
    )
    free = [n for n in found if n.name.endswith(FREE)]
    tied = [n for n in found if n.chapter == "genuine-invariance" and n.name.endswith("_WT")]
    if not (free and tied):
        yield _missing("the networks of both chapters")
        return
    right, knows = max(free, key=lambda n: n.value("accuracy")), tied[0]
    yield (
        f"{right.title} is right about {right.value('accuracy'):.1%} of upright digits and gives "
        f"{right.value('same_prediction'):.1%} of them one prediction in all four poses; its "
        f"saliency maps agree at {right.value('SI'):.2f}. {knows.title}, whose weights know the "
        f"group, is right about {knows.value('accuracy'):.1%}, and its maps agree at "
        f"{knows.value('SI'):.2f}. The distance between these two agreements is what counting "
        "right answers does not see."
    )


def _on_other_digits(found: Sequence[Network]) -> Iterator[str]:
    yield (
        "**Invariance that was learned belongs to the data it was learned on.** The restricted "
        "digits are the control that the paper on genuine invariance does not have: the same "
        "network, the same weights, the same transformation, and two classes for which it was "
        "never shown."
    )
    named = {n.name: n for n in found}
    pairs = [
        (one, named[other])
        for name, one in named.items()
        if name.endswith(FREE) and (other := name.removesuffix(FREE) + RESTRICTED) in named
    ]
    if not pairs:
        yield _missing("the networks of the rotation chapter")
        return
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
    yield (
        "**A penalty, a symmetry, or nothing.** The perceptrons of the one chapter on the data of "
        "the other, at the angles where 3 and 4 were never seen with a label. A symmetry in the "
        "weights does not know of classes; if it is what matters, it carries over to all of them. "
        "A penalty acts on every image that it is shown turned, labelled or not. Augmentation "
        "speaks of labelled images alone."
    )
    turned = [r for r in circle if "genuine" in r["chapter"]]
    if not turned:
        yield _missing("the perceptrons of the chapter on genuine invariance")
        return
    yield (
        "*Pinv* in the table below says how far each of them got. Quarter turns take every angle "
        "to within 45° of upright, so that for a network with that symmetry no angle is far. The "
        "rotation chapter's own networks were trained with the source's loss of two softmaxes, "
        "where the perceptrons have one; a random guess is right one time in eight."
    )


def _never_asked(found: Sequence[Network]) -> Iterator[str]:
    yield (
        "**What a network was never asked.** The encoders and the classifiers of photographs were "
        "trained without turned images. Their rows show what is left of a prediction that nobody "
        "asked to be invariant, and their columns of transformations which changes the data "
        "contain by themselves: photographs differ in brightness and contrast, and hardly ever "
        "stand on their head."
    )
    unasked = [n for n in found if n.chapter in UNASKED]
    if not unasked:
        yield _missing("the encoders or the classifiers of photographs")
        return
    told = [f"{n.title} {n.value('same_prediction'):.0%}" for n in unasked]
    yield f"One prediction in all four poses, share of images: {', '.join(told)}."
