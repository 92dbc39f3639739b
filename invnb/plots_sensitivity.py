"""Sensitivity to the input: figure 5 of Moskalev et al., rivals, and proposition 3.1."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from invnb.plots import colour
from invnb.statistics import interval

MARKERS = {  # of models, in the order of figure 5
    "DA": "X",
    "IR_KL": "s",
    "IR": "o",
    "IR_norm": "D",
    "IR_through": "P",
    "decay": "^",
    "spectral": "v",
    "WT": "*",
}
LABELS = {
    "SI": "SI (cosine)",
    "accuracy": "accuracy",
    "sigma_max": r"$\sigma_\mathrm{max}$ (logits per unit of the input)",
    "orbit_over_random": "sensitivity along the orbit /\nin random directions",
}
LOWEST_RATIO, LOWEST_CHANGE = 1e-3, 1e-5  # smaller ones, and none, are drawn here
_METHODS = ("#000000", "#4477AA", "#AA3377", "#228833", "#EE6677", "#999933", "#66CCEE")
_BAND: dict[str, Any] = {"errorbar": interval}


def sigma_max(rows: pd.DataFrame) -> Figure:
    """Draw sigma_max of every seed (left axis) and accuracy (right axis), a panel per group.

    Args:
        rows: one row per group, model and seed, with columns sigma_max and accuracy.

    """
    groups, models = rows.group.unique(), [m for m in MARKERS if m in set(rows.model)]
    figure, axes = plt.subplots(
        1, len(groups), figsize=(4.4 * len(groups) + 0.8, 3.6), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    rights = [ax.twinx() for ax in axes[0]]
    for ax, right, group in zip(axes[0], rights, groups, strict=True):
        chosen = rows[rows.group == group]
        place = chosen.model.map(models.index)
        ax.scatter(place - 0.17, chosen.sigma_max, c=chosen.model.map(colour), s=26, alpha=0.6)
        mean = chosen.sigma_max.groupby(place).mean()
        ax.plot(mean.index - 0.17, mean, ls="", marker="_", ms=20, mew=2, color="black")
        sns.lineplot(
            chosen, x=place + 0.2, y="accuracy", ls="", marker="D", ms=5.5, mec="0.25", mew=1.2,
            mfc="white", color="0.25", err_style="bars", err_kws={"capsize": 5}, ax=right, **_BAND,
        )  # fmt: skip
        ax.tick_params(left=ax is axes[0, 0])
        right.set(ylabel="", ylim=(rows.accuracy.min() - 0.01, rows.accuracy.max() + 0.01))
        right.grid(visible=False)
        right.tick_params(right=right is rights[-1], labelright=right is rights[-1])
        ax.set_xticks(range(len(models)), models)
        ax.set(title=group, xlim=(-0.6, len(models) - 0.4), xlabel="")
        ax.grid(axis="x", visible=False)
    axes[0, 0].set_ylabel(LABELS["sigma_max"])
    rights[-1].set_ylabel("accuracy")
    if rows.sigma_max.max() > 10 * rows.sigma_max.min() > 0:
        _logarithmic(axes[0, 0], "y", rows.sigma_max)
    else:
        axes[0, 0].set_ylim(bottom=0)
    marks = {"ls": "", "color": "0.25"}
    handles = [
        plt.Line2D([], [], marker="o", label=r"$\sigma_\mathrm{max}$ of a seed", **marks),
        plt.Line2D([], [], marker="_", ms=14, mew=2, label="mean", **marks),
        plt.Line2D([], [], marker="D", mfc="white", label="accuracy (95 % interval)", **marks),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def sweep(rows: pd.DataFrame) -> Figure:
    """Draw what each penalty costs and changes as its weight rises, a row of panels per group.

    Points are means over seeds, joined in order of nu, larger where nu is.

    Args:
        rows: one row per group, model, nu and seed, with columns SI, accuracy, sigma_max and
            orbit_over_random; a model with one nu is a single large mark.

    """
    groups, models = rows.group.unique(), [m for m in MARKERS if m in set(rows.model)]
    pairs = (("SI", "accuracy"), ("sigma_max", "accuracy"), ("sigma_max", "orbit_over_random"))
    figure, axes = plt.subplots(
        len(groups), 3, figsize=(10, 2.8 * len(groups) + 0.6), sharex="col", sharey="col",
        squeeze=False, layout="constrained",
    )  # fmt: skip
    table = rows.assign(orbit_over_random=rows.orbit_over_random.clip(LOWEST_RATIO))
    for line, group in zip(axes, groups, strict=True):
        means = table[table.group == group].groupby(["model", "nu"])[list(LABELS)].mean()
        for ax, (x, y) in zip(line, pairs, strict=True):
            for model in [m for m in models if m in means.index]:
                path = means.loc[model].sort_index()
                sizes = np.linspace(12, 70, len(path)) if len(path) > 1 else 150
                style = {"color": colour(model), "zorder": 3 if len(path) > 1 else 4}
                ax.plot(path[x], path[y], lw=1.2, **style)
                ax.scatter(path[x], path[y], sizes, marker=MARKERS[model], ec="0.2", **style)
            ax.set(xlabel=LABELS[x] if group == groups[-1] else "", ylabel=LABELS[y])
        line[0].set_ylabel(f"{group}\naccuracy")
    _logarithmic(axes[0, 1], "x", rows.sigma_max)
    _logarithmic(axes[0, 2], "x", rows.sigma_max)
    _logarithmic(axes[0, 2], "y", table.orbit_over_random, LOWEST_RATIO)
    handles = [
        plt.Line2D([], [], ls="-" if weights > 1 else "", color=colour(model), ms=7, mec="0.2",
                   label=model, marker=MARKERS[model])
        for model, weights in rows.groupby("model").nu.nunique()[models].items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def linear_flow(flow: pd.DataFrame, methods: pd.DataFrame, steps: pd.DataFrame) -> Figure:
    """Draw sigma_max under the closed form, under other ways to descend, and how they converge.

    Args:
        flow: elements, group, seed, time and sigma_max relative to time 0, which is not drawn.
        methods: method, step and sigma_max relative to step 0; a line that leaves the axis
            diverges.
        steps: step_size, and error, of gradient descent against the closed form at equal time.

    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
    palette = dict(zip(flow.group.unique(), sns.color_palette("colorblind")[3:], strict=False))
    sns.lineplot(
        flow[flow.time > 0], x="time", y="sigma_max", hue="group", style="elements",
        palette=palette, ax=left, **_BAND,
    )  # fmt: skip
    relative = r"$\sigma_\mathrm{max}$ / its value at the start"
    left.set(xscale="log", xlabel="t (time of the flow)", ylabel=relative, ylim=(0, 1.05))
    sns.lineplot(
        methods, x="step", y="sigma_max", hue="method", style="method", errorbar=None,
        palette=list(_METHODS[: methods.method.nunique()]), ax=middle,
    )  # fmt: skip
    middle.axhline(1, color="black", lw=0.6)
    middle.set(xlabel="step", ylabel=relative, yscale="log")
    middle.set_ylim(top=min(middle.get_ylim()[1], 100))
    size, error = steps.sort_values("step_size")[["step_size", "error"]].to_numpy().T
    right.plot(size, error[0] / size[0] * size, ":", color="black", label="slope 1")
    right.plot(size, error, "o-", color=_METHODS[0], label="gradient descent")
    right.set(xscale="log", yscale="log", xlabel="step size")
    right.set_ylabel("largest difference\nfrom the closed form")
    above = {"loc": "lower center", "bbox_to_anchor": (0.45, 1), "ncols": 2, "frameon": False}
    right.legend(fontsize=9, **above)
    for ax in (left, middle):
        sns.move_legend(ax, title=None, fontsize=9, **above)
    return figure


def transfer(rows: pd.DataFrame) -> Figure:
    """Draw how much rotation by any angle changes the logits of networks trained on quarter turns.

    Args:
        rows: one row per model, seed and degrees, with columns change and floor (rotation there
            and back), both relative to the change between two images.

    """
    figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
    drawn = rows.assign(**rows[["change", "floor"]].clip(LOWEST_CHANGE))
    for model, of_model in drawn.groupby("model", sort=False):
        style = {"color": colour(model), "lw": 1.6, "ax": ax, **_BAND}
        dots = {"marker": "o", "ms": 4, "mew": 0, "label": model}
        sns.lineplot(of_model, x="degrees", y="change", **dots, **style)
        sns.lineplot(of_model, x="degrees", y="floor", ls=":", **style)
    ax.vlines((0, 90, 180), 1e-9, 1e9, color="black", lw=0.8, zorder=0.9)
    ax.set(xlabel="rotation (degrees)", xticks=range(0, 181, 45), xlim=(-2, 182))
    ax.set_ylim(0.7 * LOWEST_CHANGE, 2 * max(1, drawn.change.max()))
    ax.set_ylabel("squared change of the logits /\nthat between two images")
    _logarithmic(ax, "y", drawn.floor, LOWEST_CHANGE)
    handles = [
        *ax.get_legend_handles_labels()[0],
        plt.Line2D([], [], color="black", ls=":", label="there and back (interpolation alone)"),
    ]
    ax.get_legend().remove()
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def _logarithmic(ax: Axes, which: str, values: pd.Series, lowest: float = 0.0) -> None:
    """Make an axis logarithmic, with plain numbers; at `lowest` stands all below."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    narrow = values.max() < 100 * values.min()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda x, _: ("≤ " if x < 1.001 * lowest else "") + _plain(x))


def _plain(value: float) -> str:
    """Return a number without an exponent."""
    return np.format_float_positional(value, precision=3, fractional=False, trim="-")
