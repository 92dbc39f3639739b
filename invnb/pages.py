"""The generated parts of the book: which run it shows, claims ledger, count of verdicts, status.

Each is a table in MyST Markdown that a page of `book/` includes, so that prose stays prose.
"""

import csv
import html
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from invnb import across_page, paths, provenance
from invnb.figures import Shown
from invnb.ledger import NOTHING, Run, ledger

BADGES = {
    "reproduced": "success",
    "partly": "warning",
    "not reproduced": "danger",
    "inconclusive": "info",
    "not run": "muted-line",
}
HEADLINES = ("RG-03", "EP-09", "GI-01", "CS-08")  # what each source is best known for
SWEEP_PAGE = Path("report") / "page.md"  # of a sweep, in its folder
REFERENCE = "reference"  # name of the run that is kept with the code
EMBEDDED = "embedded"  # origin of data that stand in for the source's
SPECIAL = re.compile(r"([\\`*_{}\[\]<>$|#])")


def write(folder: Path, name: str, reference: Run, this: Run, shown: Sequence[Shown] = ()) -> None:
    """Write the parts for the run `name` into `folder`.

    Args:
        folder: made by this function.
        name: name of the run that the book shows.
        reference: chapters of the reference run, empty where there is none.
        this: chapters of the run `name`.
        shown: figures and tables that the book's chapters have.

    """
    folder.mkdir(parents=True)
    rows = ledger(reference, this)
    for row in rows:
        of = [s.figure for s in shown if row["id"] in s.figure.claims]
        row["shown_in"] = "; ".join(f"notebooks/{f.notebook}.html#{f.id}" for f in of)
    beside = {} if name == REFERENCE else this  # a column would only repeat the reference run's
    parts = {
        "run.md": _which_run(name, this),
        "bars.md": _bars(rows, {*reference, *this}),
        "front.md": _front(folder, shown),
        "verdicts.md": _verdicts(rows, beside),
        "ledger.md": _ledger(rows, beside),
        "status.md": _status(name, reference, this),
        "expected.md": _expected(reference, rows),
        "claims.json": json.dumps(rows, indent=1, ensure_ascii=False),
    }
    for file, text in parts.items():
        (folder / file).write_text(text + "\n", encoding="utf-8")
    with (folder / "claims.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    across_page.write(folder, reference, this)


def escape(text: object) -> str:
    """Return `text` as Markdown that shows it letter by letter, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _which_run(name: str, this: Run) -> str:
    """Return a note that says which run the book shows, chapter by chapter."""
    lines = [f":::{{admonition}} This copy shows the run `{name}`", ":class: note", ""]
    for notebook, chapter in this.items():
        if chapter["status"] != "complete":
            lines.append(f"- {notebook}: failed in this run; the reference run's chapter is shown")
            continue
        data = [piece["data"] or {} for piece in chapter["runs"].values()]
        line = f"- [](../notebooks/{notebook}.ipynb): profile `{chapter['profile']}`, "
        line += escape(", ".join(sorted({_data(d) for d in data})))
        if any(d.get("source") == EMBEDDED for d in data):
            line += ". **Stand-in data: they show that the code runs, and judge no claim.**"
        lines.append(line)
    return "\n".join([*lines, ":::"])


def badge(verdict: str) -> str:
    """Return `verdict` as a coloured word."""
    return f"{{bdg-{BADGES[verdict]}}}`{verdict}`"


def _by_source(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    sources: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        sources.setdefault(row["source"], []).append(row)
    return sources


def chapter_titles() -> dict[str, str]:
    """Return the chapters' titles by notebook, in the order of the contents."""
    toc = yaml.safe_load((paths.BOOK / "_toc.yml").read_text(encoding="utf-8"))
    pages = [page for part in toc["parts"] for page in part["chapters"]]
    return {
        page["file"].removeprefix("notebooks/"): page["title"]
        for page in pages
        if page["file"].startswith("notebooks/")
    }


def _bars(rows: Sequence[Mapping[str, Any]], there: Collection[str]) -> str:
    """Return a bar for each chapter, divided by the verdicts of the book's run, as HTML.

    Chapters that are `there` are links. Below a bar stands the chapter's headline.
    """
    legend = " ".join(badge(v) for v in BADGES)
    lines = [legend, "", "```{raw} html", '<div class="verdict-bars">']
    for notebook, title in chapter_titles().items():
        claims = [row for row in rows if row["notebook"] == notebook]
        counts = {v: sum(c["verdict"] == v for c in claims) for v in BADGES}
        words = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
        name = f'<a href="../notebooks/{notebook}.html">{html.escape(title)}</a>'
        name = name if notebook in there else html.escape(title)
        lines.append(f"<p>{name}, {html.escape(claims[0]['source'])}</p>")
        lines.append(f'<div role="img" aria-label="{words}">')
        lines += [
            f'<span class="sd-bg-{BADGES[v]} sd-bg-text-{BADGES[v]}" style="flex-grow: {n}" '
            f'title="{n} {v}">{n}</span>'
            for v, n in counts.items()
            if n
        ]
        lines.append("</div>")
        (headline,) = (claim for claim in claims if claim["id"] in HEADLINES)
        lines.append(
            f'<p class="headline"><a href="ledger.html#{headline["id"].lower()}">{headline["id"]}'
            f"</a> {html.escape(headline['statement'])} <b>{headline['verdict']}</b></p>"
        )
    return "\n".join([*lines, "</div>", "```"])


def _front(folder: Path, shown: Iterable[Shown]) -> str:
    """Return cards with the figures that notebooks send to the front page."""
    order = list(chapter_titles())
    chosen = [one for one in shown if one.figure.front and one.suffix]
    chosen.sort(key=lambda one: order.index(one.figure.notebook))
    if not chosen:
        return ""
    lines = ["::::{grid} 1 1 2 2", ":gutter: 3", ""]
    for one in chosen:
        figure = one.figure
        (folder / f"{figure.id}.{one.suffix}").write_bytes(one.content)
        lines += [f":::{{grid-item-card}} {figure.title}", ":link-type: url"]
        lines += [f":link: ../notebooks/{figure.notebook}.html#{figure.id}"]
        lines += [f":img-bottom: ../generated/{figure.id}.{one.suffix}", f":img-alt: {figure.alt}"]
        lines += ["", figure.front, ":::", ""]
    return "\n".join([*lines, "::::"])


def _verdicts(rows: Sequence[Mapping[str, Any]], this: Run) -> str:
    """Return how many claims of each source got which verdict, in the reference run and this."""
    lines = ["| source | run | " + " | ".join(badge(v) for v in BADGES) + " |"]
    lines += ["|---" * (2 + len(BADGES)) + "|"]
    for source, claims in _by_source(rows).items():
        runs = {"reference": [c["reference_verdict"] for c in claims]}
        if made := [c["verdict"] for c in claims if c["notebook"] in this]:
            runs["this run"] = made
        for run, verdicts in runs.items():
            counts = (str(verdicts.count(v) or NOTHING) for v in BADGES)
            lines.append(f"| {escape(source)} | {run} | " + " | ".join(counts) + " |")
    return "\n".join(lines)


def _ledger(rows: Sequence[Mapping[str, Any]], this: Run) -> str:
    """Return the claims of each source as a table, one row a claim, linked to as `#gi-01`."""
    head = ["claim", "published", "reference run", *(["this run"] if this else [])]
    lines = []
    for source, claims in _by_source(rows).items():
        lines += [f"## {escape(source)}", "", ":::{list-table}", ":header-rows: 1"]
        lines += [":class: ledger", "", *_row(head)]
        for claim in claims:
            cells = [_claim(claim), escape(claim["published"]), _outcome(claim, "reference")]
            if claim["notebook"] in this:
                cells.append(_outcome(claim, "this_run"))
            elif this:
                cells.append(NOTHING)
            lines += _row(cells)
        lines += [":::", ""]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> list[str]:
    """Return a row of a list-table; a cell of several paragraphs keeps them."""
    indented = [cell.replace("\n", "\n    ") for cell in cells]
    return [f"{'  ' if i else '* '}- {cell}" for i, cell in enumerate(indented)]


def _claim(claim: Mapping[str, Any]) -> str:
    """Return what is claimed, where, and how it is judged."""
    notes = ["*By construction.*"] if claim["by_construction"] else []
    notes += ["*The criterion has changed since this run.*"] if claim["criterion_changed"] else []
    return "\n\n".join(
        [
            f"[**{claim['id']}**]{{#{claim['id']}}} {claim['statement']}",
            " ".join([f"Source: {escape(claim['place'])}.", *notes]),
            "\\\n".join(f"``{c}``" for c in claim["criterion"].split("; ")),
            *_links(claim["shown_in"]),
        ]
    )


def _links(shown_in: str) -> list[str]:
    """Return a paragraph with links to the figures and tables that show a claim, if any do."""
    ids = [address.partition("#")[2] for address in filter(None, shown_in.split("; "))]
    return ["Shown in " + ", ".join(f"[{i}](#{i})" for i in ids) + "."] if ids else []


def _outcome(claim: Mapping[str, Any], run: str) -> str:
    """Return the value, verdict and reason of a claim in the reference run or in this run."""
    prefix = "reference_" if run == "reference" else ""
    verdict, reason = claim[f"{prefix}verdict"], claim[f"{prefix}reason"]
    return "\n\n".join(filter(None, [escape(claim[run]), badge(verdict), escape(reason)]))


def _status(name: str, reference: Run, this: Run) -> str:
    """Return, for each chapter of the book, where its numbers came from."""
    lines = []
    for notebook, title in chapter_titles().items():
        if not (shown := this.get(notebook) or reference.get(notebook)):
            continue
        lines += [f"## {title}", ""]
        if shown["status"] != "complete":
            lines += [f"Run `{name}` failed {_failure(shown['error'])}", ""]
            shown = reference.get(notebook)
        if shown:
            lines += _origin(notebook, shown)
    return "\n".join(lines)


def _failure(error: Mapping[str, Any]) -> str:
    """Return where and why a notebook stopped."""
    where = (
        f"in code cell {error['cell']} (``{error['source']}``)"
        if error["cell"]
        else "before its first cell"
    )
    return f"{where}: {escape(error['message'])}"


def _origin(notebook: str, chapter: Mapping[str, Any]) -> list[str]:
    """Return tables of a chapter's settings, and of the pieces that its numbers came from."""
    kept, pieces = chapter["provenance"], chapter["runs"].values()
    packages = sorted({p for piece in pieces for p in piece["packages"].items()})
    facts = {
        "run": f"`{chapter['run']}`",
        "profile": f"`{chapter['profile']}`",
        "state": "**stale**: the code has changed since" if stale(notebook, chapter) else "current",
        "parameters": ", ".join(f"`{k} = {v!r}`" for k, v in kept["parameters"].items()),
        "packages": escape(", ".join(f"{package} {version}" for package, version in packages)),
        "content hash": f"`{kept['content_hash'][:12]}`",
    }
    lines = [":::{list-table}", ":stub-columns: 1", ""]
    lines += [line for fact in facts.items() for line in _row(fact)]
    lines += [
        ":::",
        "",
        "| started | minutes | peak memory | data | device | commit |",
        "|---" * 6 + "|",
    ]
    for piece in pieces:
        cells = [piece["started"][:16].replace("T", " "), *_cost(piece)]
        cells += [_data(piece["data"] or {}), piece["device"], piece["commit"] or "unknown"]
        lines.append("| " + " | ".join(map(escape, cells)) + " |")
    return [*lines, ""]


def _cost(piece: Mapping[str, Any]) -> list[str]:
    """Return how many minutes a piece of a run took, and the most memory it held."""
    memory = piece.get("memory")
    return [f"{piece['seconds'] / 60:.1f}", f"{memory / 1e9:.1f} GB" if memory else NOTHING]


def _expected(reference: Run, rows: Iterable[Mapping[str, Any]]) -> str:
    """Return what the reference run took, and the numbers that its verdicts rest on."""
    lines = ["| chapter | profile | device | minutes | peak memory |", "|---" * 5 + "|"]
    for notebook, chapter in reference.items():
        for piece in chapter["runs"].values():
            cells = [f"`{chapter['profile']}`", escape(piece["device"]), *_cost(piece)]
            lines.append(f"| [](../notebooks/{notebook}.ipynb) | " + " | ".join(cells) + " |")
    for source, claims in _by_source(rows).items():
        decided = [c for c in claims if c["reference"] != NOTHING]
        if decided:
            lines += ["", f":::{{dropdown}} {escape(source)}: numbers to expect", ""]
            lines += ["| claim | reference run | verdict |", "|---|---|---|"]
            lines += [
                f"| [{c['id']}](#{c['id']}) | {escape(c['reference'])} "
                f"| {badge(c['reference_verdict'])} |"
                for c in decided
            ]
            lines.append(":::")
    return "\n".join(lines)


def stale(notebook: str, chapter: Mapping[str, Any]) -> bool:
    """Return whether the notebook or its code has changed since `chapter` was computed."""
    kept, source = chapter["provenance"], paths.NOTEBOOKS / f"{notebook}.ipynb"
    if not source.exists():
        return True
    return provenance.content_hash(source, kept["parameters"]) != kept["content_hash"]


def _data(data: Mapping[str, Any]) -> str:
    """Return name and origin of a data set."""
    return f"{data.get('name', 'unknown data')} ({data.get('source', 'unknown origin')})"
