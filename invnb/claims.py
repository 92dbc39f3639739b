"""The claims ledger's core: claims (read by `load`) judged by measurements.

A verdict is about the source's settings: where a run used others, or less of something, a claim is
`not run`, with the first reason that applies of: a measurement is missing, other data, too few
training steps, other settings, too few seeds. A claim may name what trained networks must reach;
then that counts in place of the steps. Otherwise its conditions decide:

| main condition (the first) | the others                        | verdict        |
|----------------------------|-----------------------------------|----------------|
| contradicted               | any                               | not reproduced |
| undecided                  | any                               | inconclusive   |
| holds                      | one contradicted                  | partly         |
| holds                      | one undecided, none contradicted  | inconclusive   |
| holds                      | all hold                          | reproduced     |

On data that can only support it in part, a claim that is reproduced is `partly`.

An undecided main condition outweighs a contradicted one beside it, because `partly` and `not
reproduced` both assert something about the main condition.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from invnb.claimfile import Claim, load
from invnb.criteria import CONTRADICTED, HOLDS, UNDECIDED, Condition
from invnb.expressions import Columns, Quantity
from invnb.measurements import number

__all__ = ["VERDICTS", "Claim", "estimate_text", "fits", "judge", "load", "verdict"]

REPRODUCED, PARTLY, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN = VERDICTS = (
    "reproduced",
    "partly",
    "not reproduced",
    "inconclusive",
    "not run",
)

Measurements = Mapping[str, Mapping[str, Any]]  # see `invnb.measurements`


def judge(
    claims: Iterable[Claim],
    measurements: Measurements,
    parameters: Mapping[str, Any],
    data_name: str | None,
) -> dict[str, dict[str, Any]]:
    """Return the verdict on each claim by its id.

    Args:
        claims: to judge.
        measurements: by name.
        parameters: of the run that measured them.
        data_name: of the data they were measured on; None where it is not known.

    Returns:
        For each id: verdict, reason (None when reproduced), published, measured (summary of each
        measurement), criterion (one line), criterion_hash, on, by_construction, and conditions,
        each with text, state, subject, estimate, ci95 and reason; no conditions when not run.

    """
    return {c.id: _judge(c, measurements, parameters, data_name) for c in claims}


def verdict(states: Sequence[str]) -> str:
    """Return what the states of a criterion's conditions, the main one first, amount to."""
    main, *others = states
    if main == CONTRADICTED:
        return NOT_REPRODUCED
    if main == HOLDS and CONTRADICTED in others:
        return PARTLY
    return INCONCLUSIVE if UNDECIDED in states else REPRODUCED


def _judge(
    claim: Claim,
    measurements: Measurements,
    parameters: Mapping[str, Any],
    data_name: str | None,
) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = []
    reason = _not_run(claim, measurements, parameters, data_name)
    if reason is None:
        conditions = [_outcome(c, claim, measurements) for c in claim.criterion]
    found = NOT_RUN if reason else verdict([c["state"] for c in conditions])
    if found == REPRODUCED and data_name in claim.partly_on:
        found, reason = PARTLY, claim.partly_on[data_name]
    decisive = {NOT_REPRODUCED: CONTRADICTED, PARTLY: CONTRADICTED, INCONCLUSIVE: UNDECIDED}
    if found in decisive and reason is None:
        reason = "; ".join(_explained(c) for c in conditions if c["state"] == decisive[found])
    return {
        "verdict": found,
        "reason": reason,
        "published": claim.published and dict(claim.published),
        "measured": {
            name: {key: measurements[name][key] for key in ("mean", "sd", "ci95", "n", "unit")}
            for name in claim.metrics
            if name in measurements
        },
        "criterion": claim.criterion_text,
        "criterion_hash": claim.criterion_hash,
        "on": data_name,
        "by_construction": claim.by_construction,
        "conditions": conditions,
    }


def _not_run(
    claim: Claim,
    measurements: Measurements,
    parameters: Mapping[str, Any],
    data_name: str | None,
) -> str | None:
    """Return why a claim cannot be judged, None where it can."""
    quantities = [q for c in (*claim.criterion, *claim.trained) for q in c.quantities]
    for quantity in quantities:
        if not _has(quantity, measurements):
            why = measurements.get(quantity.name, {}).get("reason")
            return f"no measurement {quantity}" + (f" ({why})" if why else "")
    if data_name not in claim.on:
        return f"measured on {data_name or 'unknown data'}, source {' or '.join(claim.on)}"
    if short := _undertrained(claim, measurements):
        return f"undertrained, {short}"
    different = [
        f"{key} {parameters.get(key, 'unknown')}, needed {_words(wanted)}"
        for key, wanted in claim.settings.items()
        if key not in parameters or not fits(parameters[key], wanted)
    ]
    if different:
        return f"settings differ ({'; '.join(different)})"
    least = min(_count(_columns(c.quantities, measurements)) for c in claim.criterion)
    if least < claim.seeds:
        return "; ".join([f"{least} of {claim.seeds} seeds", *_gaps(claim, measurements)])
    return None


def fits(value: Any, wanted: Any) -> bool:
    """Return whether a parameter has the value that a claim needs, or enough of it."""
    return value >= wanted["at_least"] if isinstance(wanted, Mapping) else value == wanted


def _words(wanted: Any) -> str:
    return f"at least {wanted['at_least']}" if isinstance(wanted, Mapping) else str(wanted)


def _undertrained(claim: Claim, measurements: Measurements) -> str | None:
    """Return what a claim's networks are short of, None where they are trained enough."""
    short = [
        f"{min(done)} of {measurements[name]['steps_source']} steps"
        for name in claim.metrics
        if (done := measurements[name]["steps"]) and min(done) < measurements[name]["steps_source"]
    ]
    if not claim.trained:
        return short[0] if short else None
    for condition in claim.trained:
        estimate = condition.judge(_columns(condition.quantities, measurements), None).estimate
        if estimate.mean is None or not condition.region.holds(estimate.mean):
            found = "unknown" if estimate.mean is None else number(estimate.mean)
            return f"{condition.text} needed, mean {found}" + "".join(f" ({s})" for s in short[:1])
    return None


def _has(quantity: Quantity, measurements: Measurements) -> bool:
    measured = measurements.get(quantity.name)
    if measured is None or not measured["n"] or ("axis" in measured) != (quantity.at is not None):
        return False
    return quantity.at is None or _position(measured, quantity.at) is not None


def _position(curve: Mapping[str, Any], at: float) -> int | None:
    near = (i for i, x in enumerate(curve["axis"]["values"]) if math.isclose(x, at, abs_tol=1e-12))
    return next(near, None)


def _columns(quantities: Iterable[Quantity], measurements: Measurements) -> Columns:
    """Return the values of all quantities over the seeds that all have; seedless ones repeat."""
    by_seed, seedless = {}, {}
    for quantity in quantities:
        measured = measurements[quantity.name]
        i = None if quantity.at is None else _position(measured, quantity.at)
        values = [v if i is None or v is None else v[i] for v in measured["values"]]
        if measured["seeds"] is None:
            seedless[quantity] = values[0]
        else:
            pairs = zip(measured["seeds"], values, strict=True)
            by_seed[quantity] = {seed: v for seed, v in pairs if v is not None}
    seeds = sorted(set.intersection(*map(set, by_seed.values()))) if by_seed else [None]
    if None in seedless.values():
        seeds = []
    return {q: np.array([column[s] for s in seeds]) for q, column in by_seed.items()} | {
        q: np.full(len(seeds), v) for q, v in seedless.items()
    }


def _count(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _gaps(claim: Claim, measurements: Measurements) -> list[str]:
    """Return the reasons for values that are missing in a claim's measurements."""
    gaps = [name for name in claim.metrics if None in measurements[name]["values"]]
    return [f"{name}: {measurements[name]['reason']}" for name in gaps]


def _outcome(condition: Condition, claim: Claim, measurements: Measurements) -> dict[str, Any]:
    columns = _columns(condition.quantities, measurements)
    state, subject, estimate = condition.judge(columns, claim.published)
    return {
        "text": condition.text,
        "state": state,
        "subject": subject,
        "estimate": estimate.mean,
        "ci95": estimate.ci95,
        "reason": estimate.reason,
    }


def _explained(outcome: Mapping[str, Any]) -> str:
    return f"{outcome['state']}: {outcome['text']}, with {estimate_text(outcome)}"


def estimate_text(outcome: Mapping[str, Any]) -> str:
    """Return the estimate of one condition of a verdict, `subject = mean [low, high]`."""
    if outcome["estimate"] is None:
        return f"{outcome['subject']} unknown ({outcome['reason']})"
    if outcome["ci95"] is None:
        return f"{outcome['subject']} = {number(outcome['estimate'])} ({outcome['reason']})"
    low, high = outcome["ci95"]
    shown = [number(x, (high - low) / 2) for x in (outcome["estimate"], low, high)]
    return "{} = {} [{}, {}]".format(outcome["subject"], *shown)
