"""invnb.screening_experiment: models by name, trained once, and what they are compared on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from invnb import cache, claimfile, screening_experiment, shapes
from invnb.cifar_nets import MEAN, SD, ResNet, normalise
from invnb.errors import InvnbError
from invnb.image_models import ImageModel, Preprocessing
from invnb.image_training import ImageCourse, predict
from invnb.screening_experiment import AS_CIFAR, OnPixels, Screened, roles


@pytest.fixture
def screened(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))
    return Screened("shapes", ImageCourse(epochs=1), at_most=2, training_images=30)


def stored():
    return len(list((cache.paths.cache_dir() / "networks").glob("*.pt")))


def test_images_are_the_first_of_each_class(screened):
    assert len(screened.images) == 2 * len(shapes.CLASSES)
    images, labels, _ = screened.training
    assert images.shape == (30, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert set(labels.tolist()) <= set(range(len(shapes.CLASSES)))


def test_a_network_is_trained_once(screened, monkeypatch):
    first = screened.model("AlexNet")
    assert stored() == 1
    monkeypatch.setattr(screening_experiment, "train", None)
    again = screened.model("AlexNet")
    assert first.fingerprint() == again.fingerprint()
    assert first.classes == shapes.CLASSES
    assert first.network(torch.zeros(2, 3, 32, 32)).shape == (2, len(shapes.CLASSES))


def test_every_part_needs_an_image_of_every_class(screened):
    assert screened.fewest == 2
    screened.check(["AlexNet"], parts=2)
    with pytest.raises(InvnbError, match=r"class of 'shapes' has 2 images .* each of 3 parts"):
        screened.check(["AlexNet"], parts=3)
    assert not (cache.paths.cache_dir() / "networks").exists()


def test_published_networks_are_for_cifar10_alone(screened):
    cifar = Screened("cifar10-jpeg.tar.xz", ImageCourse(epochs=1))
    for name in ("ResNet@resnet20-12fca82f.th", "ResNet@mine.th", "resnet101"):
        assert cifar.fits(name)
        assert screened.fits(name) == (name != "ResNet@resnet20-12fca82f.th")


def test_some_classes_alone(screened):
    some = replace(screened, only=("disc", "arrow"))
    assert len(some.images) == 4
    assert {shapes.CLASSES[label] for label in some.images.labels} == {"disc", "arrow"}
    assert some.images.classes == shapes.CLASSES  # which is what labels count
    assert some.data_name == "shapes, some classes"
    assert some.source == "embedded"
    assert len(set(some.training[1].tolist())) > 2  # networks learn all of them
    with pytest.raises(InvnbError, match="class 'disk' is none of the 7 classes"):
        replace(screened, only=("disk",)).check(["AlexNet"])


def test_classes_of_imagenet_by_their_names(tmp_path, monkeypatch):
    """Its folders have numbers, in the order of torchvision's names."""
    assert len(screening_experiment.IMAGENET) == 1000
    monkeypatch.setenv("INVNB_DATA", str(tmp_path))
    monkeypatch.setattr(screening_experiment, "IMAGENET", ("tench", "goldfish", "orange"))
    for folder in ("n01", "n02", "n03"):
        (tmp_path / "imagenet" / "val" / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "imagenet" / "val" / folder / "one.png")
    for names, labels in ((("orange",), (2,)), (("orange", "n01"), (0, 2))):
        found = Screened("imagenet", ImageCourse(epochs=1), only=names)
        assert found.images.labels == labels
        assert found.data_name == "ImageNet, some classes"
        assert found.source == "folder of PNG"
        # its accuracy is not the one that networks are expected to have on all classes
        assert not [c.id for c in claimfile.load("cnn-screening") if found.data_name in c.on]


def test_learning_rates_differ(screened, monkeypatch):
    seen = {}

    def pretend(make, images, labels, course, *, seed, label):
        seen[label] = course.learning_rate
        raise InvnbError("enough")

    monkeypatch.setattr(screening_experiment, "train", pretend)
    for name in ("AlexNet", "ResNet20"):
        with pytest.raises(InvnbError, match="enough"):
            screened.model(name)
    assert seen == {"AlexNet": 0.02, "ResNet20": 0.1}


def test_the_small_network_knows_upright_shapes(screened):
    model = screened.model("small")
    images, labels = screened.block(model, 0, len(screened.images))
    right = predict(OnPixels(model).eval(), images) == labels
    assert right.float().mean() > 0.9


def test_a_residual_network_from_a_checkpoint(screened, tmp_path):
    network = ResNet(20, len(shapes.CLASSES))
    state = {f"module.{k}": v for k, v in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "net.th")
    model = screened.model(f"ResNet@{tmp_path / 'net.th'}")
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(model.network(x), network.eval()(x))


@pytest.mark.parametrize("name", ["Alexnet2", "ResNet@nowhere.th"])
def test_unknown_models_stop_before_training(screened, name):
    with pytest.raises(InvnbError, match=name.partition("@")[2] or name):
        screened.check(["AlexNet", name])
    assert not (cache.paths.cache_dir() / "networks").exists()


def two_black_pictures(folder, height, width):
    for kind in ("a", "b"):
        (folder / kind).mkdir()
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(folder / kind / "1.png")


def test_other_sizes_are_not_for_these_networks(tmp_path):
    two_black_pictures(tmp_path, 40, 48)
    with pytest.raises(InvnbError, match=r"is for 32 x 32 pixels, and .* has images of 48 x 40"):
        Screened(str(tmp_path), ImageCourse(epochs=1)).check(["ResNet20"])


def test_nothing_is_trained_on_the_images_that_it_is_screened_on(tmp_path):
    two_black_pictures(tmp_path, 32, 32)
    with pytest.raises(InvnbError, match=r"'ResNet20' is trained here, and .* has no training"):
        Screened(str(tmp_path), ImageCourse(epochs=1)).check(["ResNet20"])


class Sums(torch.nn.Module):
    """Sums of colours, as the logits of three classes that it may name."""

    def __init__(self, classes=None):
        super().__init__()
        self.classes = classes

    def forward(self, images):
        return images.sum((2, 3))


def of_three_classes(folder, models, monkeypatch):
    for value, split in enumerate(("train", "test")):
        for kind in ("a", "b", "c"):
            (folder / split / kind).mkdir(parents=True)
            image = np.full((32, 32, 3), value, np.uint8)
            Image.fromarray(image).save(folder / split / kind / "1.png")

    def load(name):
        return ImageModel(name, Sums(), Preprocessing(), models[name])

    monkeypatch.setattr(screening_experiment.image_models, "load", load)
    return Screened(str(folder), ImageCourse(epochs=1))


def test_models_that_do_not_fit_images_or_each_other_stop_before_training(tmp_path, monkeypatch):
    models = {"one": ("a", "b", "c"), "other": ("c", "b", "a"), "wrong": ("x", "y"), "any": None}
    screened = of_three_classes(tmp_path, models, monkeypatch)
    screened.check(["AlexNet", "one", "any"])
    differently = (
        r"'AlexNet' and 'other' count classes differently \(class 0 is 'a' for the one and 'c'"
    )
    with pytest.raises(InvnbError, match=differently):
        screened.check(["AlexNet", "other"])
    with pytest.raises(InvnbError, match="has 3 outputs and names of 2 classes"):
        screened.check(["AlexNet", "wrong"])
    with pytest.raises(InvnbError, match=r"3 classes .* and the model 7 outputs"):
        screened.check(["small"])


def test_weights_of_other_networks_do_not_stand_for_those_trained_here(screened):
    with pytest.raises(InvnbError, match=r"AlexNet@some\.pt"):
        screened.check(["AlexNet@some.pt"])


def test_any_model_can_take_images_normalised_as_cifars():
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    own = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    model = ImageModel("sums", Sums(), own, None)
    expected = Sums()(own.normalise(images.float()))
    assert torch.allclose(OnPixels(model)(normalise(images)), expected, rtol=1e-4, atol=1e-3)
    same = ImageModel("sums", Sums(), AS_CIFAR, None)
    assert torch.equal(OnPixels(same)(normalise(images)), Sums()(normalise(images)))
    assert AS_CIFAR.mean == MEAN
    assert AS_CIFAR.std == SD


def called(*names):
    network = torch.nn.Identity()
    return list(roles(ImageModel(n, network, Preprocessing(), None) for n in names).values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alexnet", "AlexNet"), ("resnet101:IMAGENET1K_V1", "ResNet"), ("ResNet20", "ResNet"),
        ("AlexNet", "AlexNet"), ("vgg11", "vgg11"), ("pack.age:make_it@net.pt", "make_it"),
    ],
)  # fmt: skip
def test_roles_are_what_claims_call_models(name, expected):
    assert called(name) == [expected]


def test_models_of_one_name_are_told_apart():
    assert called("ResNet20", "ResNet@a/net-56.th", "ResNet@b/net-56.th", "ResNet@a/net-20.th") == [
        "ResNet", "ResNet_net_56", "ResNet_b_net_56_th", "ResNet_net_20"
    ]  # fmt: skip
    assert called("ResNet20", "ResNet@resnet20-12fca82f.th", "ResNet@resnet20-0fca82f1.th") == [
        "ResNet", "ResNet_resnet20", "ResNet_resnet20_0fca82f1"
    ]  # fmt: skip
    assert called("alexnet", "alexnet:IMAGENET1K_V1") == ["AlexNet", "AlexNet_IMAGENET1K_V1"]


def test_data_are_what_claims_call_them(screened):
    course = ImageCourse(epochs=1)
    assert Screened("cifar10-jpeg.tar.xz", course).data_name == "CIFAR-10"
    assert Screened("imagenet", course).data_name == "ImageNet"
    assert screened.data_name == "shapes"
