"""The workers of a sweep: those of this machine, and which ones may take a point.

A worker is admitted by giving it one unit of a resource that each point asks for. So a worker that
was not looked at gets no point, whenever it joins, and one worker process runs one point at a time.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, Nanny, Scheduler, SpecCluster, Worker, get_worker

from invnb import point

# What a worker process logs is decided before it starts.
QUIET = "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED"
IDENTITY = "invnb.sweep_identity"  # imported where it is needed: it imports torch
PROGRESS = "invnb-progress"  # topic of events: (name of the sweep, of the point, cells done)


def local_cluster(workers: int | None = None) -> SpecCluster:
    """Start worker processes on this machine: one a GPU, else one a core.

    Args:
        workers: another number of them; GPUs are dealt out in turn.

    """
    gpus = import_module("torch").cuda.device_count()
    workers = workers or gpus or CPU_COUNT
    # Whatever the number of workers: another number of threads rounds differently.
    threads = max(1, CPU_COUNT // gpus) if gpus else 1

    def settings(i: int) -> dict[str, str]:
        gpu = {"CUDA_VISIBLE_DEVICES": str(i % gpus)} if gpus else {}
        return {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"} | gpu

    own = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with dask.config.set({QUIET: "critical"}):
        return SpecCluster(
            scheduler={"cls": Scheduler, "options": {**own, "port": 0, "dashboard": True}},
            workers={
                i: {
                    "cls": Nanny,
                    "options": {
                        "host": "127.0.0.1",
                        "nthreads": 1,
                        "memory_limit": 0,  # a point's memory is not the worker's
                        "env": settings(i),
                        "dashboard": False,
                    },
                }
                for i in range(workers)
            },
            silence_logs="CRITICAL",
        )


class Admission:
    """Looks at each worker once and admits the ones that are like this machine.

    Attributes:
        resource: what a point must ask for.
        admitted: addresses.
        refused: address -> why.

    """

    def __init__(self, client: Client, sweep: str, what: tuple[str, Sequence[str], str | None]):
        """Remember this machine's identity.

        Args:
            client: connected.
            sweep: its name.
            what: arguments of `invnb.sweep_identity.identity`.

        """
        self.client = client
        self.what = what
        self.ours = _identity_here(*what)
        # Named by what was compared: who was admitted for other code has another resource.
        digest = sha256(json.dumps(self.ours, sort_keys=True).encode()).hexdigest()
        self.resource = f"invnb-{sweep}-{digest[:12]}"
        self.admitted: set[str] = set()
        self.refused: dict[str, str] = {}

    def look(self) -> list[str]:
        """Look at workers that are new; return those refused just now as sentences."""
        info = self.client.scheduler_info(n_workers=-1)
        if "workers" not in info:  # the client is connecting again and knows of none yet
            return []
        there = set(info["workers"])
        self.admitted &= there
        new = sorted(there - self.admitted - self.refused.keys())
        if not new:
            return []
        answers = self.client.run(_identity_there, *self.what, workers=new, on_error="return")
        fitting = []
        for address, answer in answers.items():
            if isinstance(answer, Exception):
                self.refused[address] = f"it answers {type(answer).__name__}: {answer}"
            elif different := import_module(IDENTITY).differences(self.ours, answer):
                self.refused[address] = different
            else:
                fitting.append(address)
        if fitting:
            self.client.run(grant, self.resource, workers=fitting, on_error="ignore")
            self.admitted |= set(fitting)
        return [
            f"worker {address} is refused: {self.refused[address]}"
            for address in new
            if address in self.refused
        ]


def _identity_here(*what: Any) -> dict[str, str]:
    return import_module(IDENTITY).identity(*what)


async def _identity_there(*what: Any) -> dict[str, str]:
    # In a thread, the import of torch too: a worker that does not answer soon counts as dead.
    return await asyncio.to_thread(_identity_here, *what)


async def grant(resource: str, dask_worker: Worker) -> None:
    """Give a worker one unit of a resource; to be run by `Client.run`."""
    await dask_worker.set_resources(**{resource: 1})


def run_point(request: point.Request) -> point.Reply:
    """Run a point; the task that a worker is given."""
    worker = get_worker()
    return point.execute(
        request,
        scratch=worker.local_directory,
        progress=lambda cells: worker.log_event(PROGRESS, (request.sweep, request.name, cells)),
    )


def data_path(folder: Path | None) -> str | None:
    """Return the folder named on the command line as workers are told it: an absolute path."""
    return None if folder is None else os.fspath(folder.expanduser().absolute())
