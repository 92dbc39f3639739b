"""The command line: `invnb run`, `sweep`, `parameters`, `build`, `claims`, `merge`.

Imports are inside the commands, so that `invnb --help` answers at once.
"""

import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invnb import __version__, paths
from invnb.errors import InvnbError

if TYPE_CHECKING:
    from invnb.runner import Outcome

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130  # exit statuses

EXAMPLES = """\b
Examples:
  invnb run                                  all notebooks, profile quick
  invnb run genuine-invariance -p seeds '[0, 1]' --out results/two-seeds
  invnb build --run two-seeds                the book, with that run's numbers
  invnb build --run reference                the published book, nothing executed
  invnb parameters genuine-invariance        what -p can set
  invnb claims                               the verdicts of the newest run
"""

SWEEPS = """\b
Examples:
  invnb sweep genuine-invariance -p epochs '[5, 10]' -p seeds '[[0], [1]]' --out results/e
  invnb sweep genuine-invariance -p epochs '[5, 10, 20]' -p seeds '[[0], [1]]' --out results/e
                                             adds two points to the four above
  invnb sweep genuine-invariance -p epochs '[5, 10]' --out results/e --scheduler tcp://host:8786
  invnb sweep genuine-invariance --out results/e --report --plot R4.IR.accuracy
"""


class Commands(click.Group):
    """Commands that report what a user can mend in one line, not in a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; exit with `WRONG_USE` after an `InvnbError`, `INTERRUPTED` on Ctrl-C."""
        try:
            return super().invoke(ctx)
        except InvnbError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(WRONG_USE)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


FOLDER = click.Path(path_type=Path, file_okay=False)

profile_option = click.option(
    "--profile",
    default="quick",
    show_default=True,
    help="smoke, quick or full, or the path of a file like those in profiles/.",
)

data_option = click.option(
    "--data",
    metavar="DIR",
    type=FOLDER,
    help="Data folder in torchvision's layout. Default: INVNB_DATA, else a cache folder.",
)

run_option = click.option(
    "--run", metavar="NAME", help="A folder in results/. Default: the newest run, else reference."
)


@click.group(
    "invnb",
    cls=Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Execute the notebooks, build the book, and list what became of each claim."""


@app.command(epilog=EXAMPLES)
@click.argument("notebooks", metavar="[NOTEBOOK]...", nargs=-1)
@profile_option
@click.option(
    "-p",
    "--parameter",
    "assignments",
    metavar="NAME VALUE",
    nargs=2,
    multiple=True,
    help="Set a parameter, over the profile; may be repeated. A list is written '[0, 1]'.",
)
@data_option
@click.option(
    "--out",
    metavar="results/NAME",
    type=FOLDER,
    help="Folder of the run. Default: results/PROFILE, with -p results/PROFILE-custom.",
)
@click.option("--force", is_flag=True, help="Execute even what is up to date.")
def run(
    notebooks: tuple[str, ...],
    *,
    profile: str,
    assignments: tuple[tuple[str, str], ...],
    data: Path | None,
    out: Path | None,
    force: bool,
) -> None:
    """Execute notebooks (default: all) and store their measurements.

    A notebook whose result is there already, from the same code and parameters, is skipped. One
    that fails does not stop the others: what it measured is kept, and the exit status is 1.
    """
    from invnb import profiles, runner

    names = list(
        dict.fromkeys(profiles.notebook(n).stem for n in notebooks or profiles.notebooks())
    )
    label = profiles.label(profile)
    plan = [(name, profiles.resolve(name, profile, assignments)) for name in names]
    out = out or paths.RESULTS / (f"{label}-custom" if assignments else label)
    runner.data_folder(data)
    runner.writable(out)
    # A polite kill ends like Ctrl-C: what was measured is kept, and no kernel stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    statuses = []
    for name, values in plan:
        outcome = runner.run_notebook(name, values, label, data=data, out=out, force=force)
        _report(outcome)
        statuses.append(outcome.status)
        if outcome.status == runner.INTERRUPTED:
            raise SystemExit(INTERRUPTED)
    if runner.FAILED in statuses:
        raise SystemExit(FAILED)


def _report(outcome: "Outcome") -> None:
    """Print what became of a notebook: what is well to stdout, what is not to stderr."""
    if outcome.status == "complete":
        click.echo(f"{outcome.notebook}: done in {outcome.seconds:.0f} s, {outcome.chapter}")
    elif outcome.status == "up to date":
        click.echo(f"{outcome.notebook}: up to date, {outcome.chapter} (--force executes it again)")
    else:
        kept = f"; measured so far: {outcome.chapter}" if outcome.chapter.exists() else ""
        click.echo(f"{outcome.notebook}: {outcome.status} in {outcome.message}{kept}", err=True)


@app.command(epilog=SWEEPS)
@click.argument("notebook")
@profile_option
@click.option(
    "-p",
    "--parameter",
    "assignments",
    metavar="NAME VALUES",
    nargs=2,
    multiple=True,
    help="Sweep a parameter over a list of values, or set it to one; may be repeated.",
)
@data_option
@click.option("--out", metavar="results/NAME", required=True, type=FOLDER, help="Of the sweep.")
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster. Default: this machine.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes on this machine. Default: one a GPU, else one a core.",
)
@click.option("--limit", type=click.FloatRange(min=0, min_open=True), help="Seconds a point.")
@click.option("--report", is_flag=True, help="Run nothing: table and plots of what is there.")
@click.option("--plot", "plots", metavar="MEASUREMENT", multiple=True, help="For the report.")
@click.option("--against", metavar="NAME", help="Swept parameter along the plots.")
def sweep(
    notebook: str,
    *,
    profile: str,
    assignments: tuple[tuple[str, str], ...],
    data: Path | None,
    out: Path,
    scheduler: str | None,
    workers: int | None,
    limit: float | None,
    report: bool,
    plots: tuple[str, ...],
    against: str | None,
) -> None:
    """Run a notebook at every combination of values.

    Each point has a folder of its own in OUT. Points that are done are not run again, so the same
    command goes on where it stopped, and another value adds points. The exit status is 1 if a
    point failed.
    """
    from invnb import profiles, sweep_grid, sweep_report

    name = profiles.notebook(notebook).stem
    if report:
        click.echo(sweep_report.write(name, out, plots, against))
        return
    points = sweep_grid.points(name, profile, assignments)
    from invnb import sweep as sweeps  # Dask and torch are needed from here on

    plan = sweeps.Plan(name, points, profiles.label(profile), out, data, limit)
    left = sweeps.waiting(plan)
    click.echo(f"{len(points)} points, {len(points) - len(left)} done{sweeps.estimate(plan, left)}")
    failed = sweeps.run(plan, left, scheduler=scheduler, workers=workers) if left else {}
    click.echo(f"{len(points) - len(failed)} of {len(points)} points complete in {out}")
    for point, why in failed.items():
        click.echo(f"failed: {point}: {why}", err=True)
    if failed:
        raise SystemExit(FAILED)


@app.command()
@click.argument("notebook")
def parameters(notebook: str) -> None:
    """List what -p can set in a notebook.

    For each parameter: name, type, default, what it does, what is allowed.
    """
    from invnb import parameters as declared
    from invnb import profiles

    for parameter in declared.read(profiles.notebook(notebook)):
        click.echo(f"{parameter.name}: {parameter.type} = {parameter.default!r}")
        allowed = f" (allowed: {parameter.constraint})" if parameter.constraint else ""
        click.echo(f"    {parameter.help}{allowed}")


@app.command()
@run_option
def build(run: str | None) -> None:
    """Build the book from the results of a run.

    Nothing is executed. Prints the address of the first page.
    """
    from invnb import book

    click.echo(book.build(run).as_uri())


@app.command()
@run_option
def claims(run: str | None) -> None:
    """List the verdict on each claim.

    Columns: claim, verdict, published value, measured value; below, the reason, and what the
    reference run measured.
    """
    from invnb import book
    from invnb.ledger import ledger

    run = book.choose_run(run, paths.RESULTS)
    reference = book.read_run(paths.RESULTS / book.REFERENCE)
    this = {} if run == book.REFERENCE else book.read_run(paths.RESULTS / run)
    for row in ledger(reference, this):
        value = row["this_run"] if row["notebook"] in this else row["reference"]
        click.echo(f"{row['id']:24}  {row['verdict']:15}  {row['published']:>24}  {value}")
        if row["reason"]:
            click.echo(f"{'':24}  {row['reason']}")
        if row["notebook"] in this and row["notebook"] in reference:
            beside = f"{row['reference_verdict']:15}  {'reference run':>24}  {row['reference']}"
            click.echo(f"{'':24}  {beside}")


@app.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", metavar="results/NAME", required=True, type=FOLDER, help="The joined run.")
def merge(runs: tuple[Path, ...], out: Path) -> None:
    """Join runs that differ in nothing but their seeds.

    RUN is a folder such as results/a. The chapter shown is that of the run with most seeds.
    """
    from invnb import merging, profiles, provenance, results, runner

    folders = [folder if folder.is_dir() else paths.RESULTS / folder for folder in runs]
    folders = [folder.absolute() for folder in folders]
    for given, folder in zip(runs, folders, strict=True):
        if not any(folder.glob("*.json")):
            raise InvnbError(f"there are no results in {given}: name folders such as results/NAME")
    joined = {}
    for name in sorted({file.stem for folder in folders for file in folder.glob("*.json")}):
        source = profiles.notebook(name)
        files = [folder / f"{name}.json" for folder in folders]
        files = [file for file in files if file.exists()]
        pieces = [results.read(file) for file in files]
        result = merging.merge(
            pieces,
            run=out.absolute().name,
            content_hash=lambda values, source=source: provenance.content_hash(source, values),
        )
        chapter = files[merging.fullest(pieces)].with_suffix(".ipynb")
        if not chapter.exists():
            raise InvnbError(f"{chapter} is missing beside its result: run it again with --force.")
        joined[chapter] = result, len(files)
    out = runner.writable(out).absolute()
    for chapter, (result, n) in joined.items():
        if chapter.parent != out:
            shutil.copyfile(chapter, out / chapter.name)
        results.write_json(out / f"{chapter.stem}.json", result)
        click.echo(f"{chapter.stem}: {n} runs joined, {out / chapter.name}")
