"""invnb.em_routing: worked values, and EM and votes against loops."""

import math

import pytest
import torch

from invnb import em_routing
from invnb.classifying import Course, train
from invnb.em_routing import EMCapsNet, EMCapsules, em, spread_loss, spread_margin, votes
from invnb.errors import InvnbError
from invnb.turning import CIRCLE, Digits

SIZE, CLASSES = 21, 3
FORMS = pytest.mark.parametrize("form", ["source", "published"])
ITERATIONS = pytest.mark.parametrize("iterations", [1, 2, 3])


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def problem(form, children=4, x=3, places=2, parents=3):
    """Return the arguments of `em`: votes, activations, beta_u and beta_a."""
    return (
        randn(children, x, places, parents),
        randn(places, children, seed=1).sigmoid(),
        randn(parents, x if form == "source" else 1, seed=2),
        0.01 * randn(parents, seed=3),
    )


def layer(form, iterations=2, children=6, parents=4, x=18):
    torch.manual_seed(0)
    made = EMCapsules(children, parents, form=form, iterations=iterations, x=x).double()
    with torch.no_grad():
        made.beta_u.normal_()
        made.beta_a.normal_(0, 0.01)
    return made


def network(form, size=SIZE):
    torch.manual_seed(0)
    return EMCapsNet(CLASSES, size, form=form).double()


def batch(n=4, size=SIZE):
    return randn(n, size, size).sigmoid(), torch.arange(n) % CLASSES


# --- one EM ---


def fitted(said, activations, beta_u, beta_a, form, iterations):
    """Fit as the texts write it, a place, a parent and a channel at a time."""
    children, channels, places, parents = said.shape
    all_poses, all_activations = [], []
    for n in range(places):
        shares = [[torch.tensor(1 / parents).double()] * parents for _ in range(children)]
        for t in range(iterations):
            shares = [[r * activations[n, i] for r in row] for i, row in enumerate(shares)]
            if form == "source":
                shares = [[r / sum(row) for r in row] for row in shares]
            means, variances, scores = [], [], []
            for c in range(parents):
                mass = sum(row[c] for row in shares)
                mean, variance, cost = [], [], 0
                for h in range(channels):
                    v = said[:, h, n, c]
                    mean.append(sum(shares[i][c] * v[i] for i in range(children)) / mass)
                    square = sum(shares[i][c] * (v[i] - mean[h]) ** 2 for i in range(children))
                    variance.append(square / mass + (1e-9 if form == "source" else 5e-4))
                    if form == "source":
                        cost = cost + mass * (beta_u[c, h] + variance[h].sqrt().log())
                    else:
                        entropy = beta_u[c, 0] * (math.log(2 * math.pi) + 1)
                        cost = cost + mass * (variance[h].log() + entropy)
                means.append(torch.stack(mean))
                variances.append(torch.stack(variance))
                if form == "published":
                    temperature = 0.01 * (1 - 0.95 ** (t + 1))
                    scores.append(temperature * (-5000 * beta_a[c] - cost))
                else:
                    scores.append(0.01 * (beta_a[c] - cost) if t == iterations - 1 else mass)
            scores = torch.stack(scores)
            active = scores.softmax(0) if form == "source" else scores.sigmoid()
            for i in range(children):
                likely = [
                    active[c]
                    * torch.exp(-((said[i, :, n, c] - means[c]) ** 2) / (2 * variances[c])).prod()
                    / variances[c].sqrt().prod()
                    for c in range(parents)
                ]
                shares[i] = [x / sum(likely) for x in likely]
        all_poses.append(torch.stack(means))
        all_activations.append(active)
    return torch.stack(all_poses), torch.stack(all_activations)


@FORMS
@ITERATIONS
def test_em_and_its_gradients_against_loops(form, iterations):
    leaves = [x.requires_grad_() for x in problem(form)]
    found = em(*leaves, form=form, iterations=iterations)
    expected = fitted(*leaves, form, iterations)
    upstream = randn(2, 3, 3, seed=4), randn(2, 3, seed=5)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    gradients = (torch.autograd.grad(x, leaves, upstream) for x in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@FORMS
@ITERATIONS
def test_shares_of_a_child_sum_to_one_over_parents(form, iterations):
    """A parent alone gets all votes whole, whatever they are."""
    said, activations, beta_u, beta_a = problem(form, parents=1)
    poses, _ = em(said, activations, beta_u, beta_a, form=form, iterations=iterations)
    weights = torch.ones_like(activations) if form == "source" else activations
    expected = torch.einsum("ni,ixn->nx", weights / weights.sum(1, keepdim=True), said[..., 0])
    torch.testing.assert_close(poses[:, 0], expected)


def test_source_activations_sum_to_one_and_published_ones_need_not():
    source, published = (
        em(*problem(form), form=form, iterations=2)[1].sum(-1) for form in ("source", "published")
    )
    torch.testing.assert_close(source, torch.ones_like(source))
    assert ((published - 1).abs() > 0.1).all()


def test_activations_of_children_cancel_in_the_source_alone():
    for form, moved in (("source", False), ("published", True)):
        said, activations, *betas = problem(form)
        activations.requires_grad_()
        found = em(said, activations, *betas, form=form, iterations=3)
        other = em(said, activations.flip(1), *betas, form=form, iterations=3)
        gradient = torch.autograd.grad(found[0].square().sum() + found[1][:, 0].sum(), activations)
        for a, b in zip(found, other, strict=True):
            assert torch.allclose(a, b, rtol=1e-5, atol=1e-7) != moved
        assert (gradient[0].abs().max() > 1e-5) == moved


@FORMS
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e3])
@pytest.mark.parametrize("activation", [0.0, 1e-30, 1.0])
def test_em_stays_finite_at_three_iterations(form, scale, activation):
    """Votes that all agree, that are far apart, and children that are silent."""
    said, activations, *betas = (x.float() for x in problem(form, children=20, x=18))
    leaves = [(scale * said).requires_grad_(), torch.full_like(activations, activation)]
    leaves = [leaves[0], leaves[1].requires_grad_(), *(b.requires_grad_() for b in betas)]
    poses, active = em(*leaves, form=form, iterations=3)
    (poses.square().sum() + active.square().sum()).backward()
    for x in (poses, active, *(leaf.grad for leaf in leaves)):
        assert x.isfinite().all()
    assert ((active >= 0) & (active <= 1)).all()


@FORMS
def test_parents_that_are_agreed_on_are_more_active(form):
    """The children agree about the first parent and contradict each other about the second."""
    said = torch.cat((0.01 * randn(8, 4, 1, 1), randn(8, 4, 1, 1, seed=1)), -1)
    beta_u = torch.zeros(2, 4 if form == "source" else 1).double()
    _, active = em(
        said, torch.ones(1, 8).double(), beta_u, torch.zeros(2).double(), form=form, iterations=2
    )
    assert active[0, 0] > active[0, 1]


# --- layers ---


def test_votes_against_loops():
    """Coordinates as they are, then the product of two matrices, column by column."""
    poses, matrices = randn(2, 3, 18), randn(3, 4, 4, 5, seed=1)
    found = votes(poses, matrices)
    assert found.shape == (3, 18, 2, 5)
    for n in range(2):
        for i in range(3):
            for c in range(5):
                product = poses[n, i, 2:].view(4, 4).t() @ matrices[i, :, :, c].t()
                expected = torch.cat((poses[n, i, :2], product.t().flatten()))
                torch.testing.assert_close(found[i, :, n, c], expected)
    torch.testing.assert_close(votes(poses[..., 2:], matrices), found[:, 2:])


@FORMS
@pytest.mark.parametrize("at_once", [1, 6 * 18 * 4 * 3, 10**9])
def test_layer_in_parts_is_the_layer_at_once(form, at_once, monkeypatch):
    """Places one by one, by threes with one left over, and together."""
    monkeypatch.setattr(em_routing, "AT_ONCE", at_once)
    made = layer(form)
    leaves = [randn(7, 6, 18).requires_grad_(), randn(7, 6, seed=1).sigmoid().requires_grad_()]
    leaves += made.parameters()
    found = made(*leaves[:2])
    said = votes(leaves[0], made.matrices)
    expected = em(said, leaves[1], made.beta_u, made.beta_a, form=form, iterations=2)
    torch.testing.assert_close(found, expected)
    upstream = randn(7, 4, 18, seed=2), randn(7, 4, seed=3)
    gradients = (torch.autograd.grad(x, leaves, upstream) for x in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_groups_of_children_share_matrices():
    shared, full = layer("published", children=2), layer("published")
    full.load_state_dict(shared.state_dict() | {"matrices": shared.matrices.repeat(3, 1, 1, 1)})
    inputs = randn(5, 6, 18), randn(5, 6, seed=1).sigmoid()
    torch.testing.assert_close(shared(*inputs), full(*inputs))


def recorded(net, images):
    """Return what each layer of capsules got and gave, and the class capsules."""
    calls = []
    for made in (net.second, net.third, net.last):
        made.register_forward_hook(lambda _, given, found: calls.append((given, found)))
    return calls, net.capsules(images)


@FORMS
def test_windows_of_capsules_against_loops(form):
    net, (images, _) = network(form), batch(2, 28)
    calls, _ = recorded(net, images)
    (_, before), (after, _) = calls[:2]
    poses, activations = before[0].view(2, 5, 5, 16, 16), before[1].view(2, 5, 5, 16)
    for b, y, x in ((b, y, x) for b in range(2) for y in range(3) for x in range(3)):
        place = (b * 3 + y) * 3 + x
        window = poses[b, y : y + 3, x : x + 3].flatten(0, 2)
        torch.testing.assert_close(after[0][place], window)
        window = activations[b, y : y + 3, x : x + 3].flatten()
        torch.testing.assert_close(after[1][place], window)


@FORMS
def test_class_capsules_pool_the_nine_positions(form):
    """The source averages nine EMs; the published form has one, of nine times the children."""
    net, (images, _) = network(form, 28), batch(2, 28)
    calls, (poses, activations) = recorded(net, images)
    (given, _), found = calls[2]
    assert given.shape == ((18, 16, 18) if form == "source" else (2, 144, 18))
    if form == "source":
        found = [x.unflatten(0, (2, 9)).mean(1) for x in found]
    torch.testing.assert_close((poses, activations), tuple(found))
    expected = torch.tensor([(x, y) for y in (8, 12, 16) for x in (8, 12, 16)]) / 28
    coordinates = given[..., :2].reshape(2, 9, 16, 2)
    torch.testing.assert_close(
        coordinates, expected.double().view(1, 9, 1, 2).expand_as(coordinates)
    )


# --- losses ---


def test_spread_loss_worked():
    activations = torch.tensor([[0.5, 0.2, 0.45], [0.5, 0.2, 0.45]])
    found = spread_loss(activations, torch.tensor([0, 1]), 0.2)
    torch.testing.assert_close(found, torch.tensor([0.15**2, 0.5**2 + 0.45**2]))
    assert not spread_loss(activations[:1], torch.tensor([0]), 0.04).any()


def test_spread_margin_worked():
    expected = [0.2, 0.235, 0.27, 0.865, 0.9, 0.9, 0.9]
    found = [spread_margin(epoch) for epoch in (0, 1, 2, 19, 20, 21, 99)]
    assert found == pytest.approx(expected)


@FORMS
def test_loss_worked(form):
    net, (images, labels) = network(form), batch()
    poses, activations = net.capsules(images)
    spread = spread_loss(activations, labels, 0.2 + 3 * 0.035).mean()
    square = (net.decode(poses, labels) - images).square().sum((1, 2)).mean()
    torch.testing.assert_close(net.loss(images, labels, 3), spread + 0.05 * square)


@FORMS
def test_loss_falls_on_a_tiny_batch(form):
    net, (images, labels) = network(form, 17), batch(6, 17)
    images = (images > 0.7).double()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        losses.append(net.loss(images, labels))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]


@FORMS
def test_training_in_half_precision_stays_near_to_full(form):
    images, labels = batch(6, 17)
    digits = Digits(images.float(), labels, tuple("012"), torch.tensor([CIRCLE] * CLASSES))
    full, half = (
        train(lambda: EMCapsNet(CLASSES, 17, form=form), digits, course, seed=0)
        for course in (Course(2, 3, 1e-4, precision=p) for p in ("float32", "bfloat16"))
    )
    assert half.losses == pytest.approx(full.losses, rel=0.03)
    assert all(t.dtype == torch.float32 for t in half.state.values() if t.is_floating_point())


@FORMS
def test_routing_and_loss_are_in_full_precision_behind_layers_in_half(form):
    net, (images, labels) = network(form, 17).float(), batch(2, 17)
    with torch.autocast("cpu", torch.bfloat16):
        calls, found = recorded(net, images.float())
        loss = net.loss(images.float(), labels)
    ((poses, _), first), *_ = calls
    assert poses.dtype == torch.bfloat16
    assert {x.dtype for x in (*first, *found, loss)} == {torch.float32}
    expected = net.second(*(x.float() for x in calls[0][0]))
    torch.testing.assert_close(first, expected, rtol=0, atol=0)


# --- network ---


@FORMS
def test_parameters_worked(form):
    beta_u = 16 * 16 + 16 * 16 + 8 * 18 if form == "source" else 16 + 16 + 8
    convolutions = 32 * 25 + 32 + 33 * 128 + 33 * 8
    matrices = 16 * (72 * 16 + 144 * 16 + 16 * 8)
    decoder = (144 + 1) * 512 + (512 + 1) * 1024 + (1024 + 1) * 784
    count = sum(p.numel() for p in EMCapsNet(form=form).parameters())
    assert count == convolutions + matrices + beta_u + (16 + 16 + 8) + decoder
    assert count == {"source": 1_466_512, "published": 1_465_896}[form]
    assert decoder == 1_403_152


@FORMS
def test_scale_and_offset_of_the_pixels_do_not_matter(form):
    net, (images, _) = network(form), batch()
    torch.testing.assert_close(net(images), net(255 * images + 3), rtol=1e-3, atol=1e-4)


def test_primary_activations_reach_the_published_form_alone():
    for form, moved in (("source", False), ("published", True)):
        net, (images, _) = network(form), batch()
        before = net(images)
        torch.nn.init.normal_(net.activations.bias, 0, 2)
        assert torch.allclose(net(images), before, rtol=1e-5, atol=1e-6) != moved


def test_iterations_by_form():
    layers = [EMCapsNet(form=form).last for form in ("source", "published")]
    assert [x.iterations for x in layers] == [2, 3]
    assert EMCapsNet(form="published", iterations=2).third.iterations == 2


@FORMS
def test_shapes(form):
    net, images = EMCapsNet(4, 17, form=form), torch.rand(3, 17, 17)
    poses, activations = net.capsules(images)
    assert poses.shape == (3, 4, 18)
    assert activations.shape == net(images).shape == (3, 4)
    assert net.decode(poses, torch.tensor([0, 1, 3])).shape == (3, 17, 17)
    assert net.eval()(images[:1]).isfinite().all()


def test_decoder_sees_the_label_alone():
    poses = randn(2, CLASSES, 18).requires_grad_()
    network("source").decode(poses, torch.tensor([0, 2])).sum().backward()
    seen = poses.grad.abs().sum(-1) > 0
    assert seen.tolist() == [[True, False, False], [False, False, True]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"form": "hinton"}, "form is 'hinton'; there are source, published"),
        ({"iterations": 0}, "iterations is 0; .* at least 1"),
        ({"size": 16}, "size is 16; .* at least 17"),
    ],
)
def test_what_it_cannot_be(options, words):
    with pytest.raises(InvnbError, match=words):
        EMCapsNet(**options)
