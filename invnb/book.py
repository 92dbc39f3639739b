"""The static book: choose a run, lay its chapters out beside the prose, let Jupyter Book build.

Nothing is executed here. A build starts from an empty folder each time, which takes a few seconds
and cannot leave a page of an older run behind.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml

from invnb import beside, figures, glue, pages, paths, rejudged, status_page, vendor
from invnb import results as results_files
from invnb.errors import InvnbError
from invnb.pages import REFERENCE

# Version 1 has no `python -m jupyter_book`, and its script is not always on PATH.
JUPYTER_BOOK = (sys.executable, "-c", "from jupyter_book.cli.main import main; main()")
NO_PAGES = ("claims", "names.yml", "package.json", "saliency.png")  # saliency.png: the README's
UNUSED = ("*.map", "*.ttf")  # for developers of the theme; for browsers older than its scripts
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def build(
    run: str | None = None, *, results: Path = paths.RESULTS, out: Path = paths.ROOT / "_build"
) -> Path:
    """Build the book from the results of `run` and return the path of its first page.

    A chapter that `run` lacks, or that failed in it, is taken from the reference run, and left
    out where that lacks it too.

    Args:
        run: name of a folder in `results`; None for the newest run, else the reference run.
        results: folder of runs.
        out: folder for the stage, the installed scripts and `html`.

    Raises:
        InvnbError: there is no such run, the scripts cannot be fetched, or a page has a fault.

    """
    run = choose_run(run, results)
    stage = out / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    shown = _lay_out(stage, chapters(run, results), results / REFERENCE, sweeps(results))
    shutil.copytree(vendor.install(paths.BOOK / "package.json", out / "vendor"), stage / "vendor")
    reference, this = read_run(results / REFERENCE), read_run(results / run)
    pages.write(stage / "generated", run, reference, this, shown)
    _run_jupyter_book(stage, log=out / "book.log")
    _leave_out_unused(stage / "_build" / "html" / "_static")
    return _replace(out / "html", by=stage / "_build" / "html") / "index.html"


def choose_run(name: str | None, results: Path = paths.RESULTS) -> str:
    """Return `name` if it is a run with a finished chapter; None gives the newest, else reference.

    Raises:
        InvnbError: no such run, or no run at all.

    """
    if name is not None:  # `results/NAME` is what other commands take
        name = name.rstrip("/").removeprefix(f"{results.name}/")
        if finished(read_run(results / name)):
            return name
    runs = {f.name: run for f in sorted(results.glob("*/")) if finished(run := read_run(f))}
    if name is None:
        own = [n for n in runs if n != REFERENCE]
        name = max(own, key=lambda n: _started(runs[n]), default=REFERENCE)
    if name not in runs:
        raise InvnbError(
            f"There is no run '{name}' with a finished chapter in {results}; runs that have one: "
            f"{', '.join(runs) or 'none'}; make it with `invnb run --out results/{name}`."
        )
    return name


def read_run(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the results in `folder` by notebook; empty where there are none.

    Raises:
        InvnbError: a file is damaged.

    """
    return {path.stem: results_files.read(path) for path in sorted(folder.glob("*.json"))}


def chapters(run: str, results: Path = paths.RESULTS) -> dict[str, Path]:
    """Return the executed notebooks of `run` by name, the reference run's where it has none."""
    return {
        name: results / source / f"{name}.ipynb"
        for source in (REFERENCE, run)
        for name in finished(read_run(results / source))
    }


def sweeps(results: Path = paths.RESULTS) -> dict[str, Path]:
    """Return the folders of the sweeps' reports by the sweep's name."""
    found = sorted(results.glob(f"*/{pages.SWEEP_PAGE}"))
    return {page.parent.parent.name: page.parent for page in found}


def finished(run: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of the notebooks in `run` that were executed to their end."""
    return [name for name, chapter in run.items() if chapter["status"] == "complete"]


def _started(run: Mapping[str, Mapping[str, Any]]) -> str:
    """Return when the newest piece of `run` started, in ISO format."""
    return max(piece["started"] for chapter in run.values() for piece in chapter["runs"].values())


def _lay_out(
    stage: Path, notebooks: Mapping[str, Path], reference: Path, reports: Mapping[str, Path]
) -> list[figures.Shown]:
    """Fill `stage` with settings, prose, table of contents, executed chapters and reports.

    Returns:
        The figures and tables that the chapters have.

    """
    shutil.copytree(paths.BOOK, stage / "book", ignore=shutil.ignore_patterns(*NO_PAGES))
    shutil.copy(paths.ROOT / "_config.yml", stage)
    (stage / "notebooks").mkdir()
    shown = []
    for name, executed in notebooks.items():
        if not executed.exists():
            raise InvnbError(f"{executed} is missing beside its result: run it again with --force.")
        chapter = glue.once(_read(executed))
        glue.leave_out_unseen(chapter)
        glue.keep_together(chapter)
        result = results_files.read(executed.with_suffix(".json"))
        rejudged.mark(chapter, result["claims"], stale=status_page.stale(name, result))
        source = paths.NOTEBOOKS / f"{name}.ipynb"
        now = nbformat.read(source, as_version=4) if source.exists() else chapter
        shown += figures.mark(name, chapter, now)
        if (other := reference / executed.name) != executed and other.exists():
            before = _read(other)
            glue.keep_together(before)
            figures.mark(name, before, now)
            beside.put(chapter, before)
        figures.link_claims(chapter, result["claims"])
        compact = json.dumps(chapter, ensure_ascii=False, separators=(",", ":"))
        (stage / "notebooks" / f"{name}.ipynb").write_text(compact, encoding="utf-8")
    toc = stage / "book" / "_toc.yml"
    for name, folder in reports.items():
        shutil.copytree(folder, stage / "sweeps" / name)
    kept = contents(yaml.safe_load(toc.read_text(encoding="utf-8")), notebooks, list(reports))
    toc.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    return shown


def _read(executed: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(executed, as_version=4)
    except Exception as error:  # nbformat has no common one for what is no notebook
        raise InvnbError(f"{executed} cannot be read: run it again with --force.") from error


def contents(
    toc: dict[str, Any], names: Collection[str], reports: Sequence[str] = ()
) -> dict[str, Any]:
    """Return `toc` with the notebooks in `names` alone, and with a part for sweeps' reports."""
    parts = [
        part | {"chapters": [c for c in part["chapters"] if _present(c["file"], names)]}
        for part in toc["parts"]
    ]
    own = [{"file": f"sweeps/{name}/{pages.SWEEP_PAGE.stem}"} for name in reports]
    parts.append({"caption": "Sweeps", "chapters": own})
    return toc | {"parts": [part for part in parts if part["chapters"]]}


def _present(file: str, names: Collection[str]) -> bool:
    return not file.startswith("notebooks/") or file.removeprefix("notebooks/") in names


def _run_jupyter_book(stage: Path, log: Path) -> None:
    """Build `stage`, every warning counting as a fault; keep what was printed in `log`."""
    done = subprocess.run(
        [
            *JUPYTER_BOOK,
            "build",
            str(stage),
            *("--config", str(stage / "_config.yml"), "--toc", str(stage / "book" / "_toc.yml")),
            *("-n", "-W", "--keep-going"),
        ],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    printed = COLOURS.sub("", done.stdout)
    log.write_text(printed, encoding="utf-8")
    if done.returncode:
        faults = [x.strip() for x in printed.splitlines() if "WARNING:" in x or "ERROR:" in x]
        first = faults[0].replace(f"{stage}{os.sep}", "") if faults else f"see {log}"
        raise InvnbError(
            f"The book has {len(faults) or 'some'} fault(s), the first: {first} (all in {log})."
        )


def _leave_out_unused(static: Path) -> None:
    """Delete what the theme brings and no page asks for."""
    for pattern in UNUSED:
        for file in static.rglob(pattern):
            file.unlink()


def _replace(old: Path, by: Path) -> Path:
    """Put the folder `by` in the place of `old`, so that a reader never sees half a book."""
    retired = old.with_name(f"{old.name}.old")
    shutil.rmtree(retired, ignore_errors=True)
    if old.exists():
        old.rename(retired)
    by.rename(old)
    shutil.rmtree(retired, ignore_errors=True)
    return old
