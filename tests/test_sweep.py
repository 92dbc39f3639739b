"""Sweeps over TCP on the loopback interface, with processes that are killed, stopped and filled."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import checkout
import pytest
from PIL import Image

from invnb import paths, results
from invnb.point import Reply
from invnb.sweep import _store

PARAMETERS = """\
seeds: list[int] = [0]  # one network each [>= 0, distinct]
rate: float = 0.5  # step size, 1; 7 is slow, 13 unlucky [> 0]
nap: float = 0.0  # seconds [>= 0]
print_size: int = 0  # characters that the notebook shows [>= 0]
data: str = "digits"  # images"""

# Each execution leaves a file with the kernel's parent, the process of the point.
MEASURE = """\
import os, time
from pathlib import Path
from invnb.recording import describe_run, record
describe_run(data={"name": "embedded digits", "source": "embedded"}, device="cpu")
mark = Path(os.environ["MARKS"]) / f"{rate}-{seeds[0]}-{os.getpid()}"
mark.with_suffix(".tmp").write_text(str(os.getppid()))
mark.with_suffix(".tmp").rename(f"{mark}.mark")
record("T.early", rate, unit="1")"""
WORK = """\
time.sleep(500 if rate == 7 else nap)
print("x" * print_size)
assert rate != 13, "unlucky"
record("T.score", [rate + seed for seed in seeds], unit="1", seeds=seeds)"""


class Place:
    """A checkout of its own, so that processes find it, and what was executed in it."""

    def __init__(self, root, monkeypatch):
        checkout.make(root, monkeypatch)
        checkout.add_notebook("tiny", MEASURE, WORK, parameters=PARAMETERS)
        checkout.add_profile("quick", "tiny: {rate: 2}")
        shutil.copytree(
            paths.ROOT / "invnb", root / "invnb", ignore=shutil.ignore_patterns("__pycache__")
        )
        (root / "book" / "claims").mkdir(parents=True)
        (root / "marks").mkdir()
        self.root, self.out = root, root / "results" / "s"
        self.env = os.environ | {
            "MARKS": str(root / "marks"),
            "INVNB_DATA": str(root / "data"),
            "DASK_LOGGING__DISTRIBUTED": "critical",
        }

    def start(self, *command, root=None):
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=root or self.root,
            env=self.env | {"PYTHONPATH": str(root or self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def sweep(self, *options, out=None):
        code = "from invnb.cli import app; app()"
        return self.start("-c", code, "sweep", "tiny", "--out", out or self.out, *options)

    def marks(self):
        """Return the executions so far: name `rate-seed` -> processes of the point."""
        found = {}
        for mark in (self.root / "marks").glob("*.mark"):
            rate, seed, _ = mark.stem.split("-")
            found.setdefault(f"{rate}-{seed}", []).append(int(mark.read_text()))
        return found

    def status(self):
        """Return name of the point -> status of its result."""
        files = self.out.glob("[!.]*/tiny.json")
        return {f.parent.name: results.read(f)["status"] for f in files}


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Place(tmp_path, monkeypatch)


def finish(process, seconds=180):
    text, _ = process.communicate(timeout=seconds)
    return process.returncode, text


def wait_for(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


def is_running(process_id):
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def parent(process_id):
    return int(Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[1])


@contextmanager
def running(*processes):
    """End processes, and whatever they started, at the end of the block."""
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def scheduler(place, port):
    own = ("--host", "127.0.0.1", "--no-dashboard", "--no-jupyter")
    return place.start("-m", "dask", "scheduler", "--port", port, *own)


def worker(place, port, root=None, **env):
    options = ("--nthreads", "2", "--no-dashboard", "--host", "127.0.0.1")
    place.env |= env
    return place.start("-m", "dask", "worker", f"tcp://127.0.0.1:{port}", *options, root=root)


def test_a_killed_worker_a_point_that_raises_and_one_without_time_cost_nothing_else(place):
    """One sweep in which all of it happens; then the command again, with one more value."""
    command = ("--limit", "20", "-p", "nap", "3", "-p", "rate")
    sweep = place.sweep(*command, "[1, 7, 13, 3]")
    with running(sweep):
        first = wait_for(lambda: [p for ps in place.marks().values() for p in ps])[0]
        os.kill(parent(first), signal.SIGKILL)
        wait_for(lambda: not is_running(first), seconds=30)
        code, text = finish(sweep)
    assert code == 1, text
    expected = {1.0: "complete", 7.0: "failed", 13.0: "failed", 3.0: "complete"}
    assert place.status() == {f"rate={rate}": status for rate, status in expected.items()}
    assert "2 of 4 points complete" in text
    assert text.count("AssertionError: unlucky") == 2, "when it happens and at the end"
    assert text.count("ran out of its time, 20 s: cell 4 (`time.sleep") == 2
    late = results.read(place.out / "rate=7.0" / "tiny.json")
    assert list(late["measurements"]) == ["T.early"], "what was measured before is kept"
    executions = sum(map(len, place.marks().values()))
    assert executions == 4 + 1, "the killed one twice, every other once"

    done = {f: f.stat().st_mtime_ns for f in place.out.glob("rate=[13].0/*")}
    code, text = finish(place.sweep(*command, "[1, 3, 2]"))
    assert code == 0, text
    assert "3 points, 2 done" in text
    assert len(done) == 4
    assert done == {f: f.stat().st_mtime_ns for f in done}, "what is done is not touched"
    assert sum(map(len, place.marks().values())) == executions + 1


def test_scheduler_that_comes_back_goes_on(place):
    port = free_port()
    old, old_worker = scheduler(place, port), worker(place, port)
    sweep = place.sweep(
        *("--scheduler", f"tcp://127.0.0.1:{port}"),
        *("-p", "rate", "[1, 2]", "-p", "nap", "4"),
    )
    with running(old, old_worker, sweep):
        wait_for(lambda: any(place.status().values()))
        wait_for(lambda: len(place.marks()) == 2)
        os.killpg(old.pid, signal.SIGKILL)
        old.wait()
        old_worker.wait(60)
        new, new_worker = scheduler(place, port), worker(place, port)
        with running(new, new_worker):
            code, text = finish(sweep)
    assert code == 0, text
    assert "the scheduler is lost; 1 points wait for it to come back" in text
    assert place.status() == {"rate=1.0": "complete", "rate=2.0": "complete"}
    assert {name: len(ids) for name, ids in place.marks().items()} == {"1.0-0": 1, "2.0-0": 2}


def test_worker_with_other_code_is_refused_and_says_why(place, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(place.root / "invnb", other / "invnb")
    shutil.copytree(place.root / "notebooks", other / "notebooks")
    with (other / "invnb" / "recording.py").open("a") as file:
        file.write("CHANGED = 1\n")
    port = free_port()
    options = ("--scheduler", f"tcp://127.0.0.1:{port}", "-p", "rate", "[1, 3]")
    with running(scheduler(place, port), worker(place, port, root=other)):
        code, text = finish(place.sweep(*options))
        assert code == 2, text
        assert "no worker may take a point: tcp://127.0.0.1:" in text
        assert "invnb.recording has other code" in text
        assert place.marks() == {}
        with running(worker(place, port)):
            sweep = place.sweep(*options)
            code, text = finish(sweep)
    assert code == 0, text
    assert "is refused: invnb.recording has other code" in text
    assert place.status() == {"rate=1.0": "complete", "rate=3.0": "complete"}


def test_worker_with_other_data_is_refused_and_says_why(place, tmp_path):
    for folder, shade in (("ours", 0), ("theirs", 255)):
        for label in ("a", "b"):
            (tmp_path / folder / "pictures" / label).mkdir(parents=True)
            picture = Image.new("L", (8, 8), shade)
            picture.save(tmp_path / folder / "pictures" / label / "1.bmp")
    port = free_port()
    options = ("--scheduler", f"tcp://127.0.0.1:{port}", "-p", "data", "pictures")
    other = worker(place, port, INVNB_DATA=str(tmp_path / "theirs"))
    place.env["INVNB_DATA"] = str(tmp_path / "ours")
    with running(scheduler(place, port), other):
        code, text = finish(place.sweep(*options))
        assert code == 2, text
        assert "data pictures have checksum" in text
        assert place.marks() == {}
        with running(worker(place, port)):
            code, text = finish(place.sweep(*options))
    assert code == 0, text
    assert place.status() == {"all": "complete"}


def test_data_folder_that_is_not_there_yet_is_no_fault(place):
    place.env |= {"INVNB_DATA": "", "INVNB_CACHE": str(place.root / "none")}
    code, text = finish(place.sweep("-p", "rate", "1"))
    assert code == 0, text
    assert place.status() == {"all": "complete"}


def test_interrupt_stops_what_runs_and_keeps_what_is_done(place):
    sweep = place.sweep("-p", "nap", "[0.1, 500]", "--workers", "1")
    with running(sweep):
        wait_for(lambda: place.status() and running_nap(place))
        os.kill(sweep.pid, signal.SIGINT)
        code, text = finish(sweep, 60)
        assert code == 130, text
        assert "interrupted" in text
        wait_for(lambda: not any(is_running(p) for ps in place.marks().values() for p in ps), 40)
    assert place.status() == {"nap=0.1": "complete"}


def running_nap(place):
    return [p for ps in place.marks().values() for p in ps if is_running(p)]


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_full_disk_fails_the_point_that_does_not_fit(place, small_disk):
    out = small_disk / "s"
    code, text = finish(place.sweep("-p", "print_size", "[0, 1000000, 1]", out=out))
    assert code == 1, text
    assert "print_size=1000000: failed, not stored: No space left on device" in text
    assert "2 of 3 points complete" in text
    assert sorted(f.name for f in out.iterdir()) == ["print_size=0", "print_size=1"]
    for folder in out.iterdir():
        assert results.read(folder / "tiny.json")["status"] == "complete"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-p", "rate", "[1, 0]"), "parameter rate is 0, but must be > 0"),
        (("-p", "rat", "[1]"), "unknown parameter 'rat'"),
        (("--data", "/none/such"), "data: /none/such (--data) is no folder"),
        (("--scheduler", "nonsense"), "no scheduler answers at nonsense"),
        (("--limit", "0"), "0.0 is not in the range"),
    ],
)
def test_wrong_use_is_a_sentence_before_anything_runs(place, options, sentence):
    code, text = finish(place.sweep(*options))
    assert code == 2, text
    assert sentence in " ".join(text.split())
    assert place.marks() == {}


def test_failed_run_leaves_a_complete_result_where_it_is(tmp_path):
    def stored(folder):
        return json.loads((folder / "tiny.json").read_text())["status"]

    def reply(status):
        content = {key: {} for key in results.KEYS} | {"status": status, "runs": {"r1": {}}}
        content["provenance"] = dict.fromkeys(results.PROVENANCE)
        files = {"tiny.json": json.dumps(content).encode(), "tiny.ipynb": b"{}"}
        return Reply(status, "", 1.0, files)

    chapter = tmp_path / "p" / "tiny.ipynb"
    _store(reply("failed"), chapter)
    assert stored(chapter.parent) == "failed"
    _store(reply("complete"), chapter)
    assert stored(chapter.parent) == "complete"
    _store(reply("failed"), chapter)
    assert stored(chapter.parent) == "complete"
    assert stored(chapter.parent / "unfinished") == "failed"
    assert [f.name for f in tmp_path.iterdir()] == ["p"]


def test_result_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    chapter = tmp_path / "p" / "tiny.ipynb"
    chapter.parent.mkdir()
    chapter.write_text("old")
    rename = Path.rename

    def fail_for_drafts(self, target):
        if self.name.endswith(".tmp"):
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_drafts)
    with pytest.raises(OSError, match="no"):
        _store(Reply("complete", "", 1.0, {"tiny.ipynb": b"new"}), chapter)
    assert chapter.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir()] == ["p"]
