"""invnb.encoders: geometry against TensorFlow's rule, transposes, codes, heads."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from invnb import encoders
from invnb.encoders import (
    LAYERS,
    ConvEncoder,
    Geometry,
    PrincipalComponents,
    classifier,
    longest,
    reconstructor,
)
from invnb.errors import InvnbError


def images(n=3, size=28):
    return torch.rand(n, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "expected"), [(28, (10, 5, 1)), (40, (14, 7, 2))])
def test_positions_are_the_posts(size, expected):
    found = []
    for layer in LAYERS:
        size = layer.positions(size)
        found.append(size)
    assert tuple(found) == expected


def test_outputs_are_the_posts():
    found = [(layer.capsules, layer.atoms, layer.channels) for layer in LAYERS]
    assert found == [(16, 4, 64), (16, 16, 256), (16, 16, 256)]


def test_margins_worked():  # 10 fields of 6 every 3 cover 33 places, 5 more than 28
    assert LAYERS[0].margins(28) == (2, 3)
    assert LAYERS[1].margins(10) == (1, 2)
    assert LAYERS[2].margins(5) == (0, 0)
    assert LAYERS[2].margins(7) == (1, 2)


@pytest.mark.parametrize("layer", [*LAYERS, Geometry(3, 4, 2, 1)], ids=str)
@pytest.mark.parametrize("size", [28, 11, 7, 5, 1])
def test_down_is_the_transpose_of_up(layer, size):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 2, layer.kernel, layer.kernel, generator=generator).double()
    maps = torch.randn(3, 2, size, size, generator=generator).double()
    outputs = encoders.up(maps, weight, layer)
    assert outputs.shape == (3, 6, *[layer.positions(size)] * 2)
    other = torch.randn(outputs.shape, generator=generator).double()
    back = encoders.down(other, weight, layer, size)
    assert back.shape == maps.shape
    assert torch.allclose((outputs * other).sum(), (maps * back).sum())


def test_a_single_field_is_a_convolution():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 2, 5, 5, generator=generator).double()
    maps = torch.randn(3, 2, 5, 5, generator=generator).double()
    bias = torch.randn(6, generator=generator).double()
    expected = torch.nn.functional.conv2d(maps, weight, bias, stride=5)
    assert torch.allclose(encoders.up(maps, weight, LAYERS[2], bias), expected)


def test_a_field_is_where_it_should_be():
    layer, weight = LAYERS[0], torch.ones(1, 1, 6, 6)
    maps = torch.zeros(1, 1, 28, 28)
    maps[0, 0, 7, 4] = 1
    inside = encoders.up(maps, weight, layer)[0, 0].nonzero().tolist()
    starts = [3 * i - 2 for i in range(10)]  # two zeros come before the first row
    rows, columns = ([i for i, start in enumerate(starts) if 0 <= at - start < 6] for at in (7, 4))
    assert inside == [[i, j] for i in rows for j in columns]


@pytest.mark.parametrize("size", [28, 40])
def test_codes_and_parameters(size):
    encoder = ConvEncoder()
    assert encoder(images(size=size)).shape == (3, 256)
    assert sum(p.numel() for p in encoder.parameters()) == 64 * 37 + 256 * 1601 + 256 * 6401


def test_larger_images_give_the_mean_of_their_positions():
    encoder = ConvEncoder()
    maps = images(size=40).unsqueeze(1)
    for layer, weight, bias in zip(LAYERS, encoder.weights, encoder.biases, strict=True):
        maps = encoders.up(maps, weight, layer, bias).relu()
    assert maps.shape[2:] == (2, 2)
    assert torch.allclose(encoder(images(size=40)), maps.flatten(2).mean(2), atol=1e-6)


def test_one_capsule_wins():
    code = ConvEncoder(winner=True)(images())
    assert ((code != 0).unflatten(1, (16, 16)).any(2).sum(1) == 1).all()
    with pytest.raises(InvnbError, match="outputs is 20; capsules of 16 need a multiple of 16"):
        ConvEncoder(20, winner=True)


def test_longest_by_a_loop():
    codes = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    kept = longest(codes, 4)
    for code, found in zip(codes, kept, strict=True):
        groups = [code[i : i + 4] for i in (0, 4, 8)]
        best = max(range(3), key=lambda i: groups[i].norm().item())
        expected = [g if i == best else 0 * g for i, g in enumerate(groups)]
        assert torch.equal(found, torch.cat(expected))


def test_principal_components_are_sklearns():
    data = images(200, 6)
    ours = PrincipalComponents(5, 6).fit(data)(data).numpy()
    theirs = PCA(5).fit_transform(data.flatten(1).numpy())
    signs = np.sign((ours * theirs).sum(0))
    assert np.allclose(ours, theirs * signs, atol=1e-4)


def test_heads_have_the_posts_sizes():
    def sizes(head):
        return [head.first.in_features] + [
            getattr(head, layer).out_features for layer in ("first", "second", "third")
        ]

    assert sizes(reconstructor()) == [256, 512, 1024, 784]
    assert sizes(classifier()) == [256, 1024, 512, 10]


def test_a_head_brings_codes_to_one_scale():
    codes = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    head = classifier(8)
    first = head.fit_scale(codes)(codes)
    assert torch.allclose((codes * head.scale).square().mean(), torch.tensor(1.0))
    assert torch.allclose(head.fit_scale(1e4 * codes)(1e4 * codes), first, rtol=1e-4, atol=1e-6)


def test_a_head_by_its_formula():
    head, codes = classifier(8), torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    x = codes
    for layer in (head.first, head.second):
        x = (x @ layer.weight.T + layer.bias).clamp_min(0)
    assert torch.allclose(head(codes), x @ head.third.weight.T + head.third.bias, atol=1e-6)
