"""Trained networks on disk, so that an interrupted or repeated run trains nothing twice.

A network is stored under the hash of everything that determines it. Deleting the folder changes
no result.
"""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from invnb import paths
from invnb.training import Trained


def train_or_load(
    key: Mapping[str, Any],
    seeds: Sequence[int],
    train: Callable[[list[int]], list[Trained]],
    *,
    together: int = 4,
    folder: Path | None = None,
) -> list[Trained]:
    """Return the networks of `seeds`: those stored under `key`, and the others trained now.

    Args:
        key: everything that determines a network but its seed; JSON-able.
        seeds: one network each.
        train: trains the networks of the seeds it is given, in their order.
        together: how many missing seeds are trained, and stored, at a time.
        folder: where to store; default `networks` in `invnb.paths.cache_dir()`.

    Returns:
        One `Trained` per seed, in the order of `seeds`.

    """
    folder = folder or paths.cache_dir() / "networks"
    files = {seed: folder / f"{_digest({**key, 'seed': seed})}.pt" for seed in seeds}
    found = {seed: network for seed, file in files.items() if (network := _load(file))}
    missing = [seed for seed in files if seed not in found]
    for i in range(0, len(missing), together):
        for network in train(missing[i : i + together]):
            _store(network, files[network.seed])
            found[network.seed] = network
    return [found[seed] for seed in seeds]


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _load(file: Path) -> Trained | None:
    if not file.exists():
        return None
    try:
        return Trained(**torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # a torn file raises one of many types; all mean "train again"
        warnings.warn(
            f"{file.name} in the cache is unreadable, training again: {error}", stacklevel=2
        )
        return None


def _store(network: Trained, file: Path) -> None:
    """Write atomically, so that a killed run leaves no half a network."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
    os.close(handle)
    try:
        torch.save(asdict(network), temporary)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
