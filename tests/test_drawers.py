"""invnb.drawers: the source's scores agree with each other, and digits that training lacks."""

import pytest

from invnb.drawers import BY_DIGIT, DRAWERS, FREE


@pytest.mark.parametrize("name", ["AE", "AAE", "AE_z128"])
def test_scores_are_those_of_the_digits(name):
    """To the last digit published."""
    drawer = DRAWERS[name]
    inside, outside = zip(*BY_DIGIT[drawer.source], strict=True)
    members = [(4,), (9,), drawer.free]
    means = [[sum(of[d] for d in m) / len(m) for m in members] for of in (inside, outside)]
    ratios = [out / into for into, out in zip(*means, strict=True)]
    assert ratios == pytest.approx(drawer.ratios, abs=0.01)
    assert means[0][2] == pytest.approx(drawer.inside, rel=0.02)


def test_digits_that_training_lacks_are_not_free():
    assert DRAWERS["AE"].free == DRAWERS["AE_half"].free == FREE
    assert DRAWERS["AE_no_6"].free == (0, 1, 2, 3, 5, 7, 8)
    assert DRAWERS["AE_no_6"].trained == (0, 1, 2, 3, 4, 5, 7, 8, 9)
