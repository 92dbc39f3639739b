"""What a sweep adds to a point, and what a second worker gains."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from dask.system import CPU_COUNT
from distributed import Client, as_completed, get_worker
from nbformat import v4, write

from benchmarks.timing import Row
from invnb import paths
from invnb.sweep_workers import PROGRESS, grant, local_cluster

POINTS = 200
TASKS, EVENTS, MEGABYTES = 500, 60, 4  # of a notebook of 60 cells with pictures
PARAMETERS = "nu: float = 1.0  # nothing depends on it\nseeds: list[int] = [0]  # nor on these"
RECORD = """\
from invnb.recording import describe_run
describe_run(data={"name": "none"}, device="cpu")"""


def rows(_: int) -> Iterator[Row]:
    """Time each sweep once: they are long, and the rounds of the others would take hours."""
    seconds = _engine_alone()
    yield Row(
        f"sweep, the engine alone, {EVENTS} events and {MEGABYTES} MB a point: points a second",
        f"{TASKS / seconds:.0f}",
        "",
        f"{TASKS} tasks that do nothing else, {CPU_COUNT} workers: {seconds:.1f} s",
    )
    with TemporaryDirectory() as folder:
        root = _checkout(Path(folder))
        values = json.dumps(list(range(1, POINTS + 1)))
        seconds = _sweep(root, "empty", "-p", "nu", values, workers=CPU_COUNT)
        yield Row(
            f"sweep, {POINTS} points of an empty notebook, {CPU_COUNT} workers: time a point",
            f"{seconds * CPU_COUNT / POINTS:.2f} s",
            "",
            f"{seconds:.0f} s in all; engine, process, papermill, kernel, storing",
        )
        options = ("--profile", "smoke", "-p", "seeds", "[[0], [1], [2], [3]]")
        one, two = (
            _sweep(root, "genuine-invariance", *options, workers=n, cache=f"cache-{n}")
            for n in (1, 2)
        )
        yield Row(
            "sweep, 4 points of genuine-invariance (smoke), 1 worker / 2 workers: time",
            f"{one / two:.2f}",
            "",
            f"{one:.0f} s, {two:.0f} s",
        )


def _engine_alone() -> float:
    """Return the seconds of tasks that send what a point sends, and do no work."""
    with local_cluster() as cluster, Client(cluster) as client:
        client.run(grant, "benchmark")
        client.gather(client.map(_idle, range(2), pure=False))
        began = perf_counter()
        tasks = client.map(_idle, range(TASKS), pure=False, resources={"benchmark": 1})
        for future in as_completed(tasks):
            future.result()
        return perf_counter() - began


def _idle(_: int) -> bytes:
    worker = get_worker()
    for cell in range(EVENTS):
        worker.log_event(PROGRESS, ("sweep", "point", f"{cell}/{EVENTS}"))
    return bytes(MEGABYTES * 2**20)


def _checkout(root: Path) -> Path:
    """Return a copy of what a run needs, with an empty notebook."""
    for name in ("invnb", "notebooks", "profiles", "book"):
        shutil.copytree(paths.ROOT / name, root / name)
    cells = [v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    write(v4.new_notebook(cells=[*cells, v4.new_code_cell(RECORD)]), root / "notebooks/empty.ipynb")
    return root


def _sweep(root: Path, notebook: str, *options: str, workers: int, cache: str = "cache") -> float:
    """Return the seconds of a sweep that has nothing in its cache."""
    out = f"results/{notebook}-{workers}"
    code = "from invnb.cli import app; app()"
    command = [sys.executable, "-c", code, "sweep", notebook, *options, "--out", out]
    env = os.environ | {"PYTHONPATH": str(root), "INVNB_CACHE": str(root / cache)}
    began = perf_counter()
    subprocess.run(
        [*command, "--workers", str(workers)], check=True, cwd=root, env=env, capture_output=True
    )
    return perf_counter() - began
