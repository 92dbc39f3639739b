"""invnb.screening_curves: shifts that halve accuracy. The curves are tested with the screening."""

from itertools import product

import pytest

from invnb.screening_curves import half_shifts

GRID = [round(0.1 * i, 6) for i in range(-5, 6)]
PAIRS = list(product(GRID, GRID))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (lambda x, y: abs(x) + abs(y), 0.5),  # shifts add up
        (lambda x, y: (x * x + y * y) ** 0.5, 0.5**0.5),  # their distance counts
        (lambda x, y: max(abs(x), abs(y)), 1.0),  # the larger counts
    ],
)
def test_both_shifts_at_once(size, expected):
    accuracy = [0.8 * (1 - size(x, y)) for x, y in PAIRS]
    one, both = half_shifts(PAIRS, accuracy)
    assert one == pytest.approx(0.5)
    assert both / one == pytest.approx(expected)


def test_directions_are_averaged_and_what_is_never_halved_is_none():
    one_sided = [1.0 - 1.6 * max(x, 0) for x, _ in PAIRS]  # only a shift to the right matters
    one, both = half_shifts(PAIRS, one_sided)
    assert one is None  # the mean over four directions falls to .8 at .5 widths
    assert both is None
    assert half_shifts(PAIRS, [1.0 - 2 * abs(x) for x, _ in PAIRS])[1] == pytest.approx(0.25)
