"""invnb.convnets: the sizes of the source, its padding, and what its layers do."""

import pytest
import torch
from torch import nn

from invnb.convnets import TRUNKS, ConvNet, SameConv2d, Trunk
from invnb.errors import InvnbError

PARAMETERS = {  # in millions, as derived from the source's scripts
    "CNN_00": 6.56, "CNN_01": 4.86, "CNN_02": 1.75, "dropout_00": 2.27, "dropout_01": 4.86,
    "BN_00": 6.56, "BN_01": 2.27, "BN_02": 4.86, "pool_00": 103.0, "pool_01": 102.9,
    "pool_02": 52.1,
}  # fmt: skip


def test_an_unknown_network_is_refused():
    with pytest.raises(InvnbError, match="unknown network 'CNN_99'; there are CNN_00, "):
        ConvNet("CNN_99")


@pytest.mark.parametrize(("name", "millions"), PARAMETERS.items())
def test_sizes_are_the_sources(name, millions):
    with torch.device("meta"):
        network = ConvNet(name)
        logits = network(torch.empty(2, 28, 28))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=2e-3)
    assert logits.shape == (2, 8)


def test_all_eleven_are_there():
    assert TRUNKS.keys() == PARAMETERS.keys()


@pytest.mark.parametrize("size", [28, 14, 7, 5])
@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (5, 1), (3, 1), (6, 3)])
def test_padding_is_tensorflows(size, kernel, stride):
    """The larger half of an odd padding comes after the image."""
    convolution = SameConv2d(1, 1, kernel, stride, bias=False)
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    image = torch.rand(1, 1, size, size)
    padded = torch.zeros(1, 1, size + total, size + total)
    before = total // 2
    padded[..., before : before + size, before : before + size] = image
    expected = nn.functional.conv2d(padded, convolution.weight, stride=stride)
    assert expected.shape[-1] == out
    torch.testing.assert_close(convolution(image), expected)


def test_pooling_keeps_the_size_and_takes_the_maximum():
    network = ConvNet(Trunk(((1, 1, 1),), pools=1), classes=2, size=4)
    nn.init.ones_(network.convolutions[0].weight)
    seen = []
    network.dense.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    image = torch.rand(1, 4, 4)
    network(image)
    expected = torch.stack(
        [image[0, i : i + 2, j : j + 2].max() for i in range(4) for j in range(4)]
    )
    torch.testing.assert_close(seen[0][0], expected)


def test_normalisation_comes_after_the_activation():
    network = ConvNet("BN_00").train()
    seen = []
    network.norms[0].register_forward_hook(lambda _, inputs, out: seen.append((inputs[0], out)))
    network(torch.rand(16, 28, 28))
    before, after = seen[0]
    assert before.min() > -0.5 * before.max()  # leaky: what is negative is a tenth of what it was
    torch.testing.assert_close(after.mean((0, 2, 3)), torch.zeros(64), atol=1e-5, rtol=0)
    assert (network.norms[0].momentum, network.norms[0].eps) == (1e-3, 1e-3)


def test_dropout_acts_in_training_alone():
    network, images = ConvNet("dropout_00"), torch.rand(3, 28, 28)
    network.train()
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))
    plain = ConvNet("CNN_00").train()
    assert torch.equal(plain(images), plain(images))


def test_leaky_logits_are_those_of_the_three_plain_scripts():
    features = torch.randn(5, 1024)
    for name, trunk in TRUNKS.items():
        assert trunk.leaky_logits == name.startswith("CNN_")
    network = ConvNet("CNN_02")
    raw = network.readout(features)
    torch.testing.assert_close(network.logits(features), torch.where(raw > 0, raw, 0.1 * raw))


def test_biases_start_at_zero_and_weights_inside_of_glorots_limit():
    network = ConvNet("CNN_02")
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fans = nn.init._calculate_fan_in_and_fan_out(module.weight)
            assert module.weight.abs().max() <= (6 / sum(fans)) ** 0.5
            assert not module.bias.any()
