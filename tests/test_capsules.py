"""invnb.capsules: worked values, and routing against loops over votes."""

import pytest
import torch
from torch.autograd import gradcheck

from invnb.capsules import CapsNet, dynamic_routing, margin_loss, squash
from invnb.classifying import Course, train
from invnb.errors import InvnbError
from invnb.turning import CIRCLE, Digits

SIZE, CLASSES = 19, 3


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def network(**options):
    torch.manual_seed(0)
    return CapsNet(CLASSES, SIZE, channels=16, **options).double()


def batch(n=5):
    return randn(n, SIZE, SIZE).sigmoid(), torch.arange(n) % CLASSES


# --- squash ---


def test_squash_worked():
    """A vector of length 5 gets length 25 / 26."""
    expected = torch.tensor([[3 / 5, 4 / 5], [0.0, 0.5]]) * torch.tensor([[25 / 26], [1.0]])
    vectors = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    torch.testing.assert_close(squash(vectors), expected)
    torch.testing.assert_close(squash(vectors.t(), 0), expected.t())


def test_squash_gradient():
    assert gradcheck(squash, randn(3, 4).requires_grad_())


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-20, 1e-10])
def test_squash_gradient_at_zero_is_finite(length):
    vectors = torch.full((2, 8), length, requires_grad=True)
    squash(vectors).sum().backward()
    assert vectors.grad.abs().max() < 1e-8


# --- routing ---


def routed(poses, weights, iterations):
    """Route as procedure 1 is written, a vote at a time."""
    classes, _, children, _ = weights.shape
    found = []
    for pose in poses:
        votes = [[pose[:, i] @ weights[k, :, i] for k in range(classes)] for i in range(children)]
        logits = torch.zeros(children, classes, dtype=poses.dtype)
        for _ in range(iterations):
            shares = [torch.softmax(row, 0) for row in logits]
            out = [
                squash(sum(shares[i][k] * votes[i][k] for i in range(children)))
                for k in range(classes)
            ]
            agreement = [[votes[i][k] @ out[k] for k in range(classes)] for i in range(children)]
            logits = logits + torch.stack([torch.stack(row) for row in agreement])
        found.append(torch.stack(out))
    return torch.stack(found)


@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
def test_routing_and_its_gradients_against_loops(iterations):
    leaves = randn(2, 4, 6).requires_grad_(), randn(3, 4, 6, 5, seed=1).requires_grad_()
    upstream = randn(2, 3, 5, seed=2)
    found, expected = (f(*leaves, iterations) for f in (dynamic_routing, routed))
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(x, leaves, upstream) for x in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("iterations", [1, 3])
def test_shares_of_a_child_sum_to_one_over_classes(iterations):
    """A class alone gets all votes whole, and classes that are alike share them evenly."""
    poses, weights = randn(2, 4, 6), randn(1, 4, 6, 5, seed=1)
    votes = torch.einsum("bpi,kpid->bkid", poses, weights).sum(2)
    torch.testing.assert_close(dynamic_routing(poses, weights, iterations), squash(votes))
    alike = dynamic_routing(poses, weights.expand(3, -1, -1, -1), iterations)
    torch.testing.assert_close(alike, squash(votes / 3).expand(-1, 3, -1))


def test_routing_moves_shares_to_the_class_that_agrees():
    """Votes that agree for the first class and cancel for the second."""
    poses = torch.ones(1, 1, 4, dtype=torch.float64)
    weights = torch.zeros(2, 1, 4, 2, dtype=torch.float64)
    weights[0, ..., 0] = 1.0
    weights[1, ..., 1] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    lengths = [dynamic_routing(poses, weights, n).norm(dim=-1)[0] for n in (1, 2, 3)]
    assert lengths[0][0] < lengths[1][0] < lengths[2][0]
    assert all(x[1] < 1e-12 for x in lengths)


@pytest.mark.parametrize("iterations", [0, -1])
def test_routing_needs_an_iteration(iterations):
    with pytest.raises(InvnbError, match=f"iterations is {iterations}; .* at least 1"):
        dynamic_routing(randn(2, 4, 6), randn(3, 4, 6, 5), iterations)


# --- losses ---


def test_margin_loss_worked():
    lengths = torch.tensor([[0.95, 0.05, 0.3], [0.95, 0.05, 0.3]])
    expected = torch.tensor([0.5 * 0.2**2, 0.5 * 0.85**2 + 0.6**2])
    torch.testing.assert_close(margin_loss(lengths, torch.tensor([0, 2])), expected)


def test_loss_worked():
    net, (images, labels) = network(), batch()
    capsules = net.capsules(images)
    margin = margin_loss(capsules.norm(dim=-1), labels).mean()
    square = (net.decode(capsules, labels) - images).square().sum((1, 2)).mean()
    torch.testing.assert_close(net.loss(images, labels), margin + 0.0005 * square)


def test_loss_falls_on_a_tiny_batch():
    net, (images, labels) = network(), batch()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        losses.append(net.loss(images, labels))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]


def test_training_in_half_precision_stays_near_to_full():
    images, labels = batch(8)
    digits = Digits(images.float(), labels, tuple("012"), torch.tensor([CIRCLE] * CLASSES))
    full, half = (
        train(lambda: CapsNet(CLASSES, SIZE, channels=16), digits, course, seed=0)
        for course in (Course(3, 4, 1e-3, precision=p) for p in ("float32", "bfloat16"))
    )
    assert half.losses == pytest.approx(full.losses, rel=0.01)
    assert {t.dtype for t in half.state.values()} == {torch.float32}


def test_lengths_and_loss_are_in_full_precision_behind_layers_in_half():
    net, (images, labels) = network().float(), batch(2)
    with torch.autocast("cpu", torch.bfloat16):
        found = net(images.float()), net.loss(images.float(), labels)
        assert net.first(images.float().unsqueeze(1)).dtype == torch.bfloat16
    assert {x.dtype for x in found} == {torch.float32}


# --- network ---


def test_parameters_worked():
    net = CapsNet()
    convolutions = 81 * 256 + 256 + 81 * 256 * 256 + 256
    routing = 8 * 1152 * 16 * 8
    decoder = (128 + 1) * 512 + (512 + 1) * 1024 + (1024 + 1) * 784
    assert net.weights.shape == (8, 8, 1152, 16)
    assert sum(p.numel() for p in net.decoder.parameters()) == decoder == 1_394_960
    count = sum(p.numel() for p in net.parameters())
    assert count == convolutions + routing + decoder == 7_904_272


def test_starting_weights_are_those_of_keras():
    """Glorot's limits: in the routing, all axes but the last two count as a receptive field."""
    torch.manual_seed(0)
    net = CapsNet()
    for weight, fans in (
        (net.weights, 8 * 1152 * (8 + 16)),
        (net.primary.weight, 81 * (256 + 256)),
        (net.decoder[0].weight, 128 + 512),
    ):
        limit = (6 / fans) ** 0.5
        assert 0.99 * limit < weight.abs().max() <= limit
    assert not net.primary.bias.any()


def test_primary_capsules_share_a_position():
    """Against a loop: the numbers of a capsule lie in one place, and no ReLU comes in between."""
    net, (images, _) = network(), batch(2)
    maps = net.primary(net.first(images.unsqueeze(1)).clamp(min=0))  # (B, 16, 2, 2)
    assert (maps < 0).any()
    poses = [
        squash(torch.stack([maps[:, 2 * p + kind, y, x] for p in range(8)], 1), 1)
        for kind in range(2)
        for y in range(2)
        for x in range(2)
    ]
    expected = dynamic_routing(torch.stack(poses, 2), net.weights)
    torch.testing.assert_close(net.capsules(images), expected)
    torch.testing.assert_close(net(images), expected.norm(dim=-1))


@pytest.mark.parametrize("size", [17, 18, 20, 28])
def test_shapes_at_any_size(size):
    net, images = CapsNet(4, size, channels=8), torch.rand(2, size, size)
    lengths, capsules = net(images), net.capsules(images)
    assert lengths.shape == (2, 4)
    assert (lengths < 1).all()
    assert capsules.shape == (2, 4, 16)
    assert net.decode(capsules).shape == (2, size, size)


def test_iterations_reach_the_routing():
    images = batch()[0]
    one, three = (network(iterations=n)(images) for n in (1, 3))
    assert not torch.allclose(one, three)


def test_decoder_sees_the_label_alone():
    net, labels = network(), torch.tensor([0, 2])
    capsules = randn(2, CLASSES, 16).requires_grad_()
    images = net.decode(capsules, labels)
    images.sum().backward()
    seen = capsules.grad.abs().sum(-1) > 0
    assert seen.tolist() == [[True, False, False], [False, False, True]]
    assert ((images > 0) & (images < 1)).all()


def test_decoder_sees_the_longest_without_labels():
    net, capsules = network(), randn(6, CLASSES, 16)
    longest = capsules.norm(dim=-1).argmax(1)
    assert len(set(longest.tolist())) > 1
    assert torch.equal(net.decode(capsules), net.decode(capsules, longest))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 16}, "size is 16; .* at least 17"),
        ({"channels": 12}, "channels is 12; .* multiple of 8"),
        ({"channels": 0}, "channels is 0; .* multiple of 8"),
    ],
)
def test_what_it_cannot_be(options, words):
    with pytest.raises(InvnbError, match=words):
        CapsNet(**options)
