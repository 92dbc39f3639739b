"""invnb.labelled_images: what a name brings, and what is said of files that cannot be used."""

import pickle
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from invnb import shapes
from invnb.data import DataError, DataUnavailableError
from invnb.errors import InvnbError
from invnb.image_models import ImageModel, Preprocessing
from invnb.labelled_images import load
from invnb.paths import data_dir
from invnb.screening import screen
from invnb.vision import torchvision

fit = Preprocessing(8).fit
SAMPLE = data_dir() / "imagenet-sample"
real = pytest.mark.skipif(not SAMPLE.is_dir(), reason="no imagenet-sample in the data folder")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))


class Sums(torch.nn.Module):
    """Sums of colours, as the logits of three classes."""

    def forward(self, images):
        return images.sum((2, 3))


def pixels(seed, height=12, width=10):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Three classes with 2, 1 and 3 images of several sizes, lossless."""
    for label, (name, n) in enumerate({"ant": 2, "bee": 1, "cat": 3}.items()):
        (tmp_path / "insects" / name).mkdir(parents=True)
        for i in range(n):
            image = Image.fromarray(pixels(10 * label + i, 12 + i))
            image.save(tmp_path / "insects" / name / f"{i}.png")
    return tmp_path / "insects"


def archive(folder, file, top="insects"):
    with tarfile.open(file, "w:xz") as tar:
        tar.add(folder, top)
    return file


def test_shapes():
    found = load("shapes")
    images, labels = found.block(0, 20, Preprocessing().fit)
    drawn = shapes.draw(700, seed=1)
    assert torch.equal(images, drawn.images[:20])
    assert torch.equal(labels, drawn.labels[:20])
    assert (len(found), found.classes) == (700, shapes.CLASSES)


def test_folder(folder):
    found = load(str(folder))
    assert (found.classes, found.labels) == (("ant", "bee", "cat"), (0, 0, 1, 2, 2, 2))
    assert [Path(file).name for file in found.files] == [f"{i}.png" for i in (0, 1, 0, 0, 1, 2)]
    images, labels = found.block(1, 4, fit)
    assert (images.shape, images.dtype) == ((3, 3, 8, 8), torch.uint8)
    assert labels.tolist() == [0, 1, 2]
    assert torch.equal(images[1], fit(Image.fromarray(pixels(10))))
    assert len(found.block(4, 100, fit)[1]) == 2


def test_folder_of_the_data_folder(folder):
    assert len(load("insects", root=folder.parent)) == 6


@pytest.mark.parametrize("part", ["val", "test"])
def test_splits(folder, tmp_path, part):
    (tmp_path / "whole" / "train" / "ant").mkdir(parents=True)
    (folder / "ant" / "0.png").rename(tmp_path / "whole" / "train" / "ant" / "0.png")
    folder.rename(tmp_path / "whole" / part)
    assert load(str(tmp_path / "whole")).labels == (0, 1, 2, 2, 2)
    assert load(str(tmp_path / "whole"), "train").labels == (0,)
    with pytest.raises(DataError, match="split 'val' is unknown: there are test, train"):
        load(str(tmp_path / "whole"), "val")


def test_splits_of_other_names_are_no_classes(folder, tmp_path):
    for part in ("train", "testing"):
        shutil.copytree(folder, tmp_path / "split" / part)
    with pytest.raises(DataError, match="has testing, train, and none of test, val, validation"):
        load(str(tmp_path / "split"))
    assert load(str(tmp_path / "split"), "train").classes == ("ant", "bee", "cat")


def test_a_class_may_be_called_train(folder):
    (folder / "ant").rename(folder / "train")
    for split in ("train", "test"):
        assert load(str(folder), split).classes == ("bee", "cat", "train")


def test_archive_is_unpacked_once(folder, tmp_path):
    file = archive(folder, tmp_path / "insects.tar.xz", "insects/test")
    first = load(str(file))
    assert (first.labels, first.classes) == ((0, 0, 1, 2, 2, 2), ("ant", "bee", "cat"))
    cached = list((tmp_path / "cache" / "images").iterdir())
    assert len(cached) == 1
    seen = cached[0].stat().st_mtime_ns
    again = load("insects.tar.xz", root=tmp_path)
    assert torch.equal(again.block(0, 6, fit)[0], first.block(0, 6, fit)[0])
    assert cached[0].stat().st_mtime_ns == seen
    assert again.checksum == first.checksum


def test_nothing_leaves_the_archives_folder(folder, tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(folder, "insects")
        tar.add(folder / "ant" / "0.png", "../outside.png")
        link = tarfile.TarInfo("insects/bee/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    assert len(load(str(tmp_path / "evil.tar"))) == 6
    unpacked = tmp_path / "cache" / "images"
    assert not list(unpacked.rglob("outside.png")) + list(unpacked.rglob("link.png"))


def test_torn_archive_leaves_nothing(folder, tmp_path):
    file = archive(folder, tmp_path / "insects.tar.xz")
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"insects.tar.xz cannot be unpacked"):
        load(str(file))
    assert not list((tmp_path / "cache" / "images").iterdir())


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "notes.txt").write_text("no images")
    with pytest.raises(DataError, match=r"notes.txt cannot be unpacked"):
        load("notes.txt", root=tmp_path)


def test_unreadable_images_are_named_and_counted(folder):
    whole = (folder / "cat" / "1.png").read_bytes()
    (folder / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "ant" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 6 images .* first .*ant/0.png \(cannot identify"):
        load(str(folder))
    found = load(str(folder), skip_unreadable=True)
    assert found.labels == (0, 1, 2, 2)
    assert len(found.skipped) == 2
    assert "cat/1.png" in found.skipped[1]
    assert len(found.block(0, 4, fit)[0]) == 4


def test_none_is_readable(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of the 1 images"):
        load(str(tmp_path), skip_unreadable=True)


def test_an_image_that_goes_bad_later(folder):
    found = load(str(folder))
    (folder / "bee" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"bee/0.png cannot be read"):
        found.block(0, 6, fit)


def test_several_sizes_and_no_size_asked_for(folder):
    with pytest.raises(DataError, match=r"has 10 x 13 pixels and .* 10 x 12: give the model"):
        load(str(folder)).block(0, 2, Preprocessing().fit)
    load(str(folder)).chosen([1, 4]).check_sizes()  # of one size, as the second of their classes


def test_several_sizes_stop_a_screening_before_it_begins(folder):
    model = ImageModel("sums", Sums(), Preprocessing(), None)
    with pytest.raises(DataError, match="give the model a size"):
        screen(model, load(str(folder)), ["blur"])
    with pytest.raises(InvnbError, match="batch_size 0 is not allowed"):
        screen(model, load(str(folder)), ["blur"], batch_size=0)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: (p / "a").mkdir()])
def test_folder_without_images(tmp_path, make):
    empty = tmp_path / "empty"
    empty.mkdir()
    make(empty)
    with pytest.raises(DataError, match="folders of classes"):
        load(str(empty))


def test_nothing_of_this_name(tmp_path):
    with pytest.raises(
        DataError, match=r"images 'cifar' are neither shapes, cifar10, imagenet nor"
    ):
        load("cifar", root=tmp_path)


def test_some_classes(folder):
    found = load(str(folder)).of(["cat", "ant"], at_most=1)
    assert (found.labels, found.classes) == ((0, 2), ("ant", "bee", "cat"))
    assert torch.equal(found.block(1, 2, fit)[0][0], fit(Image.fromarray(pixels(20))))
    assert found.checksum != load(str(folder)).checksum
    with pytest.raises(
        DataError, match=r"class 'dog' is none of the 3 classes of .*: ant, bee, cat"
    ):
        load(str(folder)).of(["dog"])


def test_labels_for_a_network(folder):
    found = load(str(folder))
    by_name = found.labelled_for(["dog", "cat", "bee", "ant"], 4)
    assert by_name.labels == (3, 3, 2, 1, 1, 1)
    assert by_name.classes == ("dog", "cat", "bee", "ant")
    by_number = found.labelled_for(["Formica", "Apis", "Felis"], 3)
    assert (by_number.labels, by_number.classes) == (found.labels, ("Formica", "Apis", "Felis"))
    assert found.labelled_for(None, 3).classes == ("ant", "bee", "cat")
    with pytest.raises(DataError, match=r"has 3 classes .* and the model 4 outputs: .*\(w, x, y"):
        found.labelled_for(["w", "x", "y", "z"], 4)
    with pytest.raises(DataError, match=r"the model 2 outputs: they must be as many$"):
        found.labelled_for(None, 2)
    with pytest.raises(DataError, match=r"1 of the 3 classes .* first 'bee', and others have"):
        found.labelled_for(["ant", "cat", "wasp"], 3)


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize("classes", [None, ["ant", "bee", "cat"], ["x", "y", "z"]])
def test_labels_out_of_range(folder, label, classes):
    wrong = replace(load(str(folder)), labels=(0, 0, 1, 2, 2, label))
    with pytest.raises(DataError, match=rf"^label {label} of .* its classes count from 0 to 2$"):
        wrong.labelled_for(classes, 3)


def test_cifar10(tmp_path, monkeypatch):
    """torchvision's own files, made here, with its checksums out of the way."""
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    pictures = np.stack([pixels(i, 32, 32) for i in range(4)])
    batch = {"data": pictures.transpose(0, 3, 1, 2).reshape(4, -1), "labels": [3, 0, 9, 9]}
    (base / "test_batch").write_bytes(pickle.dumps(batch))
    names = ["airplane", *"bcdefghij"]
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    found = load("cifar10", root=tmp_path, download=False)
    images, labels = found.block(0, 4, Preprocessing(32).fit)
    assert torch.equal(images, torch.from_numpy(pictures).permute(0, 3, 1, 2))
    assert (labels.tolist(), found.classes[0]) == ([3, 0, 9, 9], "airplane")


def test_cifar10_that_is_not_there(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"CIFAR-10 is not in .*: put it there"):
        load("cifar10", root=tmp_path, download=False)


def test_imagenet(folder, tmp_path):
    (tmp_path / "imagenet").mkdir()
    folder.rename(tmp_path / "imagenet" / "val")
    assert load("imagenet", root=tmp_path).labels == (0, 0, 1, 2, 2, 2)


def test_imagenet_that_is_not_there(tmp_path):
    (tmp_path / "imagenet").mkdir()
    with pytest.raises(DataUnavailableError, match=r"ImageNet is not in .*imagenet"):
        load("imagenet", root=tmp_path)


@real
def test_photographs():
    found = load("imagenet-sample")
    assert (len(found), len(found.classes)) == (1000, 1000)
    images, labels = found.block(5, 8, Preprocessing(224, 256).fit)
    assert (images.shape, labels.tolist()) == ((3, 3, 224, 224), [5, 6, 7])
