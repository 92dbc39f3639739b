"""invnb.sparse_caps: sizes of the authors' code, the mask and the boosts worked by hand."""

import math

import pytest
import torch

from invnb.capsules import squash
from invnb.errors import InvnbError
from invnb.sparse_caps import SparseCaps, rank_mask


def images(n=2, size=28):
    return torch.rand(n, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SparseCaps()


@pytest.mark.parametrize(("size", "millions"), [(28, 9.15), (40, 17.06)])
def test_parameters_are_as_many_as_in_the_authors_network(size, millions):
    with torch.device("meta"):
        count = sum(p.numel() for p in SparseCaps(size).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_small_frame_is_refused():
    with pytest.raises(InvnbError, match="size is 16; two convolutions of 9 x 9 need at least 17"):
        SparseCaps(16)


def test_six_of_sixteen_are_seen():
    scores = torch.stack([torch.arange(16.0), torch.arange(16.0).flip(0)])
    mask = rank_mask(scores)
    expected = [math.exp(-12 * r / 15) for r in range(16)]
    assert mask[1].tolist() == pytest.approx([w if w >= 0.01 else 0 for w in expected])
    assert torch.equal(mask[0], mask[1].flip(0))
    assert (mask > 0).sum(1).tolist() == [6, 6]


def test_codes_are_all_capsules(network):
    capsules, scores = network.capsules(images())
    assert capsules.shape == (2, 16, 16)
    assert torch.equal(network(images()), capsules.flatten(1))
    assert (capsules.norm(dim=2) < 1).all()
    assert scores.shape == (2, 16)


def test_scores_by_a_loop(network):
    """Route one image the long way: votes, shares and the largest share at each place."""
    one = images(1)
    maps = torch.relu(
        torch.nn.functional.conv2d(one.unsqueeze(1), network.first, network.first_bias)
    )
    maps = torch.nn.functional.conv2d(maps, network.primary, network.primary_bias, stride=2)[0]
    votes, places = {}, []
    for kind in range(32):
        for place in range(36):
            pose = squash(maps[8 * kind : 8 * kind + 8].flatten(1)[:, place])
            votes[kind, place] = torch.einsum(
                "p,kpd->kd", pose, network.weights[:, :, 36 * kind + place]
            )
            places.append((kind, place))
    logits = {p: torch.zeros(16) for p in places}
    for iteration in range(3):
        shares = {p: logits[p].softmax(0) for p in places}
        sums = sum(shares[p][:, None] * votes[p] for p in places) + network.bias
        if iteration < 2:
            for p in places:
                logits[p] = logits[p] + (votes[p] * squash(sums)).sum(1)
    scores = sum(
        torch.stack([shares[kind, place] for kind in range(32)]).amax(0) for place in range(36)
    )
    found, found_scores = network.capsules(one)
    assert torch.allclose(found[0], squash(sums), atol=1e-4)
    assert torch.allclose(found_scores[0], scores, rtol=1e-3)


def test_the_loss_sees_the_mask(network):
    network.eval()
    capsules, scores = network.capsules(images())
    seen = capsules * rank_mask(scores).unsqueeze(2)
    pictures = network.decoder(seen.flatten(1)).sigmoid()
    expected = ((pictures - images().flatten(1)) ** 2).sum() / 2
    assert torch.allclose(network.losses(images())[0], expected)


def test_boosts(network):
    network.train()
    network.boost.fill_(1)
    network.wins.fill_(torch.nan)
    network.steps.zero_()
    mask = torch.zeros(10, 16)
    mask[:8, 0], mask[8:, 1] = 1, 1  # the first wins .8, the second .2
    network._boost(mask)
    assert network.wins[:3].tolist() == pytest.approx([0.8, 0.2, 0])
    mask = torch.zeros(10, 16)
    mask[:, 2] = 1
    network._boost(mask)
    assert network.wins[:3].tolist() == pytest.approx([0.792, 0.198, 0.01])
    assert torch.equal(network.boost, torch.ones(16))
    for _ in range(48):
        network._boost(mask)
    rare = 0.8 * 0.99**49 < 0.03, 0.2 * 0.99**49 < 0.03
    assert network.boost[:2].tolist() == pytest.approx([1.1 if r else 1 for r in rare])
    assert network.boost[2] == 1  # often, but not below 1
    assert network.boost[3] == pytest.approx(1.1)


def test_no_gradient_passes_through_the_mask(network):
    network.zero_grad()
    network.losses(images())[0].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
