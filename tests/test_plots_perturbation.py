"""invnb.plots_perturbation: that figures show what they are given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("agg")

from invnb import plots_perturbation


@pytest.fixture(autouse=True)
def close_figures():
    yield
    mpl.pyplot.close("all")


def test_curves_have_a_line_and_a_band_per_encoder():
    rows = [("A", s, x, x * s / 4) for s in (1, 2) for x in (1, 2, 4)] + [("B", 0, 1, 0.5)]
    table = pd.DataFrame(rows, columns=["encoder", "seed", "x", "y"])
    (ax,) = plots_perturbation.curves(table, "x", "y", ("step", "plausible"), log=True).axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.375, 0.75, 1.5])
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("step", "plausible", "log")
    assert [t.get_text() for t in ax.get_legend().texts] == ["A", "B"]
    assert ax.collections  # the band


def test_dots_show_every_seed_and_the_mean():
    table = pd.DataFrame(
        [("S", 0, 0.2), ("S", 1, 0.4), ("SG", 0, 0.9)], columns=["name", "seed", "value"]
    )
    (ax,) = plots_perturbation.dots(table, "area", {"all on": 0.9}).axes
    means = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    shown = np.concatenate([c.get_offsets()[:, 0] for c in ax.collections])
    assert sorted(shown) == [0.2, 0.4, 0.9]
    assert means or any(np.isclose(line.get_xdata(), 0.3).any() for line in ax.lines)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["S", "SG"]
    assert [t.get_text() for t in ax.texts] == ["all on"]


def test_dots_in_parts_lie_beside_the_means_that_they_belong_to():
    table = pd.DataFrame(
        [(n, k, v) for n in "AB" for k, v in (("x", 0.1), ("x", 0.3), ("y", 0.7))],
        columns=["name", "kind", "value"],
    )
    (ax,) = plots_perturbation.dots(table, "share", by="kind").axes
    assert [t.get_text() for t in ax.get_legend().texts] == ["x", "y"]
    shown = np.concatenate([c.get_offsets() for c in ax.collections])
    assert sorted(shown[:, 0]) == pytest.approx(sorted(table.value))
    means = np.concatenate([np.c_[line.get_data()] for line in ax.lines if len(line.get_xdata())])
    for x, mean, side in ((0.1, 0.2, -0.2), (0.7, 0.7, 0.2)):
        heights = shown[np.isclose(shown[:, 0], x), 1]
        assert sorted(heights) == pytest.approx([side, 1 + side], abs=0.1)  # but for their jitter
        heights = means[np.isclose(means[:, 0], mean), 1]
        assert sorted(heights) == pytest.approx([side, 1 + side])


def test_points_and_the_line_that_joins_means():
    table = pd.DataFrame(
        [("A", 0, 1, 2), ("A", 1, 3, 4), ("B", 0, 5, 6)], columns=["encoder", "seed", "x", "y"]
    )
    (ax,) = plots_perturbation.against(table, ("error", "area"), ["B", "A", "missing"]).axes
    assert ax.collections[0].get_offsets().tolist() == [[1, 2], [3, 4], [5, 6]]
    line = ax.lines[-1]
    assert [*line.get_xdata()] == [5, 2]
    assert [*line.get_ydata()] == [6, 3]


def test_transformations_are_in_deviations():
    rows = np.random.default_rng(0).normal(size=(32, 3)) * [1, 10, 100]
    rows[4] = np.nan
    measures = {"x": "px", "y": "px", "ink": "px"}
    both = {"A": rows, "B": rows}
    figure = plots_perturbation.transformations(both, measures, {"A": 16})
    mesh = figure.axes[0].collections[0].get_array().reshape(3, 32)
    known = np.delete(rows, 4, axis=0)
    np.testing.assert_allclose(mesh[:, 0], rows[0] / known.std(0))
    assert mesh.mask[:, 4].all()
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == [
        f"{name} (1 = {size:.2g} px)" for name, size in zip(measures, known.std(0), strict=True)
    ]
    lines = [len(ax.lines) for ax in figure.axes[:2]]
    assert lines == [1, 0]  # between the two capsules of A; B has none
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == [
        "A, numbers of the code by capsule",
        "B, numbers of the code",
    ]
