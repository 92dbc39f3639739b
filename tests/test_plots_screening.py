"""invnb.plots_screening: that figures show what they are given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("agg")

from invnb import plots_screening
from invnb.image_transformations import TRANSFORMATIONS
from invnb.screening_curves import SoftmaxCurves, TranslationMap


@pytest.fixture(autouse=True)
def close_figures():
    yield
    mpl.pyplot.close("all")


def test_a_panel_per_transformation_and_a_line_per_model():
    rows = [
        (model, t, part, m, m / 10 + part)
        for model in "AB"
        for t in ("zoom", "rotation")
        for part in (0, 1)
        for m in (1.0, 2.0)
    ]
    columns = ["model", "transformation", "part", "magnitude", "accuracy"]
    chosen = [TRANSFORMATIONS["zoom"], TRANSFORMATIONS["rotation"]]
    figure = plots_screening.accuracies(pd.DataFrame(rows, columns=columns), chosen)
    assert len(figure.axes) == 2
    zoom, rotation = figure.axes
    assert (zoom.get_xscale(), rotation.get_xscale()) == ("log", "linear")
    assert rotation.get_xlabel() == "rotation (degrees)"
    np.testing.assert_allclose(zoom.lines[0].get_ydata(), [0.6, 0.7])


def test_softmax_shows_three_classes_and_the_others():
    found = SoftmaxCurves((0.0, 1.0), ("a", "b", "c"), np.arange(6).reshape(3, 2), np.array([9, 8]))
    figure = plots_screening.softmax({"one": (TRANSFORMATIONS["noise"], found)})
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_legend().texts] == ["a", "b", "c", "others"]
    assert [line.get_ydata().tolist() for line in ax.lines[:4]] == [[0, 1], [2, 3], [4, 5], [9, 8]]
    assert ax.get_title() == "one"


def test_a_class_has_one_colour_in_all_panels():
    """And of more classes than there are colours, no two look alike."""
    few = [SoftmaxCurves((0.0, 1.0), names, np.ones((2, 2)), None) for names in ("ab", "ba", "bc")]
    panels = {str(i): (TRANSFORMATIONS["noise"], one) for i, one in enumerate(few)}
    looks = {}
    for ax in plots_screening.softmax(panels).figure.axes:
        for line in ax.get_legend().get_lines():
            looks.setdefault(line.get_label(), set()).add((line.get_color(), line.get_linestyle()))
    assert {name: len(found) for name, found in looks.items()} == {"a": 1, "b": 1, "c": 1}
    many = SoftmaxCurves((0.0, 1.0), tuple(map(str, range(20))), np.ones((20, 2)), None)
    (ax,) = plots_screening.softmax({"one": (TRANSFORMATIONS["noise"], many)}).axes
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines[:20]}) == 20


def test_translation_maps_have_x_to_the_right_and_y_down():
    softmax = np.arange(9.0).reshape(3, 3) / 8
    found = TranslationMap(np.array([-1.0, 0, 1]), np.array([-2.0, 0, 2]), softmax, softmax)
    parts = {"a": [found, found], "b": []}
    figure = plots_screening.translations({"a": found, "b": found}, parts)
    ax = figure.axes[0]
    widths = [[c.get_linewidths()[0] for c in a.collections[1:]] for a in figure.axes[:2]]
    assert widths == [[2, 0.5, 0.5], [2]]  # of the lines at half
    np.testing.assert_allclose(ax.collections[0].get_array().reshape(3, 3), softmax)
    assert ax.yaxis_inverted()


def test_thresholds_have_their_intervals():
    rows = [
        ("A", "zoom", "cat", 1.0, 0.5, 2.0, True), ("B", "zoom", "cat", 2.5, np.nan, np.nan, True),
        ("B", "zoom", "dog", 3.0, np.nan, np.nan, False),
    ]  # fmt: skip
    columns = ["model", "transformation", "class", "value", "low", "high", "reached"]
    figure = plots_screening.thresholds(pd.DataFrame(rows, columns=columns), {"zoom": "octaves"})
    (ax,) = figure.axes
    assert ax.get_xlabel() == "zoom (octaves)"
    drawn = {tuple(line.get_xdata()): line.get_marker() for line in ax.lines}
    assert (drawn[1.0,], drawn[2.5,], drawn[3.0,]) == ("o", "o", ">")
    segments = ax.collections[0].get_segments()[0]
    assert segments[:, 0].tolist() == [0.5, 2.0]


def test_thresholds_of_networks_that_get_nothing_right_are_empty():
    row = {"model": "A", "transformation": "zoom", "class": "cat", "value": np.nan}
    table = pd.DataFrame([row | {"low": np.nan, "high": np.nan, "reached": False}])
    (ax,) = plots_screening.thresholds(table, {"zoom": "octaves"}).axes
    assert ax.get_xlim() == (0, 1)


def test_training_is_shown_raw_and_smoothed():
    values = np.arange(100.0)
    figure = plots_screening.training({"A": {"loss": values, "accuracy": values}}, window=10)
    ax = figure.axes[0]
    assert ax.get_title() == "loss"
    assert ax.lines[0].get_ydata().tolist() == values.tolist()
    assert ax.lines[1].get_ydata()[0] == pytest.approx(4.5)


def test_agreements_have_k1_down():
    figure = plots_screening.agreements({"A": np.array([[1.0, 0.9], [0.2, 0.1]])})
    ax = figure.axes[0]
    assert ax.collections[0].get_array().reshape(2, 2).tolist() == [[1.0, 0.9], [0.2, 0.1]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("k2", "k1")


def test_a_frame_is_a_png():
    frame = plots_screening.pictures_frame(
        np.zeros((1, 8, 8, 3)), ["x"], {"A": [("cat", 0.9), ("dog", 0.1)]}
    )
    assert frame.startswith(b"\x89PNG")
