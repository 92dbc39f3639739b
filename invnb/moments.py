"""Position, size, slant and stroke of a drawing in numbers with units, by image moments.

Axes: N images of H x W pixels. x runs to the right, y upwards; the ink of a pixel is its value.
"""

import torch
from torch import Tensor

MEASURES = {  # name: unit
    "ink": "full pixels",
    "x": "px",
    "y": "px",
    "width": "px",
    "height": "px",
    "scale": "px",
    "skew": "degrees",
    "rotation": "degrees",
    "stroke": "px",
}


def moments(images: Tensor) -> dict[str, Tensor]:
    """Return the `MEASURES` of images `[N, H, W]`, values from 0 up, each `[N]`.

    - ink: sum of the pixels.
    - x, y: centre of mass, from the centre of the frame.
    - width, height: standard deviation of the ink along x and along y.
    - scale: fourth root of the determinant of the ink's covariance; it doubles with the size.
    - skew: angle by which the upright axis leans to the right, the arctangent of cov(x, y) over
      var(y); a shear x -> x + y tan(s) of a symmetric image gives s.
    - rotation: angle of the long axis from the upright, counter-clockwise, in [-90, 90).
    - stroke: 2 ink / total variation, the width of a long stroke of uniform ink.

    Blank images give nan for all but the ink.
    """
    h, w = images.shape[1:]
    x = torch.arange(w).to(images) - (w - 1) / 2
    y = (h - 1) / 2 - torch.arange(h).to(images)
    columns, rows = images.sum(1), images.sum(2)  # (N, W), (N, H)
    ink = rows.sum(1)
    mean_x, mean_y = columns @ x / ink, rows @ y / ink
    xx = columns @ x.square() / ink - mean_x.square()
    yy = rows @ y.square() / ink - mean_y.square()
    xy = torch.einsum("nhw,h,w->n", images, y, x) / ink - mean_x * mean_y
    return {
        "ink": ink,
        "x": mean_x,
        "y": mean_y,
        "width": xx.clamp_min(0).sqrt(),
        "height": yy.clamp_min(0).sqrt(),
        "scale": (xx * yy - xy.square()).clamp_min(0) ** 0.25,
        "skew": torch.atan2(xy, yy).rad2deg(),
        "rotation": -torch.atan2(2 * xy, yy - xx).rad2deg() / 2,
        "stroke": 2 * ink / _total_variation(images),
    }


def _total_variation(images: Tensor) -> Tensor:
    """Return the sum over pixels of the length of the gradient, by forward differences, `[N]`."""
    wide = torch.nn.functional.pad(images, (1, 1, 1, 1))
    down = wide[:, 1:, :-1] - wide[:, :-1, :-1]
    right = wide[:, :-1, 1:] - wide[:, :-1, :-1]
    return (down.square() + right.square()).sqrt().sum((1, 2))
