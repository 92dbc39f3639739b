"""Peak memory of a function, in a process of its own."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

STATUS = Path("/proc/self/status")  # Linux alone


def peak(function: Callable[..., object], *arguments: object) -> float:
    """Return the largest resident size of a fresh process that calls a function once, in MiB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(_called, function, arguments).result()
        return pool.submit(_resident).result()


def _called(function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    """Call a function and keep what it returns from being sent back."""
    function(*arguments)


def _resident() -> float:
    """Return the largest resident size of this process so far, in MiB.

    Linux' own count, because that of `getrusage` starts from the parent process's.
    """
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
