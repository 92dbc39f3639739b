"""One's own network by name: an import path, with an optional checkpoint."""

import importlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from invnb.errors import InvnbError


def from_import_path(path: str) -> Callable[[], nn.Module]:
    """Return the factory that `path` names, checked by a call.

    Args:
        path: `package.module:factory`, or `package.module:factory@checkpoint.pt`; the factory
            takes no arguments and returns a network that maps `[B, H, W]` to logits `[B, K]`;
            the checkpoint is a state dict, or a dict with one under `state_dict`.

    Raises:
        InvnbError: when module, factory or checkpoint cannot be used, naming which and why.

    """
    target, at, checkpoint = path.partition("@")
    module_name, _, factory_name = target.partition(":")
    if not (module_name and factory_name and (checkpoint or not at)):
        raise InvnbError(
            f"model {path!r} is neither a known name nor package.module:factory[@checkpoint.pt]"
        )
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError, TypeError) as error:
        raise InvnbError(f"model {path!r} cannot be imported: {error}") from error
    try:
        network = factory()
    except Exception as error:  # whatever a user's own code raises
        raise InvnbError(f"model {path!r}: {factory_name}() fails: {error}") from error
    if not isinstance(network, nn.Module):
        raise InvnbError(f"model {path!r}: {factory_name}() must return a torch.nn.Module")
    if not checkpoint:
        return factory
    state = read_checkpoint(Path(checkpoint))
    check_state(network, state, path)

    def load() -> nn.Module:
        network = factory()
        network.load_state_dict(state)
        return network

    return load


def check_logits(network: nn.Module, images: Tensor, classes: int, model: str) -> None:
    """See that an untrained network fits the images.

    Args:
        network: on the device of the images; put into evaluation mode.
        images: `[B, H, W]`.
        classes: number of logits wanted for each.
        model: what messages call it.

    Raises:
        InvnbError: it fails, or does not map the images to `[B, classes]`.

    """
    try:
        found = tuple(network.eval()(images).shape)
    except Exception as error:  # whatever a user's own code raises
        raise InvnbError(
            f"model {model!r} fails on images {list(images.shape)}: {error}"
        ) from error
    wanted = (len(images), classes)
    if found != wanted:
        raise InvnbError(
            f"model {model!r} gives {found} for {len(images)} images, not logits {wanted}"
        )


def source(path: str) -> str:
    """Return the text of the file that an import path's module is defined in."""
    module = importlib.import_module(path.partition(":")[0])
    return Path(module.__file__).read_text(encoding="utf-8")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, or under `state_dict` in the dict that a file holds.

    Raises:
        InvnbError: when the file cannot be read, or holds something else than names and tensors.

    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvnbError(f"checkpoint {str(path)!r} cannot be read: {error.strerror}") from error
    except Exception as error:  # torch has a type, and a page of advice, for each kind of damage
        raise InvnbError(
            f"checkpoint {str(path)!r} is damaged, or holds more than tensors: save the network's "
            "state_dict() with torch.save"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise InvnbError(f"checkpoint {str(path)!r} is not a state dict (names to tensors)")
    return state


def check_state(network: nn.Module, state: dict[str, Tensor], path: str) -> None:
    """See that a state dict has the names and shapes of a network; `path` is what errors call both.

    Raises:
        InvnbError: it has not, naming the first that differs.

    """
    wanted = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in state.items()}
    wrong = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
    if wrong:
        k = wrong[0]
        raise InvnbError(
            f"model {path!r}: the checkpoint does not fit at {len(wrong)} name(s), first {k!r}: "
            f"the network has {wanted.get(k, 'none')}, the checkpoint {found.get(k, 'none')}"
        )


def short_name(model: str) -> str:
    """Return what measurements call a model: the name itself, or the factory of an import path."""
    return model.partition("@")[0].rpartition(":")[2]
