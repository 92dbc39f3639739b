"""invnb.plausibility: shares counted by loops over a made response."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from invnb import plausibility
from invnb.moments import MEASURES
from invnb.perturbation import FACTORS, JUDGED, RUNGS, TARGETS, Response

N, E, T = 7, 6, len(TARGETS)


@pytest.fixture(scope="module")
def response():
    generator = torch.Generator().manual_seed(0)

    def some(*shape, share=0.6):
        return torch.rand(shape, generator=generator) < share

    reached = some(N, E, 2, T, share=0.8)
    described = torch.randn(N, E, 2, len(MEASURES), generator=generator)
    described[:4, 1] = torch.nan  # three images are too few
    straightness = torch.rand(N, E, 2, generator=generator)
    straightness[0, 0, 0] = torch.nan
    active = some(N, E)
    return Response(
        active=active,
        change=torch.rand(N, E, 2, len(RUNGS), generator=generator),
        unmoved=some(N),
        ladder=some(N, E, 2, len(JUDGED)),
        scaled=some(N, E, len(FACTORS)) & active[:, :, None],
        scaled_change=torch.rand(N, E, len(FACTORS), generator=generator),
        reached=reached,
        amounts=torch.rand(N, E, 2, T, generator=generator),
        digit=some(N, E, 2, T) & reached,
        whole=some(N, E, 2, T) & reached,
        same=some(N, E, 2, T) & reached,
        straightness=straightness,
        monotony=straightness.clone(),
        described=described,
    )


def shares(response, active):
    found = []
    for t in range(T):
        hits, count = 0, 0
        for n in range(N):
            for e in range(E):
                for s in range(2):
                    if response.active[n, e] == active and response.reached[n, e, s, t]:
                        count += 1
                        hits += bool(response.digit[n, e, s, t] and response.whole[n, e, s, t])
        found.append(hits / count)
    return found


@pytest.mark.parametrize("active", [True, False])
def test_plausible_at_equal_change(response, active):
    found = plausibility.at_change(response, response.plausible, active)
    assert found == pytest.approx(shares(response, active))


@pytest.mark.parametrize("active", [True, False])
def test_area(response, active):
    y = [response.unmoved.float().mean().item(), *shares(response, active)]
    x = [0, *TARGETS]
    by_hand = sum((x[i + 1] - x[i]) * (y[i] + y[i + 1]) / 2 for i in range(T)) / x[-1]
    assert plausibility.area(response, active) == pytest.approx(by_hand)


def test_upper_area_counts_what_never_changes_so_much_as_plausible(response):
    y = [response.unmoved.float().mean().item()]
    for t in range(T):
        stays = [
            bool(
                not response.reached[n, e, s, t]
                or (response.digit[n, e, s, t] and response.whole[n, e, s, t])
            )
            for n in range(N)
            for e in range(E)
            for s in range(2)
            if response.active[n, e]
        ]
        y.append(sum(stays) / len(stays))
    x = [0, *TARGETS]
    by_hand = sum((x[i + 1] - x[i]) * (y[i] + y[i + 1]) / 2 for i in range(T)) / x[-1]
    assert plausibility.upper_area(response) == pytest.approx(by_hand)
    assert plausibility.upper_area(response) > plausibility.area(response)


def test_the_area_of_a_code_that_never_breaks_is_one(response):
    fields = {name: getattr(response, name) for name in Response.__annotations__}
    whole = torch.ones_like(response.reached)
    perfect = fields | {"unmoved": torch.ones(N), "reached": whole, "digit": whole, "whole": whole}
    assert plausibility.area(Response(**perfect)) == pytest.approx(1)
    never = fields | {"reached": ~whole, "digit": ~whole, "whole": ~whole}
    assert math.isnan(plausibility.area(Response(**never)))


def test_reached(response):
    among = response.reached[response.active]  # (numbers, 2, T)
    assert plausibility.reached(response) == pytest.approx(among.float().mean((0, 1)).tolist())


def test_by_spreads(response):
    assert plausibility.at_spreads(response) == pytest.approx(
        response.ladder[response.active].float().mean((0, 1)).tolist()
    )
    assert plausibility.change_at_spreads(response, active=False) == pytest.approx(
        response.change[~response.active].mean((0, 1)).tolist()
    )


def test_scaled(response):
    found = plausibility.scaled(response)
    assert list(found) == list(FACTORS)
    mean = response.scaled[response.active].float().mean(0).tolist()
    assert list(found.values()) == pytest.approx(mean)


def test_sensitivity_of_a_linear_decoder():
    """A picture that moves by g times the code's move has sensitivity g times the code's size."""
    spread, g = torch.tensor([1.0, 2, 0.5, 0]), torch.tensor([0.1, 0.4, 0.2, 9])
    deviation = torch.tensor([0.8, 1.0, 0.1, 0])  # zeros included
    change = (g * RUNGS[0] * spread)[None, :, None, None].expand(2, 4, 2, len(RUNGS))
    active = torch.tensor([[True, True, True, True], [True, False, True, True]])
    made = {name: None for name in Response.__annotations__}
    made |= {"active": active, "change": change}
    size = math.sqrt(0.64 + 1 + 0.01)
    expected = size * (0.1 + 0.4 + 0.2 + 0.1 + 0.2) / 5
    found = plausibility.sensitivity(Response(**made), spread, deviation)
    assert found == pytest.approx(expected, rel=1e-5)


def test_one_way_is_half_of_the_response(response):
    for sign in (0, 1):
        way = plausibility.one_way(response, sign)
        twice = {n: getattr(way, n).repeat(1, 1, 2, 1) for n in ("reached", "digit", "whole")}
        assert plausibility.area(way) == pytest.approx(plausibility.area(replace(way, **twice)))
        active = response.active.unsqueeze(2)
        there = response.reached[:, :, sign] & active
        expected = (response.plausible[:, :, sign] & there).sum((0, 1)) / there.sum((0, 1))
        assert plausibility.at_change(way, way.plausible) == pytest.approx(expected.tolist())


def test_change_by_scaling(response):
    found = plausibility.scaled_change(response)
    expected = response.scaled_change[response.active].mean(0)
    assert [found[f] for f in FACTORS] == pytest.approx(expected.tolist())


def test_paths_leave_out_what_is_not_reached(response):
    values = [
        response.straightness[n, e, s].item()
        for n in range(N)
        for e in range(E)
        for s in range(2)
        if response.active[n, e] and not response.straightness[n, e, s].isnan()
    ]
    found = plausibility.path(response, response.straightness)
    assert found == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_transformations_are_half_of_up_minus_down(response):
    found = plausibility.transformations(response)
    assert found.shape == (E, len(MEASURES))
    expected = (response.described[:, 0, 1] - response.described[:, 0, 0]).mean(0) / 2
    assert torch.allclose(found[0], expected)
    assert found[1].isnan().all()


def test_alikeness_by_a_loop():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 12, 4, generator=generator)
    first[3] = torch.nan
    group = torch.arange(12) // 4
    keep = [i for i in range(12) if i != 3]
    one, other = (half[keep] / half[keep].square().mean(0).sqrt() for half in (first, second))

    def cosine(i, j):
        return abs(torch.nn.functional.cosine_similarity(one[i], other[j], dim=0).item())

    ordered = [(i, j) for i in range(11) for j in range(11) if i != j]
    alike = [cosine(i, j) for i, j in ordered if group[keep[i]] == group[keep[j]]]
    within, shuffled, itself = plausibility.alikeness(first, second, group)
    assert within == pytest.approx(np.mean(alike), rel=1e-5)
    assert itself == pytest.approx(np.mean([cosine(i, i) for i in range(11)]), rel=1e-5)
    assert shuffled == pytest.approx(np.mean([cosine(i, j) for i, j in ordered]), rel=0.05)


def halves_of(profiles, noise=0.05):
    return (profiles + noise * torch.randn_like(profiles) for _ in range(2))


def test_numbers_that_do_the_same_are_alike_whatever_their_sign_and_size():
    torch.manual_seed(0)
    size = torch.randn(32, 1)
    group = torch.arange(32) // 8
    same = size * torch.randn(4, 5).repeat_interleave(8, 0)
    within, shuffled, itself = plausibility.alikeness(*halves_of(same), group)
    assert within == pytest.approx(itself, abs=0.05)
    assert shuffled < 0.8 * within
    all_same = size * torch.randn(1, 5)
    within, shuffled, itself = plausibility.alikeness(*halves_of(all_same), group)
    assert within == pytest.approx(shuffled, abs=0.05)
    assert within > 0.9 * itself
    within, shuffled, itself = plausibility.alikeness(*halves_of(torch.randn(32, 5)), group)
    assert itself > 0.95
    assert within == pytest.approx(shuffled, abs=0.1)
    assert within < 0.6 * itself


def test_alikeness_of_nothing_is_no_number():
    nothing = torch.full((4, 3), torch.nan)
    found = plausibility.alikeness(nothing, nothing, torch.zeros(4))
    assert np.isnan(found).all()


def test_transformations_of_some_images(response):
    some = plausibility.transformations(response, slice(2, None))
    with_all = plausibility.transformations(replace(response, described=response.described[2:]))
    assert torch.equal(some.nan_to_num(9), with_all.nan_to_num(9))


def test_strongest():
    profiles = torch.zeros(4, len(MEASURES))
    profiles[0, 2], profiles[1, 5], profiles[2] = -3, 2, torch.nan
    profiles[3, 0] = 1
    assert plausibility.strongest(profiles) == ["y", "scale", "", "ink"]


def test_where_scaling_starts(response):
    unchanged = [
        bool(response.unmoved[n]) for n in range(N) for e in range(E) if response.active[n, e]
    ]
    assert plausibility.start(response) == pytest.approx(np.mean(unchanged))


def test_same_digit_among_plausible_pictures_at_the_largest_target(response):
    same = [
        bool(response.same[n, e, s, -1])
        for n in range(N) for e in range(E) for s in range(2)
        if response.active[n, e] and response.digit[n, e, s, -1] and response.whole[n, e, s, -1]
    ]  # fmt: skip
    assert 0 < np.mean(same) < 1
    assert plausibility.same_digit(response) == pytest.approx(np.mean(same))
    nothing = replace(response, digit=torch.zeros_like(response.digit))
    assert math.isnan(plausibility.same_digit(nothing))
