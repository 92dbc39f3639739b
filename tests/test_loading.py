"""invnb.loading: networks by import path, and what is said when one cannot be used."""

import pytest
import torch
from torch import nn

from invnb.errors import InvnbError
from invnb.loading import from_import_path
from invnb.models import MLP

MODULE = """
from torch import nn

not_callable = 3

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 9))

class Own(nn.Linear):
    def __init__(self):
        super().__init__(36, 9)

def number():
    return 3

def needs(classes):
    return nn.Linear(36, classes)
"""


@pytest.fixture(autouse=True)
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield
    monkeypatch.delitem(__import__("sys").modules, "own_networks", raising=False)


def save(content, name="checkpoint.pt"):
    torch.save(content, name)
    return name


def sentence(path):
    """Return the error's text, checked to be one line."""
    with pytest.raises(InvnbError) as error:
        from_import_path(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["linear", "Own"])
def test_function_or_class(name):
    factory = from_import_path(f"own_networks:{name}")
    a, b = factory(), factory()
    assert isinstance(a, nn.Module)
    assert not torch.equal(next(a.parameters()), next(b.parameters()))


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}])
def test_checkpoint(wrap):
    state = {
        k: torch.randn_like(v)
        for k, v in from_import_path("own_networks:linear")().state_dict().items()
    }
    factory = from_import_path(f"own_networks:linear@{save(wrap(state))}")
    for network in (factory(), factory()):
        for name, value in network.state_dict().items():
            assert torch.equal(value, state[name])


def test_checkpoint_of_a_network_of_the_package():
    network = MLP()
    save(network.state_dict(), "a@b.pt")
    loaded = from_import_path("invnb.models:MLP@a@b.pt")()
    x = torch.randn(2, 36, 36)
    assert torch.equal(loaded(x), network(x))


@pytest.mark.parametrize("path", ["", "WTT", "own_networks", ":linear", "own_networks:", "@a.pt"])
def test_neither_a_name_nor_a_path(path):
    allowed = "package.module:factory[@checkpoint.pt]"
    assert sentence(path) == f"model {path!r} is neither a known name nor {allowed}"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("no_such_module:f", "cannot be imported: No module named 'no_such_module'"),
        ("own_networks.sub:f", "cannot be imported: No module named 'own_networks.sub'"),
        ("own_networks:lenear", "cannot be imported: module 'own_networks' has no attribute"),
        ("own_networks:not_callable", "not_callable() fails: 'int' object is not callable"),
        ("own_networks:number", "number() must return a torch.nn.Module"),
    ],
)
def test_module_or_factory_cannot_be_used(path, why):
    text = sentence(path)
    assert repr(path) in text
    assert why in text


def test_factory_with_arguments():
    assert "needs" in sentence("own_networks:needs")


def test_checkpoint_left_empty():
    assert "'own_networks:linear@'" in sentence("own_networks:linear@")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"1.weight": torch.zeros(9, 35)},
            "1 name(s), first '1.weight': the network has (9, 36), the checkpoint (9, 35)",
        ),
        (
            {"1.bias": None},
            "1 name(s), first '1.bias': the network has (9,), the checkpoint none",
        ),
        (
            {"extra": torch.zeros(2)},
            "1 name(s), first 'extra': the network has none, the checkpoint (2,)",
        ),
        (
            {"1.bias": None, "1.b": torch.zeros(9)},
            "2 name(s), first '1.b': the network has none, the checkpoint (9,)",
        ),
    ],
)
def test_checkpoint_does_not_fit(change, why):
    state = dict(from_import_path("own_networks:linear")().state_dict()) | change
    name = save({k: v for k, v in state.items() if v is not None})
    path = f"own_networks:linear@{name}"
    assert sentence(path) == f"model {path!r}: the checkpoint does not fit at {why}"


@pytest.mark.parametrize("content", [torch.ones(3), [torch.ones(3)], {"epoch": 3}, 3])
def test_checkpoint_is_not_a_state_dict(content):
    text = sentence(f"own_networks:linear@{save(content)}")
    assert text == "checkpoint 'checkpoint.pt' is not a state dict (names to tensors)"


def test_checkpoint_is_no_file(tmp_path):
    assert "checkpoint 'none.pt' cannot be read" in sentence("own_networks:linear@none.pt")
    assert "cannot be read: Is a directory" in sentence(f"own_networks:linear@{tmp_path}")


@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_torn_checkpoint(tmp_path, keep):
    whole = (tmp_path / save(nn.Linear(36, 9).state_dict())).read_bytes()
    keep = keep if isinstance(keep, int) else int(len(whole) * keep)
    (tmp_path / "torn.pt").write_bytes(whole[:keep])
    assert "checkpoint 'torn.pt' is damaged" in sentence("own_networks:linear@torn.pt")


class Trap:
    """What a malicious checkpoint looks like: unpickling it runs a command of its own."""

    def __reduce__(self):
        return (open, ("sprung", "w"))


@pytest.mark.parametrize("content", [Trap(), {"state_dict": Trap()}])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, content):
    save(content)
    with pytest.raises(InvnbError, match="is damaged, or holds more than tensors"):
        from_import_path("own_networks:linear@checkpoint.pt")
    assert not (tmp_path / "sprung").exists()


def test_refused_checkpoint_is_one_sentence():
    assert "weights_only" not in sentence(f"own_networks:linear@{save(nn.Linear(36, 9))}")
