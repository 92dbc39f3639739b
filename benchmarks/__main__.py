"""Run all benchmarks and print one Markdown table: `python -m benchmarks [--out FILE]`."""

import argparse
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks import build, jacobian, rotation, routing, saliency, screening, seeds, sweeping
from benchmarks.timing import Row

BENCHMARKS = {
    "saliency": saliency,
    "jacobian": jacobian,
    "rotation": rotation,
    "routing": routing,
    "screening": screening,
    "seeds": seeds,
    "build": build,
    "sweeping": sweeping,
}


def main() -> None:
    """Read the command line, measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(BENCHMARKS)}; default all")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to time (default 5)")
    parser.add_argument("--out", type=Path, help="file to write the table to, too")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    names = options.names or list(BENCHMARKS)
    found = [row for name in names for row in BENCHMARKS[name].rows(options.rounds)]
    text = "\n".join(table(found, options.rounds)) + "\n"
    print(text, end="")
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def table(found: list[Row], rounds: int) -> Iterator[str]:
    """Yield the lines of the Markdown table, and below it what it was measured with."""
    yield "| What | Result | Target | Measured |"
    yield "| --- | --- | --- | --- |"
    for row in found:
        yield f"| {row.what} | {row.result} | {row.target} | {row.detail} |"
    yield ""
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "captum", "numpy"))
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    yield (
        f"{rounds} rounds, interleaved; {torch.get_num_threads()} thread(s), {_processor()}{gpu}; "
        f"Python {platform.python_version()}, {packages}; {datetime.now(UTC):%Y-%m-%d}."
    )


def _processor() -> str:
    """Return the processor's name, which Linux keeps in a file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
