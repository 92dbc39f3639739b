import re

import checkout
import pytest

from invnb import profiles
from invnb.errors import InvnbError


@pytest.fixture(autouse=True)
def tiny_checkout(tmp_path, monkeypatch):
    checkout.make(tmp_path, monkeypatch)
    checkout.add_notebook("tiny")
    checkout.add_notebook("other")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tiny: [", "profile quick is not valid YAML"),
        ("- tiny", "must map notebooks to parameters, not ['tiny']"),
        ("tinny: {}", "unknown notebook 'tinny' (nearest: tiny); there are other, tiny"),
        ("tiny: 3", "tiny must hold lines `parameter: value`, not 3"),
        ("tiny: {rate: 1, rate: 2}", "'rate' is given twice"),
        ("tiny: {}\ntiny: {}", "'tiny' is given twice"),
        ("tiny: {rat: 1}", "tiny, profile quick: unknown parameter 'rat' (nearest: rate)"),
        ("tiny: {rate: fast}", "tiny, profile quick: parameter rate is 'fast' (str)"),
        ("tiny: {rate: -1}", "parameter rate is -1, but must be > 0"),
        ("tiny: {rate: yes}", "parameter rate is True (bool)"),
    ],
)
def test_a_profile_with_a_fault_is_refused_in_one_sentence(text, sentence):
    checkout.add_profile("quick", text)
    with pytest.raises(InvnbError, match=re.escape(sentence)) as caught:
        profiles.resolve("tiny", "quick")
    assert "\n" not in str(caught.value)


def test_an_unknown_profile_names_the_nearest_and_all():
    checkout.add_profile("quick", "")
    checkout.add_profile("smoke", "")
    sentence = "there is no profile 'quik' (nearest: quick); there are quick, smoke"
    with pytest.raises(InvnbError, match=re.escape(sentence)):
        profiles.load("quik")


def test_a_profile_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(InvnbError, match="cannot be read: No such file"):
        profiles.load(str(tmp_path / "none.yml"))
    (tmp_path / "bytes.yml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InvnbError, match="not UTF-8 text"):
        profiles.load(str(tmp_path / "bytes.yml"))


def test_an_empty_profile_means_the_defaults():
    for text in ("", "# nothing\n", "tiny:\n", "other: {rate: 2}\n"):
        checkout.add_profile("quick", text)
        expected = {"seeds": [0, 1], "rate": 0.5, "data": "auto"}
        assert profiles.resolve("tiny", "quick") == expected


@pytest.mark.parametrize("number", ["8e-4", "8.0e-4", "8E-04", "0.0008"])
def test_yaml_numbers_are_read_as_people_write_them(number):
    checkout.add_profile("quick", f"tiny:\n  rate: {number}\n")
    assert profiles.resolve("tiny", "quick")["rate"] == 8e-4


def test_assignments_go_over_the_profile_which_goes_over_defaults(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text("tiny:\n  seeds: [4]\n  rate: 2\n")
    values = profiles.resolve("tiny", str(file), [("rate", "3"), ("rate", "4")])
    assert values == {"seeds": [4], "rate": 4.0, "data": "auto"}
    assert profiles.label(str(file)) == "mine"
    assert profiles.label("quick") == "quick"


def test_an_assignment_to_an_unknown_name_is_refused():
    checkout.add_profile("quick", "")
    with pytest.raises(InvnbError, match=r"^tiny: unknown parameter 'sed' \(nearest: seeds\)"):
        profiles.resolve("tiny", "quick", [("sed", "3")])


def test_notebooks_are_named_with_or_without_folder_and_ending():
    assert profiles.notebook("notebooks/tiny.ipynb") == profiles.notebook("tiny")
    with pytest.raises(InvnbError, match=r"'tini' \(nearest: tiny\); there are other, tiny"):
        profiles.notebook("tini")
