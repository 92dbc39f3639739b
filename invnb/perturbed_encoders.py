"""The encoders that the perturbation chapter compares, by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

import torch
from torch import nn

from invnb import loading
from invnb.encoders import CODE, ConvEncoder, PrincipalComponents
from invnb.predcaps import PredCaps, Rules
from invnb.sparse_caps import SparseCaps

Made = TypeVar("Made")
SWITCHES = {"S": "sparsity", "G": "groups", "C": "consensus", "N": "competition"}


@dataclass(frozen=True)
class Kind:
    """How an encoder comes about.

    Attributes:
        training: "frozen" (as initialised), "local" (by its own losses), "through" (end to end with
            its head) or "fitted" (principal components).
        outputs: numbers of its code.
        rules: of predictive capsules; none for others.
        winner: one linear capsule wins at the top of a convolutional encoder.
        own: import path of a reader's own encoder.

    """

    training: str
    outputs: int = CODE
    rules: Rules | None = None
    winner: bool = False
    own: str | None = None

    def made(self, seed: int, size: int) -> nn.Module:
        """Return the encoder as a seed initialises it, for images of `size` x `size` pixels."""
        return seeded(lambda: self._made(size), seed)

    def _made(self, size: int) -> nn.Module:
        if self.own:
            return loading.from_import_path(self.own)()
        if self.training == "fitted":
            return PrincipalComponents(self.outputs, size)
        if self.training == "local":
            return PredCaps(self.rules, size) if self.rules else SparseCaps(size)
        return ConvEncoder(self.outputs, winner=self.winner)


def cells(chosen: Rules) -> dict[str, Rules]:
    """Return the rules of the 12 cells of the ablation by name, such as `cell_SGCN` for all on.

    Without sparsity there is nothing to group, and feedback has nothing to select either, so that
    cells without sparsity that differ in consensus alone are one and the same.
    """
    found = {}
    for on in product((True, False), repeat=4):
        switch = dict(zip(SWITCHES, on, strict=True))
        if switch["G"] and not switch["S"]:
            continue
        rules = chosen
        if not switch["N"]:
            rules = replace(rules, scaling="running")
        if not switch["C"]:
            rules = replace(rules, feedback="none")
        if not switch["G"]:
            rules = replace(rules, grouped=False)
        if not switch["S"]:
            rules = replace(rules, winners=0, grouped=True, feedback="none")
        found["cell_" + ("".join(n for n in SWITCHES if switch[n]) or "none")] = rules
    return found


def kinds(chosen: Rules) -> dict[str, Kind]:
    """Return the encoders known by name.

    Args:
        chosen: rules of predictive capsules.

    """
    sparse = cells(chosen)["cell_S"]
    known = {
        "Untrained": Kind("frozen"),
        "DeepBP": Kind("through"),
        "PredCaps": Kind("local", rules=chosen),
        "KSparse": Kind("local", rules=sparse),
        "KSparse_16": Kind("local", rules=replace(sparse, winners=1)),
        "SparseCaps": Kind("local"),
        "PCA_16": Kind("fitted", 16),
        "BP_8": Kind("through", 8),
        "BP_16": Kind("through", 16),
        "BP_32": Kind("through", 32),
        "BP_top1": Kind("through", winner=True),
    }
    return known | {name: Kind("local", rules=rules) for name, rules in cells(chosen).items()}


def seeded(make: Callable[[], Made], seed: int) -> Made:
    """Call `make` with the global generator seeded, and leave that as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()
