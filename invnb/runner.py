"""Run one notebook: (notebook, parameters, data folder) -> executed notebook and measurements.

While it runs, the notebook grows cell by cell in `OUT/unfinished/NAME.ipynb`. When it is done, it
moves to `OUT/NAME.ipynb`, and its measurements are written to `OUT/NAME.json`, which is what counts
as done. A run that fails, or is interrupted, leaves the same two files, with status "failed"; but
where OUT already holds a complete result, that one stays, and the failed one is left in
`OUT/unfinished`.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from invnb import claimfile, engine, parameters, paths, profiles, provenance, results
from invnb.errors import InvnbError

COMPLETE, FAILED = "complete", "failed"
INTERRUPTED, UP_TO_DATE = "interrupted", "up to date"


@dataclass(frozen=True)
class Outcome:
    """What became of one notebook.

    Attributes:
        notebook: its name.
        status: "complete", "failed", "interrupted" or "up to date" (nothing was executed).
        message: the failing cell and why; empty where nothing failed.
        chapter: the executed notebook, with its measurements beside it (`.json`).
        seconds: wall-clock time.

    """

    notebook: str
    status: str
    message: str
    chapter: Path
    seconds: float


def run_notebook(
    name: str,
    values: Mapping[str, Any],
    profile: str,
    *,
    data: Path | None,
    out: Path,
    force: bool = False,
) -> Outcome:
    """Execute a notebook, unless `out` has its result with this code and these parameters.

    Args:
        name: of the notebook.
        values: parameters that differ from the notebook's defaults, or all of them.
        profile: recorded in the result.
        data: data folder; None for `invnb.paths.data_dir()`.
        out: folder of the run, made where it is missing; its name is the run's.
        force: execute in any case.

    Raises:
        InvnbError: before any kernel starts: parameters, data folder or `out` are not usable.

    """
    source = profiles.notebook(name)
    declared = parameters.read(source)
    values = parameters.check(declared, values)
    data = data_folder(data)
    out = writable(out)
    content_hash = provenance.content_hash(source, values)
    chapter = out / source.name
    if not force and is_current(chapter, content_hash, data):
        return Outcome(source.stem, UP_TO_DATE, "", chapter, 0.0)

    draft = writable(out / "unfinished") / source.name
    for left_over in (draft, draft.with_suffix(".json")):
        left_over.unlink(missing_ok=True)
    changed = {p.name: values[p.name] for p in declared if values[p.name] != p.default}
    commit = provenance.commit()
    claims = claimfile.load(source.stem)
    started = datetime.now(UTC)
    clock = time.monotonic()
    status, reason = _execute(source, changed, data, draft)
    seconds = time.monotonic() - clock
    if not draft.exists():
        _remove_if_empty(draft.parent)
        return Outcome(source.stem, status, reason, draft, seconds)

    notebook = engine.without_progress_bars(nbformat.read(draft, as_version=4))
    notebook = _without_machine_paths(notebook, source)
    error = None if status == COMPLETE else _failing_cell(notebook) | {"message": reason}
    measurements, description = results.collect(notebook)
    result = results.build(
        notebook=source.stem,
        run=out.name,
        profile=profile,
        parameters=values,
        content_hash=content_hash,
        measurements=measurements,
        description=description,
        commit=commit,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        packages=provenance.packages(),
        memory=notebook.metadata.papermill.get(engine.PEAK_MEMORY),
        error=error,
        claims=claims,
    )
    result["provenance"]["data_folder"] = _listing(data)
    folder = out if error is None or not is_complete(chapter) else draft.parent
    nbformat.write(notebook, draft)
    os.replace(draft, folder / source.name)
    results.write_json(folder / f"{source.stem}.json", result)
    _remove_if_empty(draft.parent)
    message = "" if error is None else f"cell {error['cell']} (`{error['source']}`): {reason}"
    return Outcome(source.stem, status, message, folder / source.name, seconds)


def data_folder(data: Path | None) -> Path:
    """Return the absolute data folder: `data`, else that of the environment, else the default.

    Raises:
        InvnbError: a folder that was named does not exist. (The default one is made when needed.)

    """
    origin = "--data" if data else "INVNB_DATA"
    folder = (data or paths.data_dir()).expanduser().absolute()
    if (data or os.environ.get("INVNB_DATA")) and not folder.is_dir():
        raise InvnbError(
            f"data: {folder} ({origin}) is no folder: name another, or make it, and "
            "what is missing in it will be downloaded"
        )
    return folder


def writable(folder: Path) -> Path:
    """Return `folder` as an absolute path, made where it is missing.

    Raises:
        InvnbError: it cannot be made or written to.

    """
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InvnbError(
            f"results cannot be written to {folder} ({error.strerror}): choose another with --out"
        ) from error


def _execute(source: Path, changed: Mapping[str, Any], data: Path, draft: Path) -> tuple[str, str]:
    """Execute `source` into `draft`; return status and, unless complete, the reason."""
    try:
        papermill.execute_notebook(
            _literal(source),
            _literal(draft),
            changed,
            engine_name=engine.NAME,
            kernel_name="python3",
            language="python",
            progress_bar={"desc": source.stem},
            # Threads that spin while they wait slow down every other process on the machine.
            kernel_env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "INVNB_DATA": str(data)},
            kernel_cwd=str(Path.cwd()),  # files are named from where the command was given
        )
    except KeyboardInterrupt:
        return INTERRUPTED, "interrupted"
    except PapermillExecutionError as error:
        return FAILED, _one_line(f"{error.ename}: {error.evalue}")
    except Exception as error:  # a kernel that dies or never starts must not stop the others
        return FAILED, _one_line(f"{type(error).__name__}: {error}")
    return COMPLETE, ""


def _literal(path: Path) -> str:
    """Return `path` such that papermill, which fills in {names}, takes it as it is."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _one_line(text: str, length: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _failing_cell(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """Return number (among the code cells, from 1) and first line of the last cell that began."""
    code = [c for c in notebook.cells if c.cell_type == "code"]
    begun = [i for i, c in enumerate(code) if c.metadata.get("papermill", {}).get("start_time")]
    if not begun:
        return {"cell": None, "source": "before the first cell"}
    lines = code[begun[-1]].source.splitlines() or [""]
    first = next((x for x in lines if x.strip() and not x.startswith("#")), lines[0])
    return {"cell": begun[-1] + 1, "source": _one_line(first, 60)}


def _without_machine_paths(notebook: nbformat.NotebookNode, source: Path) -> nbformat.NotebookNode:
    notebook.metadata.papermill |= {
        "input_path": f"notebooks/{source.name}",
        "output_path": source.name,
    }
    return notebook


def _stored(chapter: Path) -> dict[str, Any]:
    """Return the result beside an executed notebook; empty where there is none to read."""
    try:
        return results.read(chapter.with_suffix(".json")) if chapter.exists() else {}
    except InvnbError:
        return {}


def is_complete(chapter: Path) -> bool:
    """Return whether an executed notebook was executed to its end, its measurements beside it."""
    return _stored(chapter).get("status") == COMPLETE


def is_current(chapter: Path, content_hash: str, data: Path) -> bool:
    """Return whether running again would only repeat the complete result that is there.

    Args:
        chapter: the executed notebook, with its measurements beside it.
        content_hash: of the notebook that is here now, with the parameters it would run with.
        data: the data folder it would run on.

    A result on the embedded data is not current if the data folder has changed: it may now hold
    the data that were missing.
    """
    stored = _stored(chapter)
    kept = stored.get("provenance", {})
    if not is_complete(chapter) or kept.get("content_hash") != content_hash:
        return False
    sources = {(piece["data"] or {}).get("source") for piece in stored["runs"].values()}
    return "embedded" not in sources or kept.get("data_folder") == _listing(data)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):  # a reader may have deleted it meanwhile
        folder.rmdir()


def _listing(folder: Path) -> list[str]:
    return sorted(f.name for f in folder.iterdir()) if folder.is_dir() else []
