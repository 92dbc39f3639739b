"""Where to compute: the processor, or a CUDA GPU where there is one."""

import torch

from invnb.errors import InvnbError


def resolve(name: str) -> torch.device:
    """Return the device for `auto` (a GPU where there is one), `cpu` or `cuda`.

    Raises:
        InvnbError: when `cuda` is asked for and PyTorch sees no GPU.

    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InvnbError("device 'cuda' needs a GPU that PyTorch sees; use 'cpu' or 'auto'")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Return the device for a results file: the GPU's name, or `cpu` with its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} thread(s)"
