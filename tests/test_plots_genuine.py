"""invnb.plots_hidden, plots_drift and plots_sensitivity: that figures show what they are given."""

from itertools import product
from struct import unpack

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

mpl.use("agg")

from invnb import plots, plots_drift, plots_hidden, plots_sensitivity


@pytest.fixture(autouse=True)
def close_figures():
    yield
    mpl.pyplot.close("all")


def table(**columns):
    """Return all combinations of lists of values."""
    return pd.DataFrame(product(*columns.values()), columns=list(columns))


def drawn(ax, **wanted):
    """Return the y of every line with the wanted properties, in order."""
    return [
        [float(y) for y in line.get_ydata()]
        for line in ax.lines
        if all(getattr(line, f"get_{name}")() == value for name, value in wanted.items())
    ]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# Figure 2

HIDDEN = {m: np.random.default_rng(i).random((5, 4, 2)) for i, m in enumerate(("WT", "DA", "IR"))}
LABELS = np.array([0, 1, 8, 1, 0])


@pytest.mark.parametrize("models", [("DA",), ("WT", "DA", "IR")], ids=len)
def test_embedding_has_a_panel_per_model_with_all_poses(models):
    figure = plots_hidden.embedding({m: HIDDEN[m] for m in models}, LABELS, [0])
    assert [ax.get_title() for ax in figure.axes] == list(models)
    for ax, model in zip(figure.axes, models, strict=True):
        (dots,) = ax.collections
        assert dots.get_offsets().tolist() == HIDDEN[model].reshape(-1, 2).tolist()
        colours = [to_hex(c).upper() for c in dots.get_facecolors()]
        assert colours == [plots_hidden.CLASSES[k] for k in np.repeat(LABELS, 4)]
    assert legend(figure) == ["0", "1", "8"]


def test_embedding_joins_the_poses_of_traced_images_to_a_ring():
    figure = plots_hidden.embedding({"DA": HIDDEN["DA"]}, LABELS, [2, 4])
    rings = [line.get_xydata() for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    for ring, image in zip(rings, (2, 4), strict=True):
        assert ring.tolist() == [*HIDDEN["DA"][image].tolist(), HIDDEN["DA"][image, 0].tolist()]
    marks = [m for line in figure.axes[0].lines if (m := line.get_marker()) != "None"]
    assert len(set(marks)) == 2


# Figure 4


def curves(groups=("R4", "T3"), models=("WT", "DA", "IR"), seeds=(0, 1)):
    rows = table(group=groups, model=models, seed=seeds, beta=[0.0, 0.5, 1.0])
    size = rows.model.map({"WT": 0.0, "DA": 2.0, "IR": 0.01}) * (1 + rows.beta)
    return rows.assign(
        DI=size, LI=40 * size, SI=1 - size / 5, accuracy_ratio=1 - rows.beta / 2 + rows.seed / 10
    )


def test_drift_draws_measures_at_the_left_and_the_accuracy_ratio_at_the_right():
    figure = plots_drift.drift(curves())
    left = {(ax.get_ylabel(), ax.get_title()): ax for ax in figure.axes[:6:2] if ax.get_ylabel()}
    assert [label for label, _ in left] == ["DI (nats)", "LI (squared logits)", "SI (cosine)"]
    assert drawn(left["LI (squared logits)", ""]) == [
        [0, 0, 0],
        [80, 120, 160],
        pytest.approx([0.4, 0.6, 0.8]),
    ]
    ratio = pytest.approx([1.05, 0.8, 0.55])
    for right in figure.axes[6:]:
        assert drawn(right, linestyle="--") == [ratio] * 3
    assert [ax.get_title() for ax in figure.axes[:2]] == ["R4", "T3"]
    assert legend(figure)[:3] == ["WT", "DA", "IR"]


def test_drift_shows_zero_and_the_highest_value():
    figure = plots_drift.drift(curves())
    for ax, highest in zip(figure.axes[:4:2], (4, 160), strict=True):
        low, high = ax.get_ylim()
        assert low < 0 < highest < high
        assert 0 in ax.get_yticks()


def test_drift_draws_the_interval_over_seeds():
    figure = plots_drift.drift(curves(models=["DA"]))
    (band,) = figure.axes[6].collections
    ends = band.get_paths()[0].vertices[:, 1]
    half = 12.706 * 0.1 / 2  # t of one degree of freedom, of two values that are .1 apart
    assert ends.min() == pytest.approx(0.55 - half, rel=1e-3)
    assert ends.max() == pytest.approx(1.05 + half, rel=1e-3)


def test_drift_of_one_group_model_and_seed():
    figure = plots_drift.drift(curves(["T3"], ["IR"], [0]))
    assert len(figure.axes) == 6
    assert legend(figure)[0] == "IR"


def test_frames_of_the_drift_are_pictures_of_one_size():
    plots.use_style("png")  # it crops figures, which would make frames jump
    image = np.zeros((6, 6))
    first = plots_drift.drift_frame(image, {"WT": 0.0, "DA": 0.3, "IR": 0.001}, 0.0, 5.0)
    last = plots_drift.drift_frame(image + 1, {"WT": 1e-12, "DA": 5.0, "IR": 0.01}, 1.0, 5.0)
    for frame in (first, last):
        assert frame.startswith(b"\x89PNG\r\n\x1a\n")
    assert unpack(">II", first[16:24]) == unpack(">II", last[16:24]) == (594, 216)
    assert first != last
    assert not mpl.pyplot.get_fignums()


def test_a_frame_of_the_drift_has_a_bar_per_model(monkeypatch):
    monkeypatch.setattr(mpl.pyplot, "close", lambda figure: None)
    plots_drift.drift_frame(np.eye(6), {"DA": 0.25, "IR": 0.5}, 0.3, 2.0)
    figure = mpl.pyplot.gcf()
    picture, ax = figure.axes
    assert picture.images[0].get_array().tolist() == np.eye(6).tolist()
    assert [bar.get_width() for bar in ax.patches] == [0.25, 0.5]
    assert [text.get_text() for text in ax.texts] == ["0.250", "0.500"]
    assert ax.get_xlim() == (0, 2.0)
    assert figure.get_suptitle() == "β = 0.3"


# Figure 5


def sensitive(groups=("R4", "T3"), models=("IR", "DA", "IR_KL"), seeds=(0, 1), factor=10.0):
    rows = table(group=groups, model=models, seed=seeds)
    size = rows.model.map({"DA": factor, "IR": 1.0, "IR_KL": 2.0}).fillna(3) + rows.seed / 2
    return rows.assign(sigma_max=size, accuracy=0.9 + rows.seed / 50)


def test_sigma_max_draws_every_seed_the_mean_and_the_accuracy():
    figure = plots_sensitivity.sigma_max(sensitive())
    left, _, right, _ = figure.axes
    assert [text.get_text() for text in left.get_xticklabels()] == ["DA", "IR_KL", "IR"]
    assert left.collections[0].get_offsets()[:, 1].tolist() == [1, 1.5, 10, 10.5, 2, 2.5]
    assert left.collections[0].get_offsets()[:, 0].round().tolist() == [2, 2, 0, 0, 1, 1]
    assert drawn(left, marker="_") == [[10.25, 2.25, 1.25]]
    assert drawn(right, marker="D") == [pytest.approx([0.91] * 3)]


@pytest.mark.parametrize(("factor", "scale"), [(10.0, "log"), (3.0, "linear")])
def test_sigma_max_is_logarithmic_over_more_than_a_decade(factor, scale):
    figure = plots_sensitivity.sigma_max(sensitive(factor=factor))
    assert figure.axes[0].get_yscale() == scale


def test_sigma_max_of_one_group_and_seed():
    figure = plots_sensitivity.sigma_max(sensitive(["T3"], ["WT", "IR_norm"], [0]))
    names = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert names == ["IR_norm", "WT"]
    figure.draw_without_rendering()


def swept(groups=("R4", "T3"), models=("IR", "decay", "WT", "DA"), seeds=(0, 1)):
    rows = table(group=groups, model=models, nu=[4.0, 1.0, 2.0], seed=seeds)
    single = rows.model.isin(["WT", "DA"])
    rows = rows[~single | (rows.nu == 1)].assign(nu=lambda r: r.nu.mask(single, 0))
    return rows.assign(
        SI=rows.nu / 10 + rows.seed / 10,
        accuracy=1 - rows.nu / 10,
        sigma_max=10 / (1 + rows.nu),
        orbit_over_random=rows.model.map({"WT": 0.0}).fillna(1 / (1 + rows.nu)),
    )


def test_sweep_joins_the_means_over_seeds_in_order_of_nu():
    figure = plots_sensitivity.sweep(swept())
    accuracy, size, ratio = figure.axes[:3]
    line = next(line for line in accuracy.lines if line.get_color() == plots.colour("IR"))
    assert line.get_xdata().tolist() == pytest.approx([0.15, 0.25, 0.45])
    assert line.get_ydata().tolist() == pytest.approx([0.9, 0.8, 0.6])
    assert size.get_xscale() == ratio.get_xscale() == ratio.get_yscale() == "log"
    assert legend(figure) == ["DA", "IR", "decay", "WT"]


def test_sweep_makes_marks_grow_with_nu_and_single_ones_large():
    figure = plots_sensitivity.sweep(swept(["R4"], ["DA", "IR"]))
    single, path = (marks.get_sizes() for marks in figure.axes[0].collections)
    assert len(path) == 3
    assert (np.diff(path) > 0).all()
    assert single[0] > path[-1]


def test_sweep_draws_a_vanishing_ratio_at_the_lowest_value_and_says_so():
    figure = plots_sensitivity.sweep(swept(["R4"], ["WT", "IR"], [0]))
    figure.draw_without_rendering()
    ratio = figure.axes[2]
    assert drawn(ratio, color=plots.colour("WT")) == [[1e-3]]
    assert "≤ 0.001" in [text.get_text() for text in ratio.get_yticklabels()]


# Proposition 3.1


def flows(groups=("R4", "T3"), elements=("one element", "whole orbit"), seeds=(0, 1)):
    rows = table(elements=elements, group=groups, seed=seeds, time=[0.0, 1.0, 10.0])
    return rows.assign(sigma_max=1 / (1 + rows.time))


STEPS = pd.DataFrame({"step_size": [0.1, 0.001, 0.01], "error": [0.3, 0.002, 0.02]})


def descents(methods=("gradient descent", "step too large")):
    rows = table(method=methods, step=range(60))
    fate = rows.method.map({"step too large": 10.0}).fillna(0.9)
    return rows.assign(sigma_max=fate**rows.step)


def test_linear_flow_draws_the_closed_form_without_its_start():
    left = plots_sensitivity.linear_flow(flows(), descents(), STEPS).axes[0]
    lines = [line for line in left.lines if len(line.get_xdata())]
    assert len(lines) == 4
    for line in lines:
        assert line.get_xdata().tolist() == [1, 10]
        assert line.get_ydata().tolist() == pytest.approx([1 / 2, 1 / 11])
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 4


def test_linear_flow_lets_what_diverges_leave_the_axis():
    middle = plots_sensitivity.linear_flow(flows(), descents(), STEPS).axes[1]
    low, high = middle.get_ylim()
    assert high == 100
    assert 0 < low < 0.9**59
    assert [1, 1] in drawn(middle)


def test_linear_flow_compares_the_error_with_slope_one():
    right = plots_sensitivity.linear_flow(flows(), descents(), STEPS).axes[2]
    assert drawn(right, linestyle=":") == [pytest.approx([0.002, 0.02, 0.2])]
    assert drawn(right, marker="o") == [[0.002, 0.02, 0.3]]


def test_linear_flow_of_one_group_seed_and_method():
    figure = plots_sensitivity.linear_flow(
        flows(["R4"], ["one element"], [0]), descents(["gradient descent"]), STEPS
    )
    figure.draw_without_rendering()
    assert figure.axes[1].get_ylim()[1] < 2


# Rotation


def turned(models=("WT", "DA"), seeds=(0, 1)):
    rows = table(model=models, seed=seeds, degrees=[0, 45, 90])
    change = 0.2 * (rows.degrees == 45) + rows.model.eq("DA") * 0.1 * (rows.degrees > 0)
    return rows.assign(change=change, floor=change / 10)


@pytest.mark.parametrize("seeds", [[0], [0, 1]], ids=len)
def test_transfer_draws_the_change_and_its_floor(seeds):
    figure = plots_sensitivity.transfer(turned(seeds=seeds))
    ax = figure.axes[0]
    for model, change in {"WT": [1e-5, 0.2, 1e-5], "DA": [1e-5, 0.3, 0.1]}.items():
        assert drawn(ax, color=plots.colour(model), linestyle="-") == [pytest.approx(change)]
        floor = [max(value / 10, 1e-5) for value in change]
        assert drawn(ax, color=plots.colour(model), linestyle=":") == [pytest.approx(floor)]
    assert ax.get_yscale() == "log"
    assert legend(figure)[:2] == ["WT", "DA"]


def test_transfer_of_one_model():
    figure = plots_sensitivity.transfer(turned(["IR"], [0]))
    figure.draw_without_rendering()
    assert legend(figure)[0] == "IR"
    assert "≤ 0.00001" in [text.get_text() for text in figure.axes[0].get_yticklabels()]
