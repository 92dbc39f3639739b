"""What a measurement is: one value (or one curve) per seed, and its summary over seeds.

A measurement is a plain dictionary, the same in a notebook's kernel, in the executed notebook and
in a result's JSON:

    {"seeds": [0, 1], "values": [0.941, 0.944], "runs": ["r1", "r1"], "steps": [6000, 6000],
     "steps_source": 6000, "unit": "fraction", "reason": None,
     "n": 2, "mean": 0.9425, "sd": 0.0021, "ci95": [0.923, 0.962]}

A curve has an `axis` {"name", "values"} too; its values are lists along it, and so are mean, sd
and ci95. Null stands for what is not known, with the reason.
"""

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from invnb import statistics
from invnb.errors import InvnbError

ABSENT = "not in this run"  # the reason of what was not measured at all
NAME = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", re.ASCII)


def measurement(
    name: str,
    values: Any,
    *,
    unit: str,
    seeds: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
    steps_source: int | None = None,
    axis: Mapping[str, Any] | None = None,
    reason: str | None = None,
    runs: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return a checked measurement with its summary.

    Args:
        name: words joined by dots, such as `R4.DA.accuracy`; claims refer to it.
        values: one number per seed, or with `axis` one list of numbers per seed; a bare number is
            one value; None where a seed has no value, with `reason`. Arrays and tensors will do.
        unit: such as `fraction`, `nats`, `pixels`; `1` for a pure number.
        seeds: distinct integers, one per value; None for a value that belongs to no seed.
        steps: optimiser steps done, one per value.
        steps_source: optimiser steps of the source, for all values.
        axis: `{"name": ..., "values": [...]}` of a curve.
        reason: why a value is None.
        runs: the run of each value, in the result that it belongs to; all `r1` if not given.

    Raises:
        InvnbError: naming the measurement and what does not fit.

    """
    _check(
        NAME.fullmatch(name) and not any(map(keyword.iskeyword, name.split("."))),
        f"measurement name {name!r} must be words of letters, digits and _ joined by dots, "
        "such as 'R4.DA.accuracy'",
    )
    _check(isinstance(unit, str) and unit, f"{name}: unit {unit!r} must be text; '1' for none")
    rows = _plain(values)
    rows = rows if isinstance(rows, list) else [rows]
    _check(rows, f"{name}: there are no values")
    out: dict[str, Any] = {"unit": unit, "reason": reason}
    if axis is None:
        out["values"] = [_number(name, v) for v in rows]
    else:
        out["axis"] = _axis(name, axis)
        out["values"] = [_curve(name, row, len(out["axis"]["values"])) for row in rows]
    _check(
        reason or None not in out["values"], f"{name}: a value is None, so a reason must be given"
    )
    for label, column in (("seeds", seeds), ("steps", steps), ("runs", runs)):
        out[label] = None if column is None else _plain(column)
        _check(
            column is None or len(out[label]) == len(rows),
            f"{name}: {len(rows)} value(s) but {len(out[label] or [])} {label}",
        )
    _check(seeds is None or len(set(out["seeds"])) == len(rows), f"{name}: seeds repeat: {seeds}")
    _check(seeds is not None or len(rows) == 1, f"{name}: {len(rows)} values need seeds")
    _check(
        steps is None or steps_source is not None,
        f"{name}: steps are given, so steps_source must be, too",
    )
    out["steps_source"] = steps_source
    out["runs"] = out["runs"] or ["r1"] * len(rows)
    return summarise(out)


def summarise(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the measurement with n, mean, sd and ci95 computed from its values.

    A curve is summarised at each point of its axis. Where there is one value, sd and ci95 are
    None and `reason` says so; where there is none, the mean is None as well.
    """
    known = [v for v in measured["values"] if v is not None]
    out = {**measured, "n": len(known), "mean": None, "sd": None, "ci95": None}
    if len(known) == 1 and not out["reason"]:
        out["reason"] = statistics.ONE_VALUE
    if known and "axis" in measured:
        points = [_summary(column) for column in zip(*known, strict=True)]
        out["mean"] = [p["mean"] for p in points]
        if len(known) > 1:
            out |= {key: [p[key] for p in points] for key in ("sd", "ci95")}
    elif known:
        out |= _summary(known)
    return out


def text(measured: Mapping[str, Any]) -> str:
    """Return a measurement for prose: mean ± standard deviation and n; a dash for none."""
    if measured["n"] == 0:
        return "–" if measured["reason"] == ABSENT else f"– ({measured['reason']})"
    n = "" if measured["seeds"] is None else f" (n = {measured['n']})"
    if "axis" in measured:
        return f"{len(measured['mean'])} values along {measured['axis']['name']}{n}"
    mean, sd = measured["mean"], measured["sd"]
    return f"{number(mean, sd)} ± {number(sd, sd)}{n}" if sd is not None else number(mean) + n


def number(value: float, spread: float | None = None) -> str:
    """Return `value` to two digits of its `spread`, or to three of its own, at most 4 decimals.

    A whole number without spread is written as one: a count, say. What is tiny or huge is written
    with an exponent. What would be rounded to nothing keeps one digit and thereby its sign, as far
    as the sixth decimal.
    """
    scale = spread or abs(value)
    if not 1e-4 <= max(scale, abs(value)) < 1e6 and scale:
        return f"{value:.1e}"
    if not spread and float(value).is_integer():
        return f"{value:.0f}"
    decimals = min(max((1 if spread else 2) - math.floor(math.log10(scale)), 0), 4)
    if value and not round(value, decimals):
        decimals = -math.floor(math.log10(abs(value)))
        return f"{value:.{decimals}f}" if decimals <= 6 else "0"
    return f"{value:.{decimals}f}"


def _summary(values: Sequence[float]) -> dict[str, Any]:
    estimate = statistics.student(values)
    return {"mean": estimate.mean, "sd": statistics.sd(values), "ci95": estimate.ci95}


def _check(condition: object, message: str) -> None:
    if not condition:
        raise InvnbError(message)


def _plain(values: Any) -> Any:
    """Return an array's or tensor's content as lists, other sequences as a list."""
    if hasattr(values, "tolist"):
        return values.tolist()
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else values


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    value = _plain(value)
    _check(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
        f"{name}: value {value!r} must be a finite number, or None with a reason",
    )
    return float(value)


def _curve(name: str, row: Any, length: int) -> list[float] | None:
    if row is None:
        return None
    row = _plain(row)
    _check(
        isinstance(row, list) and len(row) == length and None not in row,
        f"{name}: each seed needs {length} numbers, one per axis value, got {row!r}",
    )
    return [_number(name, v) for v in row]


def _axis(name: str, axis: Mapping[str, Any]) -> dict[str, Any]:
    _check(
        set(axis) == {"name", "values"} and isinstance(axis["name"], str),
        f"{name}: axis must be {{'name': text, 'values': [numbers]}}, got {axis!r}",
    )
    return {"name": axis["name"], "values": [_number(name, v) for v in _plain(axis["values"])]}
