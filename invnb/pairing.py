"""Measurements of two networks, paired over the seeds that they have in common."""

from collections.abc import Mapping
from typing import Any

from invnb.measurements import measurement

Measured = Mapping[str, Any] | None  # as in `invnb.measurements`


def on_common_seeds(among: Mapping[str, Measured], *names: str) -> list[Measured]:
    """Return measurements with the seeds alone that all have of them that were made.

    Args:
        among: measurements by name.
        names: of numbers, not curves, one for each seed.

    Returns:
        One for each name; None where it was not made, or no seed is common.

    """
    found = {
        name: {s: v for s, v in zip(one["seeds"], one["values"], strict=True) if v is not None}
        for name in names
        if (one := among.get(name)) and one["n"]
    }
    seeds = sorted(set.intersection(*map(set, found.values()))) if found else []
    return [
        measurement(name, [found[name][s] for s in seeds], unit=among[name]["unit"], seeds=seeds)
        if seeds and name in found
        else None
        for name in names
    ]


def difference(among: Mapping[str, Measured], one: str, other: str) -> Measured:
    """Return a measurement minus another, seed by seed; None where they have no seed in common."""
    first, second = on_common_seeds(among, one, other)
    if not (first and second):
        return None
    values = [a - b for a, b in zip(first["values"], second["values"], strict=True)]
    return measurement("difference", values, unit=first["unit"], seeds=first["seeds"])
