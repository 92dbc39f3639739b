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


def test_directions_are_averaged():
    one_sided = [1.0 - 1.6 * max(x, 0) for x, _ in PAIRS]  # only a shift to the right matters
    # so that one axis costs .2 on average at most, and half of the diagonals cost .4 a half width
    assert half_shifts(PAIRS, one_sided) == pytest.approx((0.5, 0.25))
    assert half_shifts(PAIRS, [1.0 - 2 * abs(x) for x, _ in PAIRS])[1] == pytest.approx(0.25)


def test_what_is_never_reached_is_none():
    assert half_shifts(PAIRS, [0.8] * len(PAIRS)) == (None, None)
    crossed = [1.0 - 0.5 * abs(abs(x) - abs(y)) for x, y in PAIRS]  # equal shifts cancel
    one, both = half_shifts(PAIRS, crossed)
    assert one == pytest.approx(0.5)
    assert both is None
