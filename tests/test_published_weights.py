"""invnb.published_weights: looked for, downloaded once, checked; nothing here reaches a network."""

from hashlib import sha256

import pytest
import torch

from invnb import published_weights
from invnb.errors import InvnbError


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Return a file that stands on a server, a folder here, under the name of its hash."""
    content = b"weights"
    name = f"net-{sha256(content).hexdigest()[:8]}.th"
    for folder in ("server", "data", "here"):
        (tmp_path / folder).mkdir()
    (tmp_path / "server" / name).write_bytes(content)
    monkeypatch.setattr(published_weights, "FILES", {name: 0.9})
    address = (tmp_path / "server").as_uri() + "/{file}"
    monkeypatch.setattr(published_weights, "ADDRESS", address)
    monkeypatch.setenv("INVNB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "server" / name


def test_a_path_is_left_alone(tmp_path):
    for path in (tmp_path, tmp_path / "none.pt"):
        assert published_weights.find(str(path)) == path


def test_a_published_file_is_downloaded_once(published):
    found = published_weights.find(published.name)
    assert found.read_bytes() == b"weights"
    assert found.parent.parent == type(found)(torch.hub.get_dir())
    published.unlink()
    assert published_weights.find(published.name) == found


def test_a_file_in_the_data_folder_or_here_comes_first(published, tmp_path):
    at_data = tmp_path / "data" / published.name
    at_data.write_bytes(b"mine")
    assert published_weights.find(published.name) == at_data
    (tmp_path / "here" / published.name).write_bytes(b"here")
    assert published_weights.find(published.name).read_bytes() == b"here"


def test_a_damaged_or_missing_download_is_one_sentence(published):
    published.write_bytes(b"other")
    with pytest.raises(InvnbError, match=r"cannot be downloaded \(invalid hash value"):
        published_weights.find(published.name)
    published.unlink()
    with pytest.raises(InvnbError, match=r"cannot be downloaded .* or put the file into .*data"):
        published_weights.find(published.name)
    assert not list(published.parent.parent.glob("torch/**/*.th"))


def test_names_are_those_of_the_networks_depths():
    assert [name.partition("-")[0] for name in published_weights.FILES] == [
        "resnet20", "resnet32", "resnet44", "resnet56"
    ]  # fmt: skip
