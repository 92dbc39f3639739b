"""What names of measurements mean, and the numbers that a source prints: for readers alone.

`book/names.yml` holds both by notebook. No verdict depends on them, so they are kept apart from
the claims, whose hashes tell what does.
"""

from functools import cache
from typing import Any

import yaml

from invnb import paths

FILE = paths.BOOK / "names.yml"


@cache
def _file() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def meanings(notebook: str) -> dict[str, str]:
    """Return what the parts of the names that a notebook's criteria use stand for.

    Args:
        notebook: name without suffix; one that is not in the file has none.

    """
    return _file().get(notebook, {}).get("names", {})


def published(notebook: str, claim: str) -> dict[str, float]:
    """Return a claim's published numbers by measurement, empty where its one value says it all.

    Args:
        notebook: name without suffix.
        claim: its id.

    """
    return _file().get(notebook, {}).get("published", {}).get(claim, {})
