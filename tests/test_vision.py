"""invnb.vision: torchvision imports with and without its compiled operators."""

import subprocess
import sys
from pathlib import Path

FAILS_UNTIL_DECLARED = """
import torch
for name in ("nms", "qnms"):
    torch.library.register_fake(f"torchvision::{name}", lambda *tensors: None)
marker = "stands in for torchvision"
"""


def run(code: str, *path: Path) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter that looks for modules in `path` first."""
    start = f"import sys; sys.path[:0] = {[str(p) for p in path]!r}\n"
    return subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, check=False
    )


def test_data_sets_and_transforms_work():
    done = run(
        "from invnb.vision import torchvision\n"
        "import torch\n"
        "assert torchvision.datasets.MNIST.resources\n"
        "turned = torchvision.transforms.functional.rotate(torch.eye(3)[None], 90.0)\n"
        "print(turned[0].flip(1).equal(torch.eye(3)))\n"
    )
    assert done.stdout == "True\n", done.stderr


def test_missing_operators_are_declared(tmp_path):
    (tmp_path / "torchvision.py").write_text(FAILS_UNTIL_DECLARED)
    assert "torchvision::nms does not exist" in run("import torchvision", tmp_path).stderr
    done = run("from invnb.vision import torchvision; print(torchvision.marker)", tmp_path)
    assert done.stdout == "stands in for torchvision\n", done.stderr


def test_a_working_torchvision_is_left_alone(tmp_path):
    (tmp_path / "torchvision.py").write_text("")
    code = (
        "import torch\n"
        "from invnb.vision import torchvision\n"
        "print(hasattr(torch.ops.torchvision, 'nms'))\n"
    )
    assert run(code, tmp_path).stdout == "False\n"


def test_other_failures_pass_through(tmp_path):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('another CUDA version')")
    done = run("from invnb.vision import torchvision", tmp_path)
    assert done.returncode == 1
    assert "RuntimeError: another CUDA version" in done.stderr
