"""The report of a sweep: its table as CSV and Parquet, plots, and a page of the book."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from invnb import claimfile, runner, sweep_table
from invnb.errors import InvnbError
from invnb.markup import escape
from invnb.pages import SWEEP_PAGE
from invnb.parameters import nearest
from invnb.sweep_table import Sweep

AT_MOST = 6  # measurements that are plotted where none is named
EVEN = 0.8  # of a bar over which markers of one position are spread


def write(
    notebook: str, out: Path, measurements: Sequence[str] = (), against: str | None = None
) -> Path:
    """Write `OUT/report` and return its page.

    Args:
        notebook: name of the notebook.
        out: folder of the sweep.
        measurements: to plot; if none, some that the notebook's claims are judged by.
        against: swept parameter along the plots; if None, the first.

    Raises:
        InvnbError: nothing to report, or an unknown measurement or parameter.

    """
    sweep = sweep_table.read(notebook, out)
    if against is not None and against not in sweep.swept:
        raise InvnbError(
            f"{against!r} is not swept here{nearest(against, sweep.swept)}; swept are "
            f"{', '.join(sweep.swept) or 'seeds alone'}"
        )
    chosen = list(measurements) or _of_claims(notebook, sweep)
    estimates = {name: sweep_table.over_seeds(sweep, name) for name in chosen}
    page = out / SWEEP_PAGE
    folder = runner.writable(page.parent)
    sweep.table.to_csv(folder / "measurements.csv", index=False)
    sweep.table.to_parquet(folder / "measurements.parquet", index=False)
    for name, estimate in estimates.items():
        figure = plot(estimate, name, _unit(sweep, name), _ordered(sweep.swept, against))
        figure.savefig(folder / f"{name}.svg", bbox_inches="tight")
    lines = _page(notebook, out.absolute().name, sweep, estimates)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return page


def plot(estimate: pd.DataFrame, name: str, unit: str, swept: Sequence[str]) -> Figure:
    """Draw mean and interval along the first swept parameter, a line for each of the others.

    Args:
        estimate: as `sweep_table.over_seeds` gives it.
        name: of the measurement.
        unit: of its values.
        swept: parameters; may be none.

    """
    figure = Figure(figsize=(6.4, 3.6), facecolor="white")
    FigureCanvasAgg(figure)
    ax = figure.add_subplot()
    along, others = swept[:1], list(swept[1:])
    groups = estimate.groupby(others, sort=False, dropna=False) if others else [((), estimate)]
    groups = list(groups)
    positions = sorted(estimate[along[0]].unique()) if along else [""]
    for i, (key, group) in enumerate(groups):
        # Side by side, so that intervals at one position do not hide each other.
        shift = EVEN * ((i + 0.5) / len(groups) - 0.5)
        at = [positions.index(v) + shift for v in group[along[0]]] if along else [shift]
        arms = [(group["mean"] - group.low).fillna(0), (group.high - group["mean"]).fillna(0)]
        label = ", ".join(f"{o} = {v}" for o, v in zip(others, key, strict=True))
        ax.errorbar(at, group["mean"], yerr=arms, fmt="o", capsize=3, label=label)
    ax.set_xticks(range(len(positions)), [str(p) for p in positions])
    ax.set_xlim(-0.5, len(positions) - 0.5)
    ax.set_xlabel(along[0] if along else "")
    ax.set_ylabel(name if unit == "1" else f"{name} ({unit})")
    ax.grid(axis="y", alpha=0.4)
    if others:
        ax.legend(fontsize="small")
    return figure


def _ordered(swept: Sequence[str], first: str | None) -> list[str]:
    return sorted(swept, key=lambda name: name != first) if first else list(swept)


def _of_claims(notebook: str, sweep: Sweep) -> list[str]:
    known = sweep_table.scalars(sweep)
    judged = [
        quantity.name
        for claim in claimfile.load(notebook)
        for condition in claim.criterion
        for quantity in condition.quantities
    ]
    return list(dict.fromkeys(name for name in judged or known if name in known))[:AT_MOST]


def _unit(sweep: Sweep, measurement: str) -> str:
    return sweep.table[sweep.table.measurement == measurement].unit.iloc[0]


def _page(notebook: str, name: str, sweep: Sweep, estimates: dict[str, pd.DataFrame]) -> list[str]:
    """Return the lines of the page in MyST Markdown."""
    runs = [run for result in sweep.results.values() for run in result["runs"].values()]
    commits = sorted({run["commit"] or "unknown" for run in runs})
    devices = sorted({str(run["device"]) for run in runs})
    lines = [
        f"# Sweep {escape(name)}",
        "",
        f"{len(sweep.results)} points of {escape(notebook)}, {sweep.complete} of them complete; "
        f"swept: {escape(', '.join(sweep.swept) or 'seeds alone')}. Intervals are 95 % over seeds "
        "(Student); points are not judged: verdicts belong to runs with the source's settings.",
        "",
        f"Code: {', '.join(commits)}. Device: {escape(', '.join(devices))}. All values, curves "
        "too: {download}`CSV <measurements.csv>`, {download}`Parquet <measurements.parquet>`.",
    ]
    for measurement, estimate in estimates.items():
        lines += ["", f"## {escape(measurement)}", "", f"```{{image}} {measurement}.svg"]
        lines += [f":alt: {measurement} along the sweep, with intervals over seeds", "```", ""]
        head = [*sweep.swept, "mean", "95 % interval", "seeds"]
        lines += [f"| {' | '.join(map(escape, head))} |", "|---" * len(head) + "|"]
        for row in estimate.to_dict("records"):
            interval = "" if pd.isna(row["low"]) else f"{row['low']:.4g} to {row['high']:.4g}"
            cells = [escape(row[key]) for key in sweep.swept]
            cells += [f"{row['mean']:.4g}", interval, str(row["n"])]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Points", "", "| point | status | seconds | device |", "|---|---|---|---|"]
    for point, result in sweep.results.items():
        seconds = sum(run["seconds"] for run in result["runs"].values())
        error = f": {escape(result['error']['message'])}" if result["error"] else ""
        device = escape(result["provenance"]["device"])
        lines.append(f"| {escape(point)} | {result['status']}{error} | {seconds:.0f} | {device} |")
    return lines
