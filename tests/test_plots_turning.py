"""invnb.plots_turning: that figures show what they are given."""

from struct import unpack

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("agg")

from invnb import plots_turning


@pytest.fixture(autouse=True)
def close_figures():
    yield
    mpl.pyplot.close("all")


def test_a_grid_has_every_picture_its_row_its_column_and_its_word():
    images = np.arange(6.0).reshape(2, 3, 1, 1) * np.ones((2, 3, 4, 4))
    figure = plots_turning.grid(images, ["a", "b"], ["1", "2", "3"], [["x"] * 3, ["u", "v", "w"]])
    axes = np.array(figure.axes).reshape(2, 3)
    shown = [[ax.images[0].get_array().mean() for ax in line] for line in axes]
    np.testing.assert_array_equal(shown, np.arange(6).reshape(2, 3))
    assert [ax.get_title() for ax in axes[0]] == ["1", "2", "3"]
    assert [line[0].get_ylabel() for line in axes] == ["a", "b"]
    assert [ax.get_xlabel() for ax in axes[1]] == ["u", "v", "w"]
    assert {ax.images[0].get_clim() for ax in figure.axes} == {(0, 5)}  # one scale for all


def test_scores_show_every_seed_the_mean_and_what_was_published():
    table = pd.DataFrame(
        [("A", 0, "P", 0.2), ("A", 1, "P", 0.4), ("B", 0, "P", 0.9)],
        columns=["model", "seed", "score", "value"],
    )
    published = pd.DataFrame(
        [("A", "P", 0.25), ("C", "P", 0.5)], columns=["model", "score", "value"]
    )
    (ax,) = plots_turning.scores(table, published, 0.125).axes
    means = [line.get_xdata() for line in ax.lines if line.get_marker() == "o"]
    assert sorted(np.concatenate(means)) == pytest.approx([0.3, 0.9])
    (crosses,) = [line for line in ax.lines if line.get_marker() == "x"]
    assert (list(crosses.get_xdata()), list(crosses.get_ydata())) == ([0.25], [0])
    dots = np.concatenate([c.get_offsets()[:, 0] for c in ax.collections])
    assert sorted(dots) == pytest.approx([0.2, 0.4, 0.9])


def test_around_keeps_the_order_of_the_models_and_marks_chance():
    curves = pd.DataFrame(
        [(m, s, d, v) for m, v in (("Z", 0.9), ("A", 0.1)) for s in (0, 1) for d in (-90, 0, 90)],
        columns=["model", "seed", "degrees", "accuracy"],
    )
    ax = plots_turning.around(curves, 0.125, (-45, 46)).axes[0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["trained", "Z", "A"]
    lines = [list(line.get_ydata()) for line in ax.lines]
    assert [0.9, 0.9, 0.9] in lines
    assert [0.125, 0.125] in lines


def test_confusion_writes_every_share():
    rows = np.array([[0.25, 0.75], [1.0, 0.0]])
    figure = plots_turning.confusion({"A": rows, "B": 1 - rows}, ["3", "4"], ["0", "1"])
    words = [[t.get_text() for t in ax.texts] for ax in figure.axes]
    assert words == [["0.25", "0.75", "1.00", "0.00"], ["0.75", "0.25", "0.00", "1.00"]]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["A", "B"]


@pytest.mark.parametrize("networks", [["AE"], ["AE", "AAE", "AE_raw"]])
def test_error_by_pose_has_a_panel_per_network(networks):
    curves = pd.DataFrame(
        [
            (n, 0, d, a, i + a / 100)
            for i, n in enumerate(networks)
            for d in "49"
            for a in (-90, 90)
        ],
        columns=["network", "seed", "digit", "pose", "error"],
    )
    within = {n: 45.0 * (i + 1) for i, n in enumerate(networks)}
    figure = plots_turning.error_by_pose(curves, within)
    assert [ax.get_title() for ax in figure.axes] == networks
    for ax in figure.axes[-2:]:  # has none below it
        assert ax.xaxis.label.get_visible()
        assert all(tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks())
    for i, ax in enumerate(figure.axes):
        assert list(ax.lines[0].get_ydata()) == pytest.approx([i - 0.9, i + 0.9])
        shaded = ax.patches[0].get_bbox()
        assert (shaded.x0, shaded.x1) == (-45 * (i + 1), 45 * (i + 1))


def test_frames_of_the_slider_have_one_size():
    shares = np.full((2, 8), 0.125)
    frames = [
        plots_turning.probabilities_frame(
            {"3": np.eye(28), "4": np.eye(28)}, {"A": shares, "B": shares}, list("01234578"), angle
        )
        for angle in (0, 345)
    ]
    sizes = [unpack(">II", frame[16:24]) for frame in frames]
    assert sizes[0] == sizes[1]


def test_frames_of_drawings_have_one_size():
    images = np.random.default_rng(0).random((3, 28, 28))
    frames = [
        plots_turning.drawings_frame(images, images, ["4", "9", "2"], [0.1, 0.2, 0.3], angle)
        for angle in (-180, 0)
    ]
    sizes = [unpack(">II", frame[16:24]) for frame in frames]
    assert sizes[0] == sizes[1]


def test_drawings_have_the_gray_scale_of_what_is_expected(monkeypatch):
    monkeypatch.setattr(plots_turning, "_png", lambda figure: figure)
    expected = np.tile(np.linspace(-1, 1, 28), (2, 28, 1))
    figure = plots_turning.drawings_frame(expected, expected / 10, ["4", "9"], [0.1, 0.2], 0)
    assert [ax.images[0].get_clim() for ax in figure.axes] == [(-1, 1)] * 4
