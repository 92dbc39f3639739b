"""Figures of the rotation chapter: digits that turn, and what networks make of them."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invnb.statistics import interval

CHANCE_STYLE = dict(color="black", ls=":", lw=1)
LEGEND_COLUMNS = 6
TRAINED = "#dceaf7"  # the range of angles that training showed


def grid(
    images: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    below: Sequence[Sequence[str]] | None = None,
) -> Figure:
    """Draw pictures in rows and columns.

    Args:
        images: `[R, C, H, W]`, background low.
        rows: R labels.
        columns: C titles.
        below: R x C words below each picture, such as what a judge reads there.

    """
    r, c = images.shape[:2]
    height = 0.78 if below is None else 0.98
    figure, axes = plt.subplots(r, c, figsize=(0.72 * c + 1.1, height * r + 0.35), squeeze=False)
    for i, (line, label) in enumerate(zip(axes, rows, strict=True)):
        for j, ax in enumerate(line):
            ax.imshow(
                images[i, j], cmap="gray_r", vmin=images.min(), vmax=images.max(),
                interpolation="none",  # an SVG then keeps the pixels, which is a tenth of the size
            )  # fmt: skip
            ax.set(xticks=[], yticks=[])
            ax.grid(visible=False)
            if below is not None:
                ax.set_xlabel(below[i][j], fontsize=8, labelpad=1)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    for ax, title in zip(axes[0], columns, strict=True):
        ax.set_title(title, fontsize=9)
    figure.tight_layout(pad=0.25)
    return figure


def scores(table: pd.DataFrame, published: pd.DataFrame, chance: float) -> Figure:
    """Draw the scores of each network: a dot per seed, the mean with its interval, the source's.

    Args:
        table: one row per model, seed and score, with a value.
        published: one row per model and score, with a value.
        chance: drawn where the axis of a score holds it, and at the far angles (Pinv).

    """
    names = list(dict.fromkeys(table.score))
    models = list(dict.fromkeys(table.model))
    figure, axes = plt.subplots(
        1, len(names), figsize=(10, 0.42 * len(models) + 1.1), sharey=True, squeeze=False
    )
    for ax, score in zip(axes[0], names, strict=True):
        rows, theirs = (t[t.score == score] for t in (table, published))
        sns.pointplot(
            rows, x="value", y="model", order=models, errorbar=interval,
            linestyle="none", markersize=5, err_kws={"linewidth": 2}, ax=ax,
        )  # fmt: skip
        sns.stripplot(
            rows, x="value", y="model", order=models, color="grey", alpha=0.5, size=3, ax=ax
        )
        theirs = theirs[theirs.model.isin(models)]
        ax.plot(theirs.value, [models.index(m) for m in theirs.model], "x", color="black", ms=7)
        if score == "Pinv" or ax.get_xlim()[0] < chance < ax.get_xlim()[1]:
            ax.axvline(chance, **CHANCE_STYLE)
        ax.set(title=score, xlabel="accuracy", ylabel="")
    figure.tight_layout()
    return figure


def around(curves: pd.DataFrame, chance: float, trained: tuple[float, float]) -> Figure:
    """Draw accuracy around the circle, a line per model, with a band over seeds.

    Args:
        curves: one row per model, seed and angle (degrees, -180 to 180), with accuracy.
        chance: of a random guess, drawn as a line.
        trained: the angles that training showed, shaded.

    """
    figure, ax = plt.subplots(figsize=(9, 3.6))
    ax.axvspan(*trained, color=TRAINED, zorder=0, label="trained")
    sns.lineplot(
        curves, x="degrees", y="accuracy", hue="model", hue_order=list(dict.fromkeys(curves.model)),
        errorbar=interval, ax=ax,
    )  # fmt: skip
    ax.axhline(chance, **CHANCE_STYLE)
    ax.set(xlabel="angle (degrees, counter-clockwise)", xlim=(-180, 180), ylim=(-0.02, 1.02))
    ax.set_xticks(range(-180, 181, 45))
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


def error_by_pose(
    curves: pd.DataFrame,
    within: Mapping[str, float],
    pose: str = "angle (degrees)",
    furthest: float = 180,
) -> Figure:
    """Draw the error of drawings against angle or shift, a panel per network, a line per digit.

    Args:
        curves: one row per network, seed, digit and pose, with error (squared pixels); bands are
            95 % intervals over seeds. Single digits but 4 and 9 are thin grey lines, means over
            seeds.
        within: by network, the range of restricted digits, shaded, on both sides.
        pose: what the axis says.
        furthest: where the axis ends, on both sides.

    """
    names = list(dict.fromkeys(curves.network))
    figure, axes = plt.subplots(
        -(-len(names) // 2), min(len(names), 2), figsize=(9.5, 2.6 * -(-len(names) // 2)),
        sharex=True, squeeze=False,
    )  # fmt: skip
    for ax, name in zip(axes.flat, names, strict=False):
        ax.axvspan(-within[name], within[name], color=TRAINED, zorder=0)
        rows = curves[curves.network == name]
        single = rows.digit.str.fullmatch("[0-9]") & ~rows.digit.isin(["4", "9"])
        for _, line in rows[single].groupby("digit"):
            mean = line.groupby("pose").error.mean()
            ax.plot(mean.index, mean, color="0.6", lw=0.6)
        sns.lineplot(
            rows[~single], x="pose", y="error", hue="digit", lw=1.3,
            errorbar=interval, legend=name == names[0], ax=ax,
        )  # fmt: skip
        ax.set(title=name, xlabel=pose, ylabel="error (squared pixels)")
        ax.set(xlim=(-furthest, furthest), xticks=np.linspace(-furthest, furthest, 5))
    # the error is least in the middle
    axes[0, 0].legend(title="", frameon=False, fontsize=8, loc="upper center")
    for ax in axes.flat[len(names) :]:
        ax.remove()
    for ax in axes.flat[len(names) - axes.shape[1] : len(names)]:  # those without one below
        ax.tick_params(labelbottom=True)
        ax.xaxis.label.set_visible(True)
    figure.tight_layout()
    return figure


def confusion(
    shares: Mapping[str, np.ndarray], of: Sequence[str], taken_for: Sequence[str]
) -> Figure:
    """Draw what digits are taken for, a panel per model.

    Args:
        shares: by model, `[len(of), len(taken_for)]`, rows that sum to 1.
        of: the digits shown.
        taken_for: the classes.

    """
    figure, axes = plt.subplots(
        len(shares), 1, figsize=(6.4, 0.95 * len(shares) + 0.5), sharex=True, squeeze=False
    )
    for ax, (model, rows) in zip(axes[:, 0], shares.items(), strict=True):
        sns.heatmap(
            rows, vmin=0, vmax=1, cmap="Blues", annot=True, fmt=".2f", cbar=False, ax=ax,
            annot_kws={"fontsize": 8}, xticklabels=taken_for, yticklabels=of,
        )  # fmt: skip
        ax.set_title(model, fontsize=9, loc="left", pad=3)
        ax.tick_params(rotation=0)
    axes[-1, 0].set_xlabel("taken for")
    figure.tight_layout(pad=0.4)
    return figure


def probabilities_frame(
    images: Mapping[str, np.ndarray],
    shares: Mapping[str, np.ndarray],
    classes: Sequence[str],
    angle: float,
) -> bytes:
    """Return one frame of the angle slider as PNG: turned digits, and each network's answer.

    Args:
        images: `[H, W]` by digit, turned.
        shares: `[len(images), K]` by model: what each class has of 1, such as a softmax.
        classes: K names.
        angle: in degrees.

    """
    # Fixed places, in inches from the top: frames must not jump.
    each, lines = 1.9, -(-len(shares) // LEGEND_COLUMNS)
    width, height = 7.4, each * len(images) + 0.25 + 0.17 * lines
    figure = plt.figure(figsize=(width, height))
    for i, (digit, image) in enumerate(images.items()):
        bottom = (each * (len(images) - 1 - i) + 0.3) / height
        _picture(figure.add_axes((0.03, bottom, 0.2, (each - 0.35) / height)), image)
        ax = figure.add_axes((0.33, bottom, 0.64, (each - 0.45) / height))
        table = pd.DataFrame({m: s[i] for m, s in shares.items()}, index=list(classes))
        table.plot.bar(ax=ax, width=0.8, legend=i == 0, rot=0)
        ax.set(ylim=(0, 1.02), ylabel=f"a {digit}: share")
        ax.grid(visible=False, axis="x")
        if i == 0:
            ax.legend(
                fontsize=7, frameon=False, ncols=min(len(shares), LEGEND_COLUMNS),
                loc="lower right", bbox_to_anchor=(1, 1),
            )  # fmt: skip
    figure.suptitle(f"{angle:g}°", x=0.13, y=0.99, fontsize=12)
    return _png(figure)


def drawings_frame(
    expected: np.ndarray,
    drawn: np.ndarray,
    digits: Sequence[str],
    errors: Sequence[float],
    angle: float,
) -> bytes:
    """Return one frame of the drawing slider as PNG: what is expected above what is drawn.

    All are on the gray scale of what is expected, so that a faint drawing looks faint.

    Args:
        expected: `[N, H, W]`, turned images.
        drawn: `[N, H, W]`.
        digits: N names.
        errors: N mean squared errors of a pixel.
        angle: in degrees.

    """
    figure, axes = plt.subplots(2, len(digits), figsize=(1.25 * len(digits) + 0.6, 3.3))
    for line, images, label in zip(axes, (expected, drawn), ("expected", "drawn"), strict=True):
        for ax, image in zip(line, images, strict=True):
            _picture(ax, image, vmin=expected.min(), vmax=expected.max())
        line[0].set_ylabel(label)
    for ax, digit in zip(axes[0], digits, strict=True):
        ax.set_title(digit, fontsize=10)
    for ax, error in zip(axes[1], errors, strict=True):
        ax.set_xlabel(f"error {error:.3f}", fontsize=9)
    figure.suptitle(f"{angle:g}°", y=0.99, fontsize=12)
    return _png(figure)


def _picture(ax: Axes, image: np.ndarray, **scale: float) -> None:
    ax.imshow(image, cmap="gray_r", **scale)
    ax.set(xticks=[], yticks=[])


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90, bbox_inches=figure.bbox_inches)
    plt.close(figure)
    return buffer.getvalue()
