"""Coloured shapes with known symmetry: a screening must find what is known of them beforehand.

Turned about its centre, a shape of order n comes back every 360 / n degrees, and a disc is the
same at every angle. On the way, some shapes become others: a square at 45 degrees is a diamond, a
bar at 90 degrees is a lying bar, so that a classifier's answer must change in between.

Shapes lie on black, which is also what transformations bring in from outside of the frame.
"""

from dataclasses import dataclass
from math import cos, inf, pi, sin

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Polygon = tuple[tuple[float, float], ...]  # corners (x, y), y upwards, counter-clockwise, convex


def _regular(corners: int, first: float) -> Polygon:
    """Return a regular polygon in the unit circle; the first corner at `first` degrees."""
    angles = [(first + 360 * i / corners) * pi / 180 for i in range(corners)]
    return tuple((cos(a), sin(a)) for a in angles)


def _rectangle(left: float, bottom: float, right: float, top: float) -> Polygon:
    return ((right, bottom), (right, top), (left, top), (left, bottom))


# Each shape is a union of convex polygons in the unit circle; none at all is the disc.
_POLYGONS: dict[str, tuple[Polygon, ...]] = {
    "disc": (),
    "square": (_regular(4, 45),),
    "diamond": (_regular(4, 0),),
    "bar": (_rectangle(-0.25, -0.95, 0.25, 0.95),),
    "lying bar": (_rectangle(-0.95, -0.25, 0.95, 0.25),),
    "triangle": (_regular(3, 90),),
    "arrow": (((0.65, 0.1), (0.0, 1.0), (-0.65, 0.1)), _rectangle(-0.2, -0.95, 0.2, 0.15)),
}
CLASSES = tuple(_POLYGONS)
# How many turns, of 360 degrees divided by their number, leave a shape as it is.
ORDERS = {
    "disc": inf,
    "square": 4,
    "diamond": 4,
    "bar": 2,
    "lying bar": 2,
    "triangle": 3,
    "arrow": 1,
}
TRAINING_SEED = 1000  # plus the network's: test images are drawn with other seeds
RADII = (0.28, 0.42)  # of the circle around a shape, in frames
_DISC = 0.8  # a disc's radius in that circle, so that its area is like a square's


@dataclass(frozen=True)
class Shapes:
    """Images of shapes.

    Attributes:
        images: uint8 `[N, 3, H, W]`, H = W.
        labels: int64 `[N]`, indices into `CLASSES`; the classes take turns.

    """

    images: Tensor
    labels: Tensor


def draw(n: int, size: int = 32, *, seed: int = 0, shift: float = 0.0) -> Shapes:
    """Return `n` upright shapes of random size and colour.

    Args:
        n: images.
        size: pixels a side.
        seed: fixes the images: the first of them are the same whatever `n`.
        shift: largest distance from the frame's centre along x and y, in frames; at 0 shapes turn
            about their own centres, and what is known of their rotation holds.

    """
    generator = torch.Generator().manual_seed(seed)
    random = torch.rand(n, 6, generator=generator, dtype=torch.float64)
    radii = size * (RADII[0] + (RADII[1] - RADII[0]) * random[:, 0])  # pixels
    colours = 100 + 155 * random[:, 1:4]
    centres = size * shift * (2 * random[:, 4:6] - 1)
    labels = torch.arange(n) % len(CLASSES)
    images = torch.empty(n, 3, size, size, dtype=torch.uint8)
    across = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    for label, name in enumerate(CLASSES):
        these = labels == label
        radius = radii[these].view(-1, 1, 1)
        x0, y0 = centres[these].view(-1, 2, 1, 1).unbind(1)
        x, y = across - x0, across.flip(0).unsqueeze(1) - y0  # (n, 1, W), (n, H, 1)
        covered = (0.5 - _outside(_POLYGONS[name], x, y, radius)).clamp(0, 1)  # of each pixel
        images[these] = (covered.unsqueeze(1) * colours[these].view(-1, 3, 1, 1)).round().byte()
    return Shapes(images, labels)


def _outside(polygons: tuple[Polygon, ...], x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Return how far outside of a shape points are, `[n, H, W]` in pixels; negative inside."""
    if not polygons:
        return torch.hypot(x, y) - _DISC * radius
    distances = []
    for polygon in polygons:
        edges = zip(polygon, (*polygon[1:], polygon[0]), strict=True)
        sides = []
        for (x1, y1), (x2, y2) in edges:
            length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
            across, up = (y2 - y1) / length, (x1 - x2) / length  # the normal, outwards
            sides.append(across * x + up * y - (across * x1 + up * y1) * radius)
        distances.append(torch.stack(sides).amax(0))
    return torch.stack(distances).amin(0)


def small_network(classes: int = len(CLASSES)) -> nn.Sequential:
    """Return a small convolutional network that maps `[B, 3, 32, 32]` to logits `[B, classes]`.

    It pools to 4 x 4 fields, so that it can tell where an edge is.
    """
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def train(
    steps: int = 300, *, seed: int = 0, batch_size: int = 64, shift: float = 0.06
) -> nn.Module:
    """Return a `small_network` trained on upright shapes, in evaluation mode.

    Adam with a learning rate of .002, on images in [0, 1] drawn with replacement from 2,100 shapes
    of 32 x 32 pixels, which `seed` fixes together with the network; some seconds on a processor.

    Args:
        steps: batches.
        seed: of the network, the shapes and the batches.
        batch_size: images a step.
        shift: as in `draw`.

    """
    shapes = draw(2100, seed=TRAINING_SEED + seed, shift=shift)
    images = shapes.images.float() / 255
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = small_network()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(steps):
        batch = torch.randint(len(images), (batch_size,), generator=generator)
        loss = cross_entropy(network(images[batch]), shapes.labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()
