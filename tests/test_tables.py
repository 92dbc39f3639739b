from invnb.measurements import measurement
from invnb.tables import NO_BREAK, markdown_table, with_interval


def test_nothing_measured_is_a_dash():
    assert with_interval(None) == "–"
    assert with_interval(measurement("m", None, unit="1", reason="not in this run")) == "–"


def test_one_value_has_no_interval():
    shown = with_interval(measurement("m", [0.5], unit="1", seeds=[0]))
    assert shown.replace(NO_BREAK, " ") == "0.500 (n = 1)"


def test_interval_of_student_by_a_worked_value():
    """Two values 1 and 3: mean 2, standard error 1, t of one degree of freedom 12.706."""
    shown = with_interval(measurement("m", [1.0, 3.0], unit="1", seeds=[0, 1]))
    assert shown.split(" ") == ["2", f"[-11,{NO_BREAK}15]", f"(n{NO_BREAK}={NO_BREAK}2)"]


def test_a_table_keeps_bars_and_line_breaks_inside_its_cells():
    table = markdown_table([{"a": "x|y", "b": "two\nlines"}, {"a": 1, "b": 2}])
    assert table.data.splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| x\\|y | two lines |",
        "| 1 | 2 |",
    ]


def test_a_number_that_is_none_is_a_dash():
    table = markdown_table([{"a": float("nan"), "b": f"{float('nan'):.2f}"}]).data
    assert table.splitlines()[-1] == "| – | – |"


def test_long_names_may_be_broken_but_not_code_and_links():
    cells = (
        "ITN_x.AlexNet.half_space < 1", "a_short.name", "`ITN_x.AlexNet.half_space`",
        "[page](some_long_page_of_mine.html)",
    )  # fmt: skip
    lines = markdown_table({"a": cell} for cell in cells).data.splitlines()[2:]
    assert lines == [
        "| ITN_<wbr>x.<wbr>AlexNet.<wbr>half_<wbr>space < 1 |",
        *(f"| {cell} |" for cell in cells[1:]),
    ]


def test_the_count_can_be_left_out():
    measured = measurement("m", [1.0, 3.0], unit="1", seeds=[0, 1])
    assert with_interval(measured, count=False) == f"2 [-11,{NO_BREAK}15]"
    one = measurement("m", [0.5], unit="1", seeds=[0])
    assert with_interval(one, count=False) == "0.500"
