"""invnb.judging: connected pieces by flood fill, contrast, broken digits, and what judges learn."""

import pytest
import torch

from invnb import judging
from invnb.data import load
from invnb.judging import BROKEN, UNSEEN, Jury, in_one_piece, stretched, train_judge


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    return data.images.float() / 255, data.labels


@pytest.fixture(scope="module")
def jury(digits):
    images, labels = digits
    return Jury([train_judge(images[:1500], labels[:1500], seed=s, steps=120) for s in (0, 1)])


def flood(image):
    """Return the share of ink in the largest piece, neighbours at corners included."""
    inked = {(i, j) for i, j in (image > judging.INK).nonzero().tolist()}
    largest, total = 0.0, sum(image[p].item() for p in inked)
    while inked:
        waiting, ink = [inked.pop()], 0.0
        while waiting:
            i, j = waiting.pop()
            ink += image[i, j].item()
            near = {(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & inked
            inked -= near
            waiting += near
        largest = max(largest, ink)
    return largest / total if total else 0.0


def test_pieces_by_flood_fill():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(20, 12, 12, generator=generator) * (
        torch.rand(20, 12, 12, generator=generator) < 0.4
    )
    images[:, 0, 0], images[:, -1, -1] = 1, 0  # so that stretching changes nothing
    expected = [flood(image) for image in images]
    assert min(expected) < 0.3 < max(expected) <= 1
    assert in_one_piece(images).tolist() == pytest.approx(expected, rel=1e-4)


def test_pieces_of_neighbouring_images_are_apart():
    one = torch.zeros(2, 6, 6)
    one[0, 2, 2], one[1, 2, 2], one[1, 5, 5] = 1, 1, 1
    assert in_one_piece(one).tolist() == [1.0, 0.5]


def test_contrast_does_not_matter_but_for_blank_images():
    images = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(stretched(0.3 * images + 0.2), stretched(images), atol=1e-5)
    assert stretched(images).amin() == 0
    assert stretched(images).amax() == 1
    assert torch.equal(stretched(0.09 * images + 0.5), torch.zeros_like(images))
    assert in_one_piece(0.09 * images).tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", [*BROKEN, *UNSEEN])
def test_broken_digits(kind, digits):
    make = (BROKEN | UNSEEN)[kind]
    one = make(digits[0], 7, torch.Generator().manual_seed(3))
    assert one.shape == (7, 28, 28)
    assert 0 <= one.min() <= one.max() <= 1
    assert torch.equal(one, make(digits[0], 7, torch.Generator().manual_seed(3)))
    assert not torch.equal(one, make(digits[0], 7, torch.Generator().manual_seed(4)))


def test_shuffled_squares_are_a_permutation():
    images = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(0))
    mixed = judging.shuffled(images, 1, torch.Generator().manual_seed(0))

    def squares(image):
        parts = image.unfold(1, 7, 7).unfold(2, 7, 7).reshape(16, 49)
        return sorted(map(tuple, parts.tolist()))

    assert squares(mixed) == squares(images)
    assert not torch.equal(mixed, images)


def test_halves_and_flips():
    images = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(
        judging.halves(images, 1, generator), images
    )  # both halves of the one there is
    flipped = judging.middle_flipped(images, 1, generator)
    assert torch.equal(flipped[:, :, :10], images[:, :, :10])
    assert torch.equal(flipped[0, 0, 10:18], images[0, -1, 10:18])


def test_cut_strokes_only_lose_ink(digits):
    generator = torch.Generator().manual_seed(0)
    cut = judging.cut(digits[0][:1], 50, generator)
    assert (cut <= digits[0][0]).all()
    assert cut.sum((1, 2)).lt(digits[0][0].sum()).all()


def test_judges_tell_held_out_digits_from_broken_ones(jury, digits):
    images, labels = digits[0][1500:], digits[1][1500:]
    read, sure = jury.read(images)
    assert sure.float().mean() > 0.8
    assert (read == labels).float().mean() > 0.85
    for kind in ("shuffled squares", "spots", "cut strokes"):
        broken = BROKEN[kind](images, 200, torch.Generator().manual_seed(0))
        assert jury.read(broken)[1].float().mean() < 0.2


def test_blank_is_no_digit(jury):
    probabilities = jury(torch.full((2, 28, 28), 0.4))
    assert probabilities[:, -1].tolist() == [1, 1]


def test_a_jury_averages(jury, digits):
    bright = stretched(digits[0][:5])
    expected = sum(judge(bright).softmax(1) for judge in jury.judges) / 2
    assert torch.allclose(jury(digits[0][:5]), expected)


def test_a_seed_makes_the_same_judge(digits):
    before = torch.random.get_rng_state()
    first, again = (train_judge(*digits, seed=3, steps=2) for _ in range(2))
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.steps == 2
