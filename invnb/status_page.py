"""Where the numbers of each chapter came from, and what a re-run may expect."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from invnb import paths, provenance
from invnb.ledger import NOTHING, Run
from invnb.markup import badge, by_source, chapter_titles, escape, row


def status(name: str, reference: Run, this: Run) -> str:
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


def expected(reference: Run, rows: Iterable[Mapping[str, Any]]) -> str:
    """Return what the reference run took, and the numbers that its verdicts rest on."""
    titles = chapter_titles()
    lines = ["| chapter | profile | device | minutes | peak memory |", "|---" * 5 + "|"]
    for notebook, chapter in reference.items():
        for piece in chapter["runs"].values():
            cells = [f"[{titles[notebook]}](../notebooks/{notebook}.ipynb)"]
            cells += [f"`{chapter['profile']}`", escape(piece["device"]), *_cost(piece)]
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *_commands(reference)]
    for source, claims in by_source(rows).items():
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


def _commands(reference: Run) -> list[str]:
    """Return how each chapter's numbers are made again, with the code that made them."""
    lines = [":::{dropdown} Commands that repeat a row", "", "```console"]
    for notebook, chapter in reference.items():
        commit = next(iter(chapter["runs"].values()))["commit"]
        if commit and stale(notebook, chapter):
            lines.append(f"$ git checkout {commit.removesuffix('+')} && make env")
        told = f"--profile {chapter['profile']} --out results/mine"
        lines.append(f"$ .venv/bin/invnb run {notebook} {told}")
    return [
        *lines,
        "```",
        "",
        "A chapter whose code has changed since needs that of its run.",
        ":::",
    ]


def stale(notebook: str, chapter: Mapping[str, Any]) -> bool:
    """Return whether the notebook or its code has changed since `chapter` was computed."""
    kept, source = chapter["provenance"], paths.NOTEBOOKS / f"{notebook}.ipynb"
    if not source.exists():
        return True
    return provenance.content_hash(source, kept["parameters"]) != kept["content_hash"]


def data_of(piece: Mapping[str, Any]) -> str:
    """Return name and origin of the data of a piece of a run."""
    data = piece["data"] or {}
    return f"{data.get('name', 'unknown data')} ({data.get('source', 'unknown origin')})"


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
    measured = [m for m in chapter["measurements"].values() if m["n"]]
    made = Counter(name for m in measured for name in set(m["runs"]))
    packages = sorted({p for piece in pieces for p in piece["packages"].items()})
    parameters = kept["parameters"]
    facts = {
        "run": f"`{chapter['run']}`",
        "profile": f"`{chapter['profile']}`",
        "state": "**stale**: the notebook or its code has changed since"
        if stale(notebook, chapter)
        else "current",
        "judged": _judged(chapter["claims"]),
        "seeds": f"`{parameters['seeds']}`" if "seeds" in parameters else "",
        "packages": escape(", ".join(f"{package} {version}" for package, version in packages)),
        "content hash": f"`{kept['content_hash'][:12]}`",
    }
    lines = [":::{list-table}", ":stub-columns: 1", ""]
    lines += [line for fact in facts.items() if fact[1] for line in row(fact)]
    lines += [":::", "", f":::{{dropdown}} Its {len(parameters)} parameters", ""]
    lines += [", ".join(f"`{name} = {value!r}`" for name, value in parameters.items()), ":::", ""]
    lines += ["| started | measurements | minutes | peak memory | data | device | commit |"]
    lines += ["|---" * 7 + "|"]
    for name, piece in chapter["runs"].items():
        cells = [piece["started"][:16].replace("T", " "), str(made[name]), *_cost(piece)]
        cells += [data_of(piece), piece["device"], piece["commit"] or "unknown"]
        lines.append("| " + " | ".join(map(escape, cells)) + " |")
    return [*lines, ""]


def _judged(claims: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how many claims are judged by other criteria than at the run, nothing if none is."""
    anew = sum("at_run" in claim for claim in claims.values())
    return f"{anew} of {len(claims)} claims anew, by other criteria or settings" if anew else ""


def _cost(piece: Mapping[str, Any]) -> list[str]:
    """Return how many minutes a piece of a run took, and the most memory it held."""
    memory = piece.get("memory")
    return [f"{piece['seconds'] / 60:.1f}", f"{memory / 1e9:.1f} GB" if memory else NOTHING]
