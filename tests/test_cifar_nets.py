"""invnb.cifar_nets: sizes as published, shortcuts pixel by pixel, checkpoints and their faults."""

import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import conv2d

from invnb import paths
from invnb.cifar_nets import MEAN, SD, AlexNet, Block, ResNet, load_resnet, normalise
from invnb.errors import InvnbError

WEIGHTS = sorted((paths.data_dir().parent / "weights").glob("cifar10-resnet[2-5]*.th"))
CIFAR = paths.data_dir() / "cifar10-jpeg.tar.xz"


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def save(content, folder):
    torch.save(content, folder / "checkpoint.th")
    return folder / "checkpoint.th"


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_residual_networks_are_as_large_as_published(depth, millions):
    network = ResNet(depth)
    assert round(parameters(network) / 1e6, 2) == millions
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == depth


def test_depths_that_are_not_published_are_refused():
    with pytest.raises(InvnbError, match="one of 20, 32, 44, 56: 18"):
        ResNet(18)


def test_alexnet_has_the_parameters_of_its_layers():
    convolutions = sum(
        9 * a * b + b for a, b in [(3, 64), (64, 192), (192, 384), (384, 256), (256, 256)]
    )
    dense = 1024 * 1024 + 1024
    assert parameters(AlexNet()) == convolutions + 2 * dense + 10250
    assert parameters(AlexNet(hidden=4096)) > 5 * parameters(AlexNet())


@pytest.mark.parametrize("network", [AlexNet(7), ResNet(20, 7)])
def test_networks_map_images_to_logits_that_are_alone_their_own(network):
    images = torch.randn(3, 3, 32, 32)
    logits = network.eval()(images)
    assert logits.shape == (3, 7)
    torch.testing.assert_close(network(images[1:2]), logits[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [AlexNet, ResNet])
def test_signals_keep_their_size_through_all_layers_at_the_start(make):
    torch.manual_seed(0)
    images = torch.randn(64, 3, 32, 32)
    logits = make().train()(images) if make is ResNet else make().eval()(images)
    spread = (logits - logits.mean(0)).std()  # between images: what there is to learn from
    assert 0.1 < spread < 10


def test_only_alexnet_in_training_drops_units():
    torch.manual_seed(0)
    network, images = AlexNet(), torch.randn(2, 3, 32, 32)
    assert not torch.equal(network(images), network(images))
    assert torch.equal(network.eval()(images), network(images))


def test_shortcut_takes_every_other_pixel_and_pads_channels_on_both_sides():
    block = Block(4, 8, 2).eval()
    torch.nn.init.zeros_(block.conv2.weight)  # all that is left is the shortcut
    maps = torch.rand(2, 4, 6, 6)
    through = block(maps)
    assert through.shape == (2, 8, 3, 3)
    for c in range(8):
        for y in range(3):
            for x in range(3):
                want = maps[:, c - 2, 2 * y, 2 * x] if 2 <= c < 6 else torch.zeros(2)
                assert torch.equal(through[:, c, y, x], want)


def test_block_is_the_published_formula():
    torch.manual_seed(1)
    block = Block(4, 4, 1).eval()
    maps = torch.randn(2, 4, 5, 5)
    scale = 1 / (1 + block.bn1.eps) ** 0.5
    inner = torch.relu(conv2d(maps, block.conv1.weight, padding=1) * scale)
    inner = conv2d(inner, block.conv2.weight, padding=1) * scale
    torch.testing.assert_close(block(maps), torch.relu(inner + maps))


def test_normalise_takes_bytes_and_fractions_alike():
    images = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    by_hand = [(images[:, c].double() / 255 - MEAN[c]) / SD[c] for c in range(3)]
    torch.testing.assert_close(normalise(images, torch.float64), torch.stack(by_hand, 1))
    torch.testing.assert_close(normalise(images), normalise(images.float() / 255))


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "best_prec1": 91.0}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoint_gives_its_network_frozen(tmp_path, wrap, prefix):
    network = ResNet(32, 5).eval()
    state = {prefix + k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    loaded = load_resnet(save(wrap(state), tmp_path), 5)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(images), network(images))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_faults_of_a_checkpoint_are_named(tmp_path):
    with pytest.raises(InvnbError, match=r"none\.th' cannot be read: No such file"):
        load_resnet(tmp_path / "none.th")
    (tmp_path / "torn.th").write_bytes(b"torn")
    with pytest.raises(InvnbError, match="damaged, or holds more than tensors"):
        load_resnet(tmp_path / "torn.th")
    with pytest.raises(InvnbError, match="not a state dict"):
        load_resnet(save([1, 2], tmp_path))
    with pytest.raises(InvnbError, match=r"no residual network of depth .* it has 0 blocks"):
        load_resnet(save(AlexNet().state_dict(), tmp_path))
    with pytest.raises(InvnbError, match=r"ResNet-20@.* at 2 .*linear.bias.*\(10,\).*\(9,\)"):
        load_resnet(save(ResNet(20, 9).state_dict(), tmp_path))
    state = ResNet(20).state_dict() | {"extra": torch.zeros(2)}
    with pytest.raises(InvnbError, match=r"1 name.*'extra': the network has none"):
        load_resnet(save(state, tmp_path))


@pytest.mark.skipif(not WEIGHTS, reason="no published checkpoints beside the data folder")
def test_published_checkpoints_load_and_know_their_classes():
    images = first_images(200) if CIFAR.is_file() else None
    for depth, file in zip((20, 32, 44, 56), WEIGHTS, strict=True):
        network = load_resnet(file)
        assert parameters(network) == parameters(ResNet(depth))
        if images is not None:  # airplanes, as lossy pictures; the networks saw lossless ones
            assert (network(normalise(images)).argmax(1) == 0).float().mean() > 0.6


def first_images(n):
    """Return the first pictures of the archive, all of the first class, `[n, 3, 32, 32]`."""
    images = []
    with tarfile.open(CIFAR, "r|xz") as archive:
        for member in archive:
            if member.name.endswith(".jpg"):
                images.append(np.asarray(Image.open(archive.extractfile(member)).convert("RGB")))
            if len(images) == n:
                return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    raise AssertionError("too few pictures")
