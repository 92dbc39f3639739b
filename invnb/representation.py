"""Where the poses of an image lie in a hidden layer.

Figures 1 and 2 of Moskalev et al. suggest that a network trained with data augmentation keeps the
poses of one image far apart, each with features of its own. These are the numbers behind it.

Axes: B images, G group elements with the identity first, F units, K classes.
"""

import torch
from torch import Tensor


def orbit_over_class_spread(features: Tensor, labels: Tensor) -> Tensor:
    """Return the spread of each image's orbit over the spread of its class, `[B]`.

    A spread is the root mean squared distance of points to their mean: over the G poses of the
    image, and over all poses of all images of the class. 0 is invariant; G points drawn
    at random from the class would have sqrt(1 - 1 / G). A class at one point gives 0.

    Args:
        features: `[B, G, F]`.
        labels: `[B]`, 0..K-1.

    """
    orbit = _spread(features)
    of_class = torch.ones_like(orbit)
    for k in labels.unique():
        of_class[labels == k] = _spread(features[labels == k].flatten(0, 1))
    return torch.where(of_class > 0, orbit / of_class, 0)


def near_own_class(features: Tensor, labels: Tensor) -> Tensor:
    """Return for each pose whether the nearest class mean is that of its own class, `[B, G]`.

    Args:
        features: `[B, G, F]`; the mean of a class is over all poses of its images.
        labels: `[B]`, 0..K-1.

    """
    classes = labels.unique()
    means = torch.stack([features[labels == k].mean((0, 1)) for k in classes])  # (K, F)
    exact = "donot_use_mm_for_euclid_dist"  # the product form loses digits far from 0
    nearest = torch.cdist(features.flatten(0, 1), means, compute_mode=exact).argmin(-1)
    return classes[nearest].unflatten(0, features.shape[:2]) == labels.unsqueeze(1)


def active_overlap(units: Tensor) -> Tensor:
    """Return the overlap of the sets of units active for x and for gx, `[B, G]`.

    The Jaccard index, |A and B| / |A or B|, in 0..1; 1 is the same units. A unit is active when it
    is above 0. Two empty sets have overlap 1.

    Args:
        units: `[B, G, F]`, after the non-linearity.

    """
    active = units > 0
    both = (active[:, :1] & active).sum(-1)
    either = (active[:, :1] | active).sum(-1)
    return torch.where(either > 0, both / either, 1.0)


def another_of_class(labels: Tensor) -> Tensor:
    """Return for each image the index of another one of its class, `[B]`.

    Each image is another's partner once. An only one of its class is its own.

    Args:
        labels: `[B]`.

    """
    partner = torch.empty_like(labels)
    for k in labels.unique():
        of_class = (labels == k).nonzero().flatten()
        partner[of_class] = of_class.roll(1)
    return partner


def _spread(points: Tensor) -> Tensor:
    """Return the root mean squared distance of `[..., N, F]` to their mean, `[...]`."""
    return (points - points.mean(-2, keepdim=True)).square().sum(-1).mean(-1).sqrt()
