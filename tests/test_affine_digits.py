"""invnb.affine_digits: shifts against roll, maps against where trigonometry puts a spot, files."""

import math

import numpy as np
import pytest
import torch
from scipy.io import savemat

from invnb import affine_digits
from invnb.affine_digits import affine, centred, load_affnist, shifted
from invnb.errors import InvnbError
from invnb.moments import moments


def digits(n, size=28):
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(n, size, size)
    images[:, 6:20, 8:18] = torch.rand(n, 14, 10, generator=generator)
    return images


def test_the_middle_of_the_canvas():
    whole = centred(digits(2))
    assert whole.shape == (2, 40, 40)
    assert torch.equal(whole[:, 6:34, 6:34], digits(2))
    assert whole.sum() == digits(2).sum()


def test_a_shift_is_a_roll():
    by = torch.tensor([[0, 0], [3, 0], [0, 3], [-6, 5]])
    images = digits(4)
    for image, (right, up), moved in zip(
        centred(images), by.tolist(), shifted(images, by), strict=True
    ):
        assert torch.equal(moved, image.roll((-up, right), (0, 1)))


def test_a_shift_off_the_canvas_is_refused():
    with pytest.raises(InvnbError, match="shift is 7 pixels; the canvas allows 6"):
        shifted(digits(1), torch.tensor([[7, 0]]))


def test_maps_are_within_affnists_ranges_and_use_them():
    _, maps = affine(digits(2000), seed=1)
    for name, low, high in (
        ("rotation", -20, 20),
        ("shear", -0.2, 0.2),
        ("scale_x", 0.8, 1.2),
        ("scale_y", 0.8, 1.2),
    ):
        assert low <= maps[name].min() < low + 0.01 * (high - low)
        assert high >= maps[name].max() > high - 0.01 * (high - low)


def test_a_spot_goes_where_the_map_says():
    right, up = 3, 4
    x, y = torch.arange(28) - 13.5 - right, 13.5 - torch.arange(28) - up
    spot = (1 - (x.square() + y[:, None].square()).sqrt() / 5).clamp_min(0)
    images = spot.repeat(50, 1, 1)
    moved, maps = affine(images, seed=0)
    a = maps["rotation"].deg2rad()
    x = maps["scale_x"] * right + maps["shear"] * maps["scale_y"] * up
    y = maps["scale_y"] * up
    found = moments(moved)
    expected_x = a.cos() * x - a.sin() * y + maps["shift_x"]
    expected_y = a.sin() * x + a.cos() * y + maps["shift_y"]
    assert (found["x"] - expected_x).abs().max() < 0.1
    assert (found["y"] - expected_y).abs().max() < 0.1


def test_all_ink_stays_and_shifts_reach_the_edges():
    images = digits(500)
    moved, maps = affine(images, seed=2)
    unplaced = torch.stack(
        [
            one.roll((int(up), -int(right)), (0, 1))
            for one, right, up in zip(moved, maps["shift_x"], maps["shift_y"], strict=True)
        ]
    )
    area = maps["scale_x"] * maps["scale_y"]  # a map enlarges the ink by its determinant
    assert torch.allclose(unplaced.sum((1, 2)), images.sum((1, 2)) * area, rtol=0.05)
    border = torch.ones(40, 40)
    border[1:-1, 1:-1] = 0
    assert (moved * border).amax((1, 2)).gt(0).float().mean() > 0.02


def test_shifts_are_uniform_over_those_that_fit():
    inked = torch.zeros(1, 40, dtype=torch.bool)
    inked[0, 10:30] = True
    u = torch.linspace(0, 0.999, 1000)
    shifts = affine_digits._shift(inked.expand(1000, -1), u)
    values, counts = shifts.unique(return_counts=True)
    assert values.tolist() == list(range(-10, 11))
    assert counts.max() - counts.min() <= 2


def test_the_seed_alone_fixes_the_maps():
    first, _ = affine(digits(3), seed=4)
    assert torch.equal(first, affine(digits(3), seed=4)[0])
    assert not torch.equal(first, affine(digits(3), seed=5)[0])


def test_affnist_files(tmp_path):
    pictures = np.arange(3 * 1600).reshape(3, 40, 40) % 256
    stored = {"image": pictures.transpose(0, 2, 1).reshape(3, -1).T.astype(np.uint8)}
    savemat(tmp_path / "test.mat", {"affNISTdata": stored | {"label_int": np.array([[4, 0, 9]])}})
    images, labels = load_affnist(tmp_path / "test.mat")
    assert torch.equal((images * 255).round().long(), torch.from_numpy(pictures))
    assert labels.tolist() == [4, 0, 9]


@pytest.mark.parametrize("content", [b"", b"no MATLAB", None])
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / "test.mat"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvnbError, match="is not an affNIST file"):
        load_affnist(file)


def test_other_shapes_are_refused(tmp_path):
    file = tmp_path / "test.mat"
    savemat(file, {"affNISTdata": {"image": np.zeros((784, 3)), "label_int": np.zeros((1, 3))}})
    with pytest.raises(InvnbError, match=r"pixels \[784, 3\] and 3 labels, not 1600 x N and N"):
        load_affnist(file)


def test_rotation_is_counter_clockwise():
    image = torch.zeros(1, 28, 28)
    image[0, 4:24, 13:15] = 1
    for seed in range(5):
        moved, maps = affine(image, seed)
        expected = math.degrees(
            math.atan2(
                -(
                    math.cos(math.radians(maps["rotation"])) * maps["shear"]
                    - math.sin(math.radians(maps["rotation"]))
                ),
                math.sin(math.radians(maps["rotation"])) * maps["shear"]
                + math.cos(math.radians(maps["rotation"])),
            )
        )
        assert abs(moments(moved)["rotation"].item() - expected) < 0.5
