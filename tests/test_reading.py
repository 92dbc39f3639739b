"""invnb.reading: what a judge reads, and nearest drawings, against loops."""

import pytest
import torch
from torch import nn

from invnb.reading import nearest_error, readings, shares


class Brightness(nn.Module):
    """Class 1 for bright images, class 0 for dark ones; it keeps what it was shown."""

    def forward(self, images):
        self.seen = images
        level = images.mean((1, 2))
        return torch.stack([0.5 - level, level - 0.5], -1) * 10


def test_a_judge_sees_pixels_from_0_to_1():
    judge, drawings = Brightness(), torch.tensor([-1.0, 1.0, 0.2]).view(3, 1, 1).expand(3, 4, 4)
    found = readings(judge, drawings)
    torch.testing.assert_close(judge.seen[:, 0, 0], torch.tensor([0.0, 1.0, 0.6]))
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    assert found.argmax(1).tolist() == [0, 1, 1]


def test_shares_of_groups():
    softmax = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.0, 0.4, 0.6], [0.9, 0.1, 0.0]])
    found = shares(softmax, ("0", "1", "6, 9"), {"turned six": ["6, 9"], "0 or 1": ["0", "1"]})
    assert found == pytest.approx({"turned six": 0.25, "0 or 1": 0.75})


def test_nearest_error_is_the_least_mean_square():
    drawings, pool = torch.randn(3, 5, 5), torch.randn(7, 5, 5)
    expected = [min((d - p).square().mean() for p in pool) for d in drawings]
    torch.testing.assert_close(nearest_error(drawings, pool), torch.stack(expected))
    assert nearest_error(pool[2:3], pool).item() == pytest.approx(0, abs=1e-6)
