"""invnb.autoencoders and coordinate_capsules: sizes and values worked by hand, and loops."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from invnb.autoencoders import BINS, ENCODINGS, Autoencoder, Critic, Rotation, Shift, sample_prior
from invnb.coordinate_capsules import CapsuleDecoder, splat
from invnb.errors import InvnbError
from invnb.rotation import rotate

ENCODER = (64 * 16 + 64) + (128 * 64 * 16 + 128) + (6272 * 1024 + 1024)


def count(network):
    return sum(p.numel() for p in network.parameters())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=5):
    return 2 * torch.rand(n, 28, 28, generator=generator()) - 1


def labels(n, seed=0):
    return torch.randint(10, (n,), generator=generator(seed))


def degrees(*angles):
    return torch.tensor(angles, dtype=torch.float64)


@pytest.mark.parametrize("z", [10, 3])
@pytest.mark.parametrize(("maps", "parameters"), [(256, 2), (128, 1), (8, 40)])
def test_parameters_worked(z, maps, parameters):
    network = Autoencoder(z, maps, 28, parameters)
    dense = (z + parameters) * 1024 + 1024 + (1024 + 1) * 49 * maps
    deconvolutions = maps * (maps // 2) * 16 + maps // 2 + (maps // 2) * 16 + 1
    assert count(network.encoder) == ENCODER + 1025 * z
    assert count(network.decoder) == dense + deconvolutions
    if z == 10:
        assert count(network.encoder) == 6_566_090


def test_the_decoder_of_shifts_has_76_million_parameters():
    with torch.device("meta"):
        network = Autoencoder(canvas=68)
    assert round(count(network.decoder) / 1e6) == 76


@pytest.mark.parametrize("canvas", [28, 68, 4])
def test_shapes_and_range(canvas):
    network = Autoencoder(7, 4, canvas, 3)
    for n in (1, 5):
        code = network.encode(pictures(n))
        drawn = network.decode(code, torch.randn(n, 3))
        assert code.shape == (n, 7)
        assert drawn.shape == (n, canvas, canvas)
        assert drawn.abs().max() <= 1


def test_forward_encodes_and_decodes():
    network, told = Autoencoder(maps=4), torch.randn(5, 2)
    drawn = network(pictures(), told)
    assert torch.equal(drawn, network.decode(network.encode(pictures()), told))
    assert not torch.allclose(drawn, network(pictures(), -told))
    assert not torch.allclose(drawn, network(-pictures(), told))


def test_convolutions_have_the_same_padding_as_in_tensorflow():
    """With stride 2 and a kernel of 4, an even size gets one row of zeros on each side."""
    first = Autoencoder(maps=4).encoder[0].double()
    image = pictures(1)[0].double().numpy()
    padded = np.pad(image, 1)
    weight, bias = first.weight.detach().numpy(), first.bias.detach().numpy()
    found = first(torch.from_numpy(image)[None, None])[0].detach().numpy()
    for i, j in [(0, 0), (3, 5), (13, 13)]:
        patch = padded[2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
        np.testing.assert_allclose(found[:, i, j], (weight[:, 0] * patch).sum((1, 2)) + bias)


@pytest.mark.parametrize(
    "network", [Autoencoder(maps=8), Critic(), CapsuleDecoder()], ids=lambda n: type(n).__name__
)
def test_weights_are_glorot_uniform_and_biases_zero(network):
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            field = module.weight[0][0].numel()
            bound = math.sqrt(6 / (field * sum(module.weight.shape[:2])))
            assert module.weight.abs().max() <= bound
            if module.weight.numel() > 1000:
                assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert (module.bias == 0).all()


@pytest.mark.parametrize("canvas", [0, -4, 27, 30])
def test_a_canvas_must_be_a_multiple_of_4(canvas):
    with pytest.raises(InvnbError, match=f"canvas {canvas} .*multiple of 4"):
        Autoencoder(canvas=canvas)


def test_cos_sin_worked():
    encode, size = ENCODINGS["cos_sin"]
    found = encode(degrees(0, 90, -180, 30))
    half = math.sqrt(3) / 2
    expected = degrees(1, 0, 0, 1, -1, 0, half, 0.5).view(4, 2)
    torch.testing.assert_close(found, expected)
    assert found.shape[1] == size


def test_raw_worked():
    encode, size = ENCODINGS["raw"]
    found = encode(degrees(-180, -45, 0, 90, 180, 270))
    torch.testing.assert_close(found, degrees(-1, -0.25, 0, 0.5, -1, -0.5).unsqueeze(1))
    assert found.shape[1] == size


def test_bins_worked():
    encode, size = ENCODINGS["bins"]
    found = encode(degrees(-180, -171.1, -171, -45, -0.1, 0, 44.9, 45, 179.9, 180))
    assert found.argmax(1).tolist() == [0, 0, 1, 15, 19, 20, 24, 25, 39, 0]
    assert (found.sum(1) == 1).all()
    assert found.shape[1] == size == BINS
    assert encode(torch.linspace(-180, 180, 1000)).sum(0).min() >= 24


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_full_turn_changes_no_encoding(name):
    encode, angles = ENCODINGS[name][0], degrees(-170, -33, 12, 100)
    torch.testing.assert_close(encode(angles), encode(angles + 360))


@pytest.mark.parametrize("within", [45.0, 90.0, 5.0])
def test_the_restricted_are_rotated_less(within):
    y = labels(20_000)
    angles = Rotation(within=within).draw(y, generator())
    for digit in range(10):
        furthest = within if digit in (4, 9) else 180
        of_digit = angles[y == digit]
        assert -furthest <= of_digit.min() < -0.98 * furthest
        assert 0.98 * furthest < of_digit.max() <= furthest
        assert of_digit.mean().abs() < 0.05 * furthest
        assert of_digit.std().item() == pytest.approx(furthest / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(("restricted", "within"), [((4, 9), 5), (tuple(range(10)), 10), ((), 1)])
def test_the_restricted_are_shifted_less(restricted, within):
    y = labels(40_000)
    shifts = Shift(restricted, within).draw(y, generator())
    for digit in range(10):
        furthest = within if digit in restricted else 20
        for direction in shifts[y == digit].T:
            found, times = direction.unique(return_counts=True)
            assert found.tolist() == list(range(-furthest, furthest))
            assert times.max() < 2 * times.min()
    assert abs(np.corrcoef(shifts.T.numpy())[0, 1]) < 0.03


@pytest.mark.parametrize("task", [Rotation(), Shift()])
def test_draws_are_those_of_the_generator(task):
    y = labels(50)
    assert torch.equal(task.draw(y, generator(3)), task.draw(y, generator(3)))
    assert not torch.equal(task.draw(y, generator(3)), task.draw(y, generator(4)))


def test_rotation_is_counter_clockwise_on_background():
    images, angles = pictures(3), torch.tensor([30.0, -120.0, 90.0])
    found = Rotation().transform(images, angles)
    assert torch.equal(found, rotate(images, angles, fill=-1.0))
    torch.testing.assert_close(found[2], torch.rot90(images[2]), rtol=0, atol=1e-4)
    blank = torch.full((1, 28, 28), -1.0)
    assert torch.equal(Rotation().transform(blank, torch.tensor([33.0])), blank)


def test_shifts_against_slices():
    images = pictures(4)
    shifts = [(0, 0), (-20, 19), (19, -20), (3, -7)]
    found = Shift().transform(images, torch.tensor(shifts, dtype=torch.float32))
    for image, canvas, (dx, dy) in zip(images, found, shifts, strict=True):
        expected = np.full((68, 68), -1, dtype=np.float32)
        expected[20 + dy : 48 + dy, 20 + dx : 48 + dx] = image.numpy()
        np.testing.assert_array_equal(canvas.numpy(), expected)


def test_what_a_decoder_is_told_of_a_shift():
    told = Shift().tell(torch.tensor([[-20.0, 19.0], [5.0, 0.0]]))
    torch.testing.assert_close(told, torch.tensor([[-1.0, 0.95], [0.25, 0.0]]))


def test_inside_worked():
    angles = degrees(-180, -46.8, -45, 0, 45, 46.8, 315, 314)
    assert Rotation().inside(angles).tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
        True,
        False,
    ]
    shifts = torch.tensor([[-6, -6], [-5, -5], [4, 4], [5, 5], [0, 5], [-6, 0]])
    assert Shift().inside(shifts).tolist() == [False, True, True, False, False, False]


def test_absent_digits_take_no_part():
    assert Rotation(absent=(6, 0)).taking_part(torch.arange(10)).tolist() == [
        d not in (0, 6) for d in range(10)
    ]
    assert Shift().taking_part(labels(30)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotation(within=0), "within 0 .*more than 0, up to 180"),
        (lambda: Rotation(within=181), "within 181 .*180"),
        (lambda: Shift(within=21), "within 21 .*20"),
        (lambda: Rotation((4, 10)), "digit 10 .*0 to 9"),
        (lambda: Shift(absent=(-1,)), "digit -1 .*0 to 9"),
        (lambda: Rotation(encoding="polar"), "'polar' .*cos_sin, raw, bins"),
    ],
)
def test_bad_tasks(make, message):
    with pytest.raises(InvnbError, match=message):
        make()


def test_the_prior():
    codes = sample_prior(5000, 4, generator())
    assert codes.shape == (5000, 4)
    assert -1 <= codes.min() < -0.99 < 0.99 < codes.max() < 1
    assert codes.mean(0).abs().max() < 0.03
    assert torch.equal(codes, sample_prior(5000, 4, generator()))


def test_the_gradient_penalty_against_products_of_weights():
    """One pair at a time: between its kinks the critic is linear, with a slope known in full."""
    torch.manual_seed(0)
    critic = Critic(3).double()
    real, fake, share = (torch.rand(6, n, dtype=torch.float64) * 2 - 1 for n in (3, 3, 1))
    first, second, last = (critic[i].weight for i in (0, 2, 4))
    expected = 0.0
    for r, f, s in zip(real, fake, share, strict=True):
        z1 = critic[0]((1 - s) * r + s * f)
        z2 = critic[2](critic[1](z1))
        d1, d2 = (torch.where(z.detach() > 0, 1.0, 0.1).double() for z in (z1, z2))
        slope = (last * d2) @ second @ (d1.unsqueeze(1) * first)
        expected = expected + (slope.square().sum().sqrt() - 1) ** 2 / 6
    found = critic.gradient_penalty(real, fake, share)
    torch.testing.assert_close(found, expected)
    weights = (first, second, last)
    for ours, theirs in zip(
        torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("size", [17, 5])
def test_splat_against_a_loop(size):
    places = 1.2 * (2 * torch.rand(2, 9, 2, generator=generator(), dtype=torch.float64) - 1)
    strengths = torch.rand(2, 9, 3, generator=generator(1), dtype=torch.float64)
    expected = np.zeros((2, 3, size, size))
    for b, c, m, i, j in np.ndindex(2, 9, 3, size, size):
        y, x = ((places[b, c] + 1) * (size - 1) / 2).tolist()
        tent = max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j))
        expected[b, m, i, j] += strengths[b, c, m] * tent
    np.testing.assert_allclose(splat(places, strengths, size).numpy(), expected, atol=1e-12)


def test_splat_worked():
    """A capsule on a cell, one between four cells, and one that is off the grid."""
    places = torch.tensor([[[-1.0, 1.0], [0.5, 0.5], [2.1, 0.0]]])
    found = splat(places, torch.tensor([[[1.0], [8.0], [5.0]]]), 3)
    assert found.tolist() == [[[[0, 0, 1], [0, 2, 2], [0, 2, 2]]]]


@pytest.mark.parametrize(("size", "inputs"), [(17, 12), (7, 3)])
def test_the_capsule_decoder(size, inputs):
    network = CapsuleDecoder(inputs, size)
    drawn = network(torch.randn(4, inputs))
    assert drawn.shape == (4, 1, 4 * size, 4 * size)
    assert drawn.abs().max() <= 1
    dense = inputs * 1024 + 1024 + 1025 * 128 * (2 + 32)
    assert count(network) == dense + (32 * 16 * 16 + 16) + (16 * 16 + 1)


def test_capsules_are_where_they_say_as_strong_as_they_say():
    network = CapsuleDecoder(4, 5, capsules=6, maps=3).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    hidden = torch.relu(network.dense[0](x))
    places = network.places[0](hidden).view(2, 6, 2)
    strengths = network.strengths[0](hidden).sigmoid().view(2, 6, 3)
    torch.testing.assert_close(network(x), network.draw(splat(places, strengths, 5)))


def test_an_autoencoder_with_capsules():
    network = Autoencoder(decoder=CapsuleDecoder(12, 17))
    assert network(pictures(3), torch.randn(3, 2)).shape == (3, 68, 68)
