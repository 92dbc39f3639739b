"""Figures of the screening chapter: what transformations do to predictions."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle, pairwise, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from invnb.image_transformations import Transformation
from invnb.screening_curves import SoftmaxCurves, TranslationMap
from invnb.statistics import interval

# of classes; without gray, which stands for all others
_COLOURS = [c for i, c in enumerate(sns.color_palette("colorblind")) if i != 7]
WIDE = 8.0  # inches: words stay readable when a figure is fitted into a page


def axis_of(ax: Axes, one: Transformation) -> None:
    """Label the horizontal axis by a transformation, factors on a logarithmic scale."""
    if one.ratio:
        ax.set_xscale("log", base=2)
    ax.set_xlabel(f"{one.name.replace('_', ' ')} ({one.unit})", fontsize=8)
    ax.axvline(one.neutral, color="black", ls=":", lw=0.8)


def _panels(number: int, columns: int, height: float, **shared: bool) -> tuple[Figure, np.ndarray]:
    """Return a figure as wide as the page with panels, and their axes `[rows, columns]`.

    Args:
        number: of panels; places that are left over are empty.
        columns: beside each other.
        height: of a panel, in inches.
        shared: axes, as in `plt.subplots`.

    """
    rows = -(-number // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDE, height * rows), squeeze=False, layout="constrained", **shared
    )
    for ax in axes.flat[number:]:
        ax.remove()
    return figure, axes


def _legend_below(figure: Figure, ax: Axes) -> None:
    """Put the legend of one panel below all of them."""
    handles, labels = ax.get_legend_handles_labels()
    if ax.get_legend():
        ax.get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def accuracies(curves: pd.DataFrame, transformations: Sequence[Transformation]) -> Figure:
    """Draw accuracy against magnitude, a panel per transformation, a line per model.

    Args:
        curves: one row per model, transformation, part of the images and magnitude, with accuracy;
            bands are 95 % intervals over parts.
        transformations: in the order of the panels.

    """
    figure, axes = _panels(len(transformations), 3, 2.0, sharey=True)
    for ax, one in zip(axes.flat, transformations, strict=False):
        sns.lineplot(
            curves[curves.transformation == one.name], x="magnitude", y="accuracy", hue="model",
            errorbar=interval, legend=one is transformations[0], ax=ax,
        )  # fmt: skip
        axis_of(ax, one)
        ax.set(ylim=(-0.02, 1.02), ylabel="accuracy")
    _legend_below(figure, axes[0, 0])
    return figure


def softmax(panels: Mapping[str, tuple[Transformation, SoftmaxCurves]], columns: int = 2) -> Figure:
    """Draw mean softmax of one class's images against magnitude: three classes, and the others.

    A class has one colour in all panels (of many classes, one colour and kind of line).

    Args:
        panels: by title.
        columns: panels beside each other.

    """
    figure, axes = _panels(len(panels), columns, 2.2)
    names = dict.fromkeys(name for _, curves in panels.values() for name in curves.classes)
    looks = dict(zip(names, cycle(product(("-", "-.", ":"), _COLOURS)), strict=False))
    for ax, (title, (one, curves)) in zip(axes.flat, panels.items(), strict=False):
        for name, means in zip(curves.classes, curves.means, strict=True):
            style, colour = looks[name]
            ax.plot(curves.magnitudes, means, style, color=colour, label=name)
        if curves.others is not None:
            ax.plot(curves.magnitudes, curves.others, color="grey", ls="--", label="others")
        axis_of(ax, one)
        ax.set(ylim=(-0.02, 1.02), ylabel="mean softmax")
        ax.set_title(title, fontsize=9)
        ax.legend(fontsize=7, frameon=False)
    return figure


def translations(
    maps: Mapping[str, TranslationMap], parts: Mapping[str, Sequence[TranslationMap]]
) -> Figure:
    """Draw the mean softmax of a class under shifts both ways, a panel per title.

    A line is where it falls to half of what it is unmoved; thin ones are those of parts.

    Args:
        maps: by title.
        parts: maps of disjoint parts of the same images, by title.

    """
    figure, axes = _panels(len(maps), min(len(maps), 4), 2.1, sharex=True, sharey=True)
    axes[0, 0].invert_yaxis()
    for ax, (title, one) in zip(axes.flat, maps.items(), strict=False):
        shown = ax.pcolormesh(one.x, one.y, one.softmax, vmin=0, vmax=1, cmap="viridis")
        _half_line(ax, one, lw=2)
        for part in parts[title]:
            _half_line(ax, part, lw=0.5)
        ax.grid(visible=False)
        ax.set_title(title, fontsize=9)
    figure.supxlabel("right (widths)", fontsize=9)
    figure.supylabel("down (heights)", fontsize=9)
    figure.colorbar(shown, ax=axes, label="mean softmax", shrink=0.8)
    return figure


def _half_line(ax: Axes, one: TranslationMap, lw: float) -> None:
    """Draw where the softmax is half of the unmoved one, if it is anywhere."""
    half = one.softmax[np.abs(one.y).argmin(), np.abs(one.x).argmin()] / 2
    if one.softmax.min() < half:
        ax.contour(one.x, one.y, one.softmax, levels=[half], colors="white", linewidths=lw)


def thresholds(table: pd.DataFrame, units: Mapping[str, str]) -> Figure:
    """Draw each class's threshold with its interval, a panel per transformation.

    Args:
        table: one row per model, transformation and class, with value, low and high (NaN where
            there is no interval), and whether it is reached: an arrow at the value where not.
        units: of the thresholds, by transformation.

    """
    names = list(dict.fromkeys(table.transformation))
    models = list(dict.fromkeys(table.model))
    classes = list(dict.fromkeys(table["class"]))
    figure, axes = _panels(len(names), 3, 0.16 * len(classes) + 0.7, sharey=True)
    for ax, name in zip(axes.flat, names, strict=False):
        for i, model in enumerate(models):
            of = table[(table.transformation == name) & (table.model == model)]
            y = [classes.index(c) + 0.22 * (i - (len(models) - 1) / 2) for c in of["class"]]
            of = of.assign(y=y)
            there, beyond = of[of.reached], of[~of.reached]
            error = [there.value - there.low, there.high - there.value]
            drawn = ax.errorbar(there.value, there.y, xerr=error, fmt="o", ms=3, lw=1, label=model)
            ax.plot(beyond.value, beyond.y, ">", ms=5, mfc="none", color=drawn.lines[0].get_color())
        ax.set_yticks(range(len(classes)), classes, fontsize=7)
        end = table.loc[table.transformation == name, ["value", "high"]].max().max()
        ax.set_xlim(0, 1.06 * end if end > 0 else 1)  # a network that gets nothing right has none
        ax.set_xlabel(f"{name.replace('_', ' ')} ({units[name]})", fontsize=8)
    axes[0, 0].invert_yaxis()
    _legend_below(figure, axes[0, 0])
    return figure


def training(records: Mapping[str, Mapping[str, np.ndarray]], window: int = 25) -> Figure:
    """Draw the losses of Invariant Transformer Nets while they learn, a row per title (figure 4a).

    Args:
        records: by title: values `[steps]` by what they are.
        window: steps that are averaged.

    """
    columns = list(next(iter(records.values())))
    figure, axes = plt.subplots(
        len(records), len(columns), figsize=(2.7 * len(columns), 2.0 * len(records)), squeeze=False
    )
    for line, (title, values) in zip(axes, records.items(), strict=True):
        for ax, name in zip(line, columns, strict=True):
            width = min(window, len(values[name]))
            mean = np.convolve(values[name], np.ones(width) / width, "valid")
            ax.plot(values[name], color="lightgrey", lw=0.6)
            ax.plot(np.arange(len(mean)) + width / 2, mean)
            ax.set(xlabel="step", title=name)
        line[0].set_ylabel(title)
    figure.tight_layout(pad=0.4)
    return figure


def agreements(grids: Mapping[str, np.ndarray]) -> Figure:
    """Draw the share of images that keep their class over both controls, a panel per title.

    Args:
        grids: `[G, G]` by title, the first axis k1.

    """
    figure, axes = plt.subplots(1, len(grids), figsize=(3.2 * len(grids) + 0.8, 2.9), squeeze=False)
    for ax, (title, grid) in zip(axes[0], grids.items(), strict=True):
        sns.heatmap(
            grid, vmin=0, vmax=1, cmap="viridis", square=True, ax=ax, cbar=ax is axes[0, -1]
        )
        ticks = [0, len(grid) - 1]
        ax.set_xticks([t + 0.5 for t in ticks], ["0", "1"])
        ax.set_yticks([t + 0.5 for t in ticks], ["0", "1"])
        ax.set(xlabel="k2", ylabel="k1")
        ax.set_title(title, fontsize=9)
    figure.tight_layout(pad=0.4)
    return figure


def pictures_frame(
    images: np.ndarray, titles: Sequence[str], bars: Mapping[str, Sequence[tuple[str, float]]]
) -> bytes:
    """Return one frame of a slider as PNG: pictures, and the strongest classes of each model.

    In 64 colours, a third of the size: a page carries a hundred of them.

    Args:
        images: `[N, H, W, 3]`, 0..1.
        titles: N words above them.
        bars: class and softmax by model, the strongest first; may be empty.

    """
    wide = len(images) + 1.7 * len(bars)
    figure = plt.figure(figsize=(1.5 * wide, 1.6))
    share = 1 / wide
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        ax = figure.add_axes((i * share + 0.005, 0.05, share - 0.01, 0.8))
        ax.imshow(image.clip(0, 1))
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=8)
    for i, (model, rows) in enumerate(bars.items()):
        left = (len(images) + 1.7 * i + 0.7) * share
        ax = figure.add_axes((left, 0.18, share - 0.04, 0.64))
        ax.barh([name for name, _ in rows], [value for _, value in rows])
        ax.set(xlim=(0, 1), xticks=[0, 0.5, 1])
        ax.invert_yaxis()
        ax.tick_params(labelsize=7)
        ax.set_title(model, fontsize=8)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches=figure.bbox_inches)
    plt.close(figure)
    small = BytesIO()
    Image.open(buffer).convert("RGB").quantize(64).save(small, "png", optimize=True)
    return small.getvalue()


def architecture() -> Figure:
    """Draw the Invariant Transformer Net: what feeds what, and what is trained."""
    figure, ax = plt.subplots(figsize=(9, 2.6))
    ax.set(xlim=(0, 9), ylim=(0, 2.6))
    ax.axis("off")
    ax.grid(visible=False)
    frozen, learned, plain = "#cfe3f2", "#f6d8b5", "#ffffff"
    boxes = {  # centre, words, fill
        "image": (0.55, 0.55, "image I", plain),
        "colour": (2.4, 0.55, "colour\nA (3 × 4)", plain),
        "space": (4.4, 0.55, "spatial transformer\nA (2 × 3)", plain),
        "cnn": (6.5, 0.55, "classifier\n(frozen)", frozen),
        "softmax": (8.3, 0.55, "softmax", plain),
        "fc1": (2.4, 1.55, "FC$_1$ (learned)", learned),
        "fc2": (4.4, 1.55, "FC$_2$ (learned)", learned),
        "k1": (2.4, 2.35, "$k_1$ in [0, 1]²", plain),
        "k2": (4.4, 2.35, "$k_2$ in [0, 1]²", plain),
    }
    drawn = {}
    for name, (x, y, words, fill) in boxes.items():
        style = {"boxstyle": "round,pad=0.35", "fc": fill, "ec": "black", "lw": 0.9}
        drawn[name] = ax.text(x, y, words, ha="center", va="center", fontsize=9, bbox=style)
    arrow = {"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0}
    chain = ("image", "colour", "space", "cnn", "softmax")
    down = (("k1", "fc1"), ("fc1", "colour"), ("k2", "fc2"), ("fc2", "space"))
    for start, end in (*pairwise(chain), *down):
        across = start in chain
        sides = ((1, 0.5), (0, 0.5)) if across else ((0.5, 0), (0.5, 1))
        ax.annotate(
            "", sides[1], sides[0], xycoords=drawn[end].get_bbox_patch(),
            textcoords=drawn[start].get_bbox_patch(), arrowprops=arrow,
        )  # fmt: skip
    return figure
