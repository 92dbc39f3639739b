import checkout
import pytest

from invnb import sweep_grid
from invnb.errors import InvnbError

PARAMETERS = """\
seeds: list[int] = [0, 1]  # one network each [>= 0, distinct]
rate: float = 0.5  # step size, 1 [> 0]
fast: bool = True  # or slow
data: str = "auto"  # images [auto | digits | mnist]
models: list[str] = ["A"]  # kinds"""


@pytest.fixture(autouse=True)
def notebook(tmp_path, monkeypatch):
    checkout.make(tmp_path, monkeypatch)
    checkout.add_profile("quick", "tiny: {rate: 2}")
    checkout.add_notebook("tiny", parameters=PARAMETERS)


def points(*assignments):
    return sweep_grid.points("tiny", "quick", assignments)


def test_without_lists_there_is_one_point():
    (point,) = points(("rate", "3"), ("models", "[A, B]"))
    assert point.name == "all"
    assert point.values == {
        "seeds": [0, 1],
        "rate": 3.0,
        "fast": True,
        "data": "auto",
        "models": ["A", "B"],
    }


def test_points_are_all_combinations_over_profile_and_defaults():
    found = points(("rate", "[0.1, 1]"), ("seeds", "[[0], [1, 2]]"))
    assert [(p.values["rate"], p.values["seeds"]) for p in found] == [
        (0.1, [0]),
        (0.1, [1, 2]),
        (1.0, [0]),
        (1.0, [1, 2]),
    ]
    assert [p.name for p in found] == [
        "rate=0.1,seeds=0",
        "rate=0.1,seeds=1+2",
        "rate=1.0,seeds=0",
        "rate=1.0,seeds=1+2",
    ]
    assert {p.values["data"] for p in found} == {"auto"}
    assert {p.values["rate"] for p in points(("seeds", "[[0], [1]]"))} == {2.0}, "the profile's"


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("fast", "[true, False]", [True, False]),
        ("data", "[digits, mnist]", ["digits", "mnist"]),
        ("data", "['digits', 'mnist']", ["digits", "mnist"]),
        ("models", "[['A'], ['B', 'C']]", [["A"], ["B", "C"]]),
        ("rate", "(1, 2)", [1.0, 2.0]),
    ],
)
def test_each_type_can_be_swept(name, text, values):
    assert [p.values[name] for p in points((name, text))] == values


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        (("rat", "[1, 2]"), "unknown parameter 'rat' (nearest: rate)"),
        (("rate", "[1, -2]"), "parameter rate is -2, but must be > 0"),
        (("rate", "[]"), "parameter rate is swept over nothing"),
        (("rate", "[1, 1.0]"), "parameter rate is swept over 1.0 twice"),
        (("seeds", "[[0], [1, 1]]"), "elements must be distinct"),
        (("data", "[digits, mnits]"), "parameter data is 'mnits'"),
        (("fast", "[yes]"), "parameter fast is 'yes'"),
    ],
)
def test_every_value_is_checked(assignment, sentence):
    with pytest.raises(InvnbError) as error:
        points(assignment)
    assert sentence in str(error.value)


def test_folders_are_safe_short_and_different():
    named = [{"models": [f"{'a/b ' * 50}{i}"]} for i in range(3)] + [
        {"data": "a/b"},
        {"data": "a_b"},
    ]
    names = [sweep_grid.folder(chosen) for chosen in named]
    assert len(set(names)) == len(names)
    assert all(len(name) <= sweep_grid.LONGEST for name in names)
    assert not any(set(name) & set('/ \\:*?"<>|') for name in names)
