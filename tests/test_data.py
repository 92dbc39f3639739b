"""invnb.data: good files are read, bad ones refused, downloads are all or nothing.

A tiny set in MNIST's format stands in for MNIST: 20 + 10 images, sent by a local server.
"""

import gzip
import hashlib
import json
import os
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from invnb import data, downloads
from invnb.data import DataError, DataUnavailableError, load
from invnb.errors import InvnbError
from invnb.vision import torchvision

SHAPES = {
    "train-images-idx3-ubyte": (20, 28, 28),
    "train-labels-idx1-ubyte": (20,),
    "t10k-images-idx3-ubyte": (10, 28, 28),
    "t10k-labels-idx1-ubyte": (10,),
}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(values: np.ndarray) -> bytes:
    header = struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape)
    return header + values.tobytes()


def make_values() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        name: random.integers(0, 10 if len(shape) == 1 else 256, shape, dtype=np.uint8)
        for name, shape in SHAPES.items()
    }


VALUES = make_values()
CONTENT = {name: idx(values) for name, values in VALUES.items()}
ARCHIVES = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in CONTENT.items()}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ARCHIVES; `faults` says for which file what goes wrong; `requests` are their names."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: dict[str, str] = {}
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request, client_address):
        """torchvision drops its first connection to each file unread: nothing to report."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        self.server.requests.append(name)
        fault, body = self.server.faults.get(name), ARCHIVES[name]
        if fault == "closed at once":
            return
        if fault == "error 500":
            return self.send_error(500)
        if fault == "corrupted":
            body = body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault in ("closed half way", "stalled half way"):
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.wfile.flush()
        if fault == "stalled half way":
            time.sleep(2)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def tiny(request, monkeypatch):
    """Let the tiny set be the published MNIST; its only mirror is the test's server, if any."""
    address = request.getfixturevalue("server").address if "server" in request.fixturenames else ""

    class MNIST(torchvision.datasets.MNIST):
        mirrors = (address,) if address else ()
        resources = tuple((name, md5(archive)) for name, archive in ARCHIVES.items())

    published = data.Published(MNIST, {name: md5(content) for name, content in CONTENT.items()})
    monkeypatch.setattr(data, "FILES", SHAPES)
    monkeypatch.setitem(data.PUBLISHED, "mnist", published)


@pytest.fixture
def raw(tmp_path) -> Path:
    """The folder of a root that holds nothing yet."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def complete(raw) -> Path:
    """The folder of a root that holds all four good files."""
    for name, content in CONTENT.items():
        (raw / name).write_bytes(content)
    return raw


def listing(folder: Path) -> dict[str, tuple]:
    """What lies in a folder: content, time of change and inode of each file."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes(),
            path.stat().st_mtime_ns,
            path.stat().st_ino,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_tiny(images: data.ImageData, source: str):
    expected = [np.concatenate([VALUES[f"{part}-{kind}"] for part in ("train", "t10k")])
                for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]  # fmt: skip
    assert images.images.dtype == torch.uint8
    assert images.labels.dtype == torch.int64
    assert np.array_equal(images.images, expected[0])
    assert np.array_equal(images.labels, expected[1])
    assert images.checksum == hashlib.sha256(b"".join(v.tobytes() for v in expected)).hexdigest()
    assert (images.name, images.source) == ("MNIST", source)


# --- names ---


@pytest.mark.parametrize(
    ("name", "near"),
    [("MNIST", "mnist"), ("fashionmnist", "fashion-mnist"), ("digit", "digits"), ("Auto", "auto")],
)
def test_unknown_name(name, near):
    with pytest.raises(DataError) as error:
        load(name)
    assert str(error.value) == (
        f"data '{name}' is unknown: allowed are mnist, fashion-mnist, digits, auto; "
        f"did you mean '{near}'?"
    )


@pytest.mark.parametrize("name", ["", "cifar10"])
def test_unknown_name_far_from_all(name):
    with pytest.raises(InvnbError, match=rf"^data '{name}' is unknown: allowed are .*, auto$"):
        load(name)


# --- the folder ---


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_good_folder(name, complete, server, capsys):
    before = listing(complete)
    assert_tiny(load(name, complete.parents[1]), "folder")
    assert capsys.readouterr().out == ""
    assert server.requests == []
    assert listing(complete) == before


def test_good_folder_compressed(raw):
    for name, archive in ARCHIVES.items():
        (raw / name).write_bytes(archive)
    assert_tiny(load("mnist", raw.parents[1], download=False), "folder")


def test_default_root_is_the_data_folder(complete, monkeypatch):
    monkeypatch.setenv("INVNB_DATA", str(complete.parents[1]))
    assert_tiny(load("mnist"), "folder")


def test_description(complete):
    images = load("mnist", complete.parents[1])
    assert json.loads(json.dumps(images.describe())) == {
        "name": "MNIST", "source": "folder", "checksum": images.checksum, "n": 30
    }  # fmt: skip


def flip(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


BROKEN = {
    "empty": (IMAGES, b"", "has 0 bytes in place of 15,696"),
    "truncated": (IMAGES, CONTENT[IMAGES][:-1], "has 15,695 bytes in place of 15,696"),
    "too long": (LABELS, CONTENT[LABELS] + b"\0", "has 29 bytes in place of 28"),
    "of another kind": (LABELS, CONTENT[IMAGES], "has 15,696 bytes in place of 28"),
    "magic number": (IMAGES, flip(CONTENT[IMAGES], 3), "differs from the published file"),
    "dimension": (IMAGES, flip(CONTENT[IMAGES], 7), "differs from the published file"),
    "first pixel": (IMAGES, flip(CONTENT[IMAGES], 16), "differs from the published file"),
    "last pixel": (IMAGES, flip(CONTENT[IMAGES], -1), "differs from the published file"),
    "label": (LABELS, flip(CONTENT[LABELS], 12), "differs from the published file"),
    "archive truncated": (f"{IMAGES}.gz", ARCHIVES[f"{IMAGES}.gz"][:-9], "cannot be unpacked"),
    "archive changed": (f"{LABELS}.gz", flip(ARCHIVES[f"{LABELS}.gz"], -6), "cannot be unpacked"),
    "archive changed inside": (f"{LABELS}.gz", flip(ARCHIVES[f"{LABELS}.gz"], 10), "cannot be unp"),
    "not an archive": (f"{LABELS}.gz", b"<html>sign in</html>", "cannot be unpacked"),
    "archive of another": (f"{LABELS}.gz", gzip.compress(b"none"), "has 4 bytes in place of 28"),
}


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_file(kind, name, complete, server, capsys):
    """Refused whatever the name, without asking the network, and nothing is touched."""
    file, content, fault = BROKEN[kind]
    (complete / file.removesuffix(".gz")).unlink()
    (complete / file).write_bytes(content)
    before = listing(complete)
    with pytest.raises(DataError) as error:
        load(name, complete.parents[1])
    assert not isinstance(error.value, DataUnavailableError)
    assert str(error.value).startswith(f"{complete / file} {fault}")
    assert str(error.value).endswith(
        ": mend or delete it, and run again to have it downloaded anew"
    )
    assert server.requests == []
    assert capsys.readouterr().out == ""
    assert listing(complete) == before


def test_deleting_a_broken_file_mends_it(complete, server):
    """The advice of the error message works."""
    (complete / IMAGES).write_bytes(b"")
    with pytest.raises(DataError, match="delete it"):
        load("mnist", complete.parents[1])
    (complete / IMAGES).unlink()
    assert_tiny(load("mnist", complete.parents[1]), "download")


def test_broken_file_beside_a_good_archive(complete):
    """torchvision would take the broken file; we do not pass over it either."""
    (complete / f"{LABELS}.gz").write_bytes(ARCHIVES[f"{LABELS}.gz"])
    (complete / LABELS).write_bytes(b"")
    with pytest.raises(DataError, match="has 0 bytes"):
        load("mnist", complete.parents[1])


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_unreadable_file(name, complete):
    (complete / LABELS).unlink()
    (complete / LABELS).mkdir()
    with pytest.raises(DataError, match=rf"{LABELS} cannot be read \(Is a directory\): mend or"):
        load(name, complete.parents[1])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission(complete):
    (complete / LABELS).chmod(0)
    with pytest.raises(DataError, match=rf"{LABELS} cannot be read \(Permission denied\)"):
        load("auto", complete.parents[1])


@pytest.mark.parametrize("file", CONTENT)
def test_missing_file(file, complete):
    (complete / file).unlink()
    before = listing(complete)
    with pytest.raises(DataUnavailableError) as error:
        load("mnist", complete.parents[1], download=False)
    assert str(error.value) == (
        f"MNIST is not complete in {complete} ({file} is missing): let it be downloaded, "
        "or set INVNB_DATA to a folder that has MNIST/raw"
    )
    assert listing(complete) == before


# --- the download ---


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_download(name, tmp_path, server, capsys):
    root = tmp_path / "made" / "on the way"
    assert_tiny(load(name, root), "download")
    assert capsys.readouterr().out == ""
    assert {n: c for n, (c, *_) in listing(root / "MNIST" / "raw").items()} == CONTENT
    assert sorted(os.listdir(root / "MNIST" / "raw")) == sorted(CONTENT)
    asked = len(server.requests)
    assert_tiny(load(name, root), "folder")
    assert len(server.requests) == asked
    assert np.array_equal(torchvision.datasets.MNIST(root).data, VALUES[IMAGES])


@pytest.mark.parametrize("file", CONTENT)
def test_download_leaves_good_files_alone(file, complete, server):
    (complete / file).unlink()
    before = listing(complete)
    assert_tiny(load("mnist", complete.parents[1]), "download")
    after = listing(complete)
    assert after.pop(file)[0] == CONTENT[file]
    assert after == before


def test_download_beside_what_a_killed_one_left(raw, server):
    left = raw / ".download-killed" / "MNIST" / "raw"
    left.mkdir(parents=True)
    (left / IMAGES).write_bytes(CONTENT[IMAGES][:100])
    assert_tiny(load("mnist", raw.parents[1]), "download")


FAULTS = {
    "closed at once": "Remote end closed connection",
    "error 500": "HTTP Error 500",
    "corrupted": "File not found or corrupted",
    "closed half way": "File not found or corrupted",
    "stalled half way": "timed out",
}


@pytest.mark.parametrize("file", [f"{IMAGES}.gz", "t10k-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize("fault", FAULTS)
def test_failed_download_then_retry(fault, file, raw, server, monkeypatch):
    """The first file or the last fails: one sentence, nothing left behind, and a retry succeeds."""
    server.faults[file] = fault
    if fault == "stalled half way":
        monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    with pytest.raises(DataUnavailableError) as error:
        load("mnist", raw.parents[1])
    assert str(error.value).startswith(f"MNIST could not be downloaded into {raw} (")
    assert FAULTS[fault] in str(error.value)
    assert "check the network and run again, or set INVNB_DATA" in str(error.value)
    assert "\n" not in str(error.value)
    assert list(raw.iterdir()) == []
    assert socket.getdefaulttimeout() is None
    server.faults.clear()
    monkeypatch.setattr(downloads, "TIMEOUT", 30.0)
    assert_tiny(load("mnist", raw.parents[1]), "download")


def test_failed_download_leaves_good_files_alone(complete, server):
    (complete / IMAGES).unlink()
    before = listing(complete)
    server.faults[f"{LABELS}.gz"] = "closed half way"
    with pytest.raises(DataUnavailableError):
        load("mnist", complete.parents[1])
    assert listing(complete) == before


def test_download_of_something_unpublished(raw, server, monkeypatch):
    """Archives that torchvision accepts, whose content is not what was published."""
    monkeypatch.setitem(data.PUBLISHED["mnist"].md5, LABELS, md5(b"published"))
    with pytest.raises(DataUnavailableError, match="differs from the published file"):
        load("mnist", raw.parents[1])
    assert list(raw.iterdir()) == []


def test_no_network(raw, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DataUnavailableError, match=r"Connection refused.*check the network"):
        load("mnist", raw.parents[1])
    assert list(raw.iterdir()) == []


@pytest.mark.parametrize("blocked", ["", "MNIST", "MNIST/raw"])
def test_unwritable_folder(blocked, tmp_path, server):
    """A file where a folder should be: nobody can write there, not even root."""
    root = tmp_path / "root"
    (root / blocked).parent.mkdir(parents=True, exist_ok=True)
    (root / blocked).write_bytes(b"mine")
    with pytest.raises(DataUnavailableError) as error:
        load("mnist", root)
    assert str(error.value).startswith(
        f"MNIST cannot be downloaded into {root / 'MNIST' / 'raw'} ("
    )
    assert str(error.value).endswith(
        "): make this folder writable, or set INVNB_DATA to one that is"
    )
    assert (root / blocked).read_bytes() == b"mine"
    assert server.requests == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(raw, server):
    raw.chmod(0o500)
    with pytest.raises(DataUnavailableError, match=r"Permission denied.*make this folder writable"):
        load("mnist", raw.parents[1])
    assert server.requests == []


# --- the embedded digits ---


def test_digits():
    digits = load("digits")
    assert digits.images.shape == (1797, 28, 28)
    assert digits.images.dtype == torch.uint8
    assert digits.labels.dtype == torch.int64
    assert np.array_equal(digits.labels, load_digits().target)
    assert digits.images.max() == 255
    inside = torch.zeros(28, 28, dtype=torch.bool)
    inside[4:24, 4:24] = True
    assert digits.images[:, ~inside].max() == 0
    assert (digits.name, digits.source) == ("embedded digits", "embedded")
    # the same numbers on every machine
    assert digits.checksum == "31d94ccad30269ca6b3fe34a877754f9944d62fadcad9acf50e17f632b870b3b"


def test_digits_against_separable_interpolation():
    """Bilinear enlargement is linear interpolation between pixel centres, along each axis."""
    centres = (np.arange(20) + 0.5) * 8 / 20 - 0.5
    for k in (0, 1, 1796):
        rows = np.array([np.interp(centres, range(8), row) for row in load_digits().images[k]])
        box = np.array([np.interp(centres, range(8), column) for column in rows.T]).T
        ours = load("digits").images[k, 4:24, 4:24].double().numpy()
        assert np.abs(ours - box * 255 / 16).max() < 0.5 + 1e-5


def test_digits_need_no_folder(tmp_path, server):
    assert load("digits", tmp_path / "none").source == "embedded"
    assert not (tmp_path / "none").exists()
    assert server.requests == []


@pytest.mark.parametrize("download", [True, False])
def test_auto_falls_back_with_a_notice(download, tmp_path, server, capsys):
    server.faults[f"{IMAGES}.gz"] = "error 500"
    assert load("auto", tmp_path, download=download).name == "embedded digits"
    notice = capsys.readouterr().out
    assert notice.startswith(
        "NOTICE: what follows is measured on scikit-learn's 1,797 embedded digits, "
        "not on MNIST, because MNIST "
    )
    assert ("HTTP Error 500" in notice) == download
    assert ("is not complete in" in notice) != download


# --- the real thing ---


@pytest.mark.parametrize(
    ("name", "folder", "mean"),
    [("mnist", "MNIST", 0.1309), ("fashion-mnist", "FashionMNIST", 0.2862)],
)
def test_real_data(name, folder, mean, monkeypatch):
    monkeypatch.undo()  # the tiny set
    root = Path(os.environ.get("INVNB_DATA", "not set"))
    if not (root / folder / "raw" / IMAGES).exists():
        pytest.skip(f"INVNB_DATA names no folder with {folder}")
    images = load(name, root, download=False)
    assert images.images.shape == (70000, 28, 28)
    assert images.images.double().mean() / 255 == pytest.approx(mean, abs=5e-5)
    theirs = torchvision.datasets.__dict__[folder](root)
    assert torch.equal(images.images[:60000], theirs.data)
    assert torch.equal(images.labels[:60000], theirs.targets)
