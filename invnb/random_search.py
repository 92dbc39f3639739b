"""Random search for the furthest transformation that a classifier bears: a rival of learning one.

It looks through the same family as `invnb.itn`, any colour matrix and any sampler, at a cost
counted in images that the classifier is shown.

Axes: N images, H x W pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invnb.cifar_nets import normalise
from invnb.errors import InvnbError
from invnb.image_training import check_images
from invnb.itn import LOSS_ON, PADDINGS, expected_displacement, inverse, one_of, transform
from invnb.itn_training import frozen


@dataclass(frozen=True)
class Found:
    """The furthest transformation of a search.

    Attributes:
        colour: `[3, 4]`, on pixels of 0 to 1.
        sampler: `[2, 3]`.
        distance: see `distance`; 0 where nothing but the identity was borne.
        accuracy: of the classifier on all images of the search, transformed, fraction.
        proposals: transformations that were drawn.
        shown: images that the classifier was shown, the untransformed ones included; at most the
            budget.

    """

    colour: Tensor
    sampler: Tensor
    distance: float
    accuracy: float
    proposals: int
    shown: int


def distance(
    colour: Tensor, sampler: Tensor, c_theta: float = 10.0, loss_on: str = "sampler"
) -> Tensor:
    """Return how far a transformation goes, as the net's loss expects it at k1 = k2 = (1, 1).

    c_theta 2 |A - I|^2 / 4 of colour plus 2 |A - I|^2 / 3 of space: what the net raises, with its
    random unit vectors averaged out.

    Args:
        colour: `[..., 3, 4]`.
        sampler: `[..., 2, 3]`.
        c_theta: weight of colour.
        loss_on: `sampler`, or `image` to measure space by the sampler's inverse.

    Returns:
        `[...]`, 0 or more.

    """
    space = sampler if loss_on == "sampler" else inverse(sampler)
    return -2 * (c_theta * expected_displacement(colour) + expected_displacement(space))


def search(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    budget: int,
    level: float,
    seed: int,
    climbing: bool = False,
    c_theta: float = 10.0,
    loss_on: str = "sampler",
    padding: str = "zeros",
    spread: tuple[float, float] = (1e-3, 1.0),
    chunk: int = 100,
) -> Found:
    """Return the furthest of many random transformations at which accuracy keeps its level.

    A proposal adds normal noise to all 18 entries of the identity, or of the furthest so far
    (`climbing`, a strategy of evolution with one parent and one child); of two sizes, for colour
    and for space, each drawn evenly on a logarithmic scale. One that goes no further than the
    furthest so far is dropped unseen; the others are shown images, part by part, until too many are
    mistaken for the level to be kept. There are at most as many proposals as images in the budget.
    What is found owes some of its accuracy to luck with these images: judge it on others.

    Args:
        classifier: normalised images `[B, 3, H, W]` to logits `[B, K]`; stays as it is.
        images: `[N, 3, H, W]`, uint8, on the device of the classifier.
        labels: `[N]`, true classes.
        budget: images the classifier may be shown, such as steps times batch size of the net.
        level: accuracy to keep on all images, fraction.
        seed: of the proposals.
        climbing: start from the furthest so far instead of the identity.
        c_theta: see `distance`.
        loss_on: see `distance`.
        padding: see `invnb.itn.transform`.
        spread: smallest and largest standard deviation of the noise.
        chunk: images shown at a time.

    Raises:
        InvnbError: images of another kind, a budget below one look at all images, a level that is
            no fraction, a spread that is not two increasing positive numbers.

    """
    check_images(images, labels)
    one_of("loss_on", loss_on, LOSS_ON)
    one_of("padding", padding, PADDINGS)
    if budget < len(images):
        raise InvnbError(f"budget must be {len(images)} or more, all images once, got {budget}")
    if not 0 <= level <= 1:
        raise InvnbError(f"level is a fraction, 0 to 1, got {level:g}")
    if not 0 < spread[0] <= spread[1]:
        raise InvnbError(f"spread must be two increasing numbers above 0, got {spread}")
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(spread, dtype=torch.float64).log().tolist()
    best = identity = (torch.eye(3, 4), torch.eye(2, 3))
    furthest, proposals = 0.0, 0
    with frozen(classifier):
        kept, shown = _accuracy(classifier, images, labels, identity, padding, 0.0, chunk)
        while shown + len(images) <= budget and proposals < budget:
            proposals += 1
            sizes = torch.rand(2, generator=generator, dtype=torch.float64) * (high - low) + low
            noise = torch.randn(18, generator=generator).split((12, 6))
            pair = tuple(
                matrix + size * part.reshape(matrix.shape)
                for matrix, size, part in zip(
                    best if climbing else identity, sizes.exp().float(), noise, strict=True
                )
            )
            far = distance(*pair, c_theta, loss_on).item()
            if not furthest < far < float("inf"):
                continue
            accuracy, seen = _accuracy(classifier, images, labels, pair, padding, level, chunk)
            shown += seen
            if accuracy is not None:
                best, furthest, kept = pair, far, accuracy
    return Found(*best, furthest, kept, proposals, shown)


@torch.no_grad()
def _accuracy(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    matrices: tuple[Tensor, Tensor],
    padding: str,
    level: float,
    chunk: int,
) -> tuple[float | None, int]:
    """Return accuracy on transformed images, None once it must end below level; and images shown.

    Args:
        classifier: as for `search`.
        images: `[N, 3, H, W]`, uint8.
        labels: `[N]`.
        matrices: colour `[3, 4]` and sampler `[2, 3]`.
        padding: see `invnb.itn.transform`.
        level: fraction.
        chunk: images at a time.

    """
    colour, sampler = (m.to(images.device).unsqueeze(0) for m in matrices)
    n, wrong, seen = len(images), 0, 0
    for x, y in zip(images.split(chunk), labels.split(chunk), strict=True):
        logits = classifier(normalise(transform(x / 255, colour, sampler, padding)))
        wrong += int((logits.argmax(1) != y).sum())
        seen += len(x)
        if (n - wrong) / n < level:
            return None, seen
    return (n - wrong) / n, seen
