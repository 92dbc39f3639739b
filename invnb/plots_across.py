"""The figure that sets the chapters' networks side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from invnb import across_table

if TYPE_CHECKING:
    from invnb.across_page import Network

MARKS = ("o", "s", "^", "D", "v", "P")


def across_networks(found: Sequence["Network"]) -> Figure:
    """Draw agreement of reasons against agreement of answers, and what each network bears.

    Args:
        found: at least one.

    """
    sns.set_theme(context="notebook", style="whitegrid", font_scale=0.9)
    height = max(3.4, 0.32 * len(found) + 1.6)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, height), width_ratios=(1, 1.5), layout="constrained"
    )
    colours = sns.color_palette("colorblind", len(found))
    chapters = list(dict.fromkeys(n.chapter for n in found))
    for network, shade in zip(found, colours, strict=True):
        mark = MARKS[chapters.index(network.chapter) % len(MARKS)]
        at = network.value("same_prediction"), network.value("SI")
        left.scatter(*at, s=55, color=shade, marker=mark, edgecolor="black", lw=0.5,
                     label=network.title, zorder=3)  # fmt: skip
    left.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    left.set_xlabel("one prediction in all four poses (share of images)")
    left.set_ylabel("SI: agreement of saliency maps")
    left.legend(fontsize=7, frameon=True, loc="best")
    table = pd.DataFrame({n.title: across_table.kept(n.measured, n.name) for n in found}).T
    table.columns = [t.replace("_", " ") for t in table.columns]
    sns.heatmap(
        table, vmin=0, vmax=1, cmap="viridis", annot=True, fmt=".2f", annot_kws={"size": 7},
        ax=right, cbar=False,
    )  # fmt: skip
    right.tick_params(axis="x", rotation=45, labelsize=8)
    right.tick_params(axis="y", rotation=0, labelsize=8)
    return figure
