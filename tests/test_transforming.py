"""invnb.transforming: splits of the stated sizes, disjoint, without 9, padded and normalised."""

import pytest
import torch

from invnb.data import ImageData
from invnb.errors import InvnbError
from invnb.groups import GROUPS, R4
from invnb.transforming import Split, make_splits

SIZES = dict(train=50, test=30, validation=20)


def make_data(n=150):
    """Return images that each hold their own number in the first two pixels, and noise."""
    images = torch.randint(
        0, 256, (n, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    images[:, 0, 0], images[:, 0, 1] = torch.arange(n) // 256, torch.arange(n) % 256
    return ImageData(images, torch.arange(n) % 10, "made up", "folder", "0" * 64)


def numbers(splits, split):
    """Return which image of the data each one of a split is."""
    pixels = (split.images * splits.std + splits.mean) * 255
    return (pixels[:, 4, 4] * 256 + pixels[:, 4, 5]).round().long()


def parts(splits):
    return splits.train, splits.test, splits.validation


def test_sizes_types_and_shapes():
    splits = make_splits(make_data(), **SIZES)
    for split, n in zip(parts(splits), SIZES.values(), strict=True):
        assert (split.images.shape, split.images.dtype) == ((n, 36, 36), torch.float32)
        assert (split.labels.shape, split.labels.dtype) == ((n,), torch.int64)


def test_disjoint_labelled_and_without_nine():
    data = make_data()
    splits = make_splits(data, **SIZES)
    drawn = torch.cat([numbers(splits, split) for split in parts(splits)])
    labels = torch.cat([split.labels for split in parts(splits)])
    assert len(drawn.unique()) == 100
    assert torch.equal(data.labels[drawn], labels)
    assert sorted(labels.unique().tolist()) == list(range(9))


def test_all_images_can_be_used_and_not_one_more():
    sizes = dict(train=100, test=20, validation=15)  # 150 less 15 nines
    splits = make_splits(make_data(), **sizes)
    drawn = torch.cat([numbers(splits, split) for split in parts(splits)])
    assert torch.equal(drawn.sort().values, torch.tensor([i for i in range(150) if i % 10 != 9]))
    with pytest.raises(InvnbError) as error:
        make_splits(make_data(), **sizes | {"test": 21})
    assert str(error.value) == (
        "splits of 100 + 21 + 15 images are more than the 135 that made up has without the class 9"
    )


def test_normalised_over_the_training_split():
    splits = make_splits(make_data(), **SIZES)
    pixels = splits.train.images.double()
    assert pixels.mean().abs() < 1e-5
    assert (pixels.std() - 1).abs() < 1e-5
    assert splits.test.images.mean().abs() > 1e-5  # with the training split's numbers
    assert 0 < splits.mean < 1


def test_padded_with_the_background():
    data = make_data()
    splits = make_splits(data, **SIZES)
    border = torch.ones(36, 36, dtype=torch.bool)
    border[4:32, 4:32] = False
    for split in parts(splits):
        pixels = split.images * splits.std + splits.mean
        assert pixels[:, border].abs().max() < 1e-6
        inside = (pixels[:, 4:32, 4:32] * 255).round().to(torch.uint8)
        assert torch.equal(inside, data.images[numbers(splits, split)])


def test_the_seed_makes_the_splits():
    a, b, c = (make_splits(make_data(), **SIZES, seed=s) for s in (0, 0, 1))
    assert torch.equal(a.train.images, b.train.images)
    assert not torch.equal(numbers(a, a.train), numbers(c, c.train))


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_transformed(group):
    split = make_splits(make_data(), **SIZES).train
    posed = split.transformed(group, seed=5)
    assert torch.equal(posed.labels, split.labels)
    elements = [
        next(k for k in range(group.order) if torch.equal(group.act(x, k), y))
        for x, y in zip(split.images, posed.images, strict=True)
    ]
    assert set(elements) == set(range(group.order))
    assert torch.equal(split.transformed(group, seed=5).images, posed.images)
    assert not torch.equal(split.transformed(group, seed=6).images, posed.images)


def test_elements_are_uniform():
    corner = torch.zeros(4000, 2, 2)
    corner[:, 0, 0] = 1
    share = Split(corner, torch.zeros(4000)).transformed(R4, seed=0).images.mean(0)
    assert (share - 0.25).abs().max() < 0.03  # over four standard errors of .0068


def test_poses_do_not_depend_on_what_was_drawn_before():
    split = Split(torch.randn(40, 6, 6), torch.zeros(40))
    first = split.transformed(R4, seed=1).images
    state = torch.random.get_rng_state()
    torch.manual_seed(123)
    assert torch.equal(split.transformed(R4, seed=1).images, first)
    torch.random.set_rng_state(state)
    split.transformed(R4, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_poses_depend_on_the_seed_alone(device):
    """Other images, another device: the elements are those of one CPU generator."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    ks = torch.randint(4, (40,), generator=torch.Generator().manual_seed(1))
    for x in (torch.randn(40, 6, 6), torch.zeros(40, 8, 8)):
        posed = Split(x, torch.zeros(40)).to(device).transformed(R4, seed=1).images
        assert posed.device.type == device
        assert torch.equal(posed.cpu(), R4.act_each(x, ks))


def test_first():
    split = Split(torch.randn(5, 6, 6), torch.arange(5))
    assert torch.equal(split.first(2).images, split.images[:2])
    assert split.first(2).labels.tolist() == [0, 1]
    assert len(split.first(9).images) == 5
