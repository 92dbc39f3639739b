"""Interleaved timing, and the row of the table it ends in."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

TURN = 0.01  # seconds


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what is compared with what, and on what.
        result: median of the rounds, and minimum where there are rounds.
        target: what the result should reach; empty where none is set.
        detail: the measurements that the result was made of.

    """

    what: str
    result: str
    target: str
    detail: str


def interleave(
    first: Callable[[], object], second: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Return both functions' seconds a call in each round, by turns: both meet the same machine.

    One round before, which is not counted, warms both up. A turn repeats its function for at least
    `TURN` seconds: a call of a fraction of a millisecond would pay for what the other left behind.
    """
    times: tuple[list[float], list[float]] = [], []
    for i in range(rounds + 1):
        for function, seconds in zip((first, second), times, strict=True):
            start, calls = perf_counter(), 0
            while calls == 0 or perf_counter() - start < TURN:
                function()
                calls += 1
            if i:
                seconds.append((perf_counter() - start) / calls)
    return times


def ratio(slow: list[float], fast: list[float]) -> str:
    """Return how many times as fast, round by round: median and minimum."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return f"{median(ratios):.2f} (min {min(ratios):.2f})"


def spent(seconds: list[float]) -> str:
    """Return median and minimum in words."""
    return f"{median(seconds):.3g} s (min {min(seconds):.3g} s)"
