"""invnb.shapes: symmetry by turning, areas by geometry, and a network that learns them."""

import math

import pytest
import torch

from invnb.image_transformations import rotate
from invnb.shapes import CLASSES, ORDERS, RADII, draw, small_network, train

ROUND = 0.02  # of a shape's ink, what interpolation moves at its rim, seen in 128 x 128 pixels


def one_of_each(size=128, **options):
    return draw(len(CLASSES), size, **options)


def moved_ink(images, others):
    """Return the share of each image's ink that lies elsewhere in the other."""
    difference = (images - others).abs().sum((1, 2, 3)) / 2
    return difference / images.sum((1, 2, 3))


def test_shape_type_and_labels():
    shapes = draw(20, 24)
    assert (shapes.images.shape, shapes.images.dtype) == ((20, 3, 24, 24), torch.uint8)
    assert shapes.labels.tolist() == [i % len(CLASSES) for i in range(20)]


def test_seeded_and_growing():
    few, more = draw(5, seed=3), draw(9, seed=3)
    assert torch.equal(few.images, more.images[:5])
    assert not torch.equal(few.images, draw(5, seed=4).images)


def test_every_class_has_an_order():
    assert set(ORDERS) == set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_symmetry_is_of_the_order_given_and_no_higher(name):
    images = one_of_each().images[[CLASSES.index(name)]].float()
    order = ORDERS[name]
    angles = (
        (7, 30, 45, 90) if order == math.inf else [360 / order * i for i in range(1, order + 1)]
    )
    for angle in angles:
        assert moved_ink(images, rotate(images, float(angle))) < ROUND
    if order < math.inf:
        for angle in (180 / order, 360 / (order + 1), 360 / (2 * order + 1)):
            assert moved_ink(images, rotate(images, float(angle))) > 4 * ROUND


@pytest.mark.parametrize("size", [32, 33])
def test_quarter_and_half_turns_are_exact(size):
    shapes = draw(35, size)
    for name, turns in (("disc", 1), ("square", 1), ("diamond", 1), ("bar", 2), ("lying bar", 2)):
        images = shapes.images[shapes.labels == CLASSES.index(name)]
        assert torch.equal(images, torch.rot90(images, turns, (-2, -1)))


@pytest.mark.parametrize(
    ("name", "degrees", "other"), [("square", 45.0, "diamond"), ("bar", 90.0, "lying bar")]
)
def test_what_becomes_what(name, degrees, other):
    """The outlines agree; size and colour are each image's own."""
    shapes = draw(700, 64)
    ink = shapes.images.float().sum(1) > 0

    def widest(images):
        return (images.any(1).sum(1) / images.flatten(1).sum(1).sqrt()).mean()

    turned = (
        rotate(shapes.images[shapes.labels == CLASSES.index(name)].float(), degrees).sum(1) > 60
    )
    expected = widest(ink[shapes.labels == CLASSES.index(other)])
    assert widest(turned) == pytest.approx(expected.item(), rel=0.05)


def test_areas_are_those_of_geometry():
    """A pixel at the rim counts by the share that is covered, as antialiasing shall."""
    shapes = one_of_each(200, seed=1)
    random = torch.rand(
        len(CLASSES), 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    radii = 200 * (RADII[0] + (RADII[1] - RADII[0]) * random[:, 0])
    areas = {
        "disc": math.pi * 0.64,
        "square": 2,
        "diamond": 2,
        "bar": 0.95,
        "lying bar": 0.95,
        "triangle": 3 * math.sqrt(3) / 4,
        "arrow": 0.65 * 0.9 + 0.4 * 1.05,  # head and stem to its foot
    }
    for i, name in enumerate(CLASSES):
        image = shapes.images[i].double()
        area = (image / image.amax((1, 2), keepdim=True)).sum((1, 2)).mean()
        assert area.item() == pytest.approx(areas[name] * radii[i].item() ** 2, rel=0.01)


def test_upright():
    """The triangle and the arrow point up: less ink above the middle than below, a tip on top."""
    shapes = one_of_each(64)
    for name in ("triangle", "arrow"):
        ink = shapes.images[CLASSES.index(name)].sum(0) > 0
        rows = torch.nonzero(ink.any(1)).flatten()
        assert ink[rows[0]].sum() < 8
        assert torch.equal(ink, ink.flip(-1))


def test_inside_of_the_frame_at_any_angle():
    images = draw(70, 32, seed=2).images.float()
    for angle in range(0, 360, 20):
        turned = rotate(images, float(angle))
        assert turned[..., [0, -1], :].amax() == turned[..., [0, -1]].amax() == 0


def test_shifted():
    plain, shifted = draw(70, seed=5), draw(70, seed=5, shift=0.05)
    assert torch.equal(plain.labels, shifted.labels)
    assert not torch.equal(plain.images, shifted.images)
    assert shifted.images[..., [0, -1]].amax() == 0


def test_a_network_learns_them_in_seconds():
    network = train(steps=150)
    assert not network.training
    shapes = draw(210, seed=99)
    right = network(shapes.images.float() / 255).argmax(1) == shapes.labels
    assert right.float().mean() > 0.95


def test_training_is_seeded():
    state = torch.get_rng_state()
    a, b = train(steps=2, seed=1), train(steps=2, seed=1)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_classes_of_the_network():
    assert small_network(3)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
