import re

import checkout
import pytest

from invnb import parameters
from invnb.errors import InvnbError

DECLARED = parameters.parse(
    """\
seeds: list[int] = [0, 1]  # one network each [>= 0, distinct]
rate: float = 1e-3  # Adam's step, 1 [> 0]
share: float = 0.5  # of the images [0..1]
data: str = "auto"  # images [auto | digits | mnist]
models: list[str] = ["DA", "IR"]  # kinds [WT | DA | IR]
own: list[str] = []  # import paths, `package.module:factory`
fast: bool = False
steps: int = 3  # how many
angles: list[float] = [0.0]"""
)
KNOWN = {p.name: p for p in DECLARED}


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("x = 1", "not `name: type = literal"),
        ("x: int", "not `name: type = literal"),
        ("x: int = y", "not `name: type = literal"),
        ("x: list[bool] = [True]", "a type out of int, float"),
        ("x: list[int] = [\n    1,\n]", "on one line"),
        ('"""words"""', "not `name: type = literal"),
        ("x: int = (", "not valid Python"),
        ("x: int = 1.5", "x is 1.5 (float), but must be int"),
        ("x: int = 0  # a count [> 0]", "x is 0, but must be > 0"),
        ("x: int = 0  # a count [0, 1]", "constraint [0, 1] is none of"),
    ],
)
def test_parse_names_the_line_that_is_no_parameter(source, fault):
    with pytest.raises(InvnbError, match=re.escape(fault)):
        parameters.parse(source)


def test_parse_reads_name_type_default_help_and_constraint():
    rate = KNOWN["rate"]
    assert (rate.name, rate.type, rate.default) == ("rate", "float", 1e-3)
    assert (rate.help, rate.constraint.rule) == ("Adam's step, 1", "> 0")
    assert KNOWN["own"].help == "import paths, `package.module:factory`"
    assert KNOWN["own"].constraint is None
    assert KNOWN["angles"].help == ""


def test_parse_takes_a_hash_in_a_string_for_no_comment():
    assert parameters.parse('x: str = "a # b"  # help')[0].default == "a # b"


@pytest.mark.parametrize(
    ("text", "allowed", "refused"),
    [
        ("> 0", [1e-9, 1], [0, -1]),
        (">= 1", [1, 2], [0]),
        ("< 1", [0.9], [1]),
        ("<= -1e-2", [-0.01], [0]),
        ("0..1", [0, 0.5, 1], [-0.1, 1.1]),
        ("-2 .. .5", [-2, 0.5], [0.6]),
        ("a | b", ["a", "b"], ["c", "a | b"]),
        ("a | *:*", ["a", "my.nets:make"], ["b", "my.nets"]),
    ],
)
def test_constraint_holds_for_what_it_says(text, allowed, refused):
    made = parameters.constraint(text)
    assert all(made.allows(x) for x in allowed)
    assert not any(made.allows(x) for x in refused)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sedes": [1]}, "unknown parameter 'sedes' (nearest: seeds); known are seeds, rate, "),
        ({"zzz": 1}, "unknown parameter 'zzz'; known are seeds"),
        ({"seeds": "[0,1]"}, "seeds is '[0,1]' (str), but must be list[int], such as [0, 1]"),
        ({"seeds": 0}, "seeds is 0 (int), but must be list[int]"),
        ({"seeds": [0, 1.0]}, "seeds is [0, 1.0] (list), but must be list[int]"),
        ({"seeds": [0, True]}, "seeds is [0, True] (list), but must be list[int]"),
        ({"seeds": [0, -1]}, "seeds is [0, -1], but each element must be >= 0"),
        ({"seeds": [0, 0]}, "seeds is [0, 0], but elements must be distinct"),
        ({"seeds": []}, "seeds is empty, but needs at least one element"),
        ({"rate": True}, "rate is True (bool), but must be float"),
        ({"rate": float("nan")}, "rate is nan (float), but must be float of finite size"),
        ({"rate": None}, "rate is None (NoneType), but must be float"),
        ({"rate": 0}, "rate is 0, but must be > 0"),
        ({"share": 1.01}, "share is 1.01, but must be in 0..1"),
        ({"steps": True}, "steps is True (bool), but must be int"),
        ({"steps": [1]}, "steps is [1] (list), but must be int"),
        ({"fast": 1}, "fast is 1 (int), but must be bool"),
        ({"data": "minst"}, "must be one of auto, digits, mnist (nearest: mnist)"),
        ({"models": ["DA", "WTT"]}, "each element must be one of WT, DA, IR (nearest: WT)"),
    ],
)
def test_check_says_in_one_sentence_what_is_wrong(values, sentence):
    with pytest.raises(InvnbError, match=re.escape(sentence)) as caught:
        parameters.check(DECLARED, values)
    assert "\n" not in str(caught.value)


def test_check_fills_in_defaults_and_makes_an_int_a_float():
    values = parameters.check(DECLARED, {"rate": 1, "angles": [0, 90]})
    assert values == {p.name: p.default for p in DECLARED} | {"rate": 1.0, "angles": [0.0, 90.0]}
    assert type(values["rate"]) is float
    assert [type(a) for a in values["angles"]] == [float, float]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seeds", "[0, 1]", [0, 1]),
        ("seeds", "3,5", [3, 5]),
        ("rate", "1e-3", 1e-3),
        ("rate", "2", 2.0),
        ("fast", "true", True),
        ("fast", "False", False),
        ("data", "digits", "digits"),
        ("models", "WT", ["WT"]),
        ("models", '["WT", "DA"]', ["WT", "DA"]),
        ("models", "[WT, DA]", ["WT", "DA"]),
        ("own", "my.nets:make", ["my.nets:make"]),
        ("own", "[]", []),
        ("angles", "[0, 1e2]", [0.0, 100.0]),
    ],
)
def test_parse_assignment_reads_what_a_shell_can_write(name, text, value):
    assert parameters.parse_assignment(KNOWN[name], text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("seeds", "[0, 1"),
        ("seeds", "zero"),
        ("steps", "1e3"),
        ("steps", "__import__('os')"),
        ("rate", "nan"),
        ("rate", "1e999"),
        ("rate", "{[]: 1}"),
        ("fast", "1"),
        ("fast", "yes"),
        ("models", '["WT'),
    ],
)
def test_parse_assignment_refuses_the_rest(name, text):
    with pytest.raises(InvnbError, match=f"parameter {name} is "):
        parameters.parse_assignment(KNOWN[name], text)


def test_read_needs_exactly_one_tagged_cell(tmp_path, monkeypatch):
    checkout.make(tmp_path, monkeypatch)
    path = checkout.add_notebook("tiny")
    assert [p.name for p in parameters.read(path)] == ["seeds", "rate", "data"]
    path.write_text(path.read_text().replace('"parameters"', '"other"'))
    with pytest.raises(InvnbError, match="0 cells tagged 'parameters'"):
        parameters.read(path)
    path.write_text("{")
    with pytest.raises(InvnbError, match="is not a notebook"):
        parameters.read(path)
    with pytest.raises(InvnbError, match="cannot be read"):
        parameters.read(tmp_path / "none.ipynb")


def test_check_namespace_stops_at_what_plain_papermill_lets_through(tmp_path, monkeypatch):
    checkout.make(tmp_path, monkeypatch)
    checkout.add_notebook("tiny")
    kernel = {"seeds": [0], "rate": 1, "data": "auto", "torch": object()}
    checked = parameters.check_namespace("tiny", kernel)
    assert checked == {"seeds": [0], "rate": 1.0, "data": "auto"}
    with pytest.raises(InvnbError, match="seeds is '\\[0,1\\]'"):
        parameters.check_namespace("tiny", kernel | {"seeds": "[0,1]"})
    with pytest.raises(InvnbError, match="rate is missing"):
        parameters.check_namespace("tiny", {"seeds": [0]})


def test_a_list_may_be_empty_where_the_constraint_says_so():
    line = "kinds: list[str] = ['a']  # kinds [a | b, distinct or none]"
    (kinds,) = parameters.parse(line)
    assert str(kinds.constraint) == "one of a, b, distinct or none"
    assert kinds.checked([]) == []
    assert kinds.checked(["b", "a"]) == ["b", "a"]
    for wrong in (["c"], ["a", "a"]):
        with pytest.raises(InvnbError):
            kinds.checked(wrong)
    (counts,) = parameters.parse("counts: list[int] = [1]  # how many [>= 1 or none]")
    assert counts.checked([]) == []
    with pytest.raises(InvnbError, match="counts is"):
        counts.checked([0])
