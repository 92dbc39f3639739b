"""The result of a notebook's run: measurements, verdicts and where they came from, as JSON.

    {"notebook": "genuine-invariance", "run": "quick", "profile": "quick",
     "status": "complete", "error": None,
     "provenance": {"device": ..., "content_hash": ..., "parameters": {...}},
     "runs": {"r1": {"commit", "started", "seconds", "memory", "device", "packages", "data"}},
     "measurements": {name: see `invnb.measurements`}, "claims": {id: see `invnb.claims.judge`}}

A failed run has status "failed", error {"cell", "message"}, and what it had measured by then.

A result may be judged anew when criteria have been sharpened since. A claim whose criterion is no
longer that of the run then has `at_run` as well: {"verdict", "criterion", "criterion_hash"} as they
were, None for a claim that is newer than the run.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

from invnb import claims as claims_module
from invnb.claims import Claim
from invnb.errors import InvnbError
from invnb.recording import MEASUREMENT, RUN

KEYS = {"notebook", "run", "profile", "status", "provenance", "runs", "measurements", "claims"}

PROVENANCE = {"device", "content_hash", "parameters"}

Result = dict[str, Any]


def collect(notebook: Path | nbformat.NotebookNode) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return what an executed notebook recorded: measurements by name, and the run's description.

    Args:
        notebook: executed to the end or not, as a path or as read by nbformat.

    Returns:
        Measurements (the last one where a name was recorded twice), and the content of
        `describe_run`, None where it was not reached.

    """
    if not isinstance(notebook, nbformat.NotebookNode):
        notebook = nbformat.read(notebook, as_version=4)
    measurements: dict[str, Any] = {}
    description = None
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = json.loads(json.dumps(output.get("data", {})))  # plain dictionaries
            if MEASUREMENT in data:
                measured = data[MEASUREMENT]
                measurements[measured.pop("name")] = measured
            description = data.get(RUN, description)
    return measurements, description


def build(
    *,
    notebook: str,
    run: str,
    profile: str,
    parameters: Mapping[str, Any],
    content_hash: str,
    measurements: Mapping[str, Any],
    description: Mapping[str, Any] | None,
    commit: str | None,
    started: str,
    seconds: float,
    packages: Mapping[str, str],
    memory: int | None = None,
    error: Mapping[str, Any] | None = None,
    claims: Iterable[Claim] | None = None,
) -> Result:
    """Return the result of one run, claims judged.

    Args:
        notebook: its name, without suffix.
        run: name of the run.
        profile: name of the profile.
        parameters: every parameter of the notebook, with the value it ran with.
        content_hash: of notebook, code and parameters (`invnb.provenance.content_hash`).
        measurements: from `collect`.
        description: from `collect`; None where the notebook failed before it described itself.
        commit: of the code.
        started: date and time, ISO 8601.
        seconds: wall-clock time.
        packages: versions by name.
        memory: the most that the kernel held, bytes; None where it is not known.
        error: `{"cell": which, "message": why}` of a run that failed.
        claims: to judge; those of the notebook's source if not given.

    """
    described = description or {"device": None, "data": None}
    piece = {
        "commit": commit,
        "started": started,
        "seconds": seconds,
        "memory": memory,
        "device": described["device"],
        "packages": dict(packages),
        "data": described["data"],
    }
    return judged(
        {
            "notebook": notebook,
            "run": run,
            "profile": profile,
            "status": "failed" if error else "complete",
            "error": error and dict(error),
            "provenance": {
                "device": described["device"],
                "content_hash": content_hash,
                "parameters": dict(parameters),
            },
            "runs": {"r1": piece},
            "measurements": dict(measurements),
        },
        claims,
    )


def judged(result: Mapping[str, Any], claims: Iterable[Claim] | None = None) -> Result:
    """Return the result with its claims judged (anew) by its measurements.

    Args:
        result: with or without `claims`; where these were judged by other criteria, the new ones
            say so in `at_run`.
        claims: to judge; those of the notebook's source if not given.

    """
    data = next(iter(result["runs"].values()))["data"]
    verdicts = claims_module.judge(
        claims_module.load(result["notebook"]) if claims is None else claims,
        result["measurements"],
        result["provenance"]["parameters"],
        data and data["name"],
    )
    if before := result.get("claims"):
        for name, verdict in verdicts.items():
            then = _at_run(before.get(name))
            if then is None or then["criterion_hash"] != verdict["criterion_hash"]:
                verdict["at_run"] = then
    return {**result, "claims": verdicts}


def _at_run(before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return how a claim was judged when its numbers were made, None where it was not."""
    if before is None or "at_run" in before:
        return before and before["at_run"]
    return {key: before[key] for key in ("verdict", "criterion", "criterion_hash")}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a reader, or an interruption, never meets half a file.

    Raises:
        InvnbError: when the content is no JSON (NaN is none) or the folder cannot be written;
            an older file is left as it was.

    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # of the same file system
    try:
        text = json.dumps(content, allow_nan=False, ensure_ascii=False, indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except (TypeError, ValueError, OSError) as error:
        raise InvnbError(f"{path} was not written: {error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def read(path: Path) -> Result:
    """Return a result as it was written.

    Raises:
        InvnbError: when the file is missing, damaged, or no result of a notebook.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvnbError(f"{path} cannot be read as a result: {error}") from error
    if not isinstance(content, dict) or not content.keys() >= KEYS:
        missing = sorted(KEYS - set(content)) if isinstance(content, dict) else sorted(KEYS)
        raise InvnbError(f"{path} is not a result: it lacks {', '.join(missing)}")
    if not content["runs"] or not content["provenance"].keys() >= PROVENANCE:
        wanted = ", ".join(sorted(PROVENANCE))
        raise InvnbError(f"{path} is not a result: it lacks a run, or its provenance ({wanted})")
    return content
