"""invnb.image_models: torchvision's networks, one's own, and what is said when there is none."""

import importlib
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from invnb import image_models
from invnb.errors import InvnbError
from invnb.image_models import ImageModel, Preprocessing, load
from invnb.vision import torchvision

OWN = """
from torch import nn
from invnb.image_models import Preprocessing

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))

def whole():
    network = plain()
    network.preprocessing = Preprocessing(8, 10, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    network.classes = ("cat", "dog")
    return network

def counts():
    network = plain()
    network.classes = 2
    return network
"""
SMALL = "squeezenet1_1"  # 5 MB


@pytest.fixture(autouse=True)
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_images.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    yield
    sys.modules.pop("own_images", None)


def picture(width, height, mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def save(network, name="checkpoint.pt"):
    torch.save(network.state_dict(), name)
    return name


def sentence(name):
    with pytest.raises(InvnbError) as error:
        load(name)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_torchvision_name_with_a_checkpoint_made_here():
    network = torchvision.models.get_model(SMALL)
    model = load(f"{SMALL}@{save(network)}")
    assert not model.network.training
    assert (len(model.classes), model.classes[0]) == (1000, "tench")
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.network(x), network.eval()(x))
    assert model.short_name == SMALL


def test_normalising_serves_training_after_inference():
    """What is kept of a preprocessing in inference mode must let gradients through later."""
    preprocessing = Preprocessing(mean=(0.11, 0.22, 0.33), std=(0.2, 0.3, 0.4))
    with torch.inference_mode():
        before = preprocessing.normalise(torch.full((1, 3, 2, 2), 51.0))
    images = torch.full((1, 3, 2, 2), 51.0, requires_grad=True)
    found = preprocessing.normalise(images)
    assert torch.equal(found, before)
    expected = (0.2 - torch.tensor(preprocessing.mean)) / torch.tensor(preprocessing.std)
    torch.testing.assert_close(found[0, :, 0, 0], expected)
    found.sum().backward()
    gradient = 1 / (255 * torch.tensor(preprocessing.std))
    torch.testing.assert_close(images.grad[0, :, 0, 0], gradient)


@pytest.mark.parametrize("name", ["alexnet", "resnet101", SMALL])
@pytest.mark.parametrize("size", [(300, 260), (200, 400)])
def test_preprocessing_is_torchvisions(name, size, monkeypatch):
    """Both halves in a row are the transforms that come with the weights."""
    monkeypatch.setattr(image_models, "_downloaded", lambda *_: nn.Identity())
    preprocessing = load(name).preprocessing
    expected = torchvision.models.get_model_weights(name).DEFAULT.transforms()(picture(*size))
    images = preprocessing.fit(picture(*size))
    assert (images.dtype, images.shape) == (torch.uint8, (3, 224, 224))
    found = preprocessing.normalise(images.float().unsqueeze(0))[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


def test_weights_by_name(monkeypatch):
    asked = []
    monkeypatch.setattr(image_models, "_downloaded", lambda *a: asked.append(a[2]) or nn.Identity())
    load("resnet101:IMAGENET1K_V1")
    load("resnet101")
    assert [weights.name for weights in asked] == ["IMAGENET1K_V1", "IMAGENET1K_V2"]
    assert load("resnet101:IMAGENET1K_V1").short_name == "resnet101"


def test_download_is_torchvisions_and_uses_its_folder(tmp_path, monkeypatch):
    """A file that lies where torchvision would put it is taken; its builder does the loading."""
    network = torchvision.models.get_model(SMALL)
    weights = torchvision.models.get_model_weights(SMALL).DEFAULT
    file = tmp_path / "hub" / "checkpoints" / weights.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    save(network, file)
    state = load(SMALL).network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in network.state_dict().items())


def test_no_network(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    text = sentence(SMALL)
    assert f"of model '{SMALL}' cannot be had (no route to host)" in text
    assert f"{SMALL}@checkpoint.pt" in text


def test_own_network():
    model = load("own_images:plain")
    assert (model.preprocessing, model.classes) == (Preprocessing(), None)
    assert model.short_name == "plain"
    assert load("own_images:counts").classes is None
    model = load("own_images:whole")
    assert model.classes == ("cat", "dog")
    assert model.preprocessing.size == 8
    assert not model.network.training


def test_own_network_with_a_checkpoint():
    network = load("own_images:plain").network
    loaded = load(f"own_images:plain@{save(network)}").network
    assert torch.equal(loaded[1].weight, network[1].weight)


def test_given_beats_own():
    given = Preprocessing(8)
    model = load("own_images:whole", preprocessing=given, classes=["a", "b"])
    assert (model.preprocessing, model.classes) == (given, ("a", "b"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("alexnett", "is neither the name of a torchvision classifier.*did you mean 'alexnet'"),
        ("", "is neither the name"),
        ("alexnet:V7", "weights of alexnet are IMAGENET1K_V1, DEFAULT, or a file"),
        ("alexnet:IMAGENET1K_V1@a.pt", "weights of alexnet are"),
        ("alexnet@", "no file after the @"),
        ("alexnet@none.pt", "'none.pt' cannot be read"),
        ("own_images:none", "cannot be imported"),
    ],
)
def test_model_that_cannot_be_had(name, why):
    with pytest.raises(InvnbError, match=why):
        load(name)
    sentence(name)


@pytest.mark.parametrize("architecture", [SMALL, "resnet18", "regnet_y_400mf"])
def test_torchvision_name_with_weights_for_other_classes(architecture):
    """What has been fine-tuned tells as many classes apart as its last layer says."""
    build = torchvision.models.get_model_builder(architecture)
    network = build(weights=None, num_classes=7)
    model = load(f"{architecture}@{save(network)}")
    assert model.classes is None
    assert model.preprocessing.size == 224
    state = model.network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in network.state_dict().items())
    assert load(f"{architecture}@checkpoint.pt", classes=["a"] * 7).classes == ("a",) * 7


def test_weights_that_do_not_fit():
    network = torchvision.models.get_model(SMALL, num_classes=10)
    network.classifier[1] = nn.Conv2d(4, 10, 1)
    text = sentence(f"{SMALL}@{save(network)}")
    assert "does not fit at 1 name(s), first 'classifier.1.weight'" in text
    assert "(10, 512, 1, 1), the checkpoint (10, 4, 1, 1)" in text
    text = sentence(f"{SMALL}@{save(nn.Linear(2, 2))}")
    assert "does not fit at 54 name(s), first 'bias'" in text
    assert "the network has none, the checkpoint (2,)" in text


def test_fit_leaves_what_has_the_size():
    image = picture(8, 8)
    found = Preprocessing(8, 10).fit(image)
    assert torch.equal(found.permute(1, 2, 0), torch.from_numpy(np.array(image)))
    assert Preprocessing().fit(picture(5, 7)).shape == (3, 7, 5)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_fit_takes_any_kind_of_picture(mode):
    assert Preprocessing(8).fit(picture(20, 10, mode)).shape == (3, 8, 8)


def test_fit_scales_sixteen_bits_and_refuses_thirty_two():
    sixteen = Image.fromarray(np.array([[0, 257, 65535]], np.uint16))
    assert Preprocessing().fit(sixteen).flatten(1).tolist() == [[0, 1, 255]] * 3
    for kind in (np.int32, np.float32):
        with pytest.raises(InvnbError, match="pixels of 32 bits"):
            Preprocessing().fit(Image.fromarray(np.zeros((2, 2), kind)))


@pytest.mark.parametrize(
    ("attribute", "why"),
    [
        ("network.preprocessing = lambda x: x", "its preprocessing is a function; it must be an"),
        ("network.classes = {'a': 0}", "its classes are a dict; they must be a list of names"),
    ],
)
def test_what_comes_with_an_own_network_and_cannot_be_used_is_told(
    tmp_path, monkeypatch, attribute, why
):
    code = (
        "import torch\n\n\ndef make():\n    network = torch.nn.Linear(2, 2)\n"
        f"    {attribute}\n    return network\n"
    )
    module = f"odd_{len(attribute)}"
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvnbError, match=why):
        load(f"{module}:make")


def test_normalise_by_hand():
    images = torch.tensor([0.0, 127.5, 255.0]).view(1, 3, 1, 1)
    found = Preprocessing(mean=(0.5, 0.5, 0.0), std=(0.25, 1.0, 0.5)).normalise(images)
    assert found.flatten().tolist() == pytest.approx([-2, 0, 2], abs=1e-6)
    assert Preprocessing().normalise(images).flatten().tolist() == pytest.approx(
        [0, 0.5, 1], abs=1e-6
    )


def test_fingerprint():
    def made(seed, **options):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
        return ImageModel("a", network, Preprocessing(**options)).fingerprint()

    assert made(0) == made(0)
    assert len({made(0), made(1), made(0, size=8)}) == 3


def test_fingerprint_of_an_own_network_knows_its_code(tmp_path):
    torch.manual_seed(0)
    before = load("own_images:plain")
    first = before.fingerprint()
    (tmp_path / "own_images.py").write_text(OWN + "# changed")
    assert before.fingerprint() != first


def test_fingerprint_knows_the_code_of_parts_and_takes_any_name(tmp_path, monkeypatch):
    code = (
        "import torch\n\n\nclass Part(torch.nn.Module):\n"
        "    def forward(self, x):\n        return {}x\n"
    )
    (tmp_path / "of_parts.py").write_text(code.format(""))
    monkeypatch.syspath_prepend(tmp_path)
    part = importlib.import_module("of_parts").Part()
    model = ImageModel("trial:3", nn.Sequential(part), Preprocessing())
    first = model.fingerprint()
    (tmp_path / "of_parts.py").write_text(code.format("-"))
    assert model.fingerprint() != first
