"""The page of the ledger: a table for each source, and the files to download."""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from invnb import naming
from invnb.claims import NOT_RUN, Claim
from invnb.ledger import NOTHING, Run, numbers
from invnb.markup import badge, by_source, chapter_titles, escape, row

VERDICTS = "verdicts"  # the heading under which a chapter has them all


def tables(rows: Sequence[Mapping[str, Any]], this: Run) -> str:
    """Return the claims of each source as a table, one row a claim, linked to as `#gi-01`.

    Args:
        rows: of the ledger, each with `shown_in`.
        this: chapters of a run to stand beside the reference run; empty for none.

    """
    head = ["claim", "published", "reference run", *(["this run"] if this else [])]
    lines = []
    for source, claims in by_source(rows).items():
        lines += [f"## {escape(source)}", "", *_names(claims[0]["notebook"])]
        lines += [":::{list-table}", ":header-rows: 1", ":class: ledger", "", *row(head)]
        for claim in claims:
            cells = [_claim(claim), _lines(claim["published"]), _outcome(claim, "reference")]
            if claim["notebook"] in this:
                cells.append(_outcome(claim, "this_run"))
            elif this:
                cells.append(NOTHING)
            lines += row(cells)
        lines += [":::", ""]
    return "\n".join(lines)


def write_files(
    folder: Path, rows: Sequence[Mapping[str, Any]], claims: Iterable[Claim], shown: Run
) -> None:
    """Write the ledger as `claims.csv` and `claims.json`: texts, and the numbers behind them.

    Args:
        folder: exists.
        rows: of the ledger.
        claims: those of the rows.
        shown: results that the rows' verdicts are of, by notebook.

    """
    of = {claim.id: claim for claim in claims}
    table = []
    for one in rows:
        plain = {key: None if value == NOTHING else value for key, value in one.items()}
        table.append(plain | numbers(of[one["id"]], shown.get(one["notebook"])))
    text = json.dumps(table, indent=1, ensure_ascii=False)
    (folder / "claims.json").write_text(text + "\n", encoding="utf-8")
    with (folder / "claims.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)


def _names(notebook: str) -> list[str]:
    """Return what names of measurements mean, behind a button; nothing where none is told."""
    if not (meanings := naming.meanings(notebook)):
        return []
    lines = [":::{dropdown} Names of measurements", ""]
    for names, meaning in meanings.items():
        lines.append(f"- {', '.join(f'`{name}`' for name in names.split(', '))}: {escape(meaning)}")
    return [*lines, ":::", ""]


def _claim(claim: Mapping[str, Any]) -> str:
    """Return what is claimed, where, and how it is judged."""
    notes = ["*By construction.*"] if claim["by_construction"] else []
    return "\n\n".join(
        [
            f"[**{claim['id']}**]{{#{claim['id']}}} {claim['statement']}",
            " ".join([f"Source: {escape(claim['source'])}, {escape(claim['place'])}.", *notes]),
            _conditions(claim["criterion"]),
            *([f"Needs: {_conditions(claim['needs'])}"] if claim["needs"] else []),
            *([_change(claim)] if claim["criterion_changed"] or claim["needs_changed"] else []),
            *_links(claim),
        ]
    )


def _conditions(text: str) -> str:
    return "\\\n".join(f"``{condition}``" for condition in text.split("; "))


def _lines(text: str) -> str:
    return "\\\n".join(map(escape, text.split("; ")))


def _change(claim: Mapping[str, Any]) -> str:
    """Return what judged a claim when the run was made, if that is another criterion than now."""
    then = claim["verdict_at_run"]
    if not then:
        return "*The criterion, or the claim, is not the one that this run was made with.*"
    if claim["criterion_at_run"] == claim["criterion"]:
        return (
            "*Judged anew: since the run, other settings or training are asked for.* Verdict at "
            f"the run: {then}."
        )
    told = f"*Judged anew: the criterion has changed since the run.* Verdict at the run: {then}, by"
    return f"{told}\\\n{_conditions(claim['criterion_at_run'])}"


def _links(claim: Mapping[str, Any]) -> list[str]:
    """Return a paragraph with links to what shows a claim, if anything does."""
    places = [address.split("/")[-1] for address in filter(None, claim["shown_in"].split("; "))]
    ids = [place.partition("#")[2] for place in places]
    if ids == [VERDICTS]:
        title = chapter_titles()[claim["notebook"]]
        return [f'Judged in <a href="../{claim["shown_in"]}">{title}</a>.']
    told = "Would be shown in" if claim["verdict"] == NOT_RUN else "Shown in"
    return [f"{told} " + ", ".join(f"[{i}](#{i})" for i in ids) + "."] if ids else []


def _outcome(claim: Mapping[str, Any], run: str) -> str:
    """Return the value, verdict and reason of a claim in the reference run or in this run."""
    prefix = "reference_" if run == "reference" else ""
    verdict, reason = claim[f"{prefix}verdict"], claim[f"{prefix}reason"]
    value = "" if claim[run] in reason else claim[run]  # which then tells it
    return "\n\n".join(filter(None, [_number(value), badge(verdict), _number(reason)]))


def _number(text: str) -> str:
    """Return a number, or a sentence with some, so that none is broken at the end of a line."""
    kept = re.sub(r"± (?=\S)|\(n = \d+\)|\[\S+ \S+\]", lambda m: m[0].replace(" ", "\u00a0"), text)
    return escape(kept)
