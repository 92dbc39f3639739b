"""Every figure of the book, in one style: colour-blind-safe, on an opaque white ground."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib_inline.backend_inline import set_matplotlib_formats

from invnb.groups import CyclicGroup

_PALETTE = sns.color_palette("colorblind")
COLOURS = dict(
    zip(
        ("WT", "DA", "IR", "IR_KL", "IR_norm", "decay", "IR_through", "spectral"),
        _PALETTE,
        strict=False,
    )
)
OTHER = _PALETTE[9]  # a network of one's own
_RED = LinearSegmentedColormap.from_list(
    "salience", [(*to_rgb("#c1121f"), 0.0), (*to_rgb("#c1121f"), 1.0)]
)
COLUMNS = {
    "accuracy": "accuracy",
    "LI": "LI (squared logits)",
    "DI": "DI (nats)",
    "SI": "SI (cosine)",
}


def use_style(picture_format: str = "svg") -> None:
    """Set the book's style for all figures of a notebook."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    plt.rcParams.update({"figure.facecolor": "white", "savefig.bbox": "tight", "figure.dpi": 100})
    set_matplotlib_formats(picture_format)


def colour(model: str) -> tuple[float, float, float]:
    """Return the colour that stands for a kind of model in every figure."""
    return COLOURS.get(model, OTHER)


def orbits(images: np.ndarray, group: CyclicGroup) -> Figure:
    """Draw the orbit of some images: a row per image, a column per group element.

    Args:
        images: `[N, G, H, W]`, the identity first.
        group: names the columns.

    """
    figure, axes = plt.subplots(
        len(images), group.order, figsize=(1.2 * group.order, 1.25 * len(images)), squeeze=False
    )
    for line, orbit in zip(axes, images, strict=True):
        for ax, image in zip(line, orbit, strict=True):
            _picture(ax, image)
    for k, ax in enumerate(axes[0]):
        ax.set_title(_element(group, k), fontsize=9)
    figure.tight_layout(pad=0.3)
    return figure


def tuning(
    search: pd.DataFrame,
    goal: float,
    chosen: Mapping[str, float],
    published: Mapping[tuple[str, str], float],
) -> Figure:
    """Draw validation SI, LI and accuracy against the regulariser's weight, a panel each.

    Args:
        search: one row per group, nu and seed, with columns SI, LI and accuracy.
        goal: the SI to reach, drawn as a line.
        chosen: the weight taken, by group, marked.
        published: values of the regularised network by group and column, drawn as dotted lines.

    """
    figure, axes = plt.subplots(1, 3, figsize=(10, 3))
    groups = list(dict.fromkeys(search.group))
    palette = dict(zip(groups, sns.color_palette("colorblind")[3:], strict=False))
    nus = sorted(search.nu.unique())
    for ax, column in zip(axes, ("SI", "LI", "accuracy"), strict=True):
        sns.lineplot(
            search, x="nu", y=column, hue="group", style="group", palette=palette, markers=True,
            dashes=False, errorbar=None, legend=column == "LI", ax=ax,
        )  # fmt: skip
        for group in groups:
            rows = search[(search.group == group) & (search.nu == chosen[group])]
            ax.plot(chosen[group], rows[column].mean(), "o", ms=14, mfc="none", mec="black")
            if column != "SI":
                ax.axhline(published[group, column], color=palette[group], ls=":", lw=1.5)
        ax.set(xscale="log", xlabel="ν (weight of the regulariser)", ylabel=COLUMNS[column])
        ax.set_xticks(nus, [f"{nu:g}" for nu in nus], fontsize=8)
        ax.minorticks_off()
    axes[1].set_yscale("log")
    axes[0].axhline(goal, color="black", ls="--", lw=1)
    figure.tight_layout()
    return figure


def learning_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw validation accuracy after each epoch, a panel per group, with a band over seeds.

    Args:
        rows: mappings with group, model, seed, epoch and accuracy.

    """
    table = pd.DataFrame(rows, columns=["group", "model", "seed", "epoch", "accuracy"])
    groups = list(dict.fromkeys(table.group))
    figure, axes = plt.subplots(
        1, max(len(groups), 1), figsize=(4 * max(len(groups), 1), 3), sharey=True, squeeze=False
    )
    for ax, group in zip(axes[0], groups, strict=False):
        chosen = table[table.group == group]
        palette = {model: colour(model) for model in chosen.model.unique()}
        sns.lineplot(
            chosen, x="epoch", y="accuracy", hue="model", style="model", palette=palette,
            errorbar=("pi", 100), ax=ax,
        )  # fmt: skip
        ax.set(title=group, xlabel="epoch", ylabel="validation accuracy")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.tight_layout()
    return figure


def table_one(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw Table 1: published values beside ours, a panel per column, a line per group and model.

    Args:
        rows: mappings with group, model, column, published, sd (published), mean, low and high
            (ours, with its 95 % interval); low and high may be None.

    """
    table = pd.DataFrame(rows)
    lines = list(dict.fromkeys(zip(table.group, table.model, strict=True)))
    figure, axes = plt.subplots(1, 4, figsize=(10, 0.45 * len(lines) + 1.1), sharey=True)
    for ax, column in zip(axes, COLUMNS, strict=True):
        for row in table[table.column == column].itertuples():
            y = -lines.index((row.group, row.model))
            if pd.notna(row.published):
                ax.errorbar(
                    row.published, y + 0.17, xerr=row.sd, fmt="D", mfc="white", color="0.35", ms=6
                )
            reach = None if pd.isna(row.low) else [[row.mean - row.low], [row.high - row.mean]]
            ax.errorbar(row.mean, y - 0.17, xerr=reach, fmt="o", color=colour(row.model), ms=6)
        ax.set(xlabel=COLUMNS[column], ylim=(0.6 - len(lines), 0.6))
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks([-i for i in range(len(lines))], [" ".join(line) for line in lines])
    axes[1].set_xscale("symlog", linthresh=1e-3)
    axes[1].set(xticks=[0, 1e-2, 1, 1e2], xlim=(-3e-4, 400))
    axes[2].set_xlim(left=-0.03)
    axes[3].set_xlim(-0.03, 1.06)
    marks = [
        plt.Line2D([], [], ls="", marker="D", mfc="white", color="0.35", label="published ± sd"),
        plt.Line2D([], [], ls="", marker="o", color="black", label="this run, 95 % interval"),
    ]
    figure.legend(handles=marks, loc="upper center", ncols=2, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    return figure


def saliency_by_model(
    images: np.ndarray, maps: Mapping[str, np.ndarray], group: CyclicGroup
) -> Figure:
    """Draw realigned saliency maps: a row per image, a block of columns per model (figure 3).

    Each map is scaled to its own maximum, because SI does not see the scale.

    Args:
        images: `[N, H, W]`, in their upright pose.
        maps: `[N, G, H, W]` by model, in the pose of the image.
        group: names the columns.

    """
    figure = plt.figure(figsize=(1.0 * group.order * len(maps) + 0.5, 1.05 * len(images) + 0.7))
    blocks = figure.subfigures(1, len(maps), wspace=0.04)
    for block, (model, of_model) in zip(np.atleast_1d(blocks), maps.items(), strict=True):
        block.suptitle(model, fontsize=11)
        axes = block.subplots(len(images), group.order, squeeze=False)
        for n, line in enumerate(axes):
            for k, ax in enumerate(line):
                _picture(ax, images[n], of_model[n, k])
                ax.set_title(_element(group, k) if n == 0 else "", fontsize=8)
        block.subplots_adjust(0.01, 0.01, 0.99, 0.87, 0.05, 0.05)
    return figure


def saliency_frame(
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    similarity: Mapping[str, float],
    group: CyclicGroup,
) -> bytes:
    """Return one frame of the saliency slider as PNG: a row per model, a column per element.

    Args:
        image: `[H, W]`.
        maps: `[G, H, W]` by model, in the pose of the image.
        similarity: SI of this image by model.
        group: names the columns.

    """
    figure, axes = plt.subplots(
        len(maps), group.order, figsize=(1.25 * group.order, 1.4 * len(maps)), squeeze=False
    )
    for line, (model, of_model) in zip(axes, maps.items(), strict=True):
        for k, ax in enumerate(line):
            _picture(ax, image, of_model[k])
            ax.set_title(
                f"{model}, SI {similarity[model]:.2f}" if k == 0 else _element(group, k), fontsize=8
            )
    figure.tight_layout(pad=0.4)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    plt.close(figure)
    return buffer.getvalue()


def _picture(ax: Axes, image: np.ndarray, salience: np.ndarray | None = None) -> None:
    """Draw a digit in grey, with its salience in red over it."""
    faint = 0.45 if salience is not None else 1.0
    ax.imshow(image, cmap="gray_r", alpha=faint)
    if salience is not None:
        ax.imshow(salience / max(salience.max(), 1e-12), cmap=_RED, vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])


def _element(group: CyclicGroup, k: int) -> str:
    """Return the name of a group element, as the column's title."""
    return f"{90 * k}°" if group.name == "R4" else f"shift {12 * k}"
