"""Recording of measurements, with and without a running IPython."""

import copy
import math
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from myst_nb.ext.glue import extract_glue_data_cell
from traitlets.config import Config

from invnb import recording
from invnb.errors import InvnbError
from invnb.measurements import ABSENT, measurement, number, text
from invnb.recording import MEASUREMENT, RUN, describe_run, glue_text, measurements, record


@pytest.fixture(autouse=True)
def _nothing_recorded():
    recording.reset()
    yield
    recording.reset()


@pytest.fixture
def outputs_of():
    """Return a function that calls another inside IPython and returns the outputs as a cell."""
    InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))

    def run(function):
        with capture_output() as captured:
            function()
        assert captured.stdout == captured.stderr == ""
        outputs = [
            nbformat.v4.new_output("display_data", data=o.data, metadata=o.metadata)
            for o in captured.outputs
        ]
        return nbformat.v4.new_code_cell(outputs=outputs)

    yield run
    InteractiveShell.clear_instance()


def refuses(*words, name="a", values=(1.0,), unit="1", **arguments):
    with pytest.raises(InvnbError) as error:
        record(name, values, unit=unit, **arguments)
    for word in words:
        assert word in str(error.value)
    assert measurements() == {}


@pytest.mark.parametrize(
    "name", ["", "R4.", ".R4", "R4..LI", "R4.2", "R4 DA", "R4-DA", "é", "R4.in", "R4/DA"]
)
def test_names_that_no_expression_could_use_are_refused(name):
    refuses(repr(name), "joined by dots", name=name)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "0.9", True, [0.9], 1 + 0j])
def test_a_value_must_be_a_finite_number(value):
    refuses("a: value", repr(value), "finite", values=[value])


def test_a_missing_value_needs_a_reason():
    refuses("a: a value is None", "reason", values=[0.5, None], seeds=[0, 1])
    record("a", [0.5, None, 0.7], unit="1", seeds=[0, 1, 2], reason="seed 1 diverged")
    made = measurements()["a"]
    assert (made["n"], made["mean"], made["reason"]) == (2, pytest.approx(0.6), "seed 1 diverged")


def test_nothing_measured_is_said_with_its_reason():
    record("a", None, unit="nats", reason="it diverged")
    made = measurements()["a"]
    assert made["values"] == [None]
    assert (made["n"], made["mean"], made["sd"], made["ci95"]) == (0, None, None, None)
    assert text(made) == "– (it diverged)"
    assert text(measurement("a", None, unit="nats", reason=ABSENT)) == "–"


def test_lengths_must_agree():
    refuses("2 value(s) but 1 seeds", values=[1.0, 2.0], seeds=[0])
    refuses("1 value(s) but 2 steps", seeds=[0], steps=[10, 10], steps_source=10)
    refuses("2 values need seeds", values=[1.0, 2.0])
    refuses("there are no values", values=[], seeds=[])
    refuses("seeds repeat", values=[1.0, 2.0], seeds=[3, 3])
    refuses("steps_source", seeds=[0], steps=[10])
    refuses("unit", unit="")


def test_a_curve_needs_one_number_per_axis_value():
    axis = {"name": "beta", "values": [0, 0.5, 1]}
    refuses("3 numbers", values=[[1.0, 2.0]], axis=axis)
    refuses("3 numbers", values=[1.0], axis=axis)
    refuses("3 numbers", values=[[1.0, None, 2.0]], axis=axis, reason="?")
    refuses("finite", values=[[1.0, math.nan, 2.0]], axis=axis)
    refuses("axis must be", values=[[1.0]], axis={"values": [0]})


def test_summary_of_two_seeds():
    record("R4.DA.accuracy", [0.941, 0.944], unit="fraction", seeds=[0, 1], steps=[6000, 6000],
           steps_source=6000)  # fmt: skip
    half = 12.7062047 * 0.0015  # t(0.975, 1) x sd / sqrt 2
    assert measurements()["R4.DA.accuracy"] == {
        "seeds": [0, 1],
        "values": [0.941, 0.944],
        "runs": ["r1", "r1"],
        "steps": [6000, 6000],
        "steps_source": 6000,
        "unit": "fraction",
        "reason": None,
        "n": 2,
        "mean": pytest.approx(0.9425),
        "sd": pytest.approx(0.003 / 2**0.5),
        "ci95": pytest.approx([0.9425 - half, 0.9425 + half]),
    }


def test_summary_of_one_value_gives_the_reason_for_no_interval():
    record("nu", 0.3, unit="1")
    made = measurements()["nu"]
    assert (made["seeds"], made["values"], made["n"], made["mean"]) == (None, [0.3], 1, 0.3)
    assert (made["sd"], made["ci95"], made["reason"]) == (
        None,
        None,
        "a single value has no interval",
    )


def test_summary_of_a_curve_is_one_per_point_of_its_axis():
    rows = np.array([[0.1, 1.0], [0.3, 3.0], [0.2, 5.0]])
    record("drift", rows, unit="nats", seeds=range(3), axis={"name": "beta", "values": [0, 1]})
    curve = measurements()["drift"]
    assert curve["axis"] == {"name": "beta", "values": [0.0, 1.0]}
    assert curve["values"] == rows.tolist()
    for i, column in enumerate(rows.T):
        alone = measurement("alone", column, unit="nats", seeds=range(3))
        assert [curve[key][i] for key in ("mean", "sd")] == [alone["mean"], alone["sd"]]
        assert curve["ci95"][i] == alone["ci95"]
    assert curve["n"] == 3


def test_a_curve_of_one_seed_has_no_intervals():
    record("drift", [[0.1, 1.0]], unit="nats", seeds=[0], axis={"name": "b", "values": [0, 1]})
    curve = measurements()["drift"]
    assert (curve["mean"], curve["sd"], curve["ci95"]) == ([0.1, 1.0], None, None)
    assert curve["reason"] == "a single value has no interval"


def test_what_is_returned_is_a_copy_and_a_name_recorded_again_is_replaced():
    record("a", [1.0], unit="1", seeds=[0])
    measurements()["a"]["values"][0] = 7.0
    assert measurements()["a"]["values"] == [1.0]
    record("a", [2.0], unit="1", seeds=[0])
    assert measurements()["a"]["values"] == [2.0]


@pytest.mark.parametrize(
    ("value", "spread", "expected"),
    [
        (0.9425, 0.0021213, "0.9425"),
        (73.2, 19.1, "73"),
        (98.6, 5.4, "98.6"),
        (0.172, 0.043, "0.172"),
        (1234.5, 320.0, "1234"),
        (0.95, 1e-9, "0.9500"),
        (0.0, None, "0"),
        (0.3, None, "0.300"),
        (2.3e-12, None, "2.3e-12"),
        (2.3e-12, 1.1e-12, "2.3e-12"),
        (3465088816469.0, 5.2e12, "3.5e+12"),
        (0.266, 0.04, "0.266"),
        (10.0, None, "10"),
        (11.0, 0.0, "11"),
        (-1.5, None, "-1.50"),
        (-3.1e-5, 0.0072, "-0.00003"),
        (-3e-9, 0.01, "0"),
    ],
)
def test_numbers_have_as_many_digits_as_their_spread_warrants(value, spread, expected):
    assert number(value, spread) == expected


def test_text_of_a_measurement():
    two = measurement("a", [0.941, 0.944], unit="fraction", seeds=[0, 1])
    assert text(two) == "0.9425 ± 0.0021 (n = 2)"
    assert text(measurement("a", [0.5], unit="1", seeds=[0])) == "0.500 (n = 1)"
    assert text(measurement("a", 0.5, unit="1")) == "0.500"
    assert text(measurement("a", [2, 2], unit="1", seeds=[0, 1])) == "2 ± 0 (n = 2)"


def test_an_output_shows_nothing_and_is_glue_and_data_at_once(outputs_of):
    cell = outputs_of(lambda: record("a.b", [0.941, 0.944], unit="1", seeds=[0, 1]))
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
    (output,) = cell.outputs
    assert output.data[MEASUREMENT] == {"name": "a.b", **measurements()["a.b"]}
    rest = copy.deepcopy(cell)
    ((name, glued),) = extract_glue_data_cell(rest)
    assert name == "a.b"
    assert glued["data"]["text/plain"] == "'0.9425 ± 0.0021 (n = 2)'"
    assert rest.outputs == []  # nothing is left for the page


def test_the_description_of_a_run_is_an_output_too(outputs_of):
    data = {"name": "MNIST", "source": "folder", "checksum": "ab", "n": 70000}
    cell = outputs_of(lambda: describe_run(data=data, device="cpu"))
    assert cell.outputs[0].data[RUN] == {"data": data, "device": "cpu"}
    ((name, glued),) = extract_glue_data_cell(cell)
    assert (name, glued["data"]["text/plain"]) == ("run", "'MNIST on cpu'")
    assert cell.outputs == []


def test_a_glued_sentence_is_no_measurement(outputs_of):
    cell = outputs_of(lambda: glue_text("verdict", "it's 'so'"))
    assert MEASUREMENT not in cell.outputs[0].data
    ((name, glued),) = extract_glue_data_cell(cell)
    assert (name, glued["data"]["text/plain"]) == ("verdict", repr("it's 'so'"))
    assert measurements() == {}


@pytest.mark.parametrize("data", [{}, {"name": ""}, {"name": "MNIST", "n": math.nan}])
def test_a_description_without_a_name_or_with_nan_is_refused(data):
    with pytest.raises(InvnbError, match="data"):
        describe_run(data=data, device="cpu")


def test_without_ipython_values_are_stored_and_ipython_is_not_loaded():
    code = (
        "import sys; from invnb.recording import record, measurements;"
        "record('a', [0.5], unit='1', seeds=[0]);"
        "assert measurements()['a']['mean'] == 0.5;"
        "assert not {'IPython', 'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
