"""Interleaved timing, and the row of the table it ends in."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter


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
    """Return the seconds of both in each round, taking turns so that both meet the same machine.

    One round before, which is not counted, warms both up.
    """
    times: tuple[list[float], list[float]] = [], []
    for i in range(rounds + 1):
        for function, seconds in zip((first, second), times, strict=True):
            start = perf_counter()
            function()
            if i:
                seconds.append(perf_counter() - start)
    return times


def ratio(slow: list[float], fast: list[float]) -> str:
    """Return how many times as fast, round by round: median and minimum."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return f"{median(ratios):.2f} (min {min(ratios):.2f})"


def spent(seconds: list[float]) -> str:
    """Return median and minimum in words."""
    return f"{median(seconds):.3g} s (min {min(seconds):.3g} s)"
