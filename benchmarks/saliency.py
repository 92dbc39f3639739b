"""Integrated gradients: invnb.saliency against captum's default, in time, value and memory."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from benchmarks import memory
from benchmarks.timing import Row, interleave, ratio, spent
from invnb.models import MLP
from invnb.saliency import STEPS, integrated_gradients

IMAGES, SIZE = 512, 36
MANY_STEPS = 256
Attribute = Callable[[int], Tensor]  # steps -> attributions


def rows(rounds: int) -> Iterator[Row]:
    """Compare the path behind the first layer, and that for any network, with captum."""
    captum, *ours = (partial(_attribute, kind) for kind in KINDS)
    for name, attribute in zip(list(KINDS)[1:], ours, strict=True):
        theirs, mine = interleave(lambda: captum(STEPS), lambda a=attribute: a(STEPS), rounds)
        expected = captum(STEPS)
        difference = (attribute(STEPS) - expected).abs().amax((1, 2))
        yield Row(
            f"Integrated gradients, captum / {name}, {IMAGES} images, {STEPS} steps: time",
            ratio(theirs, mine),
            "≥ 2.5",
            f"captum {spent(theirs)}, invnb {spent(mine)}",
        )
        yield Row(
            f"Integrated gradients, captum − {name}: largest difference",
            f"{difference.max():.1e}",
            "< 1e-6",
            f"above 1e-6 in {(difference > 1e-6).sum()} images, median {difference.median():.1e}, "
            f"largest attribution {expected.abs().max():.2g}",
        )
    for kind in KINDS if memory.STATUS.exists() else ():
        few, many = (memory.peak(_attribute, kind, steps) for steps in (STEPS, MANY_STEPS))
        yield Row(
            f"Integrated gradients, {kind}: peak memory, {MANY_STEPS} steps − {STEPS} steps",
            f"{many - few:+.0f} MiB",
            "" if kind == "captum" else "0, up to some MiB of noise",
            f"the whole process {few:.0f} MiB and {many:.0f} MiB",
        )


KINDS = {
    "captum": lambda network, x, y, steps: IntegratedGradients(network).attribute(
        x, target=y, n_steps=steps
    ),
    "invnb (affine path)": lambda network, x, y, steps: integrated_gradients(
        network, x, y, steps=steps
    )[0],
    "invnb (any network)": lambda network, x, y, steps: integrated_gradients(
        nn.Sequential(network),  # hides the methods that lead behind the first layer
        x,
        y,
        steps=steps,
    )[0],
}


def _attribute(kind: str, steps: int) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MLP(SIZE).eval().requires_grad_(False)
        x, y = torch.randn(IMAGES, SIZE, SIZE), torch.arange(IMAGES) % 9
    return KINDS[kind](network, x, y, steps)
