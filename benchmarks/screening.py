"""Screening shapes: invnb.screening against a loop over images with torchvision's transforms."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from math import ceil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from benchmarks import memory
from benchmarks.timing import Row, interleave, ratio, spent
from invnb import shapes
from invnb.cifar_nets import ResNet
from invnb.image_models import ImageModel, Preprocessing
from invnb.image_transformations import ELEVEN, GRAY, TRANSFORMATIONS, Transformation
from invnb.labelled_images import LabelledImages, load
from invnb.screening import screen, standard_normal
from invnb.screening_experiment import AS_CIFAR
from invnb.vision import torchvision

functional = import_module(f"{torchvision.__name__}.transforms.v2.functional")
BILINEAR = torchvision.transforms.InterpolationMode.BILINEAR

IMAGES = 1024
MANY = 4096  # for what memory depends on
FEWER = 128  # for a network as large as the chapter's
LOOPED = 8  # images that the loop is timed on; all of them are compared once
MAGNITUDES = 9
BATCH = 32  # images a pass, as `screen` has it by itself


def rows(rounds: int) -> Iterator[Row]:
    """Compare times and predictions, and the time of a screening with that of its networks."""
    transformations = [_nine(TRANSFORMATIONS[name]) for name in ELEVEN]
    model = ImageModel("shapes", shapes.train(200), Preprocessing(32), shapes.CLASSES)
    images = _images(IMAGES)
    batch, _ = images.block(0, IMAGES, model.preprocessing.fit)
    screened = partial(_screened, model, images, transformations)

    @torch.inference_mode()
    def looped() -> None:
        for one in transformations:
            _loop(model, batch[:LOOPED], one)

    slow, fast = interleave(looped, screened, rounds)
    slow = [seconds * IMAGES / LOOPED for seconds in slow]
    what = f"screening {IMAGES} shapes x {len(transformations)} x {MAGNITUDES}"
    yield Row(
        f"{what}, torchvision's transforms in a loop over images / invnb: time",
        ratio(slow, fast),
        "≥ 10",
        f"{spent(slow)} (from {LOOPED} images), {spent(fast)}",
    )

    yield _overhead(what, model, images, transformations, rounds)
    with TemporaryDirectory() as folder:
        table = screen(model, images, transformations, folder=Path(folder))
        with torch.inference_mode():
            same = [
                table.predicted(one.name) == _loop(model, batch, one).numpy()
                for one in transformations
            ]
    yield Row(
        f"{what}: equal predictions",
        f"{sum(s.mean() for s in same) / len(same):.3%}",
        "≥ 99.9 %",
        f"worst {min(s.mean() for s in same):.3%}",
    )
    deep = ImageModel("ResNet-20", ResNet(20, len(shapes.CLASSES)).eval(), AS_CIFAR, shapes.CLASSES)
    what = f"screening {FEWER} shapes x {len(transformations)} x {MAGNITUDES}, ResNet-20"
    yield _overhead(what, deep, _images(FEWER), transformations, rounds)
    if memory.STATUS.exists():
        few, many = (memory.peak(_thousand_classes, n) for n in (IMAGES, MANY))
        yield Row(
            f"screening shapes by both shifts, 1,000 classes: peak memory, {MANY} − {IMAGES}",
            f"{many - few:+.0f} MiB",
            "0, up to some MiB of noise",
            f"the whole process {few:.0f} MiB and {many:.0f} MiB",
        )


def _thousand_classes(n: int) -> None:
    """Screen `n` images at the 121 pairs of shifts with a network of a thousand outputs."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 1000))
    names = tuple(map(str, range(1000)))
    images = replace(_images(n), classes=names)
    with TemporaryDirectory() as folder:
        model = ImageModel("thousand", network, Preprocessing(32), names)
        screen(model, images, ["translation"], folder=Path(folder))


def _screened(
    model: ImageModel, images: LabelledImages, transformations: Sequence[Transformation]
) -> None:
    """Screen from the beginning."""
    with TemporaryDirectory() as folder:
        screen(model, images, transformations, batch_size=BATCH, folder=Path(folder))


def _overhead(
    what: str,
    model: ImageModel,
    images: LabelledImages,
    transformations: Sequence[Transformation],
    rounds: int,
) -> Row:
    """Compare the time of a screening with that of as many passes through the network alone."""
    batch, _ = images.block(0, len(images), model.preprocessing.fit)
    network_input = model.preprocessing.normalise(batch.float())
    passes = _passes(model, images, transformations)
    screened = partial(_screened, model, images, transformations)

    @torch.inference_mode()
    def bare() -> None:
        for part in network_input.split(BATCH) * passes:
            model.network(part)

    whole, alone = interleave(screened, bare, rounds)
    overhead = median(a / b for a, b in zip(whole, alone, strict=True)) - 1
    each, least = (1e6 * median(s) / (passes * len(images)) for s in (whole, alone))
    return Row(
        f"{what}: time beyond the bare forward passes",
        f"{overhead:.0%}",
        "< 25 %",
        f"{each:.0f} µs an image and pass, bare {least:.0f} µs",
    )


def _passes(
    model: ImageModel, images: LabelledImages, transformations: Sequence[Transformation]
) -> int:
    """Return how often the network is shown each image in a screening, counted on two of them."""
    shown = []
    hook = model.network.register_forward_pre_hook(lambda _, inputs: shown.append(len(inputs[0])))
    _screened(model, images.chosen(range(2)), transformations)
    hook.remove()
    return sum(shown) // 2  # the try before the work is of one image


def _images(n: int) -> LabelledImages:
    """Return `n` shapes, those of `invnb.labelled_images` again and again."""
    once = load("shapes")
    return once.chosen([i % len(once) for i in range(n)])


def _nine(one: Transformation) -> Transformation:
    """Return a transformation with nine of its magnitudes, the neutral one among them."""
    m = one.magnitudes
    picked = {round(i * (len(m) - 1) / (MAGNITUDES - 1)) for i in range(MAGNITUDES)}
    kept = tuple(m[i] for i in sorted(picked))
    return replace(one, magnitudes=kept)


def _loop(model: ImageModel, images: Tensor, one: Transformation) -> Tensor:
    """Return the predictions for uint8 images, one at a time, `[M, N]`."""
    predicted = torch.empty(len(one.magnitudes), len(images), dtype=torch.long)
    for i, image in enumerate(images.float()):
        for m, magnitude in enumerate(one.magnitudes):
            changed = _by_torchvision(one.name, image[None], magnitude, i)
            logits = model.network(model.preprocessing.normalise(changed))
            predicted[m, i] = logits.argmax()
    return predicted


def _by_torchvision(name: str, image: Tensor, v: float, place: int) -> Tensor:
    """Return one image `[1, 3, H, W]` transformed by torchvision, where it has the source's way.

    It moves by whole pixels only and scales both axes alike, and has neither noise that is given
    nor a way to gray: for these, the loop calls the functions of PyTorch that it would call.
    """
    if name == "rotation":
        changed = functional.rotate(image, v, BILINEAR)
    elif name == "zoom":
        changed = functional.affine(image, 0.0, [0, 0], 1 / v, [0.0, 0.0], interpolation=BILINEAR)
    elif name.startswith(("translation", "scale")):
        changed = _affine(image, name, v)
    elif name == "brightness":
        changed = (image + 255 * v).clamp(0, 255)
    elif name == "contrast":
        changed = functional.adjust_brightness(image / 255, v) * 255
    elif name == "grayscale":
        gray = sum(c * channel for c, channel in zip(GRAY, image[0], strict=True))
        changed = (1 - v) * image + v * gray
    elif name == "blur" and v:
        reach = min(ceil(5 * v), min(image.shape[-2:]) - 1)
        changed = functional.gaussian_blur(image, [2 * reach + 1] * 2, [v, v])
    elif name == "noise":
        noise = standard_normal(0, [place], image.shape[1:])
        changed = (image + 255 * v * noise).clamp(0, 255)
    else:
        changed = image
    return changed


def _affine(image: Tensor, name: str, v: float) -> Tensor:
    """Return one image moved or scaled along one axis, by the functions that torchvision calls."""
    matrix = torch.eye(2, 3)[None]
    axis = 0 if name.endswith("x") else 1
    if name.startswith("scale"):
        matrix[0, axis, axis] = v
    else:
        matrix[0, axis, 2] = -2 * v
    grid = torch.nn.functional.affine_grid(matrix, list(image.shape), align_corners=False)
    return torch.nn.functional.grid_sample(image, grid, align_corners=False)
