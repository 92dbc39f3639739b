"""invnb.perturbation: every result by decoding one code at a time."""

from itertools import pairwise

import pytest
import torch

from invnb.encoders import reconstructor
from invnb.errors import InvnbError
from invnb.judging import WHOLE, in_one_piece
from invnb.moments import MEASURES, moments
from invnb.perturbation import (
    DESCRIBED,
    FACTORS,
    JUDGED,
    PATH,
    RUNGS,
    TARGETS,
    Decoder,
    respond,
    spreads,
    steps_to,
)

E = 6


@pytest.fixture(scope="module")
def decoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = reconstructor(E)
    with torch.no_grad():
        head.first.weight *= 3
        head.third.weight *= 6
        head.scale.fill_(0.7)
    return Decoder(head)


@pytest.fixture(scope="module")
def jury():
    class TopHeavy:
        """Takes for a digit what has more ink above than below; reads the ink's last place."""

        def read(self, images):
            upper, lower = images[:, :14].sum((1, 2)), images[:, 14:].sum((1, 2))
            return (upper + lower).round().long() % 10, upper > lower

    return TopHeavy()


@pytest.fixture(scope="module")
def codes():
    codes = torch.randn(4, E, generator=torch.Generator().manual_seed(0))
    codes[:, 2] = 0
    codes[1, 4] = 0
    return codes


SPREAD = torch.tensor([1.0, 0.5, 2.0, 1.0, 1.0, 0.0])


@pytest.fixture(scope="module")
def response(decoder, codes, jury):
    return respond(decoder, codes, SPREAD, jury)


def moved(decoder, code, e, amount):
    changed = code.clone()
    changed[e] += amount
    return decoder(changed[None])[0]


def plausible(jury, picture):
    return bool(jury.read(picture[None])[1]) and bool(in_one_piece(picture[None]) >= WHOLE)


def test_moving_one_number_is_decoding_the_changed_code(decoder, codes):
    which, amounts = torch.tensor([0, 5, 2, 4]), torch.tensor([[0.5, -2], [0, 1], [3, 4], [-1, 2]])
    found = decoder.moved(codes, which, amounts)
    for code, e, steps, pictures in zip(codes, which, amounts, found, strict=True):
        for step, picture in zip(steps, pictures, strict=True):
            assert torch.allclose(picture, moved(decoder, code, e, step), atol=1e-5)


def test_spreads_are_over_images_where_the_number_is_not_zero():
    codes = torch.tensor([[1.0, 0, 5], [2, 0, 0], [4, 3, 0]])
    assert spreads(codes).tolist() == pytest.approx([torch.tensor([1.0, 2, 4]).std().item(), 0, 0])


def test_active_numbers(response, codes):
    assert torch.equal(response.active, codes != 0)


def test_the_ladder(response, decoder, codes, jury):
    for n, e, sign, rung in ((0, 0, 0, 3), (2, 1, 1, 6), (3, 4, 0, 0), (1, 2, 1, 2)):
        step = (-1, 1)[sign] * RUNGS[rung] * SPREAD[e]
        picture, start = moved(decoder, codes[n], e, step), decoder(codes[n : n + 1])[0]
        change = (picture - start).square().mean().sqrt()
        assert torch.allclose(response.change[n, e, sign, rung], change, rtol=1e-3, atol=1e-6)
    for n, e, sign in ((0, 0, 0), (2, 1, 1), (3, 4, 0), (1, 3, 1)):
        found = [
            plausible(jury, moved(decoder, codes[n], e, (-1, 1)[sign] * rung * SPREAD[e]))
            for rung in JUDGED
        ]
        assert response.ladder[n, e, sign].tolist() == found


def test_scaling(response, decoder, codes, jury):
    for n, e in ((0, 0), (3, 1)):
        for factor, found, change in zip(
            FACTORS, response.scaled[n, e], response.scaled_change[n, e], strict=True
        ):
            code = codes[n].clone()
            code[e] *= factor
            picture, start = decoder(code[None])[0], decoder(codes[n : n + 1])[0]
            assert bool(found) == plausible(jury, picture)
            assert torch.allclose(change, (picture - start).square().mean().sqrt(), atol=1e-5)
    assert (response.scaled_change[:, 2] == 0).all()  # a zero stays a zero
    assert not response.scaled[:, 2].any()


def test_something_is_plausible_and_something_is_not(response):
    reached = response.digit[response.reached]
    assert 0.05 < reached.float().mean() < 0.95


def test_targets_are_met(response, decoder, codes, jury):
    checked = 0
    for n, e, sign, t in response.reached.nonzero().tolist():
        step = (-1, 1)[sign] * response.amounts[n, e, sign, t] * SPREAD[e]
        picture, start = moved(decoder, codes[n], e, step), decoder(codes[n : n + 1])[0]
        change = (picture - start).square().mean().sqrt().item()
        assert change == pytest.approx(TARGETS[t], rel=0.2)  # linear between two rungs
        read, sure = jury.read(picture[None])
        assert bool(response.digit[n, e, sign, t]) == bool(sure)
        assert bool(response.whole[n, e, sign, t]) == bool(in_one_piece(picture[None]) >= WHOLE)
        same = read == jury.read(start[None])[0]
        assert bool(response.same[n, e, sign, t]) == bool(same)
        checked += 1
    assert checked > 40


def test_what_is_not_reached_says_so(response):
    assert not response.reached[:, 5].any()  # its spread is 0
    assert response.amounts[:, 5].isnan().all()
    assert not response.plausible[~response.reached].any()
    assert response.straightness[:, 5].isnan().all()
    assert response.described[:, 5].isnan().all()


def test_paths(response, decoder, codes):
    n, e, sign = 0, 0, 1
    goal = response.amounts[n, e, sign, DESCRIBED] * SPREAD[e]
    way = [decoder(codes[n : n + 1])[0]] + [moved(decoder, codes[n], e, goal * s) for s in PATH]
    steps = [(b - a).flatten() for a, b in pairwise(way)]
    cosines = [a @ b / a.norm() / b.norm() for a, b in pairwise(steps)]
    assert torch.allclose(response.straightness[n, e, sign], sum(cosines) / len(cosines), rtol=1e-3)
    far = [(one - way[0]).norm() for one in way]
    rises = sum(b > a for a, b in pairwise(far)) / len(PATH)
    assert response.monotony[n, e, sign].item() == pytest.approx(float(rises))


def test_descriptions(response, decoder, codes):
    n, e, sign = 0, 1, 0
    assert response.reached[n, e, sign, DESCRIBED]
    step = -response.amounts[n, e, sign, DESCRIBED] * SPREAD[e]
    before = moments(decoder(codes[n : n + 1]))
    after = moments(moved(decoder, codes[n], e, step)[None])
    for name, found in zip(MEASURES, response.described[n, e, sign], strict=True):
        assert found.item() == pytest.approx((after[name] - before[name]).item(), abs=1e-2)
    assert response.described[:, 2].isnan().all()  # inactive


def test_unperturbed(response, decoder, codes, jury):
    assert response.unmoved.tolist() == [plausible(jury, picture) for picture in decoder(codes)]


def test_steps_to_worked():
    change = torch.tensor([0.01, 0.04, 0.04, 0.08, 0.16, 0.16, 0.16])
    steps = steps_to(change)
    # .02 lies a third of the way from .5 to 1; .06 half way from 2 to 4; .10 a quarter from 4 to 8
    assert steps[:4].tolist() == pytest.approx([0.5 + 0.5 / 3, 3, 5, 7], rel=1e-4)
    assert steps[4].isnan()


def test_chunks_change_nothing(monkeypatch, decoder, codes, jury, response):
    monkeypatch.setattr("invnb.perturbation.AT_ONCE", 5)
    again = respond(decoder, codes, SPREAD, jury)
    assert torch.allclose(again.change, response.change, rtol=1e-4, atol=1e-6)
    assert torch.equal(again.reached, response.reached)


def test_a_spread_that_does_not_fit(decoder, codes, jury):
    with pytest.raises(InvnbError, match=r"spread is \[3\] for codes \[4, 6\]"):
        respond(decoder, codes, torch.ones(3), jury)
