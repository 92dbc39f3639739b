"""Joining results that were measured piece by piece, over seeds, with equal settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from invnb.claims import Claim
from invnb.errors import InvnbError
from invnb.measurements import summarise
from invnb.results import Result, judged


def merge(
    results: Sequence[Result],
    *,
    run: str,
    content_hash: Callable[[Mapping[str, Any]], str],
    claims: Iterable[Claim] | None = None,
) -> Result:
    """Return one result with the seeds of all, summarised and judged anew.

    Args:
        results: at least one, of the same notebook and data, all by the code that is here now, with
            parameters that are equal but for `seeds`.
        run: name of the joined run.
        content_hash: gives the hash of this notebook and code with parameters
            (`invnb.provenance.content_hash` with its first argument filled in).
        claims: to judge; those of the notebook's source if not given.

    Raises:
        InvnbError: when settings or code differ, or two pieces have different values for one seed.

    """
    first = results[0]
    for other in results[1:]:
        _check_equal_settings(first, other)
    for result in results:
        _check_code(result, content_hash)
    runs: dict[str, Any] = {}
    measurements: dict[str, Any] = {}
    for result in results:
        ids = _add_runs(runs, result["runs"])
        for name, measured in result["measurements"].items():
            renumbered = {**measured, "runs": [ids[r] for r in measured["runs"]]}
            known = measurements.get(name)
            measurements[name] = _join(name, known, renumbered) if known else renumbered
    parameters = dict(first["provenance"]["parameters"])
    if "seeds" in parameters:
        seeds = {s for r in results for s in r["provenance"]["parameters"]["seeds"]}
        parameters["seeds"] = sorted(seeds)
    return judged(
        {
            # without the pieces' verdicts: none of them is that of the whole
            **{key: value for key, value in first.items() if key != "claims"},
            "run": run,
            "status": "complete" if all(r["status"] == "complete" for r in results) else "failed",
            "error": next((r["error"] for r in results if r["error"]), None),
            "provenance": {
                **first["provenance"],
                "device": ", ".join(dict.fromkeys(str(piece["device"]) for piece in runs.values())),
                "content_hash": content_hash(parameters),
                "parameters": parameters,
            },
            "runs": runs,
            "measurements": measurements,
        },
        claims,
    )


def fullest(results: Sequence[Result]) -> int:
    """Return the index of the piece whose chapter to show: a complete one, with most seeds."""

    def rank(i: int) -> tuple[bool, int]:
        seeds = results[i]["provenance"]["parameters"].get("seeds", ())
        return results[i]["status"] == "complete", len(seeds)

    return max(range(len(results)), key=rank)


def _check_equal_settings(first: Result, other: Result) -> None:
    pair = f"runs {first['run']!r} and {other['run']!r} cannot be joined"
    if first["notebook"] != other["notebook"]:
        raise InvnbError(f"{pair}: they are of {first['notebook']} and {other['notebook']}")
    ours, theirs = (r["provenance"]["parameters"] for r in (first, other))
    for key in sorted((ours.keys() | theirs.keys()) - {"seeds"}):
        if ours.get(key) != theirs.get(key):
            raise InvnbError(f"{pair}: {key} is {ours.get(key)!r} and {theirs.get(key)!r}")
    data, data_other = (_data(r) for r in (first, other))
    if data != data_other:
        raise InvnbError(f"{pair}: data are {_named(data)} and {_named(data_other)}")


def _check_code(result: Result, content_hash: Callable[[Mapping[str, Any]], str]) -> None:
    kept = result["provenance"]
    if content_hash(kept["parameters"]) != kept["content_hash"]:
        raise InvnbError(
            f"run {result['run']!r} was made by another notebook or code than is here now: run it "
            "again, or join it where its code is checked out"
        )


def _data(result: Result) -> tuple[Any, Any]:
    """Return name and checksum of the data; where they were read from does not matter."""
    data = next(iter(result["runs"].values()))["data"] or {}
    return data.get("name"), data.get("checksum")


def _named(data: tuple[Any, Any]) -> str:
    name, checksum = data
    return f"{name or 'unknown'} (checksum {str(checksum)[:12]})"


def _add_runs(runs: dict[str, Any], more: Mapping[str, Any]) -> dict[str, str]:
    """Add runs under new ids, those that are there already excepted; return old id -> new id."""
    ids = {}
    for old, piece in more.items():
        known = next((new for new, there in runs.items() if there == piece), None)
        ids[old] = known or f"r{len(runs) + 1}"
        runs[ids[old]] = piece
    return ids


def _join(name: str, first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    for one, two in ((first, other), (other, first)):
        if one["n"] == 0 and one["seeds"] is None:  # a placeholder for what was not measured
            return dict(two)
    for key in ("unit", "steps_source", "axis"):
        if first.get(key) != other.get(key):
            raise InvnbError(f"{name}: {key} is {first.get(key)!r} and {other.get(key)!r}")
    rows = _by_seed(first)
    for seed, row in _by_seed(other).items():
        ours, theirs = rows.get(seed, row)["values"], row["values"]
        if None not in (ours, theirs) and ours != theirs:
            which = "" if seed is None else f" of seed {seed}"
            raise InvnbError(f"{name}: the value{which} is {ours!r} and {theirs!r}")
        if seed not in rows or ours is None:
            rows[seed] = row
    seeds = list(rows) if None in rows else sorted(rows)
    joined = {**first, "seeds": None if None in rows else seeds}
    for key in ("values", "steps", "runs"):
        joined[key] = None if first[key] is None else [rows[seed][key] for seed in seeds]
    unknown = None in joined["values"]
    joined["reason"] = (first["reason"] or other["reason"]) if unknown else None
    return summarise(joined)


def _by_seed(measured: Mapping[str, Any]) -> dict[int | None, dict[str, Any]]:
    """Return value, steps and run of each seed; a seedless value's seed is None."""
    columns = {key: measured[key] for key in ("values", "steps", "runs")}
    return {
        seed: {key: None if column is None else column[i] for key, column in columns.items()}
        for i, seed in enumerate(measured["seeds"] or [None])
    }
