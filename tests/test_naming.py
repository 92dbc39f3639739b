"""What names of measurements mean: every name that a criterion uses, and no other, is told."""

import re

import pytest

from invnb import naming
from invnb.claims import load

NOTEBOOKS = sorted({claim.notebook for claim in load()})


def pattern(name):
    """Return what a name of the file stands for as a pattern; … is any rest of a name."""
    return re.compile(re.escape(name).replace("…", r"\w+"))


def names(notebook):
    """Return the names of measurements that criteria are written in."""
    conditions = [c for claim in load(notebook) for c in (*claim.criterion, *claim.trained)]
    return {quantity.name for condition in conditions for quantity in condition.quantities}


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_name_is_told_and_used(notebook):
    told = [pattern(n) for some in naming.meanings(notebook) for n in some.split(", ")]

    def known(word):
        return any(one.fullmatch(word) for one in told)

    assert [n for n in names(notebook) if not known(n) and not all(map(known, n.split(".")))] == []
    used = {word for name in names(notebook) for word in (name, *name.split("."))}
    assert [one.pattern for one in told if not any(map(one.fullmatch, used))] == []


def test_numbers_of_a_source_are_of_its_claims_and_agree_with_them():
    for notebook in NOTEBOOKS:
        for claim in load(notebook):
            numbers = naming.published(notebook, claim.id)
            if numbers:
                assert claim.published["value"] in numbers.values(), claim.id
                assert {n.split(".")[0] for n in numbers} <= {
                    m.split(".")[0] for m in claim.metrics
                }, claim.id


def test_a_notebook_without_names_has_none():
    assert naming.meanings("nothing") == naming.published("nothing", "X-1") == {}
