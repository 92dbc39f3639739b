import json
import os
import re
import signal
import sys
import threading
import time

import checkout
import nbformat
import pytest

from invnb import results, runner
from invnb.errors import InvnbError

REPORT = """\
import json, os
names = ("OMP_WAIT_POLICY", "INVNB_DATA")
print(json.dumps([sys.executable, os.getcwd(), *map(os.environ.get, names)]))"""
BAR = """\
from tqdm.auto import tqdm
for _ in tqdm(range(3)): pass"""
TOUCH_AND_SLEEP = """\
import os, pathlib, time
pathlib.Path(os.environ["INVNB_DATA"], "begun").touch()
time.sleep(200)"""


@pytest.fixture
def out(tmp_path, monkeypatch):
    """Return where runs go, in a checkout whose path would trip a careless format or split."""
    folder = tmp_path / "a {b} c"
    folder.mkdir()
    return checkout.make(folder, monkeypatch) / "mine"


def run(name, values=None, *, out, **options):
    return runner.run_notebook(name, values or {}, "smoke", data=None, out=out, **options)


def stored(out, name="tiny"):
    return results.read(out / f"{name}.json")


def shown(notebook):
    """Return all text that the cells of an executed notebook printed."""
    outputs = (o for c in nbformat.read(notebook, as_version=4).cells for o in c.get("outputs", ()))
    return "".join(o.get("text", "") for o in outputs)


@pytest.fixture
def fake_execution(monkeypatch):
    """Replace the kernel by one that does nothing; return the parameters of each execution."""
    executions = []

    def execute(source, changed, data, draft):
        executions.append(dict(changed))
        notebook = nbformat.read(source, as_version=4)
        notebook.metadata.papermill = {}
        for cell in notebook.cells:
            cell.metadata.papermill = {"start_time": "now"}
        nbformat.write(notebook, draft)
        return fake.result

    def fake():
        return executions

    fake.result = (runner.COMPLETE, "")
    monkeypatch.setattr(runner, "_execute", execute)
    return fake


def test_a_run_leaves_the_executed_notebook_and_its_measurements(out, capfd, monkeypatch, tmp_path):
    # another kernel of the same name, found first: it must not be used
    other = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({"argv": ["false"], "display_name": "other"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    checkout.add_notebook("tiny", "import sys\n" + REPORT, checkout.MEASURE, BAR)
    monkeypatch.chdir(tmp_path)  # where a relative path among the parameters begins

    outcome = run("tiny", {"seeds": [3, 4, 5]}, out=out)

    assert (outcome.status, outcome.message) == ("complete", "")
    assert outcome.chapter == out / "tiny.ipynb"
    assert sorted(f.name for f in out.iterdir()) == ["tiny.ipynb", "tiny.json"]
    result = stored(out)
    assert (result["notebook"], result["run"], result["profile"]) == ("tiny", "mine", "smoke")
    assert (result["status"], result["error"]) == ("complete", None)
    expected = {"seeds": [3, 4, 5], "rate": 0.5, "data": "auto"}
    assert result["provenance"]["parameters"] == expected
    assert result["measurements"]["T.score"]["values"] == [3.5, 4.5, 5.5]
    assert result["runs"]["r1"]["data"]["source"] == "embedded"
    held = result["runs"]["r1"]["memory"]  # bytes
    assert 2e7 < held < 4e9 if sys.platform == "linux" else held is None

    data = os.environ["INVNB_DATA"]
    in_kernel = [sys.executable, str(tmp_path), "PASSIVE", data]
    assert json.loads(shown(outcome.chapter).splitlines()[0]) == in_kernel
    metadata = nbformat.read(outcome.chapter, as_version=4).metadata
    assert str(tmp_path) not in json.dumps(metadata)
    assert metadata.papermill.parameters == {"seeds": [3, 4, 5]}
    terminal = capfd.readouterr().err
    assert "3/3 [" in terminal, "a bar within a cell is shown"
    assert "encryption" not in terminal


def test_a_failing_cell_is_named_and_what_was_measured_before_is_kept(out):
    checkout.add_notebook("tiny", checkout.MEASURE, "# why\n\nint('x')\n", "print('never')")

    outcome = run("tiny", out=out)

    assert outcome.status == "failed"
    reason = "ValueError: invalid literal for int() with base 10: 'x'"
    assert outcome.message == f"cell 3 (`int('x')`): {reason}"
    assert stored(out)["status"] == "failed"
    assert stored(out)["error"] == {"cell": 3, "source": "int('x')", "message": reason}
    assert stored(out)["measurements"]["T.score"]["values"] == [0.5, 1.5]
    assert "ValueError" in outcome.chapter.read_text()
    assert "never" not in shown(outcome.chapter)


def test_a_kernel_that_dies_is_a_failed_cell(out):
    checkout.add_notebook("tiny", checkout.MEASURE, "import os; os._exit(3)", "1")
    outcome = run("tiny", out=out)
    assert outcome.status == "failed"
    assert outcome.message.startswith("cell 3 (`import os; os._exit(3)`): DeadKernelError")
    assert stored(out)["measurements"]["T.score"]["n"] == 2


@pytest.fixture
def interruptible():
    """Python's own answer to Ctrl-C, which shells switch off for what they start in background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_run_keeps_what_was_measured_and_stops_at_once(out):
    checkout.add_notebook("tiny", checkout.MEASURE, TOUCH_AND_SLEEP)
    begun = f"{os.environ['INVNB_DATA']}/begun"

    def interrupt():
        while not os.path.exists(begun):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    outcome = run("tiny", out=out)
    assert outcome.status == "interrupted"
    assert time.monotonic() - start < 150  # the cell would sleep for longer
    assert stored(out)["status"] == "failed"
    assert stored(out)["error"]["message"] == "interrupted"
    assert stored(out)["measurements"]["T.score"]["values"] == [0.5, 1.5]


def test_what_is_up_to_date_is_not_executed_again(out, fake_execution):
    checkout.add_notebook("tiny", checkout.MEASURE)
    assert run("tiny", out=out).status == "complete"
    assert run("tiny", {"rate": 0.5}, out=out).status == "up to date"
    assert run("tiny", out=out, force=True).status == "complete"
    assert len(fake_execution()) == 2


def test_a_change_of_parameters_or_code_executes_again(out, fake_execution):
    checkout.add_notebook("tiny", checkout.MEASURE)
    run("tiny", out=out)
    assert run("tiny", {"rate": 1}, out=out).status == "complete"
    assert stored(out)["provenance"]["parameters"]["rate"] == 1.0
    checkout.add_notebook("tiny", checkout.MEASURE, "1 + 1")
    assert run("tiny", {"rate": 1}, out=out).status == "complete"
    assert run("tiny", {"rate": 1}, out=out).status == "up to date"
    assert fake_execution() == [{}, {"rate": 1.0}, {"rate": 1.0}]


def test_a_missing_chapter_or_a_damaged_result_executes_again(out, fake_execution):
    checkout.add_notebook("tiny")
    run("tiny", out=out)
    (out / "tiny.ipynb").unlink()
    assert run("tiny", out=out).status == "complete"
    (out / "tiny.json").write_text("{")
    assert run("tiny", out=out).status == "complete"
    assert len(fake_execution()) == 3


def test_a_failed_result_is_never_up_to_date(out, fake_execution):
    checkout.add_notebook("tiny")
    fake_execution.result = ("failed", "ValueError: no")
    assert run("tiny", out=out).status == "failed"
    fake_execution.result = ("complete", "")
    assert run("tiny", out=out).status == "complete"
    assert stored(out)["status"] == "complete"


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_failure_leaves_an_earlier_complete_result_where_it_was(out, fake_execution, status):
    checkout.add_notebook("tiny")
    run("tiny", out=out)
    before = {f.name: f.read_bytes() for f in out.iterdir()}

    fake_execution.result = (status, "no")
    outcome = run("tiny", {"rate": 2}, out=out)

    assert outcome.chapter == out / "unfinished" / "tiny.ipynb"
    assert stored(out / "unfinished")["error"]["message"] == "no"
    assert {f.name: f.read_bytes() for f in out.glob("*.*")} == before

    fake_execution.result = ("complete", "")
    assert run("tiny", {"rate": 2}, out=out).status == "complete"
    assert not (out / "unfinished").exists()


@pytest.mark.parametrize(("source", "status"), [("embedded", "complete"), ("folder", "up to date")])
def test_embedded_data_are_not_up_to_date_once_the_folder_has_more(
    out, fake_execution, source, status
):
    checkout.add_notebook("tiny")
    run("tiny", out=out)
    result = stored(out)
    result["runs"]["r1"]["data"] = {"name": "some", "source": source}
    results.write_json(out / "tiny.json", result)
    assert run("tiny", out=out).status == "up to date"
    os.mkdir(f"{os.environ['INVNB_DATA']}/MNIST")
    assert run("tiny", out=out).status == status


def test_a_draft_of_a_killed_run_is_not_taken_for_this_run(out, monkeypatch):
    checkout.add_notebook("tiny")
    (out / "unfinished").mkdir(parents=True)
    (out / "unfinished" / "tiny.ipynb").write_text("old")
    monkeypatch.setattr(runner, "_execute", lambda *_: ("failed", "no kernel"))
    outcome = run("tiny", out=out)
    assert (outcome.status, outcome.message) == ("failed", "no kernel")
    assert not list(out.rglob("*.*"))


def test_what_cannot_work_is_refused_before_a_kernel_starts(out, fake_execution, tmp_path):
    checkout.add_notebook("tiny")
    (tmp_path / "file").touch()
    wrong = [
        ("parameter 'sed' (nearest: seeds)", {"values": {"sed": 1}}),
        ("rate is -1, but must be > 0", {"values": {"rate": -1}}),
        ("there is no notebook 'tine' (nearest: tiny)", {"name": "tine"}),
        ("(--data) is no folder", {"data": tmp_path / "none"}),
        ("file (--data) is no folder", {"data": tmp_path / "file"}),
        ("file (File exists): choose another with --out", {"out": tmp_path / "file"}),
    ]
    good = {"name": "tiny", "values": {}, "profile": "smoke", "data": None, "out": out}
    for sentence, changed in wrong:
        with pytest.raises(InvnbError, match=re.escape(sentence)):
            runner.run_notebook(**good | changed)
    assert fake_execution() == []


def test_the_data_folder_of_the_environment_must_exist_but_the_default_need_not(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("INVNB_DATA", str(tmp_path / "none"))
    with pytest.raises(InvnbError, match=r"none \(INVNB_DATA\) is no folder"):
        runner.data_folder(None)
    monkeypatch.delenv("INVNB_DATA")
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))
    assert runner.data_folder(None) == tmp_path / "cache" / "data"
