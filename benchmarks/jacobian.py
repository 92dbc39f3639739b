"""The largest singular value of the Jacobian: invnb.sensitivity against jacrev and svdvals."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.timing import Row, interleave, ratio, spent
from invnb.models import MLP
from invnb.sensitivity import largest_singular_value

IMAGES = 512


def rows(rounds: int) -> Iterator[Row]:
    """Compare times and values on one `MLP`."""
    torch.manual_seed(0)
    network, images = MLP(), torch.randn(IMAGES, 36, 36)
    theirs, ours = interleave(
        lambda: _textbook(network, images), lambda: largest_singular_value(network, images), rounds
    )
    expected = _textbook(network, images)
    difference = (largest_singular_value(network, images) / expected - 1).abs().max()
    what = f"σmax of the Jacobian, vmap(jacrev) + svdvals / invnb, {IMAGES} images"
    yield Row(f"{what}: time", ratio(theirs, ours), "≥ 2.5", f"{spent(theirs)}, {spent(ours)}")
    yield Row(f"{what}: largest relative difference", f"{difference:.1e}", "< 1e-5", "")


def _textbook(network: nn.Module, images: Tensor) -> Tensor:
    def one(image: Tensor) -> Tensor:
        return network(image.unsqueeze(0))[0]

    with torch.no_grad():
        jacobian = torch.vmap(torch.func.jacrev(one))(images).flatten(2)  # (B, K, D)
        return torch.linalg.svdvals(jacobian)[:, 0]
