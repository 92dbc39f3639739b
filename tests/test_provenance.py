"""invnb.provenance: hashes follow the code that can change a number, and nothing else."""

import json
import platform
import shutil
import subprocess
import sys

import pytest
import torch

from invnb import paths
from invnb.provenance import code_hash, commit, content_hash, packages

A = '''"""What a does."""

from invnb import b


def f(x):
    """Return it."""
    return b.g(x) + 1  # one more
'''
B = "def g(x):\n    import invnb.c as c\n    return c.h(x)\n"
C = "def h(x):\n    return 2 * x\n"
PARAMETERS = {"seeds": [0, 1], "hidden": 128}


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """A checkout of four modules: a imports b, b imports c, d is imported by none."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "invnb").mkdir()
    for name, code in {"a": A, "b": B, "c": C, "d": C}.items():
        (tmp_path / "invnb" / f"{name}.py").write_text(code)
    return tmp_path


def edit(checkout, name, old, new):
    path = checkout / "invnb" / f"{name}.py"
    code = path.read_text()
    assert old in code
    path.write_text(code.replace(old, new))


def notebook(checkout, *code, prose="# A chapter", outputs=()):
    cells = [{"cell_type": "markdown", "source": [prose]}] + [
        {"cell_type": "code", "source": c.splitlines(keepends=True), "outputs": list(outputs)}
        for c in code
    ]
    path = checkout / "chapter.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}}))
    return path


CODE = ("from invnb.a import f\n", "x = f(3)  # a number\nprint(x)\n")


# --- code ---


LAYOUT = [
    ("return b.g(x) + 1  # one more", "return (b.g(\n        x) + 1)"),
    ('    """Return it."""\n', ""),
    ('"""What a does."""', '"""What a did."""'),
    ("def f(x):", "\n\n# a comment\ndef f(x):"),
]
CODE_CHANGES = [
    ("+ 1", "+ 2"),
    ("+ 1", "- 1"),
    ("def f(x)", "def f(x, y=0)"),
    ("return b", 'print("""Return it.""")\n    return b'),
]


@pytest.mark.parametrize(("old", "new"), LAYOUT)
def test_comments_docstrings_and_layout_do_not_matter(checkout, old, new):
    before = code_hash("invnb.a"), content_hash(notebook(checkout, *CODE), PARAMETERS)
    edit(checkout, "a", old, new)
    assert (code_hash("invnb.a"), content_hash(notebook(checkout, *CODE), PARAMETERS)) == before


@pytest.mark.parametrize(("old", "new"), CODE_CHANGES)
def test_code_matters(checkout, old, new):
    hashed, content = code_hash("invnb.a"), content_hash(notebook(checkout, *CODE), PARAMETERS)
    edit(checkout, "a", old, new)
    assert code_hash("invnb.a") != hashed
    assert content_hash(notebook(checkout, *CODE), PARAMETERS) != content


def test_a_string_that_is_no_docstring_matters(checkout):
    edit(checkout, "c", "2 * x", 'len("two") * x')
    before = code_hash("invnb.c")
    edit(checkout, "c", '"two"', '"three"')
    assert code_hash("invnb.c") != before


def test_docstrings_of_classes_and_coroutines(checkout):
    template = (
        "class A:\n    {0}\n    y = 1\n\n    async def g(self):\n        {0}\n        return 1\n"
    )
    path = checkout / "invnb" / "d.py"
    hashes = set()
    for text in ('"""One."""', '"""Another."""'):
        path.write_text(template.format(text))
        hashes.add(code_hash("invnb.d"))
    assert len(hashes) == 1


def test_code_hash_is_of_the_named_modules_alone(checkout):
    before = code_hash("invnb.a")
    edit(checkout, "b", "h(x)", "h(x) + 1")
    assert code_hash("invnb.a") == before
    assert code_hash("invnb.a", "invnb.b") == code_hash("invnb.b", "invnb.a") != before
    assert code_hash("invnb.c") != code_hash("invnb.d")  # one text under two names


# --- a chapter ---


@pytest.mark.parametrize(
    "statement", ["from invnb.a import f", "from invnb import a", "import invnb.a as a"]
)
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_imported_code_matters_however_far(checkout, statement, name):
    path = notebook(checkout, statement)
    before = content_hash(path, PARAMETERS)
    edit(checkout, name, "return", "x = x\n    return")
    assert content_hash(path, PARAMETERS) != before


def test_code_that_is_not_imported_does_not_matter(checkout):
    path = notebook(checkout, *CODE)
    before = content_hash(path, PARAMETERS)
    edit(checkout, "d", "2", "3")
    assert content_hash(path, PARAMETERS) == before


def test_modules_that_import_each_other(checkout):
    edit(checkout, "c", "def h", "import invnb.a\n\ndef h")
    path = notebook(checkout, *CODE)
    before = content_hash(path, PARAMETERS)
    edit(checkout, "c", "2 * x", "3 * x")
    assert content_hash(path, PARAMETERS) != before


def test_prose_outputs_and_comments_of_the_notebook_do_not_matter(checkout):
    before = content_hash(notebook(checkout, *CODE), PARAMETERS)
    output = {"output_type": "stream", "text": ["7"]}
    after = notebook(checkout, CODE[0], "x = f(3)\nprint(x)", prose="# Another", outputs=[output])
    assert content_hash(after, PARAMETERS) == before


def test_code_of_the_notebook_matters(checkout):
    before = content_hash(notebook(checkout, *CODE), PARAMETERS)
    assert content_hash(notebook(checkout, *CODE, "y = 1"), PARAMETERS) != before
    assert content_hash(notebook(checkout, CODE[0], "x = f(4)\nprint(x)"), PARAMETERS) != before


def test_parameters_matter_but_not_their_order(checkout):
    path = notebook(checkout, *CODE)
    before = content_hash(path, PARAMETERS)
    assert content_hash(path, {"hidden": 128, "seeds": [0, 1]}) == before
    for change in ({"hidden": 64}, {"seeds": [1, 0]}, {"more": None}):
        assert content_hash(path, PARAMETERS | change) != before


def test_one_text_has_one_hash_everywhere(checkout):
    """Worked once: no path, time or random hash seed enters."""
    (checkout / "invnb" / "d.py").write_text("x = 1\n")
    first = code_hash("invnb.d")
    code = (
        f"from invnb import paths; from pathlib import Path; paths.ROOT = Path({str(checkout)!r})"
    )
    code += "; from invnb.provenance import code_hash; print(code_hash('invnb.d'))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == first


# --- the machine ---


def test_packages():
    found = packages()
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert {"torchvision", "numpy", "scipy", "scikit-learn", "papermill"} < set(found)


@pytest.fixture
def git(checkout, monkeypatch):
    if not shutil.which("git"):
        pytest.skip("no git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))

    def run(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        command = ["git", "-C", str(checkout), *identity, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return run


def test_commit(checkout, git):
    assert commit() is None  # no repository
    git("init")
    assert commit() is None  # no commit in it
    git("add", "invnb")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD")[:12]
    assert commit() == head
    (checkout / "new.txt").write_text("not tracked")
    assert commit() == head
    edit(checkout, "a", "+ 1", "+ 2")
    assert commit() == f"{head}+"


def test_commit_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() is None
