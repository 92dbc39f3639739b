"""invnb.itn_measures: against loops and worked values, the edge of every measure first."""

import math

import pytest
import torch
from scipy.stats import linregress, spearmanr
from torch import nn

from invnb.cifar_nets import normalise
from invnb.errors import InvnbError
from invnb.itn import InvariantTransformerNet, inverse, magnitude
from invnb.itn_measures import (
    Extremes,
    agreement,
    begin_and_end,
    diverged,
    extremes,
    furthest_borne,
    living,
    over_controls,
    rank_correlation,
    reach,
    slope,
    steps_to_half,
    variation,
)


class Linear(nn.Module):
    """A controller whose matrix is the identity plus the control's sum times a given matrix."""

    def __init__(self, times):
        super().__init__()
        self.matrix = nn.Linear(2, times.numel(), bias=False)  # measures ask it for type and device
        self.times = times

    def forward(self, control):
        return torch.eye(*self.times.shape) + control.sum(1).reshape(-1, 1, 1) * self.times


class Mean(nn.Module):
    """Says 1 where an image is brighter than `middle`, of pixels in 0 to 1."""

    def __init__(self, middle=0.5):
        super().__init__()
        self.middle = middle

    def forward(self, images):
        bright = (images - normalise(torch.full((3, 1, 1), self.middle))).mean((1, 2, 3))
        return torch.stack((-bright, bright), 1)


def net_with(colour=None, space=None):
    net = InvariantTransformerNet(8)
    net.colour = Linear(torch.zeros(3, 4) if colour is None else colour)
    net.space = Linear(torch.zeros(2, 3) if space is None else space)
    return net


def randomised():
    torch.manual_seed(0)
    net = InvariantTransformerNet(8)
    for controller in (net.colour, net.space):
        torch.nn.init.normal_(controller.matrix.weight, std=0.3)
    return net


def greys():
    """Return one image of each grey of 0, 5, 10, ... 255."""
    levels = torch.arange(0, 256, 5, dtype=torch.uint8)
    return levels.reshape(-1, 1, 1, 1).expand(-1, 3, 6, 6).contiguous()


def brighter(by):
    return torch.cat((torch.zeros(3, 3), torch.full((3, 1), by)), 1)


def test_slope_is_of_the_last_half_only():
    values = torch.cat((torch.full((10,), 100.0), 3 + 0.5 * torch.arange(10.0)))
    assert slope(values) == pytest.approx(0.5)
    assert slope(values, 1.0) < 0
    noise = torch.randn(31, generator=torch.Generator().manual_seed(0))
    assert slope(noise) == pytest.approx(linregress(range(16), noise[-16:]).slope)


def test_slope_of_one_value_is_refused():
    with pytest.raises(InvnbError, match="two values, got 1 of 2"):
        slope(torch.ones(2))


def test_beginning_and_end_are_a_tenth_each_and_one_step_at_least():
    assert begin_and_end(torch.tensor([1.0, 2, 4])) == (1, 4)
    assert begin_and_end(torch.arange(30.0)) == (1, 28)


@pytest.mark.parametrize(
    ("magnitudes", "steps"),
    [
        ([0.0, 0, 0, 0], None),
        ([0.0, 1, 1, 1], 1),
        ([0.0, 1, 2, 3, 4], 2),
        ([0.0, 3, 1, 0, 4], 1),  # the first time counts
        ([*range(101)], 48),  # the end is 95.5
    ],
)
def test_steps_to_half_by_worked_values(magnitudes, steps):
    assert steps_to_half(torch.tensor(magnitudes, dtype=torch.float64)) == steps


def test_agreement_of_the_identity_is_one():
    grid = agreement(InvariantTransformerNet(), Mean(), greys(), 3)
    assert torch.equal(grid, torch.ones(3, 3))


def test_agreement_is_the_loop_over_controls_and_images():
    net, classifier, images = randomised(), Mean(), greys()
    grid = agreement(net, classifier, images, 3)
    assert grid.shape == (3, 3)
    assert 0 < grid.min() < grid.max()
    for i, a in enumerate((0.0, 0.5, 1.0)):
        for j, b in enumerate((0.0, 0.5, 1.0)):
            same = 0
            for image in images.split(1):
                changed = net(image / 255, torch.full((1, 2), a), torch.full((1, 2), b))
                was = classifier(normalise(image)).argmax()
                same += int(classifier(normalise(changed)).argmax() == was)
            assert grid[i, j].item() == pytest.approx(same / len(images))


def test_first_axis_of_agreement_is_k1():
    by_colour = agreement(net_with(colour=brighter(0.2)), Mean(), greys(), 3)
    assert torch.equal(by_colour[:, 0], by_colour[:, 2])
    assert by_colour[0, 0] == 1 > by_colour[1, 0] > by_colour[2, 0]


def test_grid_of_matrices_is_row_by_row():
    net = randomised()
    grid = over_controls(net, "space", 3)
    assert grid.shape == (3, 3, 2, 3)
    torch.testing.assert_close(grid[2, 1], net.space(torch.tensor([[1.0, 0.5]]))[0].detach())
    assert over_controls(net, "colour", 2).shape == (2, 2, 3, 4)
    with pytest.raises(InvnbError, match="part must be one of colour, space, got 'time'"):
        over_controls(net, "time")


def test_rank_correlation_of_what_grows_with_k_is_one():
    space = torch.tensor([[0.5, 0, 0], [0, 0.5, 0]])
    net = net_with(colour=brighter(0.1), space=space)
    assert rank_correlation(net, "colour") == pytest.approx(1, abs=1e-2)
    assert rank_correlation(net, "space") == pytest.approx(1, abs=1e-2)
    assert rank_correlation(net, "space", loss_on="image") == pytest.approx(1, abs=1e-2)
    assert rank_correlation(InvariantTransformerNet(), "space") == 0


def test_a_matrix_that_hardly_follows_its_control_has_rank_0():
    net = net_with(colour=brighter(1e-3))
    net.colour.forward = lambda control: Linear.forward(net.colour, control + 30)
    assert variation(net, "colour") == pytest.approx(2 / 61, rel=1e-3)  # sums of 60 to 62
    assert rank_correlation(net, "colour") == 0
    assert variation(net_with(colour=brighter(0.1)), "colour") == pytest.approx(2, rel=1e-3)
    assert variation(InvariantTransformerNet(), "space") == 0


def test_living_units_by_hand():
    net = InvariantTransformerNet(4)
    with torch.no_grad():  # positive at all 121 values, none, k = (1, 1) alone, (0, 0) alone
        net.space.dense.weight.copy_(torch.tensor([[1.0, 1], [-1, -1], [1, 1], [-1, -1]]))
        net.space.dense.bias.copy_(torch.tensor([0.5, 0, -1.95, 0.05]))
    assert living(net, "space") == pytest.approx((121 + 0 + 1 + 1) / (4 * 121))
    with pytest.raises(InvnbError, match="part must be one of colour, space, got 'time'"):
        living(net, "time")


@pytest.mark.parametrize("loss_on", ["sampler", "image"])
@pytest.mark.parametrize("part", ["colour", "space"])
def test_rank_correlation_is_spearmans(part, loss_on):
    net, points = randomised(), 4
    far, control = [], []
    for i in range(points):
        for j in range(points):
            k = torch.tensor([[i, j]]) / (points - 1)
            matrix = (net.colour if part == "colour" else net.space)(k).detach()
            if part == "space" and loss_on == "image":
                matrix = inverse(matrix)
            far.append(magnitude(matrix).item())
            control.append(i + j)
    found = rank_correlation(net, part, points, loss_on)
    assert found == pytest.approx(spearmanr(control, far).statistic, abs=1e-6)


def test_extremes_are_of_the_image_and_not_of_the_sampler():
    assert extremes(InvariantTransformerNet(), 3) == Extremes(0, 1, 1)
    shrinks = extremes(net_with(space=torch.tensor([[0.5, 0, 0], [0, 0.5, 0]])))
    assert vars(shrinks) == pytest.approx({"rotation": 0, "zoom_in": 1, "zoom_out": 0.5})
    turns = extremes(net_with(space=torch.tensor([[0, 0.1, 0], [-0.1, 0, 0]])))
    assert turns.rotation == pytest.approx(math.degrees(math.atan(0.2)), rel=1e-5)
    assert turns.zoom_out == pytest.approx(1 / math.hypot(1, 0.2), rel=1e-5)


def test_reach_is_where_agreement_crosses_the_level():
    net, images = net_with(colour=brighter(0.1)), greys()  # 0.2 at k = (1, 1)
    scales = [0.5 * i for i in range(1, 9)]
    sizes, kept = [0.0], [1.0]
    for s in scales:
        lifted = images / 255 + 0.2 * s
        same = (lifted[:, 0, 0, 0] > 0.5) == (images[:, 0, 0, 0] / 255 > 0.5)
        sizes.append(0.2 * s * 3**0.5)
        kept.append(same.double().mean().item())
    for level in (0.9, 0.75):
        i = next(i for i, share in enumerate(kept) if share < level)
        share = (kept[i - 1] - level) / (kept[i - 1] - kept[i])
        want = sizes[i - 1] + share * (sizes[i] - sizes[i - 1])
        assert reach(net, Mean(), images, "colour", level, scales) == pytest.approx(want, rel=1e-4)
    assert reach(net, Mean(), images, "colour", 0.1, scales) is None
    assert reach(net, Mean(), images, "space", 0.9, scales) is None  # space stays the identity


def test_reach_leaves_the_other_part_alone():
    space = torch.tensor([[0.5, 0, 0], [0, 0.5, 0]])
    both = net_with(colour=brighter(0.1), space=space)
    alone = net_with(space=space)
    found = [reach(net, Mean(0.2), greys(), "space", 0.9, [0.5, 1, 2]) for net in (both, alone)]
    assert found[0] == found[1] > 0


def test_reach_of_what_the_image_undergoes_is_that_of_the_inverse():
    halves = torch.tensor([[0.5, 0, 0], [0, 0.5, 0]])  # of the sampler: the image shrinks
    net, images = net_with(space=halves), greys()
    plain = reach(net, Mean(0.2), images, "space", 0.9, [0.5, 1, 2])
    seen = reach(net, Mean(0.2), images, "space", 0.9, [0.5, 1, 2], "image")
    assert 0 < seen < plain
    colour = [
        reach(net_with(colour=brighter(0.1)), Mean(), images, "colour", 0.9, [0.5, 1, 2], loss_on)
        for loss_on in ("sampler", "image")
    ]
    assert colour[0] == colour[1]


def test_furthest_sum_that_keeps_as_many_classes():
    agreements, magnitudes = {0.1: 0.99, 1.0: 0.9, 10.0: 0.5}, {0.1: 1.0, 1.0: 2.0, 10.0: 6.0}
    assert furthest_borne(agreements, magnitudes, 0.9) == 2
    assert furthest_borne(agreements, magnitudes, 0.95) == 1
    assert furthest_borne(agreements, magnitudes, 0.995) == 0  # the identity


def test_a_net_that_diverged_lends_its_length_to_nobody():
    assert furthest_borne({0.01: 0.97, 0.1: None}, {0.01: 0.2, 0.1: 4e12}, 0.9) == 0.2
    worse_than_a_guess = torch.cat((torch.zeros(90), torch.full((10,), 2.4)))
    assert diverged(worse_than_a_guess, 10)  # log 10 is 2.303
    assert not diverged(worse_than_a_guess, 12)
    assert not diverged(worse_than_a_guess.flip(0), 10)
