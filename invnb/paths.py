"""Where things are: folders of the checkout, and the user's data and cache folders."""

import os
from pathlib import Path

from platformdirs import user_cache_path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
PROFILES = ROOT / "profiles"
BOOK = ROOT / "book"
CLAIMS = BOOK / "claims"
RESULTS = ROOT / "results"


def data_dir() -> Path:
    """Return the data folder: `INVNB_DATA`, else `data` in the user's cache folder."""
    return Path(os.environ.get("INVNB_DATA") or cache_dir() / "data").expanduser()


def cache_dir() -> Path:
    """Return the folder for trained networks: `INVNB_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("INVNB_CACHE") or user_cache_path("invnb")).expanduser()
