"""The claims ledger: every claim beside what was published, the reference run and this run."""

from collections.abc import Iterable, Mapping
from typing import Any

from invnb.claims import NOT_RUN, Claim, estimate_text, load
from invnb.measurements import text

NOTHING = "–"

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
        Rows of text (and two truth values): id, notebook, source, place, statement, published,
        reference, this_run (values), verdict, reason, on, reference_verdict, reference_reason,
        criterion, by_construction, and criterion_changed: whether the verdict shown is by another
        criterion than the claims file has now (then `criterion` is the one it is by).

    """
    rows = []
    for claim in load() if claims is None else claims:
        kept, made = reference.get(claim.notebook), this.get(claim.notebook)
        shown = _judged(claim, made or kept)
        rows.append(
            {
                "id": claim.id,
                "notebook": claim.notebook,
                "source": claim.source,
                "place": claim.place,
                "statement": claim.statement,
                "published": published_text(claim.published),
                "reference": _value(claim, kept),
                "this_run": _value(claim, made),
                "verdict": shown["verdict"],
                "reason": shown["reason"] or "",
                "on": shown["on"] or " or ".join(claim.on),
                "reference_verdict": _judged(claim, kept)["verdict"],
                "reference_reason": _judged(claim, kept)["reason"] or "",
                "criterion": shown["criterion"],
                "by_construction": claim.by_construction,
                "criterion_changed": shown["criterion_hash"] != claim.criterion_hash,
            }
        )
    return rows


def published_text(published: Mapping[str, Any] | None) -> str:
    """Return a published number as the source gives it, to its own digits."""
    if published is None:
        return NOTHING
    spread = "" if published["sd"] is None else f" ± {published['sd']:g}"
    n = "" if published["n"] is None else f" (n = {published['n']})"
    return f"{published['value']:g}{spread}{n}"


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
