import shutil
import subprocess
import sys

import checkout
import pytest
from click.testing import CliRunner

from invnb import __version__, cli, paths, results, runner

REFERENCE = paths.RESULTS / "reference"
CODE = "import sys\nimport invnb.cli, invnb.runner\nsys.exit('torch' in sys.modules)"


@pytest.fixture
def out(tmp_path, monkeypatch):
    folder = checkout.make(tmp_path, monkeypatch)
    checkout.add_profile("quick", "tiny: {rate: 2}")
    return folder


@pytest.fixture
def calls(monkeypatch, out):
    """Replace execution: a notebook's name says what becomes of it; return what was asked for."""
    made = []

    def run_notebook(name, values, profile, *, data, out, force):
        asked = {"name": name, "values": values, "profile": profile}
        made.append(asked | {"data": data, "out": out, "force": force})
        status = {"fails": "failed", "stops": "interrupted"}.get(name, "complete")
        message = "" if status == "complete" else "cell 3 (`x`): ValueError: no"
        return runner.Outcome(name, status, message, out / f"{name}.ipynb", 1.0)

    monkeypatch.setattr(runner, "run_notebook", run_notebook)
    return made


def invnb(*arguments):
    return CliRunner().invoke(cli.app, arguments)


def test_help_is_quick_and_names_every_command():
    done = invnb("--help")
    assert done.exit_code == 0
    for word in ("run", "sweep", "parameters", "build", "claims", "merge", "Examples:"):
        assert f"\n  {word}" in done.output
    assert subprocess.run([sys.executable, "-c", CODE], check=False).returncode == 0, "no torch"


def test_version():
    assert invnb("--version").output == f"invnb {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "tini"], "error: there is no notebook 'tini' (nearest: tiny); there are tiny\n"),
        (["run", "--profile", "quik"], "error: there is no profile 'quik' (nearest: quick)"),
        (["run", "-p", "rat", "1"], "error: tiny: unknown parameter 'rat' (nearest: rate)"),
        (["run", "-p", "seeds", "[0"], "error: tiny: parameter seeds is '[0' (str)"),
        (["run", "--data", "/none/such"], "error: data: /none/such (--data) is no folder"),
        (["run", "-p", "seeds"], "Option '-p' requires 2 arguments"),
        (["parameters", "tini"], "error: there is no notebook 'tini'"),
        (["claims", "--run", "none"], "error: There is no run 'none'"),
        (["merge", "none", "--out", "results/c"], "error: there are no results in none"),
        (["merge", "--out", "results/c"], "Missing argument 'RUN...'"),
        (["biuld"], "No such command 'biuld'"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_status_2(calls, arguments, sentence):
    checkout.add_notebook("tiny")
    done = invnb(*arguments)
    assert sentence in done.stderr
    assert "Traceback" not in done.output
    assert done.exit_code == 2
    assert calls == []


def test_nothing_runs_where_any_notebook_has_a_wrong_parameter(calls):
    checkout.add_notebook("a")
    checkout.add_notebook("b", parameters="rate: float = 1.0")
    assert invnb("run", "-p", "seeds", "[0]").exit_code == 2
    assert calls == []


def test_run_takes_all_notebooks_the_profile_and_assignments(calls, out):
    checkout.add_notebook("tiny")
    checkout.add_notebook("other")
    done = invnb("run", "-p", "seeds", "[0, 3]", "-p", "data", "digits", "--force")
    assert done.exit_code == 0
    assert [c["name"] for c in calls] == ["other", "tiny"]
    assert [c["values"]["rate"] for c in calls] == [0.5, 2.0]
    for call in calls:
        assert call["values"]["seeds"] == [0, 3]
        assert call["values"]["data"] == "digits"
        assert (call["profile"], call["force"]) == ("quick", True)
        assert call["out"] == out / "quick-custom", "a changed run does not replace the usual one"


def test_run_takes_a_notebook_once_and_a_profile_by_its_path(calls, out, tmp_path):
    checkout.add_notebook("tiny")
    profile = tmp_path / "mine.yml"
    profile.write_text("tiny: {rate: 8e-4}")
    assert invnb("run", "tiny", "notebooks/tiny.ipynb", "--profile", str(profile)).exit_code == 0
    assert len(calls) == 1
    assert calls[0]["values"]["rate"] == 8e-4
    assert (calls[0]["profile"], calls[0]["out"]) == ("mine", out / "mine")


def test_run_needs_no_data_folder_unless_one_is_named(calls, monkeypatch, tmp_path):
    checkout.add_notebook("tiny")
    monkeypatch.delenv("INVNB_DATA")
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "none"))
    assert invnb("run").exit_code == 0
    assert calls[0]["data"] is None


def test_a_failing_notebook_does_not_stop_the_others_and_exits_with_1(calls):
    checkout.add_profile("quick", "")
    for name in ("fails", "good"):
        checkout.add_notebook(name)
    done = invnb("run")
    assert done.exit_code == 1
    assert [c["name"] for c in calls] == ["fails", "good"]
    assert "fails: failed in cell 3 (`x`): ValueError: no" in done.stderr
    assert "good: done in 1 s" in done.stdout


def test_an_interrupted_notebook_stops_the_others_and_exits_with_130(calls):
    checkout.add_profile("quick", "")
    for name in ("stops", "then"):
        checkout.add_notebook(name)
    assert invnb("run").exit_code == 130
    assert [c["name"] for c in calls] == ["stops"]


def test_an_interruption_elsewhere_is_no_traceback(calls, monkeypatch):
    checkout.add_notebook("tiny")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_notebook", interrupted)
    done = invnb("run")
    assert (done.exit_code, done.stderr) == (130, "interrupted\n")


def test_parameters_lists_what_can_be_set(out):
    checkout.add_notebook("tiny")
    assert invnb("parameters", "tiny").output == (
        "seeds: list[int] = [0, 1]\n    one network each (allowed: >= 0, distinct)\n"
        "rate: float = 0.5\n    step size, 1 (allowed: > 0)\n"
        "data: str = 'auto'\n    images (allowed: one of auto, digits, mnist)\n"
    )


def test_runs_of_different_seeds_merge_into_one_result(out):
    checkout.add_notebook("tiny", checkout.MEASURE)
    for name, seeds in (("a", "[0]"), ("b", "[1, 2]")):
        done = invnb("run", "-p", "seeds", seeds, "-p", "rate", "2", "--out", str(out / name))
        assert done.exit_code == 0, done.output

    done = invnb("merge", str(out / "a"), "b", "--out", str(out / "c"))

    assert done.exit_code == 0, done.output
    joined = results.read(out / "c" / "tiny.json")
    assert (joined["run"], joined["measurements"]["T.score"]["seeds"]) == ("c", [0, 1, 2])
    assert joined["measurements"]["T.score"]["values"] == [2.0, 3.0, 4.0]
    assert (out / "c" / "tiny.ipynb").read_bytes() == (out / "b" / "tiny.ipynb").read_bytes()
    assert "tiny: 2 runs joined" in done.output

    again = invnb("run", "-p", "seeds", "[1, 2]", "-p", "rate", "2", "--out", str(out / "b"))
    assert "tiny: up to date" in again.output

    into_one = invnb("merge", "a", "b", "--out", str(out / "b"))  # whose chapter stays
    assert into_one.exit_code == 0, into_one.output
    assert results.read(out / "b" / "tiny.json")["measurements"]["T.score"]["n"] == 3

    (out / "a" / "tiny.ipynb").unlink()
    bare = invnb("merge", "a", "--out", str(out / "d"))
    assert bare.exit_code == 2
    assert "tiny.ipynb is missing beside its result" in bare.stderr
    assert not (out / "d").exists()


def test_claims_show_what_the_reference_run_measured(out):
    for run in ("reference", "mine"):
        shutil.copytree(REFERENCE, out / run)
    alone, beside = (invnb("claims", "--run", run).output for run in ("reference", "mine"))
    (row,) = (line for line in alone.splitlines() if line.startswith("RG-03 "))
    verdict, value = row.split()[1], row.partition(")")[2].strip()
    at = beside.splitlines().index(row)
    (below,) = (x for x in beside.splitlines()[at + 1 : at + 3] if "reference run" in x)
    assert below.split() == [verdict, "reference", "run", *value.split()]
    assert "reference run" not in alone
