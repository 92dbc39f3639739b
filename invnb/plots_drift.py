"""Figure 4 of Moskalev et al.: invariance and accuracy over data that drift."""

from collections.abc import Mapping
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invnb.plots import COLUMNS, colour
from invnb.statistics import interval

_MARKS = {"WT": "s", "DA": "o", "IR": "^"}
_LINEAR_BELOW = {"DI": 1e-4, "LI": 1e-3}  # decades above, so that 0 can be seen
_TICKS = {"DI": [0, 1e-3, 1e-2, 0.1, 1, 10], "LI": [0, 1e-2, 1, 100, 1e4]}


def drift(curves: pd.DataFrame) -> Figure:
    """Draw DI, LI and SI (left axis) and the accuracy ratio (right axis) over the drift.

    Args:
        curves: one row per group, model, seed and beta, with columns DI, LI, SI and
            accuracy_ratio; groups are columns of panels. Bands are 95 % intervals of the mean.

    """
    groups, models = curves.group.unique(), curves.model.unique()
    figure, axes = plt.subplots(
        3, len(groups), figsize=(2.8 * len(groups) + 4.4, 7.5), sharex=True, sharey="row",
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for line, measure in zip(axes, ("DI", "LI", "SI"), strict=True):
        for ax, group in zip(line, groups, strict=True):
            rows = curves[curves.group == group]
            right = ax.twinx()
            _lines(right, rows, "accuracy_ratio", ls="--", lw=1.2)
            _lines(ax, rows, measure, ls="-", lw=1.5, marked=True)
            right.set(ylim=(-0.03, 1.06), ylabel="accuracy ratio" if ax is line[-1] else "")
            right.tick_params(right=ax is line[-1], labelright=ax is line[-1])
            right.grid(visible=False)
            ax.set(xlabel="β (degree of drift)", ylabel=COLUMNS[measure], xlim=(-0.02, 1.02))
            ax.label_outer(remove_inner_ticks=True)
        _scale(line[0], measure, curves[measure].max())
    for ax, group in zip(axes[0], groups, strict=True):
        ax.set_title(group)
    handles = [plt.Line2D([], [], color=colour(m), marker=_mark(m), ms=5, label=m) for m in models]
    for style, label in (("-", "measure (left axis)"), ("--", "accuracy ratio (right axis)")):
        handles.append(plt.Line2D([], [], color="black", ls=style, label=label))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def drift_frame(image: np.ndarray, di: Mapping[str, float], beta: float, highest: float) -> bytes:
    """Return one frame of the drift's slider as PNG: an image, and the DI of each model as a bar.

    Args:
        image: `[H, W]`, drifted.
        di: in nats, by model.
        beta: degree of the drift.
        highest: end of the axis, the same for all frames.

    """
    figure = plt.figure(figsize=(6.6, 2.4))  # fixed places: frames must not jump
    picture = figure.add_axes((0.02, 0.08, 0.27, 0.76))
    picture.imshow(image, cmap="gray_r")
    picture.set(xticks=[], yticks=[])
    ax = figure.add_axes((0.4, 0.24, 0.49, 0.6))
    bars = ax.barh(list(di), list(di.values()), color=[colour(model) for model in di], height=0.6)
    ax.bar_label(bars, fmt="%.3f", padding=4, fontsize=10)
    ax.set(xlim=(0, highest), xlabel=COLUMNS["DI"])
    ax.invert_yaxis()
    ax.grid(visible=False)
    sns.despine(ax=ax)
    figure.suptitle(f"β = {beta:g}", y=0.98, fontsize=12)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90, bbox_inches=figure.bbox_inches)
    plt.close(figure)
    return buffer.getvalue()


def _lines(
    ax: Axes, rows: pd.DataFrame, column: str, ls: str, lw: float, marked: bool = False
) -> None:
    """Draw a column's mean over seeds with its interval, a line per model."""
    for model, of_model in rows.groupby("model", sort=False):
        sns.lineplot(
            of_model, x="beta", y=column, color=colour(model), ls=ls, lw=lw, ms=4.5, mew=0,
            marker=_mark(model) if marked else None, errorbar=interval, ax=ax,
        )  # fmt: skip


def _scale(ax: Axes, measure: str, highest: float) -> None:
    """Set the left axis of a row of panels, after drawing: seaborn averages in the axis's scale."""
    if measure == "SI":
        ax.set_ylim(-0.03, 1.06)
        return
    linear = _LINEAR_BELOW[measure]
    ax.set_yscale("symlog", linthresh=linear)
    ax.set_ylim(-0.4 * linear, 3 * max(highest, 10 * linear))
    ax.set_yticks([tick for tick in _TICKS[measure] if tick <= 3 * highest])
    ax.minorticks_off()


def _mark(model: str) -> str:
    """Return the marker that goes with a model's colour."""
    return _MARKS.get(model, "D")
