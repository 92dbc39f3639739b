"""invnb.predcaps: each property that the posts tell of, and each rule by a loop."""

import pytest
import torch

from invnb.encoders import LAYERS
from invnb.errors import InvnbError
from invnb.predcaps import FEEDBACK, SCALING, PredCaps, Rules

every_feedback = pytest.mark.parametrize("feedback", FEEDBACK)
every_scaling = pytest.mark.parametrize("scaling", SCALING)


def images(n=4, size=28):
    return torch.rand(n, size, size, generator=torch.Generator().manual_seed(0))


def made(size=28, **rules):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PredCaps(Rules(**rules), size)


def lengths(outputs, atoms):
    return outputs.unflatten(1, (-1, atoms)).norm(dim=2)


@pytest.mark.parametrize("size", [28, 40])
@every_feedback
def test_codes(feedback, size):
    assert made(size, feedback=feedback)(images(size=size)).shape == (4, 256)


def test_layers_are_alike():
    kinds = {type(layer) for layer in made().layers}
    assert len(kinds) == 1
    assert [layer.rules for layer in made().layers] == [Rules()] * 3


@every_feedback
def test_no_gradient_crosses_a_layer(feedback):
    network = made(feedback=feedback)
    errors = network.losses(images())
    for error, layer in zip(errors, network.layers, strict=False):
        gradients = torch.autograd.grad(
            error, list(network.parameters()), retain_graph=True, allow_unused=True
        )
        reached = {
            name
            for (name, _), g in zip(network.named_parameters(), gradients, strict=True)
            if g is not None
        }
        own = list(network.layers).index(layer)
        assert reached == {f"layers.{own}.weight", f"layers.{own}.bias"}


def test_feedback_learns_by_itself():
    network = made(feedback="agreement")
    errors = network.losses(images())
    assert len(errors) == 6
    for i, error in enumerate(errors[3:]):
        gradients = torch.autograd.grad(
            error, list(network.parameters()), retain_graph=True, allow_unused=True
        )
        names = [name for name, _ in network.named_parameters()]
        reached = [name for name, g in zip(names, gradients, strict=True) if g is not None]
        assert reached == [f"feedback.{i}.weight"]


def test_labels_have_no_part():
    assert "labels" not in PredCaps.losses.__annotations__


@every_feedback
@pytest.mark.parametrize("winners", [1, 3])
def test_as_many_capsules_stay_as_there_are_winners(winners, feedback):
    network = made(winners=winners, feedback=feedback)
    for layer, state in zip(LAYERS, network.settle(images()), strict=True):
        groups = state.chosen.unflatten(1, (-1, layer.atoms))
        assert torch.equal(groups.amin(2), groups.amax(2))  # whole capsules
        assert (groups[:, :, 0].sum(1) == winners).all()


def test_without_groups_as_many_numbers_stay():
    network = made(winners=2, grouped=False, feedback="none")
    for layer, state in zip(LAYERS, network.settle(images()), strict=True):
        assert (state.chosen.sum(1) == 2 * layer.atoms).all()
        kept = (state.outputs.abs() * state.chosen).flatten(2)
        lost = (state.outputs.abs() * (1 - state.chosen)).flatten(2)
        strongest = kept.where(state.chosen.flatten(2) > 0, torch.inf).amin(1)
        assert (strongest >= lost.amax(1)).all()


def test_without_sparsity_all_stay():
    for state in made(winners=0).settle(images()):
        assert (state.chosen == 1).all()


def test_outputs_are_scaled_to_a_unit_total():
    for layer, state in zip(LAYERS, made().settle(images()), strict=True):
        totals = lengths(state.passed, layer.atoms).sum(1)
        assert torch.allclose(totals, torch.ones(()), atol=1e-3)


@pytest.mark.parametrize("scaling", ["position", "layer"])
def test_scaling_is_a_zero_sum_game(scaling):
    layer = made(scaling=scaling).layers[1]
    outputs = torch.rand(1, 256, 5, 5, generator=torch.Generator().manual_seed(0))
    more = outputs.clone()
    more[:, :16] *= 2
    before, after = (lengths(layer.scale(x), 16) for x in (outputs, more))
    assert (after[:, 0] > before[:, 0]).all()
    assert (after[:, 1:] < before[:, 1:]).all()


def test_scaling_over_the_layer_keeps_what_is_faint():
    layer = made(scaling="layer").layers[0]
    outputs = torch.rand(3, 64, 10, 10, generator=torch.Generator().manual_seed(0))
    scaled = layer.scale(outputs)
    assert torch.allclose(lengths(scaled, 4).sum(1).mean((1, 2)), torch.ones(3), atol=1e-4)
    ratio = scaled / outputs
    assert torch.allclose(ratio, ratio[:, :1, :1, :1].expand_as(ratio))


def test_the_running_total_is_the_mean_of_the_past_and_no_competition():
    layer = made(scaling="running").layers[1].train()
    generator = torch.Generator().manual_seed(0)
    batches = [torch.rand(2, 256, 5, 5, generator=generator) for _ in range(3)]
    expected = None
    for batch in batches:
        layer.scale(batch)
        mean = lengths(batch, 16).sum(1).mean()
        expected = mean if expected is None else 0.99 * expected + 0.01 * mean
    assert torch.allclose(layer.total, expected)
    layer.eval()
    more = batches[0].clone()
    more[:, :16] *= 2
    assert torch.equal(layer.scale(batches[0])[:, 16:], layer.scale(more)[:, 16:])


@every_scaling
def test_blank_images_give_zeros(scaling):
    network = made(scaling=scaling, feedback="none")
    assert torch.equal(network(torch.zeros(2, 28, 28)), torch.zeros(2, 256))


@every_feedback
def test_capsules_are_linear_in_the_image_but_for_selection_and_scaling(feedback):
    network = made(winners=0, scaling="running", feedback=feedback)
    for layer in network.layers:
        layer.total.fill_(1)
    network.eval()
    a, b = images(2)[:1], images(2)[1:]
    assert torch.allclose(network(2 * a + 3 * b), 2 * network(a) + 3 * network(b), rtol=1e-3)


@pytest.mark.parametrize("feedback", ["strength", "agreement", "explained"])
def test_scores_by_their_formula(feedback):
    layer = made(feedback=feedback).layers[1]
    generator = torch.Generator().manual_seed(0)
    a, p = torch.randn(2, 2, 256, 5, 5, generator=generator)
    found = layer.scores(a, p)
    for b, g, i, j in ((0, 0, 0, 0), (1, 15, 4, 2), (0, 7, 2, 3)):
        own, guess = a[b, 16 * g : 16 * g + 16, i, j], p[b, 16 * g : 16 * g + 16, i, j]
        expected = {
            "strength": guess.norm(),
            "agreement": own @ guess,
            "explained": (own.square().sum() - (own - guess).square().sum()) / 2,
        }[feedback]
        assert torch.allclose(found[b, g, i, j], expected, rtol=1e-4, atol=1e-5)


def test_without_feedback_the_longest_win():
    layer = made(feedback="none").layers[2]
    a = torch.randn(2, 256, 1, 1, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(layer.scores(a, None), lengths(a, 16))


def test_feedback_changes_who_wins():
    network = made(feedback="agreement", winners=2)
    first = network._climb(images().unsqueeze(1), [None] * 3)
    settled = network.settle(images())
    for before, after in zip(first, settled, strict=True):
        assert not torch.equal(before.chosen, after.chosen)


def test_a_capsule_that_feedback_expects_wins():
    network = made(feedback="agreement", winners=1)
    layer = network.layers[0]
    outputs = layer.drive(images().unsqueeze(1))
    expected = torch.zeros_like(outputs)
    expected[:, 20:24] = outputs[:, 20:24]  # the sixth capsule as it is, nothing else
    chosen = layer.select(layer.scores(outputs, expected))
    assert (chosen[:, 20:24] == 1).all()
    assert chosen.sum() == chosen[:, 20:24].sum()


def test_reconstruction_as_feedback_is_the_deeper_layers():
    network = made(feedback="reconstruction")
    assert len(network.feedback) == 0
    states = network.settle(images())
    predicted = network.predictions(states)
    assert torch.equal(predicted[0], network.layers[1].reconstruct(states[1].passed))
    assert predicted[-1] is None


def test_passes_without_feedback_change_nothing():
    one, many = made(feedback="none", passes=0), made(feedback="none", passes=3)
    assert torch.equal(one(images()), many(images()))


def test_the_lifetime_rule_trains_each_capsule_where_it_is_best():
    layer = made(winners=1, lifetime=0.5).layers[2]
    scores = torch.rand(64, 16, 1, 1, generator=torch.Generator().manual_seed(0))
    scores[:, 0] += 10  # always wins
    chosen = layer.select(scores)
    learning = layer.select_to_learn(scores, chosen).unflatten(1, (16, 16))[:, :, 0, 0, 0]
    assert (learning[:, 0] == 1).all()
    for g in range(1, 16):  # half of 64 / 16 images
        assert learning[:, g].nonzero().flatten().sort().values.tolist() == sorted(
            scores[:, g].flatten().topk(2).indices.tolist()
        )


def test_reconstruction_is_the_transpose_and_a_bias():
    layer = made().layers[0]
    with torch.no_grad():
        layer.bias.normal_()
    x = images().unsqueeze(1)
    y = torch.randn(4, 64, 10, 10, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        (layer.drive(x) * y).sum(), (x * (layer.reconstruct(y) - layer.bias)).sum(), rtol=1e-3
    )


def test_local_losses_by_hand():
    network = made(lifetime=0)
    states = network.settle(images())
    for layer, state, error in zip(network.layers, states, network.losses(images()), strict=False):
        guess = layer.reconstruct(layer.drive(state.given) * state.chosen)
        assert torch.allclose(error, (guess - state.given).square().mean())


def test_rules_are_checked():
    with pytest.raises(InvnbError, match="unknown feedback 'strong'; there are none, strength"):
        Rules(feedback="strong")
    with pytest.raises(InvnbError, match="unknown scaling 'unit'"):
        Rules(scaling="unit")
    with pytest.raises(InvnbError, match=r"winners is 17; allowed are 0 \(all\) to 16"):
        Rules(winners=17)
    with pytest.raises(InvnbError, match="passes is -1"):
        Rules(passes=-1)


def test_capsules_that_win_too_little_get_an_advantage():
    layer = made(winners=1, lifetime=0.5).layers[2]
    scores = torch.ones(64, 16, 1, 1)
    scores[:, 0] = 2  # wins always, until others have an advantage of 1
    outputs = torch.ones(64, 256, 1, 1)
    winners = set()
    for _ in range(400):
        chosen = layer.select(scores + layer.advantage)
        winners.add(int(chosen[0].flatten().argmax()) // 16)
        layer.balance(outputs, scores, chosen)
    assert winners == set(range(16))
    assert (layer.advantage >= 0).all()
    assert layer.advantage[0] == 0  # never too little


def test_blank_positions_are_no_wins():
    layer = made(winners=1).layers[0]
    chosen = layer.select(torch.zeros(2, 16, 10, 10))
    before = layer.share.clone()
    layer.balance(torch.zeros(2, 64, 10, 10), torch.zeros(2, 16, 10, 10), chosen)
    assert torch.equal(layer.share, before)


def test_the_advantage_counts_in_the_competition():
    layer = made(winners=1, feedback="none").layers[2]
    outputs = torch.rand(3, 256, 1, 1, generator=torch.Generator().manual_seed(0))
    layer.advantage[7] = 100
    assert (layer.select(layer.scores(outputs, None))[:, 112:128] == 1).all()


def test_advantages_stay_as_they_are_outside_of_training():
    network = made(winners=1).eval()
    before = [layer.share.clone() for layer in network.layers]
    network.losses(images())
    assert all(torch.equal(a, layer.share) for a, layer in zip(before, network.layers, strict=True))
    network.train().losses(images())
    assert not all(
        torch.equal(a, layer.share) for a, layer in zip(before, network.layers, strict=True)
    )


@pytest.mark.parametrize("feedback", FEEDBACK)
def test_gradients_are_finite_where_the_image_is_blank(feedback):
    network = PredCaps(Rules(feedback=feedback)).eval()
    images = torch.zeros(2, 28, 28)
    images[1, 10:18, 12:16] = 1
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(network(images).square().sum(), images)
    assert gradient.isfinite().all()
