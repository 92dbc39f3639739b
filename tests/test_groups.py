"""invnb.groups: the axioms hold bit for bit, and the elements are the ones the paper names."""

import pytest
import torch

from invnb.groups import GROUPS, R4, T3


@pytest.fixture(params=GROUPS.values(), ids=GROUPS)
def group(request):
    return request.param


def images(n=5, size=36):
    return torch.randn(n, size, size, generator=torch.Generator().manual_seed(0))


def test_identity(group):
    x = images()
    assert torch.equal(group.act(x, 0), x)
    assert torch.equal(group.act(x, group.order), x)


def test_closure_and_composition(group):
    x = images()
    for j in range(group.order):
        for k in range(group.order):
            both = group.act(x, (j + k) % group.order)
            assert torch.equal(group.act(group.act(x, k), j), both)


def test_inverse(group):
    x = images()
    for k in range(group.order):
        assert torch.equal(group.act(group.act(x, k), -k), x)
        assert torch.equal(group.act(x, -k), group.act(x, group.order - k))


def test_associativity(group):
    x = images(1)
    g = [lambda y, k=k: group.act(y, k) for k in range(group.order)]
    for a in g:
        for b in g:
            for c in g:
                bc, ab = (lambda y, b=b, c=c: b(c(y))), (lambda y, a=a, b=b: a(b(y)))
                assert torch.equal(a(bc(x)), ab(c(x)))


def test_elements_are_distinct(group):
    orbit = group.orbit(images(1))
    assert orbit.flatten(1).unique(dim=0).shape[0] == group.order


def test_pixels_are_moved_never_mixed(group):
    x = torch.arange(36 * 36).view(1, 36, 36)
    for k in range(group.order):
        assert torch.equal(group.act(x, k).flatten().sort().values, x.flatten())


def test_quarter_turn_is_counter_clockwise():
    x = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert R4.act(x, 1).tolist() == [[3, 6, 9], [2, 5, 8], [1, 4, 7]]
    assert R4.act(x, 2).tolist() == [[9, 8, 7], [6, 5, 4], [3, 2, 1]]
    assert R4.act(x, 3).tolist() == [[7, 4, 1], [8, 5, 2], [9, 6, 3]]


def test_shift_is_a_third_of_the_width():
    x = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert T3.act(x, 1).tolist() == [[3, 1, 2], [6, 4, 5]]
    assert T3.act(x, 2).tolist() == [[2, 3, 1], [5, 6, 4]]
    point = torch.zeros(36, 36)
    point[7, 20] = 1
    assert [T3.act(point, k).nonzero().tolist() for k in range(3)] == [
        [[7, 20]],
        [[7, 32]],
        [[7, 8]],
    ]


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_orbit_stacks_the_elements_first(group, shape):
    x = torch.randn(*shape, 6, 6)
    orbit = group.orbit(x)
    assert orbit.shape == (group.order, *x.shape)
    for k in range(group.order):
        assert torch.equal(orbit[k], group.act(x, k))


def test_act_each_against_a_loop(group):
    x = images(40)
    ks = torch.randint(group.order, (40,), generator=torch.Generator().manual_seed(1))
    assert len(ks.unique()) == group.order
    assert torch.equal(
        group.act_each(x, ks),
        torch.stack([group.act(image, k) for image, k in zip(x, ks.tolist(), strict=True)]),
    )


@pytest.mark.parametrize("element", [0, 1, 2])
def test_act_each_with_elements_missing(group, element):
    x = images(4)
    assert torch.equal(group.act_each(x, torch.full((4,), element)), group.act(x, element))
    assert group.act_each(x[:0], torch.zeros(0, dtype=torch.long)).shape == (0, 36, 36)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_quarter_turns_refuse_oblong_images(k):
    with pytest.raises(ValueError, match=r"square images, got \(28, 36\)"):
        R4.act(torch.zeros(2, 28, 36), k)


@pytest.mark.parametrize("width", [28, 35, 37])
def test_thirds_refuse_other_widths(width):
    with pytest.raises(ValueError, match=f"third of the width, which {width} is not"):
        T3.act(torch.zeros(2, 36, width), 1)


def test_thirds_take_any_height():
    assert T3.act(torch.zeros(5, 36), 1).shape == (5, 36)


def test_by_name():
    assert GROUPS == {"R4": R4, "T3": T3}
    assert (R4.order, T3.order) == (4, 3)
