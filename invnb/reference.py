"""The reference run's numbers, for a chapter that shows them beside its own."""

from collections.abc import Mapping
from typing import Any

from invnb import paths, profiles, results


def beside(notebook: str, used: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the measurements of the reference run by name, None where there is nothing to show.

    That is where no reference run is kept, and where a column of it would say the same twice, or
    show what this run is made to replace: a run with the full profile's settings repeats it.

    Args:
        notebook: name without suffix.
        used: every parameter of the run that asks, by name.

    """
    kept = paths.RESULTS / "reference" / f"{notebook}.json"
    if dict(used) == profiles.resolve(notebook, "full") or not kept.exists():
        return None
    return results.read(kept)["measurements"]
