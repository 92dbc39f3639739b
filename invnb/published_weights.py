"""Weights of residual networks for CIFAR-10 that others published: found in a folder or downloaded.

They are Y. Idelbayev's, "Proper ResNet implementation for CIFAR10/CIFAR100 in PyTorch", trained on
the lossless images. A file's name ends with the beginning of its SHA-256.
"""

import re
from pathlib import Path

import torch

from invnb.downloads import downloading
from invnb.errors import InvnbError
from invnb.paths import data_dir

ADDRESS = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/{file}"
FILES = {  # and the published accuracy on the lossless test images
    "resnet20-12fca82f.th": 0.9173,
    "resnet32-d509ac18.th": 0.9263,
    "resnet44-014dd654.th": 0.9310,
    "resnet56-4bfd9763.th": 0.9339,
}


def find(file: str) -> Path:
    """Return where a checkpoint is, after a download if it is a published one that is not here.

    Args:
        file: a path; or one of `FILES`, which is also looked for in the data folder, and kept where
            torch keeps downloaded weights.

    Raises:
        InvnbError: a published file that cannot be downloaded, or arrives damaged.

    """
    if Path(file).exists() or file not in FILES:
        return Path(file)
    kept = Path(torch.hub.get_dir(), "checkpoints", file)
    for path in (data_dir() / file, kept):
        if path.exists():
            return path
    kept.parent.mkdir(parents=True, exist_ok=True)
    (prefix,) = re.findall(r"-([0-9a-f]+)\.", file)

    def failure(reason: str) -> InvnbError:
        return InvnbError(
            f"checkpoint {file} cannot be downloaded ({reason}): check the network, or put the "
            f"file into {data_dir()}"
        )

    with downloading(failure):
        torch.hub.download_url_to_file(ADDRESS.format(file=file), str(kept), prefix, progress=False)
    return kept
