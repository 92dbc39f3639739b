"""Plain, shifted and affine digits on a larger canvas, and what is read of them from a code.

Reading one encoder takes minutes, so what was read is kept in the cache.
"""

from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

import torch
from torch import nn

from invnb import affine_digits, loading, readout
from invnb.cache import measure_or_load, tensors_hash
from invnb.encoder_measures import in_deviations
from invnb.encoding import codes_of
from invnb.equivariance_experiment import TRAINING_CODE, Digits
from invnb.perturbed_encoders import Kind
from invnb.provenance import code_hash

MARGIN = 6  # pixels that digits to learn from are shifted by at most
ASKED = {  # of a read-out, by what it learned from
    "plain": ("plain", "near", "affine"),
    "shifted": ("plain", "shifted", "near", "affine"),
    "affine": ("affine",),
}
FAR = {"test": "shifted", "near": "near", "affine": "affine"}  # digits whose distance is measured


@dataclass(frozen=True)
class Canvas:
    """Digits on the canvas, 40 x 40.

    Attributes:
        training: shifted ones, for encoders to learn from.
        to_learn: for read-outs to learn from: `plain`, in the middle; `shifted`, the first of
            `training`; and `affine`, under random affine maps.
        to_test: others of these kinds, and `near`: affine ones that are shifted no further than
            training digits are.

    """

    training: Digits
    to_learn: dict[str, Digits]
    to_test: dict[str, Digits]


@dataclass(frozen=True)
class Reading:
    """What was read from one encoder's codes.

    Attributes:
        accuracies: 0..1, by read-out (`invnb.readout.READERS`), the kind of digits that it learned
            from, and the kind that it was asked about.
        deviations: how far the numbers of a code lie from their mean (`in_deviations`) over the
            shifted digits to learn from: for shifted test digits (`test`), `near`, `affine`.

    """

    accuracies: dict[tuple[str, str, str], float]
    deviations: dict[str, float]


def canvas(training: Digits, test: Digits, readout_images: int, seed: int = 2) -> Canvas:
    """Put digits on the canvas.

    Args:
        training: 28 x 28.
        test: 28 x 28.
        readout_images: the first so many of `training` are for read-outs to learn from.
        seed: of shifts.

    """
    generator = torch.Generator().manual_seed(seed)
    seen, held = (_shifted(digits, generator) for digits in (training, test))
    few, few_seen = (
        Digits(digits.images[:readout_images], digits.labels[:readout_images])
        for digits in (training, seen)
    )
    to_learn, _ = _kinds(few, few_seen, seed=1)
    to_test, near = _kinds(test, held, seed=0)
    return Canvas(seen, to_learn, to_test | {"near": near})


def read(kind: Kind, encoder: nn.Module, of: Canvas) -> Reading:
    """Read an encoder's codes, or load what was read.

    Args:
        kind: of the encoder.
        encoder: maps `[B, 40, 40]` to codes `[B, E]`.
        of: digits to read.

    """

    def measure() -> dict[str, torch.Tensor]:
        learned, asked = (
            {name: (codes_of(encoder, some.images), some.labels) for name, some in digits.items()}
            for digits in (of.to_learn, of.to_test)
        )
        found = {}
        for source, names in ASKED.items():
            tests = {name: asked[name] for name in names}
            for reader in readout.READERS:
                for name, value in readout.accuracies(reader, learned[source], tests).items():
                    found[f"{reader} {source} {name}"] = value
        for key, name in FAR.items():
            found[key] = in_deviations(asked[name][0], learned["shifted"][0])
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}

    every = [*of.to_learn.values(), *of.to_test.values()]
    own = "invnb.canvas_reading", "invnb.encoder_measures", "invnb.readout"
    key = {
        "kind": asdict(kind),
        "own_code": loading.source(kind.own) if kind.own else None,
        "encoder": tensors_hash(*encoder.state_dict().values()),
        "digits": tensors_hash(*[t for some in every for t in (some.images, some.labels)]),
        "code": code_hash(*TRAINING_CODE, *own),
        "platform": [torch.__version__, version("scikit-learn"), every[0].images.device.type],
    }
    stored = {name: value.item() for name, value in measure_or_load(key, measure).items()}
    deviations = {name: stored.pop(name) for name in FAR}
    return Reading({tuple(name.split()): value for name, value in stored.items()}, deviations)


def _shifted(digits: Digits, generator: torch.Generator) -> Digits:
    """Shift each digit by up to `MARGIN` whole pixels along each axis."""
    shape = (len(digits.images), 2)
    by = torch.randint(-MARGIN, MARGIN + 1, shape, generator=generator)
    return replace(digits, images=affine_digits.shifted(digits.images, by.to(digits.images.device)))


def _kinds(digits: Digits, shifted: Digits, seed: int) -> tuple[dict[str, Digits], Digits]:
    """Return digits by kind, and those affine ones that are shifted by at most `MARGIN`."""
    images, maps = affine_digits.affine(digits.images, seed)
    affine = replace(digits, images=images)
    near = torch.stack([maps["shift_x"], maps["shift_y"]]).abs().amax(0) <= MARGIN
    plain = replace(digits, images=affine_digits.centred(digits.images))
    kinds = {"plain": plain, "shifted": shifted, "affine": affine}
    return kinds, Digits(images[near], digits.labels[near])
