"""The reference run that is kept with the code: whole, and judged as its measurements say.

It may be older than the code, which the status page then says.
"""

import pytest

from invnb import paths, profiles, results

FILES = sorted((paths.RESULTS / "reference").glob("*.json"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_every_notebook_has_one():
    assert [file.stem for file in FILES] == sorted(profiles.notebooks())


@each_file
def test_it_ran_to_the_end_with_the_full_profile(file):
    result = results.read(file)
    assert (result["status"], result["profile"], result["run"]) == ("complete", "full", "reference")
    full = profiles.resolve(file.stem, "full")
    assert full | result["provenance"]["parameters"] == full
    assert all(piece["commit"] and piece["packages"] for piece in result["runs"].values())
    assert file.with_suffix(".ipynb").exists()


@each_file
def test_its_verdicts_follow_from_its_measurements(file):
    result = results.read(file)
    again = results.judged(result)["claims"]
    assert {name: again[name] for name in result["claims"]} == result["claims"]
