"""Trained networks on disk, so that an interrupted or repeated run trains nothing twice.

A network, or what took long to measure on it, is stored under the hash of everything that
determines it. Deleting the folder changes no result.
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
from torch import Tensor

from invnb import paths
from invnb.training import Trained


def tensors_hash(*tensors: Tensor) -> str:
    """Return a hash of the values of tensors, for a key."""
    whole = hashlib.sha256()
    for tensor in tensors:
        whole.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()


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
    found = {seed: one for seed, file in files.items() if (one := _load(file, _network))}
    missing = [seed for seed in files if seed not in found]
    for i in range(0, len(missing), together):
        for network in train(missing[i : i + together]):
            _store(asdict(network), files[network.seed])
            found[network.seed] = network
    return [found[seed] for seed in seeds]


def measure_or_load(
    key: Mapping[str, Any],
    measure: Callable[[], dict[str, Tensor]],
    *,
    folder: Path | None = None,
) -> dict[str, Tensor]:
    """Return the tensors stored under `key`, or measured now; they come back on the CPU.

    Args:
        key: everything that determines them; JSON-able.
        measure: returns tensors by name.
        folder: where to store; default `measured` in `invnb.paths.cache_dir()`.

    """
    file = (folder or paths.cache_dir() / "measured") / f"{_digest(key)}.pt"
    found = _load(file, dict)
    if found is None:
        found = {name: tensor.cpu() for name, tensor in measure().items()}
        _store(found, file)
    return found


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _network(fields: dict[str, Any]) -> Trained:
    return Trained(**fields)


def _load(file: Path, make: Callable[[dict[str, Any]], Any]) -> Any:
    if not file.exists():
        return None
    try:
        return make(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # a torn file raises one of many types; all mean "once more"
        warnings.warn(
            f"{file.name} in the cache is unreadable, making it again: {error}", stacklevel=2
        )
        return None


def _store(content: dict[str, Any], file: Path) -> None:
    """Write atomically, so that a killed run leaves no half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
    os.close(handle)
    try:
        torch.save(content, temporary)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
