"""invnb.cache: what is stored is not trained again, and nothing else is ever loaded."""

import os
import warnings

import pytest
import torch

from invnb.cache import measure_or_load, train_or_load
from invnb.training import Trained

KEY = {"model": "MLP", "schedule": {"epochs": 3, "nu": 0.5}, "sizes": [1, 2]}


class Trainer:
    """Stands in for training: counts what it is asked, and fails when told to."""

    def __init__(self, fail_at=None):
        self.asked, self.fail_at = [], fail_at

    def __call__(self, seeds):
        self.asked.append(seeds)
        if self.fail_at in seeds:
            raise KeyboardInterrupt
        return [trained(seed) for seed in seeds]


def trained(seed):
    state = {"weight": torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))}
    return Trained(seed, state, 2, 6, 1.5, [0.3, 0.2, 0.1], [0.8, 0.9, 0.9])


def assert_trained(networks, seeds):
    assert [n.seed for n in networks] == list(seeds)
    for network in networks:
        expected = vars(trained(network.seed))
        assert torch.equal(network.state["weight"], expected["state"]["weight"])
        assert {**vars(network), "state": None} == {**expected, "state": None}


def get(seeds, folder, key=KEY, fail_at=None, **options):
    """Return what was trained for `seeds`, and check what comes back."""
    train = Trainer(fail_at)
    assert_trained(train_or_load(key, seeds, train, folder=folder, **options), seeds)
    return train.asked


def test_trained_once(tmp_path):
    assert get([3, 1], tmp_path) == [[3, 1]]
    assert get([3, 1], tmp_path) == []
    assert get([1, 3], tmp_path) == []


def test_only_the_missing_seeds_are_trained(tmp_path):
    get([0, 2], tmp_path)
    assert get([0, 1, 2, 3], tmp_path) == [[1, 3]]


@pytest.mark.parametrize(
    ("together", "asked"), [(1, [[5], [4], [3]]), (2, [[5, 4], [3]]), (4, [[5, 4, 3]])]
)
def test_trained_together_in_groups(tmp_path, together, asked):
    assert get([5, 4, 3], tmp_path, together=together) == asked


def test_no_seeds(tmp_path):
    assert get([], tmp_path) == []


def test_interrupted_training_resumes(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        get(range(4), tmp_path, together=2, fail_at=3)
    assert len(list(tmp_path.iterdir())) == 2
    assert get(range(4), tmp_path, together=2) == [[2, 3]]


@pytest.mark.parametrize(
    "key",
    [
        {**KEY, "model": "WT"},
        {**KEY, "sizes": [2, 1]},
        {**KEY, "schedule": {"epochs": 3, "nu": 0.5000001}},
        {**KEY, "more": None},
    ],
)
def test_another_key_is_trained_anew(tmp_path, key):
    get([0], tmp_path)
    assert get([0], tmp_path, key=key) == [[0]]
    assert get([0], tmp_path) == []


def test_the_order_within_a_key_does_not_matter(tmp_path):
    get([0], tmp_path)
    assert get([0], tmp_path, key=dict(reversed(KEY.items()))) == []


@pytest.mark.parametrize("damage", ["empty", "torn", "other", "code"])
def test_unreadable_file_is_named_and_trained_again(tmp_path, damage):
    get([0, 1], tmp_path)
    file = sorted(tmp_path.iterdir())[0]
    if damage in ("empty", "torn"):
        file.write_bytes(file.read_bytes()[: 0 if damage == "empty" else 300])
    else:
        torch.save({"unknown": 1} if damage == "other" else {"seed": os.getcwd}, file)
    with pytest.warns(
        UserWarning, match=f"{file.name} in the cache is unreadable, making it again"
    ):
        (asked,) = get([0, 1], tmp_path)
    assert len(asked) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get([0, 1], tmp_path) == []


@pytest.mark.parametrize("broken", ["save", "replace"])
def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch, broken):
    """Killed while writing: neither half a network nor a left-over, and the next run trains."""

    def fail(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((torch, "save") if broken == "save" else (os, "replace")), fail)
        with pytest.raises(KeyboardInterrupt):
            get([0], tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert get([0], tmp_path) == [[0]]


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path, monkeypatch):
    seen, save = [], torch.save

    def watching(content, file):
        save(content, file)
        seen.extend(f.suffix for f in tmp_path.iterdir())

    monkeypatch.setattr(torch, "save", watching)
    get([0], tmp_path)
    assert seen == [".part"]
    assert [f.suffix for f in tmp_path.iterdir()] == [".pt"]


def test_left_over_of_a_killed_run_is_not_read(tmp_path):
    (tmp_path / "tmpabc.part").write_bytes(b"half a network")
    assert get([0], tmp_path) == [[0]]


def test_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))
    get([0], None)
    assert len(list((tmp_path / "cache" / "networks").glob("*.pt"))) == 1


def test_a_measurement_is_made_once_and_comes_back_equal(tmp_path):
    made = []

    def measure():
        made.append(1)
        return {"predicted": torch.arange(6, dtype=torch.uint8).view(2, 3), "x": torch.rand(2)}

    first = measure_or_load({"network": 1}, measure, folder=tmp_path)
    again = measure_or_load({"network": 1}, measure, folder=tmp_path)
    assert len(made) == 1
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    measure_or_load({"network": 2}, measure, folder=tmp_path)
    assert len(made) == 2


def test_a_torn_measurement_is_made_again(tmp_path):
    measure_or_load({"network": 1}, lambda: {"x": torch.ones(3)}, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    with pytest.warns(UserWarning, match="unreadable"):
        found = measure_or_load({"network": 1}, lambda: {"x": torch.ones(3)}, folder=tmp_path)
    assert found["x"].tolist() == [1, 1, 1]
