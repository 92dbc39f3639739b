"""invnb.itn: the identity at the start, pixels by hand, and the loss against its expectation."""

import pytest
import torch

from invnb.cifar_nets import normalise
from invnb.errors import InvnbError
from invnb.itn import (
    InvariantTransformerNet,
    displacement,
    expected_displacement,
    homogeneous,
    inverse,
    magnitude,
    on_pixels,
    transform,
    unit_vectors,
)

NOT_COLOUR = torch.eye(3, 4).unsqueeze(0)
NOT_SPACE = torch.eye(2, 3).unsqueeze(0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def maps(n, rows, spread=0.3):
    return torch.eye(rows, rows + 1) + spread * torch.randn(n, rows, rows + 1)


def randomised(**choices):
    net = InvariantTransformerNet(8, **choices)
    for controller in (net.colour, net.space):
        torch.nn.init.normal_(controller.matrix.weight, std=0.2)
    return net


@pytest.mark.parametrize("colour_space", ["pixels", "normalised"])
def test_net_starts_exactly_at_the_identity(colour_space):
    net = InvariantTransformerNet(colour_space=colour_space)
    images, k1, k2 = torch.rand(3, 3, 8, 8), torch.rand(3, 2), torch.rand(3, 2)
    colour, sampler = net.matrices(k1, k2)
    assert torch.equal(colour, NOT_COLOUR.expand(3, 3, 4))
    assert torch.equal(sampler, NOT_SPACE.expand(3, 2, 3))
    torch.testing.assert_close(net(images, k1, k2), images, rtol=0, atol=1e-5)


def test_loss_has_no_gradient_where_the_net_starts():
    net = InvariantTransformerNet()
    colour, sampler = net.matrices(torch.rand(5, 2), torch.rand(5, 2))
    generator = torch.Generator().manual_seed(0)
    loss = displacement(colour, unit_vectors(8, 4, generator)).mean()
    (loss + displacement(sampler, unit_vectors(8, 3, generator)).mean()).backward()
    assert all(p.grad.abs().max() == 0 for p in net.parameters())


def test_controllers_are_two_dense_layers_rectified_in_between():
    controller, k = randomised().space, torch.rand(4, 2)
    hidden = (k @ controller.dense.weight.T + controller.dense.bias).clamp(min=0)
    torch.testing.assert_close(controller.hidden(k), hidden)
    by_hand = (hidden @ controller.matrix.weight.T + controller.matrix.bias).reshape(4, 2, 3)
    torch.testing.assert_close(controller(k), by_hand)


def test_both_readings_of_the_controls_are_one_net_with_swapped_names():
    first, second = randomised(colour_by="k1"), randomised(colour_by="k2")
    second.load_state_dict(first.state_dict())
    k1, k2 = torch.rand(4, 2), torch.rand(4, 2)
    for a, b in zip(first.matrices(k1, k2), second.matrices(k2, k1), strict=True):
        assert torch.equal(a, b)
    colour = first.matrices(k1, k2)[0]
    assert torch.equal(colour, first.matrices(k1, k2.flip(0))[0])  # k2 has no say in colour
    assert not torch.equal(colour, first.matrices(k2, k1)[0])


@pytest.mark.parametrize(
    ("choice", "known"),
    [
        ("colour_by", "k1, k2"),
        ("colour_space", "pixels, normalised"),
        ("padding", "zeros, border, reflection"),
    ],
)
def test_unknown_choices_are_refused(choice, known):
    with pytest.raises(InvnbError, match=f"{choice} must be one of {known}, got 'k3'"):
        InvariantTransformerNet(**{choice: "k3"})


def test_colour_is_the_matrix_on_every_pixel_and_is_not_cut_off():
    images, colour = torch.rand(2, 3, 4, 5), maps(2, 3)
    result = transform(images, colour, NOT_SPACE)
    for b in range(2):
        for y in range(4):
            for x in range(5):
                want = colour[b] @ torch.cat((images[b, :, y, x], torch.ones(1)))
                torch.testing.assert_close(result[b, :, y, x], want, rtol=1e-4, atol=1e-4)
    assert transform(images, NOT_COLOUR + 1, NOT_SPACE).max() > 1


def test_sampler_of_two_shrinks_the_image_to_half_and_shows_black_around():
    images = torch.rand(1, 3, 8, 8)
    result = transform(images, NOT_COLOUR, torch.tensor([[[2.0, 0, 0], [0, 2, 0]]]))
    halved = images.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
    torch.testing.assert_close(result[:, :, 2:6, 2:6], halved)
    assert result.sum() == pytest.approx(halved.sum().item(), rel=1e-5)
    kept = transform(images, NOT_COLOUR, torch.tensor([[[2.0, 0, 0], [0, 2, 0]]]), "border")
    assert (kept > 0).all()


def test_sampler_shifts_where_to_read_and_colour_comes_first():
    images = torch.rand(1, 3, 4, 4)
    sampler = torch.tensor([[[1.0, 0, 0.5], [0, 1, 0]]])  # half of 4 pixels is 2, of range 2
    brighter = NOT_COLOUR + torch.tensor([0, 0, 0, 0.25])
    result = transform(images, brighter, sampler)
    torch.testing.assert_close(result[..., :3], images[..., 1:] + 0.25, rtol=1e-4, atol=1e-5)
    assert result[..., 3].abs().max() < 1e-5  # outside of the frame nothing is brighter


def test_colour_in_normalised_space_is_done_before_the_frame_is_filled():
    net = randomised(colour_space="normalised")
    images, colour = torch.rand(2, 3, 4, 4), maps(2, 3)
    result = net.transformed(images, colour, NOT_SPACE)
    want = torch.einsum("bij,bjyx->biyx", colour[..., :3], normalise(images))
    torch.testing.assert_close(
        normalise(result), want + colour[:, :, 3, None, None], rtol=1e-3, atol=1e-3
    )


def test_on_pixels_keeps_the_identity():
    torch.testing.assert_close(on_pixels(NOT_COLOUR), NOT_COLOUR)


@pytest.mark.parametrize("rows", [2, 3])
def test_inverse_undoes(rows):
    some = maps(6, rows)
    unit = homogeneous(some) @ homogeneous(inverse(some))
    torch.testing.assert_close(unit, torch.eye(rows + 1).expand_as(unit), rtol=0, atol=1e-3)
    assert not inverse(torch.zeros(1, 2, 3)).isfinite().all()


@pytest.mark.parametrize("rows", [2, 3])
def test_displacement_is_the_mean_over_unit_vectors(rows):
    some, vectors = maps(3, rows), unit_vectors(7, rows + 1, torch.Generator().manual_seed(1))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(7))
    for matrix, found in zip(some, displacement(some, vectors), strict=True):
        square = torch.cat((matrix, torch.eye(rows + 1)[-1:]))
        total = sum(((square @ x - x) ** 2).sum() for x in vectors)
        torch.testing.assert_close(found, -total / 7)


@pytest.mark.parametrize("rows", [2, 3])
def test_displacement_is_expected_to_be_the_squared_norm_over_the_dimension(rows):
    some = maps(3, rows)
    vectors = unit_vectors(200_000, rows + 1, torch.Generator().manual_seed(2))
    many = displacement(some, vectors)
    torch.testing.assert_close(many, expected_displacement(some), rtol=0.02, atol=0)


def test_expectation_by_worked_values():
    twice = 2 * torch.eye(2, 3)
    assert magnitude(twice).item() == pytest.approx(2**0.5)
    assert expected_displacement(twice).item() == pytest.approx(-2 / 3)
    assert expected_displacement(torch.eye(3, 4)).item() == 0


def test_loss_has_no_bound_towards_shrinking_and_one_towards_enlarging():
    far = torch.tensor([1e-3, 1e3])
    samplers = far.reshape(2, 1, 1) * torch.eye(2, 3)
    bounded, unbounded = expected_displacement(samplers).tolist()
    assert bounded == pytest.approx(-2 / 3, rel=0.01)
    assert unbounded < -1e5
    assert expected_displacement(inverse(samplers)).tolist() == pytest.approx(
        [unbounded, bounded], rel=0.01
    )
