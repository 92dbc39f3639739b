import pytest
import torch

from invnb import devices
from invnb.errors import InvnbError


def test_auto_takes_a_gpu_where_there_is_one():
    assert devices.resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvnbError, match="'cuda' needs a GPU"):
        devices.resolve("cuda")
    assert devices.resolve("auto") == devices.resolve("cpu") == torch.device("cpu")


def test_description_says_how_many_threads():
    assert devices.describe(torch.device("cpu")) == f"cpu, {torch.get_num_threads()} thread(s)"
