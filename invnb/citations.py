"""Measurements that prose cites by name, and what to show where a run did not make them."""

import json
import re
from pathlib import Path

from invnb import claims, paths
from invnb.measurements import ABSENT
from invnb.recording import measurements, record

# {glue:text}`R4.DA.LI`, or {glue:text}`../notebooks/NAME.ipynb::R4.DA.LI:s` from another page.
# Names without a dot are sentences that the notebook glues itself.
CITED = re.compile(
    r"\{glue:text\}`(?:[^`:]*/(?P<notebook>[^`/:]+)\.ipynb::)?(?P<name>[^`:]+\.[^`:]+)"
)


def cited(notebook: str) -> set[str]:
    """Return the names of the measurements of a notebook that its prose and other pages cite.

    Args:
        notebook: name without suffix.

    """
    cells = json.loads((paths.NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    own = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    names = {m["name"] for m in CITED.finditer(own) if m["notebook"] in (None, notebook)}
    for page in paths.BOOK.glob("**/*.md"):
        names |= _from(page, notebook)
    return names


def cited_by_claims(notebook: str) -> set[str]:
    """Return the names of the measurements that a notebook's claims are judged by."""
    return {name for claim in claims.load(notebook) for name in claim.metrics}


def record_missing(notebook: str) -> list[str]:
    """Record every measurement that is cited but was not made, with no value and a reason.

    So a chapter that ran with fewer models still builds, with a dash for each such number.

    Args:
        notebook: name without suffix.

    Returns:
        The names, sorted.

    """
    wanted = cited(notebook) | cited_by_claims(notebook)
    missing = sorted(wanted - measurements().keys())
    for name in missing:
        record(name, None, unit="1", reason=ABSENT)
    return missing


def _from(page: Path, notebook: str) -> set[str]:
    found = CITED.finditer(page.read_text(encoding="utf-8"))
    return {m["name"] for m in found if m["notebook"] == notebook}
