"""Sweeps: a notebook run at many points, on the cores of this machine or on a Dask cluster.

Each point is one task, and writes what a single run writes, in a folder of its own: `OUT/POINT`.
A point that is complete there, with this code and these parameters, is not run again. What fails at
one point is reported at the end and stops no other.
"""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed
from tqdm import tqdm

from invnb import point, profiles, provenance, results, runner
from invnb.errors import InvnbError
from invnb.point import Reply, Request
from invnb.sweep_grid import Point
from invnb.sweep_identity import images_of
from invnb.sweep_workers import (
    PROGRESS,
    Admission,
    data_path,
    local_cluster,
    run_point,
)

STOPPING = 20.0  # seconds for workers to hear that they are to stop
TRY = 5.0  # seconds of one attempt to reach a scheduler
ANSWER = 30.0  # seconds for a scheduler to answer at first
PATIENCE = 300.0  # seconds for a scheduler to come back, and for a first worker to come
LOOK = 2.0  # seconds between looks at the workers
SHOWN = 3  # running points that the progress bar names


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        notebook: its name.
        points: all of them.
        profile: recorded in the results.
        out: folder of the sweep.
        data: data folder, on the workers too; None for each worker's own.
        limit: seconds a point may take; None for no limit.

    """

    notebook: str
    points: Sequence[Point]
    profile: str
    out: Path
    data: Path | None = None
    limit: float | None = None

    @property
    def name(self) -> str:
        """What workers know the sweep by: equal for the same command, issued again or twice."""
        told = f"{self.notebook} {self.out.absolute()} {self.profile} {self.data}"
        return sha256(told.encode()).hexdigest()[:12]

    @cached_property
    def _content_hash(self) -> Callable[[Mapping[str, Any]], str]:
        return provenance.content_hasher(profiles.notebook(self.notebook))

    def is_done(self, of: Point) -> bool:
        """Return whether a point has a complete result by this code with these parameters."""
        folder = runner.data_folder(self.data)
        return runner.is_current(self.chapter(of), self._content_hash(of.values), folder)

    def is_by_this_code(self, of: Point) -> bool:
        """Return whether the result that a point has was made by the code that is here now."""
        made = results.read(self.chapter(of).with_suffix(".json"))["provenance"]["content_hash"]
        return made == self._content_hash(of.values)

    def chapter(self, of: Point) -> Path:
        """Return where the executed notebook of a point is, once it is done."""
        return self.out / of.name / f"{self.notebook}.ipynb"

    def request(self, of: Point) -> Request:
        """Return what a worker is told."""
        return Request(
            self.name,
            of.name,
            self.notebook,
            of.values,
            self.profile,
            data_path(self.data),
            self.limit,
        )


def waiting(plan: Plan) -> list[Point]:
    """Return the points that have no complete result by this code with these parameters."""
    return [of for of in plan.points if not plan.is_done(of)]


def seconds_a_point(plan: Plan) -> float | None:
    """Return how long the points that are complete took on average; None where there is none."""
    took = []
    for of in plan.points:
        with suppress(InvnbError):
            stored = results.read(plan.chapter(of).with_suffix(".json"))
            if stored["status"] == runner.COMPLETE:
                took += [piece["seconds"] for piece in stored["runs"].values()]
    return sum(took) / len(took) if took else None


def estimate(plan: Plan, left: Sequence[Point]) -> str:
    """Return in words how long the points left will take, where points that are done tell it."""
    each = seconds_a_point(plan)
    if each is None or not left:
        return ""
    took = timedelta(seconds=round(each * len(left)))
    return f"; {len(left)} left, {each:.0f} s each so far: {took} on one worker"


def run(
    plan: Plan, left: Sequence[Point], *, scheduler: str | None = None, workers: int | None = None
) -> dict[str, str]:
    """Run points and store what they measured; return the name of each that failed -> why.

    Args:
        plan: what they belong to.
        left: the points to run.
        scheduler: address of a Dask scheduler; None for processes on this machine.
        workers: number of those processes; None for one a GPU, else one a core.

    Raises:
        InvnbError: no worker may take a point, or the scheduler went and did not come back.
        KeyboardInterrupt: running points are stopped first; what is done is kept.

    """
    runner.writable(plan.out)
    failed: dict[str, str] = {}
    left = list(left)
    done = len(plan.points) - len(left)
    with (
        _Interruption() as interruption,
        tqdm(total=len(plan.points), initial=done, unit="point", mininterval=0) as bar,
    ):
        patience = ANSWER
        while left:
            with _connection(scheduler, workers, patience, interruption) as client:
                left = _Session(client, plan, bar, failed, interruption).run(left)
            patience = PATIENCE
            if left:
                bar.write(f"the scheduler is lost; {len(left)} points wait for it to come back")
    return failed


class _Interruption:
    """Ctrl-C, or a polite kill, as a question: it must not strike in the middle of Dask's work.

    The second one strikes.
    """

    def __enter__(self) -> "_Interruption":
        self.asked = False
        signals = (signal.SIGINT, signal.SIGTERM)
        self.before = {number: signal.signal(number, self._hear) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _hear(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def heed(self) -> None:
        """Raise `KeyboardInterrupt` where one was asked for."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def _connection(
    scheduler: str | None, workers: int | None, patience: float, interruption: _Interruption
) -> Iterator[Client]:
    """Yield a client of the scheduler, or of workers that end with the client."""
    if scheduler is None:
        with local_cluster(workers) as cluster, Client(cluster) as client:
            yield client
        return
    client = _reach(scheduler, patience, interruption)
    try:
        yield client
    finally:
        with suppress(Exception):  # there may be no one left to say good-bye to
            client.close(timeout=5)


def _reach(scheduler: str, patience: float, interruption: _Interruption) -> Client:
    deadline = time.monotonic() + patience
    while True:
        interruption.heed()
        try:
            return Client(scheduler, timeout=TRY, set_as_default=False)
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline or isinstance(error, ValueError):
                raise InvnbError(
                    f"no scheduler answers at {scheduler} ({error}): start one with "
                    "`dask scheduler`, or leave --scheduler out to use this machine"
                ) from error


class _Session:
    """Points on one connection to a scheduler, until all are through or it is lost."""

    def __init__(
        self,
        client: Client,
        plan: Plan,
        bar: tqdm,
        failed: dict[str, str],
        interruption: _Interruption,
    ):
        self.client, self.plan, self.bar, self.failed = client, plan, bar, failed
        self.interruption = interruption
        self.running: dict[str, str] = {}  # name of the point -> cells done
        self.looked = 0.0
        what = (plan.notebook, images_of(p.values for p in plan.points), data_path(plan.data))
        self.admission = Admission(client, plan.name, what)

    def run(self, left: Sequence[Point]) -> list[Point]:
        """Run points; return those that the scheduler lost."""
        bar = self.bar
        bar.write(f"dashboard: {self.client.dashboard_link}")
        self._wait_for_a_worker()
        self.client.subscribe_topic(PROGRESS, self._hear)
        futures = {
            self.client.submit(
                run_point,
                self.plan.request(of),
                key=f"{of.name}-{os.urandom(4).hex()}",
                pure=False,
                resources={self.admission.resource: 1},
                priority=-i,  # in the order of the plan
            ): of
            for i, of in enumerate(left)
        }
        lost = []
        through = as_completed(list(futures), loop=self.client.loop)
        try:
            while futures:
                for future in through.next_batch(block=False):
                    of = futures.pop(future)
                    self.running.pop(of.name, None)
                    if future.status in ("cancelled", "lost"):
                        lost.append(of)
                    else:
                        self._settle(of, _reply(future))
                self._tend()
        except KeyboardInterrupt:
            self._stop(list(futures))
            raise
        return lost

    def _wait_for_a_worker(self) -> None:
        began = time.monotonic()
        told = False
        while not self.admission.admitted:
            self.interruption.heed()
            self._look()
            if self.admission.admitted:
                return
            if self.admission.refused:
                reasons = "; ".join(f"{a}: {why}" for a, why in self.admission.refused.items())
                raise InvnbError(f"no worker may take a point: {reasons}")
            if time.monotonic() - began > PATIENCE:
                raise InvnbError(f"no worker came within {PATIENCE:.0f} s")
            if not told:
                self.bar.write("waiting for workers")
                told = True
            time.sleep(LOOK)

    def _look(self) -> None:
        for sentence in self.admission.look():
            self.bar.write(sentence)

    def _hear(self, event: tuple[float, tuple[str, str, str]]) -> None:
        sweep, name, cells = event[1]
        if sweep == self.plan.name:
            self.running[name] = cells

    def _tend(self) -> None:
        """Wait a moment, show what runs, and look at workers that came."""
        self.interruption.heed()
        time.sleep(LOOK / 10)
        if time.monotonic() - self.looked < LOOK:
            return
        self.looked = time.monotonic()
        with suppress(OSError):  # the scheduler may be gone; its points will say so
            self._look()
        names = list(self.running.items())
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        shown = ", ".join(f"{name} {cells}" for name, cells in names[:SHOWN])
        workers = f"{len(self.admission.admitted)} workers"
        self.bar.set_postfix_str(f"{workers}; {shown}{more}", refresh=sys.stderr.isatty())

    def _settle(self, of: Point, reply: Reply) -> None:
        """Store what a point wrote, and remember why it failed."""
        try:
            _store(reply, self.plan.chapter(of))
            if reply.status == runner.COMPLETE and not self.plan.is_by_this_code(of):
                reply = replace(reply, status=runner.FAILED, message="it was run by other code")
        except OSError as error:
            reply = replace(reply, status=runner.FAILED, message=f"not stored: {error.strerror}")
        except InvnbError as error:
            reply = replace(reply, status=runner.FAILED, message=str(error))
        if reply.status == runner.COMPLETE:
            self.bar.write(f"{of.name}: done in {reply.seconds:.0f} s")
        else:
            self.failed[of.name] = reply.message
            self.bar.write(f"{of.name}: failed, {reply.message}")
        self.bar.update()

    def _stop(self, futures: list[Future]) -> None:
        """Take back what has not begun, and stop what runs; whoever does not hear it is left."""

        def tell() -> None:
            with suppress(Exception):  # whatever is not reached any more is not ours any more
                self.client.cancel(futures)
                there = list(self.admission.admitted)
                self.client.run(point.stop, self.plan.name, workers=there, on_error="ignore")

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        thread.join(STOPPING)


def _reply(future: Future) -> Reply:
    """Return a worker's reply, or a failed one where there is none."""
    try:
        return future.result()
    except KilledWorker as error:
        return Reply(runner.FAILED, f"each of {error.allowed_failures + 1} workers died of it", 0.0)
    except Exception as error:  # whatever went wrong there must not stop the other points
        return Reply(runner.FAILED, f"{type(error).__name__}: {error}", 0.0)


def _store(reply: Reply, chapter: Path) -> None:
    """Put the files of a point in its folder at once; half of them are never there.

    A run that failed leaves a complete result where it is, and goes to `unfinished` beside it.
    """
    if not reply.files:
        return
    is_complete = reply.status == runner.COMPLETE
    keep = not is_complete and runner.is_complete(chapter)
    folder = chapter.parent / "unfinished" if keep else chapter.parent
    draft = folder.with_name(f".{folder.name}.tmp")
    retired = folder.with_name(f".{folder.name}.old")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name, content in reply.files.items():
            (draft / name).write_bytes(content)
        if folder.exists():
            shutil.rmtree(retired, ignore_errors=True)
            folder.rename(retired)
        draft.rename(folder)
    finally:
        if retired.exists() and not folder.exists():  # the new one could not take its place
            retired.rename(folder)
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)
