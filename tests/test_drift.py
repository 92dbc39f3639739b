"""invnb.drift: pairs of equal labels, a straight path between them, and areas by scipy."""

from itertools import cycle

import pytest
import torch
from scipy.integrate import trapezoid

from invnb import data
from invnb.data import ImageData
from invnb.drift import area, destination, matched_by_class, mixed
from invnb.groups import GROUPS
from invnb.transforming import Split

BETAS = [0.0, 0.25, 0.3, 1.0]


def numbered(labels):
    """Return images that each hold their own number."""
    images = torch.arange(len(labels)).float().view(-1, 1, 1).expand(-1, 2, 2)
    return Split(images, torch.tensor(labels))


def noise(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return Split(torch.randn(n, 6, 6, generator=generator), torch.arange(n) % 4 + seed)


# --- matched_by_class ---


def test_matched_worked():
    first = numbered([1, 0, 1, 1, 0, 1])
    second = numbered([2, 0, 1, 2, 1])  # 0: the second image; 1: the third and fifth; 2: not asked
    matched = matched_by_class(first, second)
    assert matched.images[:, 0, 0].tolist() == [2, 1, 4, 2, 1, 4]
    assert matched.images.shape == (6, 2, 2)
    assert torch.equal(matched.labels, first.labels)


def test_matched_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    first, second = (
        numbered(torch.randint(3, (n,), generator=generator).tolist()) for n in (60, 25)
    )
    matched = matched_by_class(first, second)
    supply = {k: cycle([i for i, y in enumerate(second.labels) if y == k]) for k in range(3)}
    expected = [next(supply[y]) for y in first.labels.tolist()]
    assert matched.images[:, 0, 0].tolist() == expected
    assert torch.equal(second.labels[expected], first.labels)


def test_matched_with_itself():
    split = numbered([3, 1, 1, 0, 3])
    assert torch.equal(matched_by_class(split, split).images, split.images)


# --- mixed ---


def test_mixed_worked():
    first = Split(torch.tensor([[[1.0, -2.0]]]), torch.tensor([5]))
    second = Split(torch.tensor([[[5.0, 2.0]]]), torch.tensor([6]))
    assert mixed(first, second, 0.25).images.tolist() == [[[2.0, -1.0]]]


def test_the_ends_are_exact():
    first, second = noise(7, 0), noise(7, 1)
    assert torch.equal(mixed(first, second, 0).images, first.images)
    assert torch.equal(mixed(first, second, 1).images, second.images)


@pytest.mark.parametrize("beta", BETAS)
def test_linear_between_and_labelled_as_the_first(beta):
    first, second = noise(7, 0), noise(7, 1)
    drifted = mixed(first, second, beta)
    steps = (drifted.images - first.images).double() / (second.images - first.images)
    torch.testing.assert_close(steps, torch.full_like(steps, beta), rtol=0, atol=1e-4)
    assert torch.equal(drifted.labels, first.labels)


@pytest.mark.parametrize("beta", BETAS)
def test_a_longer_second(beta):
    first, second = noise(5, 0), noise(9, 1)
    drifted = mixed(first, second, beta)
    assert torch.equal(drifted.images, mixed(first, second.first(5), beta).images)
    assert torch.equal(drifted.labels, first.labels)


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("n", [40, 55])
def test_mixing_commutes_with_the_group(group, n):
    first, second = noise(40, 0), noise(n, 1)
    posed = mixed(first, second, 0.3).transformed(group, seed=2)
    both = mixed(first.transformed(group, seed=2), second.transformed(group, seed=2), 0.3)
    assert torch.equal(posed.images, both.images)
    assert torch.equal(posed.labels, both.labels)
    other = mixed(first.transformed(group, seed=2), second.transformed(group, seed=3), 0.3)
    assert not torch.equal(posed.images, other.images)


# --- area ---


@pytest.mark.parametrize("peak", [0.1, 0.5, 0.9])
def test_area_of_a_triangle(peak):
    assert area([0, 3, 0], [0, peak, 1]) == pytest.approx(1.5)


def test_area_of_a_straight_line_on_any_grid():
    betas = [0, 0.05, 0.7, 0.75, 1]
    assert area([2 - b for b in betas], betas) == pytest.approx(1.5)


def test_area_is_scipys():
    values, betas = [0.9, 0.91, 0.7, 0.2, 0.35], [0, 0.2, 0.25, 0.8, 1]
    found = area(values, betas)
    assert type(found) is float
    assert found == pytest.approx(trapezoid(values, betas))
    assert found != pytest.approx(trapezoid(values, dx=0.25), rel=1e-2)


START = ImageData(
    torch.arange(3 * 16, dtype=torch.uint8).view(3, 4, 4), torch.tensor([4, 0, 7]), "dots", "x", "c"
)


def test_scrambled_has_the_same_pixels_of_each_image_in_one_other_order():
    there = destination("scrambled", START)
    assert there.images.shape == START.images.shape
    assert torch.equal(there.labels, START.labels)
    flat, before = there.images.flatten(1), START.images.flatten(1)
    order = flat[0] - before[0, 0]  # values are positions
    assert order.sort().values.tolist() == list(range(16))
    assert order.tolist() != list(range(16))
    assert torch.equal(flat, before[:, order.long()])
    assert torch.equal(destination("scrambled", START).images, there.images)
    assert there.name == "dots, pixels scrambled"


def test_fashion_mnist_where_there_is_some(monkeypatch):
    monkeypatch.setattr(data, "load", lambda name: (name, "loaded"))
    for name in ("auto", "fashion-mnist"):
        assert destination(name, START) == ("fashion-mnist", "loaded")


def test_without_fashion_mnist_auto_says_so_and_scrambles(monkeypatch, capsys):
    def unavailable(name):
        raise data.DataUnavailableError("no network")

    monkeypatch.setattr(data, "load", unavailable)
    assert torch.equal(destination("auto", START).images, destination("scrambled", START).images)
    assert "no network" in capsys.readouterr().out
    with pytest.raises(data.DataUnavailableError, match="no network"):
        destination("fashion-mnist", START)


def test_files_that_are_there_but_bad_are_an_error_not_a_reason_to_scramble(monkeypatch):
    def bad(name):
        raise data.DataError("differs from the published one")

    monkeypatch.setattr(data, "load", bad)
    with pytest.raises(data.DataError, match="differs"):
        destination("auto", START)


def test_area_over_a_part_of_the_drift_is_the_mean_there():
    assert area([0.8, 0.8], [0.5, 0.75]) == pytest.approx(0.8)
    assert area([1.0, 0.0], [0.0, 0.5]) == pytest.approx(0.5)
    assert area([0.3], [0.5]) == 0.3


def test_fashion_mnist_does_not_drift_to_itself(monkeypatch):
    fashion = ImageData(START.images, START.labels, "FashionMNIST", "folder", "c")
    monkeypatch.setattr(data, "load", lambda name: fashion)
    with pytest.raises(data.DataError, match="to itself is none"):
        destination("fashion-mnist", fashion)
    assert destination("auto", fashion).name == "FashionMNIST, pixels scrambled"
