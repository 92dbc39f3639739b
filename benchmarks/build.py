"""The second `invnb build`, from the command line's start to the finished book."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.timing import Row, interleave, spent

COMMAND = (sys.executable, "-c", "from invnb.cli import app; app()", "build")


def rows(rounds: int) -> Iterator[Row]:
    """Time `invnb build` of the newest run after a first build; say so where there is no run."""
    what = "`invnb build` after the first: time"
    first = _build()
    if first.returncode:
        yield Row(what, "not measured", "< 15 s", first.stderr.strip().splitlines()[-1])
        return
    seconds, _ = interleave(_build, lambda: None, rounds)
    yield Row(what, spent(seconds), "< 15 s", "")


def _build() -> subprocess.CompletedProcess[str]:
    return subprocess.run(COMMAND, check=False, capture_output=True, text=True)
