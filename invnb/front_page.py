"""The front page's generated parts: which run it is, verdicts as bars and as a table, figures."""

import html
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from invnb.claims import NOT_RUN, PARTLY, REPRODUCED
from invnb.figures import Shown
from invnb.ledger import NOTHING, Run
from invnb.markup import BADGES, badge, by_source, chapter_titles, escape
from invnb.status_page import data_of, stale

HEADLINES = ("RG-03", "EP-09", "GI-01", "CS-08")  # what each source is best known for
EMBEDDED = "embedded"  # origin of data that stand in for the source's
WHY_NOT = {  # what a reason for `not run` contains -> what it says of the claim
    "(not in this run)": "need networks, data or tests that this run leaves out",
    "no measurement": "ask for a measurement that is newer than this run",
    "measured on": "are about other data",
    "undertrained": "need longer training",
    "settings differ": "need other settings",
    "seeds": "need more seeds",
    "no run": "wait for a run of this chapter",
    "": "are newer than this run",
}

Rows = Sequence[Mapping[str, Any]]  # of the ledger


def which_run(name: str, this: Run) -> str:
    """Return a note that says which run the book shows, chapter by chapter."""
    titles = chapter_titles()
    lines = [f":::{{admonition}} This copy shows the run `{name}`", ":class: note", ""]
    for notebook, chapter in this.items():
        if chapter["status"] != "complete":
            lines.append(f"- {notebook}: failed in this run; the reference run's chapter is shown")
            continue
        pieces = chapter["runs"].values()
        line = f"- [{titles[notebook]}](../notebooks/{notebook}.ipynb): "
        line += f"profile `{chapter['profile']}`, "
        line += escape(", ".join(sorted(set(map(data_of, pieces)))))
        if stale(notebook, chapter):
            line += "; **stale**: numbers of [older code](status.md)"
        if any((piece["data"] or {}).get("source") == EMBEDDED for piece in pieces):
            line += ". **Stand-in data: they show that the code runs, and judge no claim.**"
        lines.append(line)
    return "\n".join([*lines, ":::"])


def bars(rows: Rows, there: Collection[str]) -> str:
    """Return a bar for each chapter, divided by the verdicts of the book's run, as HTML.

    Each part leads to its claims in the ledger. Chapters that are `there` are links. Beside a bar
    stand the chapter's headline and what its numbers alone would hide.
    """
    legend = " ".join(badge(v) for v in BADGES)
    lines = [legend, "", "```{raw} html", '<div class="verdict-bars">']
    for notebook, title in chapter_titles().items():
        claims = [row for row in rows if row["notebook"] == notebook]
        name = f'<a href="../notebooks/{notebook}.html">{html.escape(title)}</a>'
        name = name if notebook in there else html.escape(title)
        source = html.escape(claims[0]["source"])
        lines += ["<div>", f"<p>{name}<br>{source}</p>", "<div>", *_bar(source, claims)]
        (headline,) = (claim for claim in claims if claim["id"] in HEADLINES)
        lines += [f'<p class="headline">{_headline(headline)}</p>']
        lines += [f'<p class="beside">{note}</p>'] if (note := _beside(claims)) else []
        lines += ["</div>", "</div>"]
    return "\n".join([*lines, "</div>", "```"])


def figures(folder: Path, shown: Iterable[Shown], rows: Rows) -> str:
    """Return cards with the figures that notebooks send to the front page, and what they show."""
    order = list(chapter_titles())
    chosen = [one for one in shown if one.figure.front and one.suffix]
    chosen.sort(key=lambda one: order.index(one.figure.notebook))
    if not chosen:
        return ""
    of = {row["id"]: row for row in rows}
    lines = ["::::{grid} 1 1 1 1", ":gutter: 3", ""]
    for one in chosen:
        figure = one.figure
        (folder / f"{figure.id}.{one.suffix}").write_bytes(one.content)
        about = [of[i] for i in figure.claims if i in of]
        about.sort(key=lambda row: (row["verdict"] == NOT_RUN, row["id"] not in HEADLINES))
        found = f"{about[0]['statement']} {about[0]['verdict'].capitalize()}." if about else ""
        lines += [f":::{{grid-item-card}} {figure.title}"]
        lines += [f":img-bottom: ../generated/{figure.id}.{one.suffix}"]
        lines += [f":img-alt: {figure.alt.rstrip('.')}. {found}".rstrip(), "", figure.front, ""]
        if about:
            row, value = about[0], _value(about[0])
            lines += [
                f"[{row['id']}](#{row['id'].lower()}) {row['statement']} {badge(row['verdict'])}"
                + (f" {escape(value)}" if value else "")
            ]
        lines += ["", f"[In its chapter](#{figure.id})", ":::", ""]
    return "\n".join([*lines, "::::"])


def verdicts(rows: Rows, this: Run) -> str:
    """Return how many claims of each source got which verdict, in the reference run and this."""
    run_column = ["run"] if this else []
    lines = ["| " + " | ".join(["source", *run_column, *map(badge, BADGES)]) + " |"]
    lines += ["|---" * (1 + len(run_column) + len(BADGES)) + "|"]
    for source, claims in by_source(rows).items():
        runs = {"reference": [c["reference_verdict"] for c in claims]}
        if made := [c["verdict"] for c in claims if c["notebook"] in this]:
            runs["this run"] = made
        for run, found in runs.items():
            counts = (str(found.count(v) or NOTHING) for v in BADGES)
            cells = [escape(source), *([run] if this else []), *counts]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _bar(source: str, claims: Rows) -> list[str]:
    """Return the parts of one source's bar, links to the ledger's claims of that verdict."""
    lines = [f'<div role="group" aria-label="Verdicts on {source}">']
    for verdict, colour in BADGES.items():
        n = sum(claim["verdict"] == verdict for claim in claims)
        if n:
            address = "ledger.html?" + urlencode({"source": source, "verdict": verdict})
            lines.append(
                f'<a class="sd-bg-{colour} sd-bg-text-{colour}" style="flex-grow: {n}" '
                f'href="{html.escape(address)}" title="{n} {verdict}" '
                f'aria-label="{n} {verdict}">{n}</a>'
            )
    return [*lines, "</div>"]


def _headline(claim: Mapping[str, Any]) -> str:
    """Return a claim with its verdict as HTML, and what limits it where the data do."""
    limited = claim["verdict"] == PARTLY and not claim["reason"].startswith("contradicted")
    return (
        f'<a href="ledger.html#{claim["id"].lower()}">{claim["id"]}</a> '
        f"{html.escape(claim['statement'])} <b>{claim['verdict']}</b>"
        + (f" ({html.escape(claim['reason'])})" if limited else "")
    )


def _value(claim: Mapping[str, Any]) -> str:
    """Return the number that a claim's verdict shown here rests on, nothing if it was not run."""
    if claim["verdict"] == NOT_RUN:
        return ""
    shown = claim["this_run"] if claim["this_run"] != NOTHING else claim["reference"]
    return "" if shown == NOTHING or "already" in shown else shown


def _beside(claims: Rows) -> str:
    """Return what a bar does not show: what cannot fail, what was judged anew, why none was run."""
    told = []
    sure = sum(c["by_construction"] and c["verdict"] == REPRODUCED for c in claims)
    if sure:
        all_of = sum(c["verdict"] == REPRODUCED for c in claims)
        told.append(f"{sure} of the {all_of} reproduced hold by construction.")
    if anew := sum(c["criterion_changed"] or c["needs_changed"] for c in claims):
        told.append(f"{anew} judged by other criteria or settings than those of the run.")
    reasons: dict[str, int] = {}
    for claim in claims:
        if claim["verdict"] == NOT_RUN:
            why = next(words for part, words in WHY_NOT.items() if part in claim["reason"])
            reasons[why] = reasons.get(why, 0) + 1
    if reasons:
        common = sorted(reasons.items(), key=lambda item: -item[1])
        counted = "; ".join(f"{n} {why}" for why, n in common)
        told.append(f"Not run: {counted}.")
    return " ".join(told)
