"""What the claims about the Invariant Transformer Net are measured by (CS-10 to CS-17).

Axes: G values of a control along its range, N images, T steps. Measures of a training take one
value a step, such as a field of `invnb.itn_training.Record`; measures of a net look at all of its
control values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from invnb.cifar_nets import normalise
from invnb.decomposition import of_sampler
from invnb.errors import InvnbError
from invnb.image_training import predict
from invnb.itn import LOSS_ON, InvariantTransformerNet, inverse, magnitude, one_of
from invnb.itn_training import frozen

PARTS = ("colour", "space")
POINTS = 11
END = 0.1  # share of a training that counts as its end, and as its beginning
CONSTANT = 0.05  # matrices that vary by less, of their mean |A - I|, do not follow their control


@dataclass(frozen=True)
class Extremes:
    """The most that an image undergoes anywhere in a family (CS-13).

    Attributes:
        rotation: largest angle, degrees, 0 to 180.
        zoom_in: largest zoom; 1 or less where nothing is enlarged.
        zoom_out: smallest zoom; 1 or more where nothing is shrunk.

    """

    rotation: float
    zoom_in: float
    zoom_out: float


def slope(values: Tensor, share: float = 0.5) -> float:
    """Return the slope of the least-squares line through the last values, per step (CS-10).

    Args:
        values: `[T]`, such as the classifier's loss.
        share: of the steps that count, from the end, 0 to 1.

    Raises:
        InvnbError: fewer than two values in that share.

    """
    last = values[len(values) - round(share * len(values)) :].double().numpy()
    if len(last) < 2:
        raise InvnbError(f"a slope needs two values, got {len(last)} of {len(values)}")
    return float(np.polyfit(np.arange(len(last)), last, 1)[0])


def begin_and_end(values: Tensor) -> tuple[float, float]:
    """Return the means over the first and the last tenth of the steps, one at least (CS-10)."""
    n = max(round(END * len(values)), 1)
    return values[:n].double().mean().item(), values[-n:].double().mean().item()


def steps_to_half(magnitudes: Tensor) -> int | None:
    """Return after how many steps |A - I| first reaches half of what it is at the end (CS-16).

    Args:
        magnitudes: `[T]`, |A - I| before each step; the end is the mean of the last tenth.

    Returns:
        0 or more; None where the end is the identity.

    """
    end = begin_and_end(magnitudes)[1]
    return int((magnitudes >= end / 2).long().argmax()) if end > 0 else None


def agreement(
    net: InvariantTransformerNet, classifier: nn.Module, images: Tensor, points: int = POINTS
) -> Tensor:
    """Return how many images keep their class under F(k1, k2), over a grid of controls (CS-11).

    Both numbers of a control are raised together: k1 = (a, a), k2 = (b, b).

    Args:
        net: the trained net.
        classifier: normalised images `[B, 3, H, W]` to logits `[B, K]`; stays as it is.
        images: `[N, 3, H, W]`, uint8, held out from the net's training.
        points: G, values of a and of b, evenly from 0 to 1.

    Returns:
        `[G, G]`, first axis a, fraction of images with the class of the untransformed image.

    """
    along = torch.linspace(0, 1, points, device=images.device).unsqueeze(1).expand(points, 2)
    k1, k2 = along.repeat_interleave(points, 0), along.repeat(points, 1)
    with torch.no_grad():
        colour, sampler = net.matrices(k1, k2)
    kept = kept_class(net, classifier, images, colour, sampler)
    return kept.unflatten(0, (points, points))


@torch.no_grad()
def kept_class(
    net: InvariantTransformerNet,
    classifier: nn.Module,
    images: Tensor,
    colour: Tensor,
    sampler: Tensor,
    chunk: int = 500,
) -> Tensor:
    """Return which fraction of images keeps its class under each of M transformations, `[M]`.

    Args:
        net: says how matrices are applied.
        classifier: as for `agreement`.
        images: `[N, 3, H, W]`, uint8.
        colour: `[M, 3, 4]`.
        sampler: `[M, 2, 3]`.
        chunk: images at a time.

    """
    with frozen(classifier):
        before = predict(classifier, images, chunk)
        fractions = []
        for one_colour, one_sampler in zip(colour.split(1), sampler.split(1), strict=True):
            same = torch.zeros((), dtype=torch.long, device=images.device)
            for part, was in zip(images.split(chunk), before.split(chunk), strict=True):
                changed = net.transformed(part / 255, one_colour, one_sampler)
                same += (classifier(normalise(changed)).argmax(1) == was).sum()
            fractions.append(same / len(images))
    return torch.stack(fractions).cpu()


def over_controls(net: InvariantTransformerNet, part: str, points: int = POINTS) -> Tensor:
    """Return the matrices of one part over a grid of its own control, `[G, G, n, n + 1]`.

    Args:
        net: the trained net.
        part: one of `PARTS`.
        points: G, values of either number of the control, evenly from 0 to 1.

    """
    one_of("part", part, PARTS)
    along = torch.linspace(0, 1, points)
    control = torch.cartesian_prod(along, along)
    controller = net.colour if part == "colour" else net.space
    with torch.no_grad():
        matrices = controller(control.to(controller.matrix.weight)).cpu()
    return matrices.unflatten(0, (points, points))


def rank_correlation(
    net: InvariantTransformerNet, part: str, points: int = POINTS, loss_on: str = "sampler"
) -> float:
    """Return Spearman's correlation of |A - I| and the sum of the control's numbers (CS-12).

    That sum is what weights the loss of the part.

    Args:
        net: the trained net.
        part: one of `PARTS`.
        points: values of either number of the control.
        loss_on: `sampler`, or `image` to measure space by the sampler's inverse.

    Returns:
        -1 to 1; 0 where all matrices are equally far from the identity, or the controller has
        nearly the same for all (`variation` below `CONSTANT`): it does not follow its control.

    """
    one_of("loss_on", loss_on, LOSS_ON)
    matrices = over_controls(net, part, points)
    if part == "space" and loss_on == "image":
        matrices = inverse(matrices)
    along = torch.linspace(0, 1, points, dtype=torch.float64)
    control, far = torch.cartesian_prod(along, along).sum(1), magnitude(matrices).flatten()
    if (far == far[0]).all() or _variation(matrices) < CONSTANT:
        return 0.0
    # sums of equal parts differ in their last bits, which are no ranks
    return float(spearmanr(control.mul(points - 1).round(), far).statistic)


def variation(net: InvariantTransformerNet, part: str, points: int = POINTS) -> float:
    """Return how much a part's matrix follows its control: 0 where it is constant.

    The largest distance |A(k) - A(k')| of any two, by the mean |A(k) - I|; 0 for the identity.

    Args:
        net: the trained net.
        part: one of `PARTS`.
        points: values of either number of the control.

    """
    return _variation(over_controls(net, part, points))


def _variation(matrices: Tensor) -> float:
    flat = matrices.flatten(0, 1).flatten(1)
    mean = magnitude(matrices).mean()
    return (torch.pdist(flat).max() / mean).item() if mean > 0 else 0.0


def living(net: InvariantTransformerNet, part: str, points: int = POINTS) -> float:
    """Return the share of a controller's rectified units that are positive, over control values.

    About half when training begins; near 0 the matrices no longer follow their control.

    Args:
        net: the trained net.
        part: one of `PARTS`.
        points: values of either number of the control.

    """
    one_of("part", part, PARTS)
    controller = net.colour if part == "colour" else net.space
    along = torch.linspace(0, 1, points)
    control = torch.cartesian_prod(along, along).to(controller.matrix.weight)
    with torch.no_grad():
        units = controller.hidden(control)
    return (units > 0).float().mean().item()


def extremes(net: InvariantTransformerNet, points: int = POINTS) -> Extremes:
    """Return the most that the image undergoes over a grid of the control of space (CS-13)."""
    parts = of_sampler(over_controls(net, "space", points))
    return Extremes(
        parts.rotation.abs().max().item(), parts.zoom.max().item(), parts.zoom.min().item()
    )


def reach(
    net: InvariantTransformerNet,
    classifier: nn.Module,
    images: Tensor,
    part: str,
    level: float,
    scales: Sequence[float],
    loss_on: str = "sampler",
) -> float | None:
    """Return |A - I| of one part alone where fewer images than `level` keep their class (CS-14).

    From the identity towards the part's matrix at k = (1, 1), and beyond, the other part left at
    the identity: I + s (A - I). Two parts reached at one level cost the classifier alike.

    Args:
        net: the trained net.
        classifier: as for `agreement`.
        images: `[N, 3, H, W]`, uint8, held out.
        part: one of `PARTS`.
        level: fraction of images that keep their class.
        scales: increasing values of s above 0 to look at; between two, agreement is taken to fall
            on a line.
        loss_on: `sampler`, or `image` to measure space by the sampler's inverse.

    Returns:
        |A - I| at the first crossing; None where agreement stays at the level or above.

    """
    one_of("loss_on", loss_on, LOSS_ON)
    far = over_controls(net, part, 2)[1, 1].to(images.device)
    unit = {"colour": torch.eye(3, 4), "space": torch.eye(2, 3)}
    unit = {name: matrix.to(far).unsqueeze(0) for name, matrix in unit.items()}
    steps = torch.tensor([0.0, *scales], device=images.device).reshape(-1, 1, 1)
    moved = unit | {part: unit[part] + steps * (far - unit[part])}
    colour, space = (moved[name].expand(len(steps), -1, -1) for name in PARTS)
    kept = kept_class(net, classifier, images, colour, space).tolist()
    seen = inverse(moved[part]) if part == "space" and loss_on == "image" else moved[part]
    sizes = magnitude(seen).tolist()
    for i in range(1, len(kept)):
        if kept[i] < level:
            return sizes[i - 1] + (sizes[i] - sizes[i - 1]) * (kept[i - 1] - level) / (
                kept[i - 1] - kept[i]
            )
    return None


def furthest_borne(
    agreements: Mapping[float, float | None], magnitudes: Mapping[float, float], level: float
) -> float:
    """Return how far weighted sums go that keep as many classes as the switch does (CS-17).

    Args:
        agreements: of the net trained with each weight, fraction; None where training diverged.
        magnitudes: how far the same nets go, 0 or more.
        level: agreement of the switch's net.

    Returns:
        The largest magnitude at an agreement of the level or above; 0, the identity's, which keeps
        all classes, where no net has that.

    """
    borne = [magnitudes[w] for w, kept in agreements.items() if kept is not None and kept >= level]
    return max(borne, default=0.0)


def diverged(losses: Tensor, classes: int) -> bool:
    """Return whether a training ended where the classifier is worse than an even guess (CS-17).

    Args:
        losses: cross entropy at each step, `[T]`, nats.
        classes: K; an even guess over them costs log K.

    """
    return begin_and_end(losses)[1] > math.log(classes)
