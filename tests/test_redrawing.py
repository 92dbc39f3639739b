"""invnb.redrawing: against brute force, networks that draw perfectly, and the source's grids."""

import numpy as np
import pytest
import torch

from invnb.autoencoders import Autoencoder, Rotation, Shift
from invnb.errors import InvnbError
from invnb.redrawing import (
    ANGLES,
    SHIFTS,
    Ranges,
    blur_width,
    by_range,
    errors,
    smeared,
)
from invnb.rotation import rotate
from invnb.transforming import Split

DATA = Split(
    2 * torch.rand(33, 28, 28, generator=torch.Generator().manual_seed(0)) - 1,
    torch.arange(33) % 10,
)


class Perfect:
    """Draws what it is asked: its code is the image, and it is told the pose itself."""

    def __init__(self, task):
        self.task = task

    def encode(self, images):
        return images

    def decode(self, code, parameters):
        pose = parameters
        if isinstance(self.task, Rotation):
            pose = torch.atan2(parameters[:, 1], parameters[:, 0]).rad2deg()
        else:
            pose = (parameters * 20).round()
        return self.task.transform(code, pose)


def blob(n=3):
    """Return smooth pictures with a margin, as digits have."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    shape = torch.exp(-(((x - 12) / 2) ** 2) - ((y - 15) / 5) ** 2)
    return (2 * shape - 1).expand(n, 28, 28)


@pytest.mark.parametrize("images", [None, 1, 2, 100])
@pytest.mark.parametrize("task", [Rotation(), Shift()], ids=["rotation", "shift"])
def test_errors_against_brute_force(task, images, monkeypatch):
    monkeypatch.setattr("invnb.redrawing.AT_ONCE", 2)
    torch.manual_seed(0)
    network = Autoencoder(3, 4, task.canvas).eval()
    poses = torch.tensor([-100.0, 30.0]) if isinstance(task, Rotation) else SHIFTS[[0, 7]]
    found = errors(network, task, DATA, poses, images=images)
    expected = np.zeros((10, 2))
    for digit in range(10):
        for t, pose in enumerate(poses):
            of_digit = [DATA.images[i : i + 1] for i in range(digit, 33, 10)][:images]
            expected[digit, t] = np.mean(
                [
                    (network(x, task.tell(pose[None])) - task.transform(x, pose[None]))
                    .square()
                    .mean()
                    .item()
                    for x in of_digit
                ]
            )
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("task", "poses"), [(Rotation(), ANGLES[::20]), (Shift(), SHIFTS)], ids=["rotation", "shift"]
)
def test_a_perfect_network_makes_no_error(task, poses):
    found = errors(Perfect(task), task, DATA, poses, images=1)
    assert found.shape == (10, len(poses))
    assert found.max() < 1e-6


def test_the_sources_grids():
    assert len(ANGLES) == 200
    assert ANGLES[[0, 100, -1]].tolist() == pytest.approx([-180, 0, 178.2])
    assert SHIFTS[:, 0].tolist() == SHIFTS[:, 1].tolist() == list(range(-20, 20, 2))


def test_by_range_worked():
    """The error is the digit's place in a line, plus 1 outside; sharp angles would spoil it."""
    off = ((ANGLES + 45) % 90 - 45).abs()
    outside = ANGLES.abs() > 45.5
    error = torch.arange(1.0, 11).unsqueeze(1) + outside.float()
    error[:, off < 3.7] = 100.0
    ranges = by_range(Rotation(), ANGLES, error)
    torch.testing.assert_close(ranges.inside, torch.arange(1.0, 11))
    torch.testing.assert_close(ranges.outside, torch.arange(2.0, 12))
    assert ranges.ratio([0]) == pytest.approx(2)
    assert ranges.ratio([0, 4]) == pytest.approx(4 / 3)
    sharp = (off < 3.7).sum()
    assert sharp == 4 * 5


def test_shifts_by_range_worked():
    error = torch.zeros(10, 20)
    error[:, 8:13] = 1.0  # -4, -2, 0, 2, 4
    ranges = by_range(Shift(), SHIFTS, error)
    assert (ranges.inside == 1).all()
    assert (ranges.outside == 0).all()
    assert by_range(Shift(within=10), SHIFTS, error).inside[0].item() == pytest.approx(0.5)


def test_a_perfect_network_that_stops_at_the_range():
    """One that turns no further than 45 degrees errs outside alone."""

    class Stopping(Perfect):
        def decode(self, code, parameters):
            angle = torch.atan2(parameters[:, 1], parameters[:, 0]).rad2deg()
            return rotate(code, angle.clamp(-45.01, 45.01), -1.0)

    task, poses = Rotation(), ANGLES[2::10]
    ranges = by_range(task, poses, errors(Stopping(task), task, DATA, poses, images=1))
    assert ranges.inside.max() < 1e-6
    assert ranges.outside.min() > 0.1


def test_smeared_worked():
    image = torch.full((1, 28, 28), -1.0)
    image[0, 10, 5] = 143.0
    found = smeared(image, torch.zeros(1))[0]
    kernel = torch.tensor([[1.0, 10, 1], [10, 100, 10], [1, 10, 1]])
    torch.testing.assert_close(found[9:12, 4:7], kernel - 1, rtol=1e-5, atol=1e-4)
    assert ((found + 1).abs() < 1e-3).sum() == 28 * 28 - 9
    turned = smeared(image, torch.tensor([90.0]))
    torch.testing.assert_close(turned[0], torch.rot90(found), rtol=0, atol=1e-2)


def test_only_angles_near_a_multiple_of_90_are_smeared():
    angles = torch.tensor([5.4, -33.0, 83.0, 174.6, -91.8, 88.2, 178.2, 90.0, -180.0, 0.0, -2.5])
    images = blob(len(angles))
    changed = (smeared(images, angles) - rotate(images, angles, -1.0)).abs().amax((1, 2)) > 1e-3
    assert changed.tolist() == [False] * 4 + [True] * 7


@pytest.mark.parametrize("angle", [1.0, -2.0, 91.5])
def test_smeared_against_a_loop(angle):
    image = blob(1).double()
    off = np.deg2rad((angle + 45) % 90 - 45)
    variances = []
    for column, row in np.ndindex(20, 20):
        x, y = column - 9.5, row - 9.5
        for moved in (x * np.cos(off) - y * np.sin(off) - x, x * np.sin(off) + y * np.cos(off) - y):
            u = abs(moved) % 1
            variances.append(u * (1 - u))
    lack = 1 / 6 - np.mean(variances)
    assert lack > 0.03
    kernel = np.outer(*[[lack / 2, 1 - lack, lack / 2]] * 2)
    padded = np.pad(rotate(image, angle, -1.0)[0].numpy() + 1, 1)
    expected = [
        [(kernel * padded[i : i + 3, j : j + 3]).sum() for j in range(28)] for i in range(28)
    ]
    found = smeared(image, torch.tensor([angle], dtype=torch.float64))[0].numpy() + 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_smeared_is_as_blurred_as_other_angles():
    """Noise within a margin: its mean square falls with the blur alone."""
    images = DATA.images.clone()
    margin = torch.ones(28, 28, dtype=torch.bool)
    margin[6:22, 6:22] = False
    images[:, margin] = -1.0

    def power(turned, angle):
        return (turned(images, torch.full((len(images),), angle)) + 1).square().mean().item()

    def plain(images, degrees):
        return rotate(images, degrees, -1.0)

    others = np.mean([power(plain, angle) for angle in (17.0, 31.0, 58.0, 75.0)])
    for angle in (0.0, 90.0, -180.0, 1.8, 88.2, -3.6):
        assert power(smeared, angle) == pytest.approx(others, rel=0.05)
    assert power(plain, 0.0) > 1.15 * others


@pytest.mark.parametrize("width", [0.4, 1.0, 2.5])
def test_blur_width_against_a_loop(width):
    """The width is found again by which a Gaussian, summed pixel by pixel, has blurred a point."""
    image = -torch.ones(1, 28, 28)
    image[0, 13, 14] = 1.0
    y, x = np.mgrid[-13:15, -14:14]
    gaussian = np.exp(-(x**2 + y**2) / (2 * width**2))
    blurred = 2 * gaussian / gaussian.sum() - 1
    error = ((blurred - image[0].numpy()) ** 2).mean()
    assert blur_width(image, error) == pytest.approx(width, abs=1e-3)


def test_blur_width_grows_with_the_error_up_to_the_edge():
    widths = [blur_width(blob(2), error) for error in (0.0, 0.001, 0.01, 0.02, 4.0)]
    assert widths == sorted(widths)
    assert widths[0] < 0.3  # up to there a Gaussian has no weight but in its middle
    assert widths[-1] == pytest.approx(28, abs=1e-3)


def test_another_target():
    """Of a network that draws sharply at 0, the peak is what smearing takes away."""
    task = Rotation()
    poses = torch.tensor([0.0, 20.0])
    found = errors(Perfect(task), task, DATA, poses, images=1, target=smeared)
    assert (found[:, 0] > 1e-3).all()
    assert found[:, 1].max() < 1e-6


@pytest.mark.parametrize("poses", [ANGLES[95:106], ANGLES[140:150]])
def test_poses_of_both_ranges_are_needed(poses):
    with pytest.raises(InvnbError, match=r"no pose counts that is (in|out)side of the range of 45"):
        by_range(Rotation(), poses, torch.zeros(10, len(poses)))


def test_bad_images():
    with pytest.raises(InvnbError, match=r"images 0 .*1 or more"):
        errors(Perfect(Shift()), Shift(), DATA, SHIFTS, images=0)
    with pytest.raises(InvnbError, match="no digit 3"):
        errors(Perfect(Shift()), Shift(), Split(DATA.images[:3], DATA.labels[:3]), SHIFTS[:1])


def test_ratios_of_means():
    ranges = Ranges(torch.ones(10), torch.arange(10.0))
    assert ranges.ratio(range(10)) == pytest.approx(4.5)
