"""What a number came from: hashes of the code that made it, versions, commit, device.

Code is hashed as its syntax tree without docstrings, so that comments, layout and documentation
may change without making a result stale; anything that can change a number does.
"""

import ast
import hashlib
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from invnb import paths

RECORDED_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "papermill")


def code_hash(*modules: str) -> str:
    """Return the SHA-256 of the code of `modules`, without that of what they import.

    Args:
        modules: names such as `"invnb.training"`, in any order.

    """
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(name.encode())
        digest.update(_fingerprint(_module_path(name).read_text(encoding="utf-8")).encode())
    return digest.hexdigest()


def content_hash(notebook: Path, parameters: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what determines a chapter's numbers.

    That is the notebook's code cells, the invnb modules that these import, directly or not, and
    the parameters.

    Args:
        notebook: the source notebook (not an executed one).
        parameters: every parameter of the run by name, JSON-able.

    """
    return content_hasher(notebook)(parameters)


def content_hasher(notebook: Path) -> Callable[[Mapping[str, Any]], str]:
    """Return `content_hash` of a notebook as a function of the parameters; the code is read once.

    Args:
        notebook: the source notebook (not an executed one).

    """
    code = _code(notebook)
    of_code = hashlib.sha256(_fingerprint(code).encode())
    of_code.update(code_hash(*_closure(_imported(code))).encode())

    def with_parameters(parameters: Mapping[str, Any]) -> str:
        digest = of_code.copy()
        digest.update(json.dumps(parameters, sort_keys=True).encode())
        return digest.hexdigest()

    return with_parameters


def code_hashes(notebook: Path) -> dict[str, str]:
    """Return the SHA-256 of a notebook's code and of each invnb module that it takes to run it.

    Args:
        notebook: the source notebook.

    """
    code = _code(notebook)
    modules = _closure(_imported(code) | {"invnb.runner"})
    own = hashlib.sha256(_fingerprint(code).encode()).hexdigest()
    return {Path(notebook).name: own} | {name: code_hash(name) for name in sorted(modules)}


def packages() -> dict[str, str]:
    """Return the installed versions of Python and of the packages that make the numbers."""
    return {"python": platform.python_version()} | {p: version(p) for p in RECORDED_PACKAGES}


def commit() -> str | None:
    """Return the checkout's git commit, with `+` where tracked files differ; None without git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(paths.ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _code(notebook: Path) -> str:
    """Return a notebook's code cells as one Python text."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    as_python = TransformerManager().transform_cell  # a notebook may hold %magics
    return "\n".join(as_python("".join(c["source"])) for c in cells if c["cell_type"] == "code")


def _module_path(name: str) -> Path:
    return paths.ROOT.joinpath(*name.split(".")).with_suffix(".py")


def _closure(modules: Iterable[str]) -> set[str]:
    """Return `modules` and all invnb modules reachable from them by import."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _imported(_module_path(name).read_text(encoding="utf-8"))
    return seen


def _imported(code: str) -> set[str]:
    """Return the invnb modules that `code` names in import statements."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {n for n in names if n.startswith("invnb.") and _module_path(n).is_file()}


@lru_cache(256)  # a key is asked for with every network and table
def _fingerprint(code: str) -> str:
    """Return `code` as a canonical dump of its syntax tree, without docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:]
    return ast.dump(tree)
