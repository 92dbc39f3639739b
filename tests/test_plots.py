"""invnb.plots: that figures show the numbers they are given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("agg")

from invnb import plots
from invnb.groups import GROUPS, R4, T3


@pytest.fixture(autouse=True)
def close_figures():
    yield
    mpl.pyplot.close("all")


def points(ax):
    """Return the x of every drawn marker, in order."""
    return [float(x) for line in ax.lines if line.get_marker() in "oD" for x in line.get_xdata()]


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_orbits_have_a_row_per_image_and_a_named_column_per_element(group):
    figure = plots.orbits(np.random.default_rng(0).random((3, group.order, 6, 6)), group)
    assert len(figure.axes) == 3 * group.order
    titles = [ax.get_title() for ax in figure.axes[: group.order]]
    assert (
        titles
        == {"R4": ["0°", "90°", "180°", "270°"], "T3": ["shift 0", "shift 12", "shift 24"]}[
            group.name
        ]
    )


def test_table_one_draws_published_and_measured_values_in_their_panels():
    row = dict(group="R4", model="DA", sd=0.01)
    figure = plots.table_one(
        [
            row | dict(column="accuracy", published=0.94, mean=0.95, low=0.94, high=0.96),
            row | dict(column="LI", published=98.6, mean=73.0, low=None, high=None),
        ]
    )
    accuracy, li, di, si = figure.axes
    assert points(accuracy) == [0.94, 0.95]
    assert points(li) == [98.6, 73.0]
    assert points(di) == points(si) == []
    assert [t.get_text() for t in accuracy.get_yticklabels()] == ["R4 DA"]


def test_table_one_draws_the_interval_from_low_to_high():
    row = dict(group="R4", model="DA", sd=0.0, column="SI", published=0.17)
    figure = plots.table_one([row | dict(mean=0.3, low=0.25, high=0.4)])
    (_, ours) = figure.axes[3].collections
    assert np.ravel(ours.get_segments()[0])[[0, 2]] == pytest.approx([0.25, 0.4])


def test_tuning_marks_the_chosen_weight_and_the_published_values():
    search = pd.DataFrame(
        [
            {
                "group": "R4",
                "nu": nu,
                "seed": s,
                "SI": 0.1 * nu + s / 10,
                "LI": 1 / nu,
                "accuracy": 0.9,
            }
            for nu in (1.0, 2.0)
            for s in (0, 1)
        ]
    )
    published = {("R4", "LI"): 0.02, ("R4", "accuracy"): 0.879}
    figure = plots.tuning(search, 0.95, {"R4": 2.0}, published)
    si, li, accuracy = figure.axes
    rings = [line for line in si.lines if line.get_markersize() == 14]
    assert [(r.get_xdata()[0], r.get_ydata()[0]) for r in rings] == [(2.0, pytest.approx(0.25))]
    levels = [
        [float(y.get_ydata()[0]) for y in ax.lines if y.get_linestyle() == ":"]
        for ax in (li, accuracy)
    ]
    assert levels == [[0.02], [0.879]]


def test_learning_curves_have_a_panel_per_group():
    rows = [
        {"group": g, "model": "DA", "seed": s, "epoch": e, "accuracy": e / 10}
        for g in ("R4", "T3")
        for s in (0, 1)
        for e in (1, 2)
    ]
    figure = plots.learning_curves(rows)
    assert [ax.get_title() for ax in figure.axes] == ["R4", "T3"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.1, 0.2]


def test_a_map_that_is_zero_everywhere_is_drawn():
    frame = plots.saliency_frame(np.ones((6, 6)), {"WT": np.zeros((3, 6, 6))}, {"WT": 0.0}, T3)
    assert frame.startswith(b"\x89PNG")


def test_saliency_has_a_block_per_model():
    maps = {m: np.random.default_rng(0).random((2, 4, 6, 6)) for m in ("WT", "own")}
    figure = plots.saliency_by_model(np.ones((2, 6, 6)), maps, R4)
    assert [block.get_suptitle() for block in figure.subfigs] == ["WT", "own"]
    assert [len(block.axes) for block in figure.subfigs] == [8, 8]
