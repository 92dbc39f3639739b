"""Invariant Transformer Nets of the screening chapter and a rival by chance, through the cache.

Everything is computed on the device that the images are on.

Axes: N images.
"""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from invnb import itn_measures, random_search
from invnb.cache import measure_or_load, tensors_hash
from invnb.image_models import ImageModel
from invnb.itn import InvariantTransformerNet
from invnb.itn_training import ITNCourse, Learned, learn
from invnb.provenance import code_hash
from invnb.screening_experiment import OnPixels

# What all of it runs through; a classifier's fingerprint tells its weights.
CODE = (
    "invnb.cifar_nets",
    "invnb.image_models",
    "invnb.image_training",
    "invnb.itn",
    "invnb.itn_training",
)


def learned(
    model: ImageModel, images: Tensor, labels: Tensor, course: ITNCourse, seed: int
) -> Learned:
    """Return an Invariant Transformer Net for a model, trained now or before.

    Args:
        model: is moved to the images' device, and else stays as it is.
        images: uint8 `[N, 3, H, W]`.
        labels: `[N]`.
        course: how to train the net.
        seed: of the net and its batches.

    """
    key = _key(model, images) | {
        "course": asdict(course),
        "seed": seed,
        "labels": tensors_hash(labels),
        "code": code_hash(*CODE),
    }

    def measure() -> dict[str, Tensor]:
        made = learn(
            _on_pixels(model, images), images, labels, course, seed=seed, label=model.short_name
        )
        return made.tensors()

    return Learned.from_tensors(measure_or_load(key, measure))


def agreement(model: ImageModel, net: Learned, images: Tensor) -> Tensor:
    """Return `invnb.itn_measures.agreement` of a net on images, measured now or before.

    Args:
        model: the classifier that the net was trained for.
        net: as trained.
        images: uint8 `[N, 3, H, W]`.

    """

    def measure() -> dict[str, Tensor]:
        transformer = InvariantTransformerNet().to(images.device).eval()
        transformer.load_state_dict(net.state)
        classifier = _on_pixels(model, images)
        return {"kept": itn_measures.agreement(transformer, classifier, images)}

    key = _key(model, images) | {
        "net": tensors_hash(*net.state.values()),
        "code": code_hash(*CODE, "invnb.itn_measures"),
    }
    return measure_or_load(key, measure)["kept"]


def searched(
    model: ImageModel,
    images: Tensor,
    labels: Tensor,
    *,
    budget: int,
    level: float,
    seed: int,
    climbing: bool,
    c_theta: float,
) -> tuple[Tensor, Tensor]:
    """Return the furthest colour matrix `[1, 3, 4]` and sampler `[1, 2, 3]` found by chance.

    By `invnb.random_search.search`, with its arguments, now or before.
    """
    about = {"budget": budget, "level": level, "seed": seed, "climbing": climbing}
    about |= {"c_theta": c_theta}

    def measure() -> dict[str, Tensor]:
        found = random_search.search(_on_pixels(model, images), images, labels, **about)
        return {"colour": found.colour[None], "sampler": found.sampler[None]}

    key = _key(model, images) | about
    key |= {"labels": tensors_hash(labels), "code": code_hash(*CODE, "invnb.random_search")}
    found = measure_or_load(key, measure)
    return found["colour"].to(images.device), found["sampler"].to(images.device)


def _on_pixels(model: ImageModel, images: Tensor) -> nn.Module:
    return OnPixels(model).to(images.device).eval()


def _key(model: ImageModel, images: Tensor) -> dict[str, Any]:
    """Return what any measurement of a model on images depends on."""
    platform = [torch.__version__, images.device.type]
    return {"model": model.fingerprint(), "images": tensors_hash(images), "platform": platform}
