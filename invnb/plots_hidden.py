"""Figure 2 of Moskalev et al.: where the poses of an image lie in a hidden layer."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# The nine colours of Paul Tol's qualitative scheme "muted", safe for colour-blind readers.
CLASSES = (
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933"),
    *("#DDCC77", "#CC6677", "#882255", "#AA4499"),
)
MARKS = "osD^v"  # of the traced images, in their order


def embedding(
    points: Mapping[str, np.ndarray], labels: np.ndarray, traced: Sequence[int]
) -> Figure:
    """Draw all poses of all images in two dimensions, a panel per model, with some images traced.

    Args:
        points: `[B, G, 2]` by model, the identity first; their unit means nothing.
        labels: `[B]`, 0..8.
        traced: up to five indices of images whose poses are joined, each with a shape of its own.

    """
    figure, axes = plt.subplots(
        1, len(points), figsize=(3.1 * len(points) + 0.7, 3.3), squeeze=False, layout="constrained"
    )
    for ax, (model, of_model) in zip(axes[0], points.items(), strict=True):
        colours = np.array(CLASSES)[np.repeat(labels, of_model.shape[1])]
        ax.scatter(*of_model.reshape(-1, 2).T, c=colours, s=5, lw=0, alpha=0.45, rasterized=True)
        for mark, image in zip(MARKS, traced, strict=False):
            _trace(ax, of_model[image], mark, CLASSES[labels[image]])
        ax.set(xticks=[], yticks=[], title=model)
    classes = np.unique(labels)
    handles = [
        plt.Line2D([], [], ls="", marker="o", ms=6, color=CLASSES[k], label=str(k)) for k in classes
    ]
    figure.legend(handles=handles, title="class", loc="outside right center", frameon=False)
    return figure


def _trace(ax: Axes, poses: np.ndarray, mark: str, colour: str) -> None:
    """Draw the poses of one image, `[G, 2]`, joined by a closed line."""
    ring = np.concatenate([poses, poses[:1]])
    ax.plot(*ring.T, color="black", lw=0.9, zorder=3)
    ax.plot(*poses.T, ls="", marker=mark, ms=7, mfc=colour, mec="black", mew=1.0, zorder=4)
