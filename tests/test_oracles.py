"""invnb.oracles: invariance that is built in, and a warp that starts as none."""

import pytest
import torch

from invnb.convnets import ConvNet
from invnb.errors import InvnbError
from invnb.oracles import SpatialTransformer, TurnPooled
from invnb.rotation import rotate


def images(n=3):
    made = torch.zeros(n, 28, 28)
    made[:, 6:22, 6:22] = torch.rand(n, 16, 16, generator=torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize("turns", [0, 3, 6, -4])
def test_turns_are_a_multiple_of_four(turns):
    with pytest.raises(InvnbError, match=f"multiple of 4, got {turns}"):
        TurnPooled(turns)


def test_quarter_turns_change_nothing():
    network = TurnPooled(4, "CNN_02").eval()
    for k in range(1, 4):
        torch.testing.assert_close(network(images()), network(images().rot90(k, (1, 2))))
    assert not torch.allclose(network(images()), network(images().mT))  # a mirror image does


def test_it_has_the_size_of_the_network_without():
    count = [sum(p.numel() for p in n.parameters()) for n in (TurnPooled(8), ConvNet("CNN_00"))]
    assert count[0] == count[1]


def test_poses_are_the_turns_of_the_image():
    network = TurnPooled(8, "CNN_02")
    angles = [0, 45, 90, 135, 180, 225, 270, 315]
    for pose, angle in zip(network.poses(images()), angles, strict=True):
        torch.testing.assert_close(pose, rotate(images(), angle), atol=1e-5, rtol=0)


def test_a_unit_keeps_its_strongest_answer():
    network = TurnPooled(4, "CNN_02").eval()
    each = [network.inside.features(images().rot90(k, (1, 2))) for k in range(4)]
    expected = network.inside.logits(torch.stack(each).amax(0))
    torch.testing.assert_close(network(images()), expected)


def test_more_turns_come_nearer_to_full_invariance():
    torch.manual_seed(0)
    network = ConvNet("CNN_02")
    errors = []
    for turns in (4, 8, 16):
        pooled = TurnPooled(turns, "CNN_02").eval()
        pooled.inside.load_state_dict(network.state_dict())
        change = pooled(images(20)) - pooled(rotate(images(20), 360 / 32))
        errors.append(change.square().mean().item())
    assert errors[0] > errors[1] > errors[2]


def test_a_spatial_transformer_starts_as_its_classifier():
    network = SpatialTransformer("CNN_02").eval()
    torch.testing.assert_close(
        network(images()), network.classifier(images()), atol=1e-4, rtol=1e-4
    )


def test_its_warp_learns():
    network = SpatialTransformer("CNN_02")
    torch.nn.functional.cross_entropy(network(images()), torch.arange(3)).backward()
    assert network.map.bias.grad.abs().min() > 0
    assert network.maps(images()).shape == (3, 2, 3)


def test_it_warps_by_the_map_it_gives():
    network = SpatialTransformer("CNN_02").eval()
    with torch.no_grad():  # a quarter turn for all
        network.map.bias.copy_(torch.tensor([0.0, -1, 0, 1, 0, 0]))
    torch.testing.assert_close(
        network(images()), network.classifier(images().rot90(1, (1, 2))), atol=1e-4, rtol=1e-4
    )
