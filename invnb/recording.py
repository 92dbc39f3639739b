"""How a notebook records what it measured.

Each call adds one output to the cell that shows nothing on the page. The output is at once glue,
so that prose can cite the number by name (`{glue:text}`), and structured data, from which
`invnb.results.collect` reads the measurement back. Outside of IPython, values are only stored.
"""

import copy
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from invnb.errors import InvnbError
from invnb.measurements import measurement, text

GLUE_PREFIX = "application/papermill.record/"  # what myst-nb looks for
MEASUREMENT = "application/vnd.invnb.measurement+json"
RUN = "application/vnd.invnb.run+json"

_recorded: dict[str, dict[str, Any]] = {}


def record(
    name: str,
    values: Any,
    *,
    unit: str,
    seeds: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
    steps_source: int | None = None,
    axis: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """Record a measurement under `name`; a name recorded again replaces what it held.

    The arguments, and what is wrong with them, are those of `invnb.measurements.measurement`.
    """
    made = measurement(
        name,
        values,
        unit=unit,
        seeds=seeds,
        steps=steps,
        steps_source=steps_source,
        axis=axis,
        reason=reason,
    )
    _recorded[name] = made
    _emit(name, text(made), {MEASUREMENT: {"name": name, **made}})


def describe_run(*, data: Mapping[str, Any], device: str) -> None:
    """Record what the whole notebook ran on; glued as `run`.

    Args:
        data: at least `name`, as claims know it (`MNIST`); besides it whatever identifies the
            data: source (`folder`, `download`, `embedded`), checksum, number of images.
        device: such as `cpu` or the name of the GPU.

    Raises:
        InvnbError: when the data have no name or cannot be written as JSON.

    """
    if not data.get("name"):
        raise InvnbError(f"data {dict(data)!r} need a 'name', such as 'MNIST'")
    description = {"data": dict(data), "device": device}
    try:
        json.dumps(description, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvnbError(f"data {dict(data)!r} cannot be written as JSON: {error}") from error
    _emit("run", f"{data['name']} on {device}", {RUN: description})


def glue_text(name: str, sentence: str) -> None:
    """Make `sentence` citable in prose under `name`, without recording a measurement."""
    _emit(name, sentence, {})


def measurements() -> dict[str, dict[str, Any]]:
    """Return a copy of what this process has recorded so far, by name, as in a result's JSON."""
    return copy.deepcopy(_recorded)


def reset() -> None:
    """Forget everything recorded so far."""
    _recorded.clear()


def _emit(name: str, shown: str, structured: dict[str, Any]) -> None:
    # A running shell means that IPython is loaded: no need to import it where there is none.
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        shell.display_pub.publish(
            {GLUE_PREFIX + "text/plain": repr(shown), **structured},
            {"scrapbook": {"name": name, "mime_prefix": GLUE_PREFIX}},
        )
