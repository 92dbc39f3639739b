"""invnb.plausibility: shares counted by loops over a made response."""

import math
from itertools import combinations

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
    change = (g * spread)[None, :, None, None] * torch.tensor(RUNGS)
    active = torch.tensor([[True, True, True, True], [True, False, True, True]])
    made = {name: None for name in Response.__annotations__}
    made |= {"active": active, "change": change.expand(2, 4, 2, len(RUNGS))}
    size = math.sqrt(1 + 4 + 0.25)
    expected = size * (0.1 + 0.4 + 0.2 + 0.1 + 0.2) / 5
    assert plausibility.sensitivity(Response(**made), spread) == pytest.approx(expected, rel=1e-5)


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


def test_spread_within_groups_by_a_loop():
    profiles = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    profiles[3] = torch.nan
    group = torch.arange(12) // 4
    keep = [i for i in range(12) if i != 3]
    unit = profiles[keep].std(0, unbiased=False)
    pairs = [(i, j) for i, j in combinations(keep, 2) if group[i] == group[j]]
    expected = np.mean([((profiles[i] - profiles[j]) / unit).norm().item() for i, j in pairs])
    within, shuffled = plausibility.spread_within(profiles, group)
    assert within == pytest.approx(expected, rel=1e-5)
    everywhere = [
        ((profiles[i] - profiles[j]) / unit).norm().item() for i, j in combinations(keep, 2)
    ]
    assert shuffled == pytest.approx(np.mean(everywhere), rel=0.03)


def test_alike_groups_have_less_spread_than_shuffled_ones():
    centres = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    profiles = centres.repeat_interleave(5, 0) + 0.01 * torch.randn(20, 3)
    within, shuffled = plausibility.spread_within(profiles, torch.arange(20) // 5)
    assert within < 0.1 * shuffled


def test_strongest():
    profiles = torch.zeros(4, len(MEASURES))
    profiles[0, 2], profiles[1, 5], profiles[2] = -3, 2, torch.nan
    profiles[3, 0] = 1
    assert plausibility.strongest(profiles) == ["y", "scale", "", "ink"]
