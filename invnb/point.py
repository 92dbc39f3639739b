"""One point of a sweep on a worker: the run of a notebook in a process of its own.

The process reads its request from the first line of its standard input and prints its answer as the
last line of its output. It stops, as on Ctrl-C, when its input ends: when the worker closes it
because time is up, and also when the worker dies, so that no run outlives who asked for it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from invnb import paths, runner
from invnb.errors import InvnbError

GRACE = 30.0  # seconds for a run that is to stop to store what it has measured
CELLS = re.compile(r"(\d+)/(\d+) \[")  # of papermill's progress bar

_children: defaultdict[str, set[subprocess.Popen[str]]] = defaultdict(set)


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
        sweep: which sweep it belongs to.
        name: of the point, and of the run in its result.
        notebook: name of the notebook.
        values: its parameters.
        profile: recorded in the result.
        data: data folder on the worker, an absolute path; None for the worker's own.
        limit: seconds after which the run is stopped; None for no limit.

    """

    sweep: str
    name: str
    notebook: str
    values: dict[str, Any]
    profile: str
    data: str | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Reply:
    """What became of it.

    Attributes:
        status: "complete", "failed" or "interrupted".
        message: why it is not complete, in one line.
        seconds: wall-clock time of the run.
        files: name -> content of what the run wrote, also where it failed.

    """

    status: str
    message: str
    seconds: float
    files: dict[str, bytes] = field(default_factory=dict, repr=False)


def execute(
    request: Request,
    *,
    scratch: str | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Reply:
    """Run a point and return its files.

    Args:
        request: what to run.
        scratch: folder for what it writes until it is returned; the system's if None.
        progress: called with `cells done/cells` when that changes, from another thread.

    """
    with TemporaryDirectory(prefix="invnb-", dir=scratch, ignore_cleanup_errors=True) as folder:
        out = Path(folder) / request.name
        child = subprocess.Popen(
            [sys.executable, "-m", "invnb.point", str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=paths.ROOT,  # first in its path: it imports the package that this process has
            env=_environment(),
            start_new_session=True,  # Ctrl-C in a terminal reaches the sweep, which stops us
        )
        _children[request.sweep].add(child)
        seen = threading.Thread(target=_watch, args=(child.stderr, progress, tail := []))
        seen.start()
        is_late = threading.Event()
        timer = threading.Timer(request.limit or 0, _end, (child, is_late))
        if request.limit is not None:
            timer.start()
        try:
            with suppress(BrokenPipeError):  # it died at once; its exit status tells why
                child.stdin.write(json.dumps(asdict(request)) + "\n")
                child.stdin.flush()
            printed = child.stdout.read()
            child.wait()
        finally:
            timer.cancel()
            _children[request.sweep].discard(child)
            _end(child)
            seen.join()
        reply = _reply(printed, child.returncode, "".join(tail))
        if is_late.is_set() and reply.status != runner.COMPLETE:
            late = f"ran out of its time, {request.limit:g} s: {reply.message}"
            reply = Reply(runner.FAILED, late, reply.seconds)
        files = {f.name: f.read_bytes() for f in sorted(out.glob("*.*")) if f.is_file()}
        return Reply(reply.status, reply.message, reply.seconds, files)


def _environment() -> dict[str, str]:
    """Return this process's environment for one with another working folder."""
    named = os.environ.get("INVNB_DATA")
    return os.environ | ({"INVNB_DATA": str(Path(named).absolute())} if named else {})


def stop(sweep: str) -> None:
    """Stop the runs of a sweep in this process, as on Ctrl-C, without waiting for them."""
    for child in list(_children[sweep]):
        threading.Thread(target=_end, args=(child,)).start()


def _end(child: subprocess.Popen[str], mark: threading.Event | None = None) -> None:
    """End the input of a run, and the run itself where it does not stop within `GRACE`."""
    if mark is not None:
        mark.set()
    with suppress(OSError, ValueError):
        child.stdin.close()
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()


def _watch(stream: IO[str], progress: Callable[[str], None], tail: list[str]) -> None:
    """Report the progress that papermill prints, and keep the last of what else is printed."""
    shown = ""
    for line in stream:  # in text mode a carriage return ends a line, too
        if cells := CELLS.search(line):
            now = f"{cells[1]}/{cells[2]}"
            if now != shown:
                progress(shown := now)
        else:
            tail[:] = [*tail[-20:], line]


def _reply(printed: str, status: int, complaints: str) -> Reply:
    try:
        return Reply(**json.loads(printed.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        why = " ".join(complaints.split())[-300:] or "nothing was printed"
        return Reply(runner.FAILED, f"its process ended with status {status}: {why}", 0.0)


def _stop_when_input_ends() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the point that standard input names into the folder of the command line."""
    request = Request(**json.loads(sys.stdin.readline()))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_stop_when_input_ends, daemon=True).start()
    try:
        outcome = runner.run_notebook(
            request.notebook,
            request.values,
            request.profile,
            data=request.data and Path(request.data),
            out=Path(sys.argv[1]),
        )
        reply = Reply(outcome.status, outcome.message, outcome.seconds)
    except InvnbError as error:
        reply = Reply(runner.FAILED, str(error), 0.0)
    except KeyboardInterrupt:
        reply = Reply(runner.INTERRUPTED, "interrupted before it began", 0.0)
    print(json.dumps({k: v for k, v in asdict(reply).items() if k != "files"}))


if __name__ == "__main__":
    main()
