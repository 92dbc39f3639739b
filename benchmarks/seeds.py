"""Four seeds trained together against one after the other, each with its own data order."""

from collections.abc import Iterator

import torch

from benchmarks.timing import Row, interleave, ratio, spent
from invnb.groups import R4
from invnb.models import MLP
from invnb.training import Schedule, train
from invnb.transforming import Split

SEEDS = [0, 1, 2, 3]
TRAINING, VALIDATION = 10_000, 2000  # the paper's; what the images show does not matter
EPOCHS = 3


def rows(rounds: int) -> Iterator[Row]:
    """Compare on the CPU, and on a GPU where there is one."""
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        training, validation = _random(TRAINING, device), _random(VALIDATION, device)

        def together(seeds: list[int], splits: tuple[Split, Split] = (training, validation)):
            train(MLP, R4, *splits, Schedule(epochs=EPOCHS), seeds=seeds, label="benchmark")

        def in_sequence(together=together):
            for seed in SEEDS:
                together([seed])

        apart, joined = interleave(in_sequence, lambda f=together: f(SEEDS), rounds)
        yield Row(
            f"{len(SEEDS)} seeds, in sequence / together, {EPOCHS} epochs, {device}: time",
            ratio(apart, joined),
            "",
            f"in sequence {spent(apart)}, together {spent(joined)}",
        )


def _random(n: int, device: str) -> Split:
    generator = torch.Generator().manual_seed(n)
    images = torch.randn(n, 36, 36, generator=generator)
    return Split(images, torch.randint(9, (n,), generator=generator)).to(device)
