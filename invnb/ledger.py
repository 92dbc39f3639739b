"""The claims ledger: every claim beside what was published, the reference run and this run."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from invnb import naming
from invnb.claims import NOT_REPRODUCED, NOT_RUN, PARTLY, Claim, estimate_text, load
from invnb.criteria import CONTRADICTED, Comparison, Region
from invnb.measurements import text

NOTHING = "–"
UNITLESS = ("1", "fraction")  # units that a number does not need to be read

Run = Mapping[str, Mapping[str, Any]]  # name of a notebook -> its result (`invnb.results`)


def ledger(
    reference: Run, this: Run, claims: Iterable[Claim] | None = None
) -> list[dict[str, Any]]:
    """Return one row per claim, in the order of the claims files.

    Args:
        reference: results of the reference run by notebook, empty where there is none.
        this: results of the run to show; a notebook that it lacks takes the reference run's
            verdict.
        claims: all if not given.

    Returns:
        Rows of text (and three truth values): id, notebook, source, place, statement, published,
        reference, this_run (values), verdict, reason, on, reference_verdict, reference_reason,
        criterion, needs (what is checked before a claim is judged), by_construction, and
        criterion_changed and needs_changed: whether the conditions that judge, or what training and
        settings are asked for, are not those of the run, or the claims file has others by now; then
        verdict_at_run and criterion_at_run say what was.

    """
    rows = []
    for claim in load() if claims is None else claims:
        kept, made = reference.get(claim.notebook), this.get(claim.notebook)
        shown = _judged(claim, made or kept)
        before = shown.get("at_run") or {}
        newer = "at_run" in shown or shown["criterion_hash"] != claim.criterion_hash
        now = (shown["criterion"], claim.criterion_text)
        same_text = all(text == before.get("criterion", now[1]) for text in now)
        rows.append(
            {
                "id": claim.id,
                "notebook": claim.notebook,
                "source": claim.source,
                "place": claim.place,
                "statement": claim.statement,
                "published": _published(claim),
                "reference": _value(claim, kept),
                "this_run": _value(claim, made),
                "verdict": shown["verdict"],
                "reason": _reason(claim, shown),
                "on": shown["on"] or " or ".join(claim.on),
                "reference_verdict": _judged(claim, kept)["verdict"],
                "reference_reason": _reason(claim, _judged(claim, kept)),
                "criterion": shown["criterion"],
                "needs": "; ".join(condition.text for condition in claim.trained),
                "by_construction": claim.by_construction,
                "criterion_changed": newer and not (before and same_text),
                "needs_changed": newer and bool(before) and same_text,
                "verdict_at_run": before.get("verdict", ""),
                "criterion_at_run": before.get("criterion", ""),
            }
        )
    return rows


def numbers(claim: Claim, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a claim's main condition rests on, as numbers, for those who compute with them.

    Args:
        claim: to tell about.
        result: of a run of its notebook; None where there is none.

    Returns:
        The published value, sd, n and unit; what was estimated (subject), with estimate, low, high
        (of the 95 % interval), n and unit; the run and the commits that made it. None where there
        is none.

    """
    published = claim.published or dict.fromkeys(("value", "sd", "n", "unit"))
    row = {f"published_{key}": published[key] for key in ("value", "sd", "n", "unit")}
    row |= dict.fromkeys(("subject", "estimate", "low", "high", "n", "unit", "run", "commit"))
    if result is None:
        return row
    row["run"] = result.get("run")
    row["commit"] = ", ".join(str(p["commit"]) for p in result.get("runs", {}).values()) or None
    judged, quantities = _judged(claim, result), claim.criterion[0].quantities
    if judged["conditions"]:
        main = judged["conditions"][0]
        low, high = main["ci95"] or (None, None)
        about = [result["measurements"][q.name] for q in quantities]
        row |= {"subject": main["subject"], "estimate": main["estimate"], "low": low, "high": high}
        row["n"] = min(one["n"] for one in about)
        row["unit"] = about[0]["unit"] if len(about) == 1 else None
    return row


def published_text(published: Mapping[str, Any] | None) -> str:
    """Return a published number as the source gives it, to its own digits."""
    if published is None:
        return NOTHING
    spread = "" if published["sd"] is None else f" ± {published['sd']:g}"
    n = "" if published["n"] is None else f" (n = {published['n']})"
    return f"{published['value']:g}{spread}{n}"


def _published(claim: Claim) -> str:
    """Return the published numbers with what they are of, as far as that is known, and units."""
    if several := naming.published(claim.notebook, claim.id):
        return "; ".join(f"{name} {value:g}" for name, value in several.items())
    shown = published_text(claim.published)
    if shown == NOTHING:
        return shown
    names = {q.name for condition in claim.criterion for q in condition.quantities}
    name = f"{names.pop()} " if len(names) == 1 else ""
    unit = claim.published["unit"]
    return f"{name}{shown}" + ("" if unit in UNITLESS else f", {unit}")


def _reason(claim: Claim, judged: Mapping[str, Any]) -> str:
    """Return why a verdict is not `reproduced`, in whole words."""
    reason = judged["reason"] or ""
    if judged["verdict"] == NOT_RUN and reason.startswith("no measurement "):
        name = reason.removeprefix("no measurement ").split(" ")[0]
        if any(name == str(q) for condition in claim.trained for q in condition.quantities):
            return f"whether training was enough is not known: {reason}"
    contradicted = [c for c in judged["conditions"] if c["state"] == CONTRADICTED]
    if judged["verdict"] in (PARTLY, NOT_REPRODUCED) and len(contradicted) == 1:
        ranges = {c.text: c.region for c in claim.criterion if isinstance(c, Comparison)}
        reason += _side(ranges.get(contradicted[0]["text"]), contradicted[0]["estimate"])
    return reason


def _side(region: Region | None, estimate: float | None) -> str:
    """Return on which side of a region an estimate lies, nothing where it has one end alone."""
    if region is None or estimate is None or math.inf in (-region.low, region.high):
        return ""
    return ", below the range" if estimate < region.low else ", above the range"


def _judged(claim: Claim, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the verdict that a result holds on a claim, `not run` where it holds none."""
    missing = "no run of this notebook" if result is None else "the claim is newer than the run"
    nothing = {
        "verdict": NOT_RUN,
        "reason": missing,
        "on": None,
        "criterion": claim.criterion_text,
        "criterion_hash": claim.criterion_hash,
        "conditions": [],
    }
    return nothing if result is None else result["claims"].get(claim.id, nothing)


def _value(claim: Claim, result: Mapping[str, Any] | None) -> str:
    """Return the claim's one measurement, or the estimate of its main condition."""
    if result is None:
        return NOTHING
    if len(claim.metrics) == 1:
        measured = result["measurements"].get(claim.metrics[0])
        return text(measured) if measured else NOTHING
    conditions = _judged(claim, result)["conditions"]
    return estimate_text(conditions[0]) if conditions else NOTHING
