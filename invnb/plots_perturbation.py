"""Figures of the perturbation chapter: codes that are changed, and what is decoded from them."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from invnb.statistics import interval


def curves(
    table: pd.DataFrame,
    x: str,
    y: str,
    labels: tuple[str, str],
    log: bool = False,
    share: bool = True,
    controls: Collection[str] = (),
) -> Figure:
    """Draw a line per encoder with a band over seeds.

    Args:
        table: one row per encoder, seed and x, with a y.
        x: its column for the horizontal axis.
        y: its column for the vertical axis, 0 or more.
        labels: of both axes.
        log: give each doubling of x the same width.
        share: y is a share, so that the axis ends at 1.
        controls: encoders with a dashed line and no band, which would hide the others'.

    """
    figure, ax = plt.subplots(figsize=(8, 3.8))
    encoders = list(dict.fromkeys(table.encoder))
    dashes = {name: (2, 2) if name in controls else "" for name in encoders}
    look = dict(
        x=x, y=y, hue="encoder", style="encoder", hue_order=encoders, style_order=encoders,
        markers=True, dashes=dashes, palette=sns.color_palette("tab10", len(encoders)), ax=ax,
    )  # fmt: skip
    minor = table.encoder.isin(controls)
    sns.lineplot(table, errorbar=None, lw=1.2, **look)
    sns.lineplot(table[~minor], errorbar=interval, legend=False, **look)
    if log:
        ax.set_xscale("log", base=2)
    measured = sorted(set(table[x]))
    ax.set_xticks(measured, [f"{v:g}" for v in measured])
    ax.set(xlabel=labels[0], ylabel=labels[1], ylim=(-0.02, 1.02) if share else (0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


def rows(pictures: Mapping[str, Mapping[str, np.ndarray]], columns: Sequence[str]) -> Figure:
    """Draw rows of pictures, a panel per encoder, two panels side by side.

    Args:
        pictures: by encoder and label of the row, `[C, S, S]`, 0..1, as many rows for each.
        columns: C titles.

    """
    wide, per_panel = min(len(pictures), 2), max(map(len, pictures.values()))
    high = -(-len(pictures) // wide)
    size = ((0.62 * len(columns) + 1.1) * wide, (0.62 * per_panel + 0.45) * high)
    figure = plt.figure(figsize=size, layout="constrained")
    panels = figure.subfigures(high, wide, squeeze=False).flat
    for panel, (name, of) in zip(panels, pictures.items(), strict=False):
        panel.suptitle(name, fontsize=10)
        axes = panel.subplots(per_panel, len(columns), squeeze=False)
        for line, (label, images) in zip(axes, of.items(), strict=True):
            for ax, image in zip(line, images, strict=True):
                # without interpolation an SVG keeps the pixels, which is a tenth of the size
                ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="none")
                ax.set(xticks=[], yticks=[])
            line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        for ax, title in zip(axes[0], columns, strict=True):
            ax.set_title(title, fontsize=8)
    return figure


def dots(
    table: pd.DataFrame,
    label: str,
    marks: Mapping[str, float] | None = None,
    by: str | None = None,
) -> Figure:
    """Draw a value per row: a grey dot per seed, the mean with its interval.

    Args:
        table: one row per name and seed, with a value.
        label: of the axis.
        marks: values to draw as vertical lines, by what they are.
        by: its column that parts the values of a name; each of its values has a colour.

    """
    names = list(dict.fromkeys(table.name))
    parts = list(dict.fromkeys(table[by])) if by else [None]
    dodge = 0.8 - 0.8 / len(parts)  # where a strip plot puts the dots of each part
    figure, ax = plt.subplots(figsize=(7, (0.2 + 0.14 * len(parts)) * len(names) + 1.0))
    where = dict(data=table, x="value", y="name", order=names, hue=by, ax=ax)
    sns.pointplot(
        **where, hue_order=parts if by else None, errorbar=interval, dodge=dodge if by else False,
        linestyle="none", markersize=5, err_kws={"linewidth": 2},
    )  # fmt: skip
    where |= dict(hue_order=parts, palette=["grey"] * len(parts), dodge=True) if by else {}
    sns.stripplot(**where, color=None if by else "grey", alpha=0.5, size=3, legend=False)
    if by:
        ax.legend(
            title=by, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8
        )
    for name, value in (marks or {}).items():
        ax.axvline(value, color="black", ls=":", lw=1)
        ax.text(value, -0.7, name, ha="center", fontsize=8)
    ax.set(xlabel=label, ylabel="")
    figure.tight_layout()
    return figure


def against(table: pd.DataFrame, labels: tuple[str, str], line: Sequence[str] = ()) -> Figure:
    """Draw two measures of encoders against each other, a point per seed, the first in logarithms.

    Args:
        table: one row per encoder and seed, with x and y.
        labels: of both axes.
        line: encoders whose means are joined, in this order.

    """
    figure, ax = plt.subplots(figsize=(7, 3.8))
    encoders = list(dict.fromkeys(table.encoder))
    sns.scatterplot(table, x="x", y="y", hue="encoder", style="encoder", hue_order=encoders, ax=ax)
    means = table.groupby("encoder")[["x", "y"]].mean().reindex(list(line)).dropna()
    ax.plot(means.x, means.y, color="grey", lw=1, zorder=0)
    ax.set(xlabel=labels[0], ylabel=labels[1], xscale="log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


def transformations(
    profiles: Mapping[str, np.ndarray],
    measures: Mapping[str, str],
    capsules: Mapping[str, int] | None = None,
) -> Figure:
    """Draw what raising each number of a code does, a panel per encoder.

    Every row is in units of its own deviation over the numbers, whose size its label tells; what
    was not measured is grey.

    Args:
        profiles: `[E, M]` by encoder; nan for what was not measured.
        measures: the unit of each of the M measures, by name.
        capsules: numbers of one capsule, by encoder that has them; lines part these.

    """
    figure, axes = plt.subplots(
        len(profiles), 1, figsize=(10, 1.9 * len(profiles) + 0.4), sharex=False, squeeze=False
    )
    for ax, (name, rows) in zip(axes[:, 0], profiles.items(), strict=True):
        known = np.isfinite(rows).all(1)
        unit = rows[known].std(0)
        shown = (rows / np.where(unit > 0, unit, 1)).T
        labels = [
            f"{what} (1 = {size:.2g} {of})"
            for (what, of), size in zip(measures.items(), unit, strict=True)
        ]
        sns.heatmap(
            shown, vmin=-3, vmax=3, cmap="vlag", ax=ax, xticklabels=False, yticklabels=labels,
            cbar_kws={"label": "deviations"},
            rasterized=True,  # a path for each of thousands of cells would be a megabyte
        )  # fmt: skip
        ax.set_facecolor("0.75")
        ax.grid(visible=False)
        per_capsule = (capsules or {}).get(name, len(rows))
        for edge in range(per_capsule, len(rows), per_capsule):
            ax.axvline(edge, color="black", lw=0.5)
        by = " by capsule" if per_capsule < len(rows) else ""
        ax.set_title(f"{name}, numbers of the code{by}", fontsize=9, loc="left")
        ax.tick_params(axis="y", labelsize=7, rotation=0)
    figure.tight_layout(pad=0.4)
    return figure
