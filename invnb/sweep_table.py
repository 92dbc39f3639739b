"""All measurements of a sweep as one tidy table: a row a value."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from invnb import results, statistics
from invnb.errors import InvnbError
from invnb.parameters import nearest

OWN = ["point", "status", "measurement", "unit", "seed", "axis", "at", "value"]


@dataclass(frozen=True)
class Sweep:
    """What a sweep has measured so far.

    Attributes:
        results: name of the point -> its result.
        swept: names of the parameters that differ between points, without `seeds`.
        table: columns `OWN` and, after status, one for each swept parameter; `at` is the position
            along `axis` of a curve; seed, axis and at are missing where there is none.

    """

    results: dict[str, results.Result]
    swept: list[str]
    table: pd.DataFrame

    @property
    def complete(self) -> int:
        """How many points ran to their end."""
        return sum(result["status"] == "complete" for result in self.results.values())


def read(notebook: str, folder: Path) -> Sweep:
    """Read the results of all points in a folder.

    Raises:
        InvnbError: there are none, or one is damaged.

    """
    files = sorted(folder.glob(f"[!.]*/{notebook}.json"))
    if not files:
        raise InvnbError(f"there are no points of {notebook} in {folder}: run the sweep first")
    found = {file.parent.name: results.read(file) for file in files}
    parameters = {name: _parameters(result) for name, result in found.items()}
    names = list(dict.fromkeys(key for values in parameters.values() for key in values))
    swept = [
        key
        for key in names
        if key != "seeds" and len({_text(v.get(key)) for v in parameters.values()}) > 1
    ]
    lines = [
        {"point": name, "status": result["status"]}
        | {key: _cell(parameters[name].get(key)) for key in swept}
        | row
        for name, result in found.items()
        for row in _rows(result["measurements"])
    ]
    return Sweep(found, swept, pd.DataFrame(lines, columns=[*OWN[:2], *swept, *OWN[2:]]))


def over_seeds(sweep: Sweep, measurement: str) -> pd.DataFrame:
    """Return mean and 95 % interval of a measurement, over the seeds of equal swept parameters.

    Columns: the swept parameters, mean, low, high, n; low and high are missing where n is 1.

    Raises:
        InvnbError: no point has this measurement, or a number for it, or it is a curve.

    """
    of = sweep.table[sweep.table.measurement == measurement]
    if of.empty:
        known = sorted(sweep.table.measurement.unique())
        raise InvnbError(f"no point measured {measurement!r}{nearest(measurement, known)}")
    if of["axis"].notna().any():
        raise InvnbError(f"{measurement} is a curve: the table has its values, a plot needs one")
    of = of[of.value.notna()]
    if of.empty:
        raise InvnbError(f"no point has a number for {measurement!r}: all give a reason instead")
    # A seed counts once, also where two points have it; what belongs to no seed counts each time.
    of = of[of.seed.isna() | ~of.duplicated([*sweep.swept, "seed"])]
    groups = of.groupby(sweep.swept, sort=False, dropna=False) if sweep.swept else [((), of)]
    lines = []
    for key, group in groups:
        estimate = statistics.student(group.value.tolist())
        lines.append(
            dict(zip(sweep.swept, key, strict=True))
            | {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": len(group)}
        )
    return pd.DataFrame(lines, columns=[*sweep.swept, "mean", "low", "high", "n"])


def scalars(sweep: Sweep) -> list[str]:
    """Return the names of the measurements that are numbers, not curves, at one point or more."""
    numbers = sweep.table["axis"].isna() & sweep.table.value.notna()
    return sorted(sweep.table[numbers].measurement.unique())


def _rows(measurements: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, measured in measurements.items():
        seeds = measured["seeds"] or [None] * len(measured["values"])
        axis = measured.get("axis")
        for seed, value in zip(seeds, measured["values"], strict=True):
            row = {"measurement": name, "unit": measured["unit"], "seed": seed}
            if axis is None:
                yield row | {"value": value}
            elif value is not None:
                for at, height in zip(axis["values"], value, strict=True):
                    yield row | {"axis": axis["name"], "at": str(at), "value": height}


def _parameters(result: results.Result) -> dict[str, Any]:
    return result["provenance"]["parameters"]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _cell(value: Any) -> Any:
    """Return a parameter's value as a cell can hold it: lists as text."""
    return _text(value) if isinstance(value, list) else value
