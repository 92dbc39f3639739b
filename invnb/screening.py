"""Screening: what a network says of images under transformations of growing magnitude.

Strategy 1 of Bunne et al., section III.C, for any network, images and transformations. Results go
to disk block by block, so that memory does not grow with the number of images, and an interrupted
screening goes on where it stopped. See `invnb.screening_table` for what is kept.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from invnb import image_transformations
from invnb.errors import InvnbError
from invnb.image_models import ImageModel
from invnb.image_transformations import ELEVEN, Transformation
from invnb.labelled_images import LabelledImages
from invnb.paths import cache_dir
from invnb.provenance import code_hash
from invnb.screening_table import BLOCK, Block, Table, create

CODE = (  # that tables are made by, but for networks of one's own, see `ImageModel.fingerprint`
    "invnb.cifar_nets",
    "invnb.image_models",
    "invnb.image_transformations",
    "invnb.labelled_images",
    "invnb.screening",
    "invnb.screening_table",
)


def screen(
    model: ImageModel,
    images: LabelledImages,
    transformations: Sequence[Transformation | str] | str = ELEVEN,
    *,
    seed: int = 0,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
) -> Table:
    """Return the table of a model's softmax for images under transformations, computed or found.

    Pictures are brought to the network's size, transformed in [0, 255], and normalised after that.
    Each image has noise of its own, which the seed and its place among the images fix, and which
    grows with the magnitude: neither the batch size nor an interruption changes it.

    Args:
        model: is moved to the device.
        images: N of them; their labels are matched with the model's classes, see
            `LabelledImages.labelled_for`.
        transformations: or their names, or the name of one.
        seed: of the noise.
        batch_size: images at a time. A processor loses time with more, as it asks the system for
            the memory of every pass anew; a GPU wants hundreds.
        device: where to compute.
        folder: where tables are kept; default `screenings` in `invnb.paths.cache_dir()`. What
            determines a table also determines its folder in there.

    Raises:
        InvnbError: before the work, when the names, the labels, the images and the network do not
            go together; during it, when the network returns NaN.

    """
    if batch_size < 1:
        raise InvnbError(f"batch_size {batch_size} is not allowed: 1 image at a time or more are")
    if isinstance(transformations, str):
        transformations = [transformations]
    chosen = tuple(
        image_transformations.transformations([one])[0] if isinstance(one, str) else one
        for one in transformations
    )
    model.network.to(device).eval()  # not in inference mode: weights that move could learn no more
    images = images.labelled_for(model.classes, outputs(model, images, device))
    table = create(
        (folder or cache_dir() / "screenings") / _digest(model, images, seed, device),
        {
            "model": model.name,
            "classes": images.classes,
            "images": {"name": images.name, "n": len(images), "checksum": images.checksum},
            "files": images.files,
            "seed": seed,
        },
        images.labels,
        chosen,
    )
    with tqdm(
        total=len(images) * sum(len(one.magnitudes) for one in chosen),
        desc=f"screening {model.short_name}",
        unit=" images",
        unit_scale=True,
        leave=False,
    ) as bar:
        for start in range(0, len(images), BLOCK):
            _screen_block(model, images, table, start, seed, batch_size, device, bar)
    return table


@torch.inference_mode()
def outputs(model: ImageModel, images: LabelledImages, device: torch.device | str) -> int:
    """Return the number of a network's classes, after a try with the first image.

    Args:
        model: on the device.
        images: one at least.
        device: where to compute.

    Raises:
        InvnbError: there is no image, or the network does not map the first to logits `[1, K]`, or
            to such that are not finite.

    """
    if not len(images):
        raise InvnbError(f"there are no images in {images.name}")
    if model.preprocessing.size is None:
        images.check_sizes()
    first, _ = images.block(0, 1, model.preprocessing.fit)
    try:
        logits = model.network(model.preprocessing.normalise(first.to(device).float()))
    except Exception as error:  # whatever a network raises at images that it is not made for
        why = " ".join(str(error).split())
        raise InvnbError(
            f"model {model.name!r} cannot take images of {tuple(first.shape[1:])}: {why}"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InvnbError(
            f"model {model.name!r} must map one image to logits (1, classes), not to {shape}"
        )
    if not logits.isfinite().all():
        raise InvnbError(
            f"model {model.name!r} returns NaN or infinite logits for the first of {images.name}: "
            "look for damaged weights or a preprocessing that is not its own"
        )
    if model.classes is not None and len(model.classes) != logits.shape[1]:
        raise InvnbError(
            f"model {model.name!r} has {logits.shape[1]} outputs and names of "
            f"{len(model.classes)} classes"
        )
    return logits.shape[1]


def _digest(
    model: ImageModel, images: LabelledImages, seed: int, device: torch.device | str
) -> str:
    """Return what stands for everything that determines a table but its transformations."""
    key = {
        "model": model.fingerprint(),
        "images": images.checksum,
        "labels": images.labels,
        "classes": images.classes,
        "seed": seed,
        "block": BLOCK,
        "platform": [torch.__version__, torch.device(device).type],
        "code": code_hash(*CODE),
    }
    return sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


@torch.inference_mode()
def _screen_block(
    model: ImageModel,
    images: LabelledImages,
    table: Table,
    start: int,
    seed: int,
    batch_size: int,
    device: torch.device | str,
    bar: tqdm,
) -> None:
    """Fill in what the table lacks of one block of images."""
    missing = [one for one in table.transformations if table.read(one, start) is None]
    n = min(BLOCK, len(images) - start)
    there = sum(len(one.magnitudes) for one in table.transformations if one not in missing)
    bar.update(n * there)
    if not missing:
        return
    block, labels = images.block(start, start + BLOCK, model.preprocessing.fit)
    parts, labels_of = block.split(batch_size), labels.split(batch_size)
    upright = [_softmax(model, part.to(device).float()).cpu() for part in parts]
    for one in missing:
        found = []
        for i, (part, neutral) in enumerate(zip(parts, upright, strict=True)):
            batch = part.to(device).float()
            noise = None
            if one.random:
                first = start + i * batch_size
                noise = standard_normal(seed, range(first, first + len(part)), part.shape[1:])
                noise = noise.to(device)
            rows = []
            for magnitude in one.magnitudes:
                if magnitude == one.neutral:
                    rows.append(neutral.to(device))
                else:
                    rows.append(_softmax(model, one(batch, magnitude, noise)))
                bar.update(len(part))
            softmax = torch.stack(rows).cpu()  # (M, B, K)
            _refuse_nan(model, one, softmax)
            # batch by batch, as all of a thousand classes would fill the memory
            found.append(Block.of(softmax.numpy(), labels_of[i].numpy()))
        table.write(one, start, Block.joined(found))


def _softmax(model: ImageModel, images: Tensor) -> Tensor:
    """Map images `[B, 3, H, W]` in [0, 255] to the softmax, float32 `[B, K]`."""
    return model.network(model.preprocessing.normalise(images)).float().softmax(-1)


def _refuse_nan(model: ImageModel, one: Transformation, softmax: Tensor) -> None:
    bad = softmax.isnan().any(-1)
    if bad.any():
        m = int(bad.any(1).nonzero()[0])
        raise InvnbError(
            f"model {model.name!r} returns NaN for {int(bad[m].sum())} of {bad.shape[1]} images at "
            f"{one.name} {one.magnitudes[m]}"
        )


def standard_normal(seed: int, places: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Return standard normal noise, float32 `[B, *shape]`, for the images at some places.

    Each image has a generator of its own, so its noise does not depend on what it comes with; it
    is drawn on the processor, so it is the same on all devices.
    """
    noise = [
        np.random.Generator(np.random.Philox(key=[seed, place])).standard_normal(
            tuple(shape), np.float32
        )
        for place in places
    ]
    return torch.from_numpy(np.stack(noise))
