"""invnb.reading: what a judge reads, and nearest drawings, against loops."""

import pytest
import torch
from torch import nn

from invnb.reading import nearest_blend_error, nearest_error, readings, shares


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


def test_nearest_blend_error_is_that_of_the_best_weight_of_the_best_pair():
    generator = torch.Generator().manual_seed(0)
    drawings, pool = (torch.randn(n, 3, 3, generator=generator) for n in (4, 6))
    weights = torch.linspace(0, 1, 2001).view(-1, 1, 1)
    expected = [
        min(
            (d - (weights * p + (1 - weights) * q)).square().mean((1, 2)).min()
            for p in pool
            for q in pool
        )
        for d in drawings
    ]
    found = nearest_blend_error(drawings, pool)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-5)
    assert (found <= nearest_error(drawings, pool) + 1e-6).all()


def test_a_blend_of_two_is_found_and_a_blend_beyond_them_is_not():
    pool = torch.eye(9).view(9, 3, 3)
    inside, beyond = 0.3 * pool[0] + 0.7 * pool[1], 2 * pool[0] - pool[1]
    found = nearest_blend_error(torch.stack([inside, beyond]), pool)
    assert found[0].item() == pytest.approx(0, abs=1e-6)
    assert found[1].item() == pytest.approx((1 + 1) / 9)
