"""Digits on a 40 x 40 canvas under random affine maps: generated, and from the files of affNIST.

affNIST (Tieleman, 2013) is not part of the data that torchvision knows, so the chapter measures on
digits made here by its recipe and calls them generated. Whoever has the real files reads them with
`load_affnist`. Axes: N images of 28 x 28 or 40 x 40 pixels, values 0..1.
"""

from pathlib import Path

import torch
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from invnb.errors import InvnbError

CANVAS = 40
ROTATION, SHEAR, SCALE = 20.0, 0.2, (0.8, 1.2)  # degrees either way; either way; each axis


def centred(images: Tensor) -> Tensor:
    """Return images `[N, S, S]` in the middle of the canvas, `[N, 40, 40]`."""
    before = (CANVAS - images.shape[-1]) // 2
    after = CANVAS - images.shape[-1] - before
    return pad(images, (before, after) * 2)


def shifted(images: Tensor, by: Tensor) -> Tensor:
    """Return images in the middle of the canvas, each shifted by whole pixels, `[N, 40, 40]`.

    Args:
        images: `[N, S, S]`.
        by: `[N, 2]`, int64, pixels to the right and upwards, at most the margin of the canvas.

    Raises:
        InvnbError: a shift that would leave the canvas.

    """
    margin = (CANVAS - images.shape[-1]) // 2
    if len(by) and by.abs().max() > margin:
        raise InvnbError(f"shift is {by.abs().max()} pixels; the canvas allows {margin}")
    whole = centred(images)
    x = torch.arange(CANVAS, device=images.device)
    rows = (x + by[:, 1, None]) % CANVAS  # y runs upwards, rows downwards
    columns = (x - by[:, 0, None]) % CANVAS
    return whole[torch.arange(len(whole))[:, None, None], rows[:, :, None], columns[:, None]]


def affine(images: Tensor, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return images under random affine maps on the canvas, and the maps.

    By affNIST's recipe: rotation within 20 degrees, shear within .2, each axis scaled by .8 to 1.2,
    all uniform, then a shift that is uniform over those of whole pixels that keep the ink on the
    canvas. Bilinear.

    Args:
        images: `[N, S, S]`, each with some ink.
        seed: of the maps.

    Returns:
        `[N, 40, 40]`; and `rotation` (degrees, counter-clockwise), `shear`, `scale_x`, `scale_y`,
        `shift_x`, `shift_y` (pixels to the right and upwards, from the middle), each `[N]`.

    """
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(6, len(images), generator=generator).to(images)
    low, high = SCALE
    rotation = ROTATION * (2 * uniform[0] - 1)
    shear = SHEAR * (2 * uniform[1] - 1)
    scale_x, scale_y = low + (high - low) * uniform[2:4]
    cos, sin = rotation.deg2rad().cos(), rotation.deg2rad().sin()
    # of a point of the digit, y upwards: scaled, sheared along x, turned
    forward = torch.stack(
        [
            torch.stack([cos * scale_x, (cos * shear - sin) * scale_y], -1),
            torch.stack([sin * scale_x, (sin * shear + cos) * scale_y], -1),
        ],
        1,
    )
    flip = torch.tensor([1.0, -1.0]).to(images)  # rows run downwards
    back = torch.linalg.inv(forward) * flip * flip[:, None]
    theta = torch.cat([back, back.new_zeros(len(back), 2, 1)], 2)
    whole = centred(images).unsqueeze(1)
    grid = affine_grid(theta, list(whole.shape), align_corners=False)
    moved = grid_sample(whole, grid, align_corners=False).squeeze(1)
    right, down = (
        _shift(moved.amax(axis) > 0, u) for axis, u in ((1, uniform[4]), (2, uniform[5]))
    )
    x = torch.arange(CANVAS, device=images.device)
    rows, columns = (x - down[:, None]) % CANVAS, (x - right[:, None]) % CANVAS
    placed = moved[torch.arange(len(moved))[:, None, None], rows[:, :, None], columns[:, None]]
    maps = {
        "rotation": rotation,
        "shear": shear,
        "scale_x": scale_x,
        "scale_y": scale_y,
        "shift_x": right.to(images),
        "shift_y": -down.to(images),
    }
    return placed, maps


def _shift(inked: Tensor, uniform: Tensor) -> Tensor:
    """Return shifts of whole pixels, uniform over those that keep inked places `[N, 40]` inside."""
    first = inked.float().argmax(1)
    last = CANVAS - 1 - inked.flip(1).float().argmax(1)
    least, most = -first, CANVAS - 1 - last
    return (least + (uniform * (most - least + 1)).floor()).long()


def load_affnist(path: Path) -> tuple[Tensor, Tensor]:
    """Read one of affNIST's MATLAB files, such as `transformed/test.mat`.

    Args:
        path: of the file; its field `affNISTdata` holds `image`, 1600 x N bytes, each a picture
            column by column, and `label_int`.

    Returns:
        Images `[N, 40, 40]`, float32, 0..1, and labels `[N]`, int64.

    Raises:
        InvnbError: when the file cannot be read or holds something else.

    """
    try:
        fields = loadmat(path, simplify_cells=True)["affNISTdata"]
        pixels, labels = fields["image"], fields["label_int"]
    except (OSError, MatReadError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise InvnbError(f"{str(path)!r} is not an affNIST file: {error}") from error
    pixels, labels = torch.as_tensor(pixels), torch.as_tensor(labels).long().reshape(-1)
    if pixels.ndim != 2 or len(pixels) != CANVAS**2 or pixels.shape[1] != len(labels):
        raise InvnbError(
            f"{str(path)!r} holds pixels {list(pixels.shape)} and {len(labels)} labels, "
            f"not {CANVAS**2} x N and N"
        )
    images = pixels.T.reshape(-1, CANVAS, CANVAS).mT.contiguous()
    return images.float() / 255, labels
