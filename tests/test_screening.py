"""invnb.screening: a loop over images, interruptions, and shapes whose answer is known."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from invnb import provenance, screening, screening_table, shapes
from invnb.data import DataError
from invnb.errors import InvnbError
from invnb.image_models import ImageModel, Preprocessing, load
from invnb.image_transformations import ELEVEN, TRANSFORMATIONS, transformations
from invnb.labelled_images import LabelledImages
from invnb.labelled_images import load as load_images
from invnb.paths import data_dir
from invnb.screening import screen, standard_normal
from invnb.screening_table import Block
from invnb.vision import torchvision

K, N = 5, 11
SAMPLE = data_dir() / "imagenet-sample"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small_blocks(monkeypatch):
    """Three blocks of 4, 4 and 3 images."""
    for module in (screening, screening_table):
        monkeypatch.setattr(module, "BLOCK", 4)


def pictures(n=N, size=12, classes=K):
    pixels = np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    return LabelledImages(
        "noise",
        lambda i: Image.fromarray(pixels[i]),
        tuple(i % classes for i in range(n)),
        tuple(f"class {k}" for k in range(classes)),
        tuple(map(str, range(n))),
        f"checksum of {n}",
    )


class Counted(nn.Module):
    """A small network that counts the images it sees, and may stop as by control-C."""

    def __init__(self, classes=K, stop_after=None):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(128, classes)
        )
        with torch.no_grad():
            self.layers[-1].weight.mul_(30)  # so that its answers change
        self.seen, self.stop_after = 0, stop_after

    def forward(self, images):
        self.seen += len(images)
        if self.stop_after is not None and self.seen > self.stop_after:
            raise KeyboardInterrupt
        return self.layers(images)


def model(classes=K, **options):
    preprocessing = Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2))
    return ImageModel("counted", Counted(classes, **options), preprocessing)


def by_loop(model, images, one, seed=0):
    """Return the softmax of every image at every magnitude, one by one, `[M, N, K]`."""
    rows = []
    for magnitude in one.magnitudes:
        row = []
        for i in range(len(images)):
            picture = torch.from_numpy(np.array(images.read(i))).permute(2, 0, 1)[None].float()
            noise = standard_normal(seed, [i], picture.shape[1:]) if one.random else None
            changed = one(picture, magnitude, noise)
            logits = model.network(model.preprocessing.normalise(changed))
            row.append(logits.softmax(-1)[0].detach())
        rows.append(torch.stack(row))
    return torch.stack(rows).numpy()


def as_one(table, name):
    return np.concatenate([block.softmax for block in table._blocks(name)], axis=1)


@pytest.mark.parametrize("name", [*ELEVEN, "translation"])
@pytest.mark.usefixtures("small_blocks")
def test_table_is_that_of_a_loop(name):
    one, images = TRANSFORMATIONS[name], pictures()
    table = screen(model(), images, [name], seed=3, batch_size=3)
    expected = by_loop(model(), images, one, seed=3)
    np.testing.assert_allclose(as_one(table, name), expected, atol=2e-4)
    assert np.array_equal(table.predicted(name), expected.argmax(-1))
    own = np.take_along_axis(expected, np.array(images.labels)[None, :, None], -1)[..., 0]
    np.testing.assert_allclose(table.softmax_of_label(name), own, atol=2e-4)
    for label in (0, 4):
        mean = expected[:, np.array(images.labels) == label].mean(1)
        np.testing.assert_allclose(table.mean_softmax(name, label), mean, atol=2e-4)


def test_about_and_frame():
    table = screen(model(), pictures(), ["zoom"])
    assert table.about["model"] == "counted"
    assert table.about["images"]["n"] == N
    assert table.classes == tuple(f"class {k}" for k in range(K))
    assert table.present == list(range(K))
    frame = table.frame("zoom")
    m = len(TRANSFORMATIONS["zoom"].magnitudes)
    assert list(frame.columns) == [
        *("model", "class", "transformation", "magnitude", "image", "file"),
        *("predicted", "softmax", "softmax_of_class"),
    ]
    assert len(frame) == m * N
    row = frame[(frame.image == 7) & (frame.magnitude == 2.0)].iloc[0]
    at = TRANSFORMATIONS["zoom"].magnitudes.index(2.0)
    assert row["class"] == "class 2"
    assert row.predicted == table.classes[table.predicted("zoom")[at, 7]]
    assert row.softmax == as_one(table, "zoom")[at, 7].max()
    assert row.softmax_of_class == as_one(table, "zoom")[at, 7, 2]


@pytest.mark.usefixtures("small_blocks")
def test_batch_size_changes_nothing(tmp_path):
    tables = [
        screen(model(), pictures(), ["noise", "rotation"], batch_size=b, folder=tmp_path / str(b))
        for b in (1, 3, 128)
    ]
    for name in ("noise", "rotation"):
        for table in tables[1:]:
            assert np.array_equal(table.predicted(name), tables[0].predicted(name))
            np.testing.assert_allclose(as_one(table, name), as_one(tables[0], name), atol=1e-4)


@pytest.mark.parametrize("stop_after", [2, 40, 100, 150, 230])
@pytest.mark.usefixtures("small_blocks")
def test_interrupted_and_continued(tmp_path, stop_after):
    names = ["noise", "grayscale"]
    whole = screen(model(), pictures(), names, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        screen(model(stop_after=stop_after), pictures(), names, folder=tmp_path / "parts")
    again = model()
    table = screen(again, pictures(), names, folder=tmp_path / "parts")
    for name in names:
        assert np.array_equal(as_one(table, name), as_one(whole, name))
    needed = 1 + N + 2 * N * 10
    assert again.network.seen <= needed
    if stop_after >= 150:  # a block of 4 images, and one of its two transformations at least
        assert again.network.seen <= needed - 84
    assert not list((tmp_path / "parts").rglob("*.part"))


def test_weights_that_move_to_a_device_can_still_learn():
    class Moves(Counted):
        def to(self, *args, **kwargs):  # copies weights, as a move to another device does
            return self._apply(torch.clone)

    moved = replace(model(), network=Moves())
    screen(moved, pictures(), ["rotation"])
    loss = moved.network(torch.zeros(1, 3, 12, 12)).sum()
    loss.backward()
    assert next(moved.network.parameters()).grad is not None


def test_nothing_is_done_twice():
    screen(model(), pictures(), ["zoom", "noise"])
    again = model()
    screen(again, pictures(), ["noise", "zoom"])
    assert again.network.seen == 1  # the try before the work
    screen(again, pictures(), ["zoom", "blur"])
    assert again.network.seen == 2 + N * 11
    own = replace(TRANSFORMATIONS["zoom"], magnitudes=(0.5, 1.0))
    table = screen(again, pictures(), [own])
    assert table.predicted("zoom").shape == (2, N)
    assert again.network.seen == 3 + N * 13


def test_transformations_of_ones_own_under_one_name_are_two():
    def brighter(by):
        return lambda images, v: (images + by * v).clamp(0, 255)

    first, second, other = (
        replace(TRANSFORMATIONS["brightness"], function=function)
        for function in (brighter(100), brighter(200), lambda images, v: images * (1 - abs(v)))
    )
    found = [screen(model(), pictures(), [one]).softmax_of_label("brightness") for one in
             (first, second, other, TRANSFORMATIONS["brightness"])]  # fmt: skip
    assert not any(np.array_equal(a, b) for i, a in enumerate(found) for b in found[:i])
    again = model()
    screen(again, pictures(), [replace(first, function=brighter(100))])
    assert again.network.seen == 1  # the same source, and the same number in it


def test_a_torn_file_is_made_again():
    table = screen(model(), pictures(), ["zoom"])
    expected = as_one(table, "zoom")
    file = table.file(table.transformations[0], 0)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(InvnbError, match="lacks zoom of the images from 0 on"):
        table.predicted("zoom")
    assert np.array_equal(as_one(screen(model(), pictures(), ["zoom"]), "zoom"), expected)


def test_what_determines_a_table_has_a_folder_of_its_own():
    other = model()
    with torch.no_grad():
        other.network.layers[0].bias += 0.1
    folders = {
        screen(*args, ["grayscale"], seed=seed).folder
        for *args, seed in (
            (model(), pictures(), 0),
            (model(), pictures(), 1),
            (other, pictures(), 0),
            (model(), pictures(7), 0),
            (replace(model(), preprocessing=Preprocessing()), pictures(), 0),
        )
    }
    assert len(folders) == 5
    assert screen(model(), pictures(), ["grayscale"], batch_size=2).folder in folders


def test_a_table_is_made_anew_when_code_that_it_rests_on_changes(monkeypatch):
    before = screen(model(), pictures(), ["grayscale"]).folder
    read = provenance._fingerprint
    for name in ("image_transformations", "labelled_images", "screening_table", "cifar_nets"):
        text = provenance._module_path(f"invnb.{name}").read_text(encoding="utf-8")
        monkeypatch.setattr(
            provenance, "_fingerprint", lambda code, text=text: read(code) + "x" * (code == text)
        )
        assert screen(model(), pictures(), ["grayscale"]).folder != before


def test_many_classes_keep_the_strongest_and_the_own_one():
    images = pictures(classes=5)
    names = tuple(f"class {k}" for k in range(100))
    large = replace(model(100), classes=names)
    table = screen(large, images, ["contrast"], batch_size=3)
    full = by_loop(large, images, TRANSFORMATIONS["contrast"])
    content = table.read(TRANSFORMATIONS["contrast"], 0)
    assert content.softmax.shape == (13, N, 6)
    assert np.array_equal(table.predicted("contrast"), full.argmax(-1))
    own = np.take_along_axis(full, np.array(images.labels)[None, :, None], -1)[..., 0]
    np.testing.assert_allclose(table.softmax_of_label("contrast"), own, atol=1e-4)
    np.testing.assert_allclose(content.softmax[..., :5], -np.sort(-full, -1)[..., :5], atol=1e-4)
    for label in range(5):
        these = np.array(images.labels) == label
        kept = np.where(full >= np.sort(full, -1)[..., [-5]], full, 0)
        kept[..., label] = full[..., label]
        expected = kept[:, these].mean(1)
        np.testing.assert_allclose(table.mean_softmax("contrast", label), expected, atol=1e-4)
    assert len(table.frame("contrast")) == 13 * N


def test_what_is_kept_of_64_and_65_classes():
    softmax = np.random.default_rng(0).random((2, 3, 65)).astype(np.float32)
    labels = np.array([0, 1, 2])
    assert Block.of(softmax[..., :64], labels).classes is None
    assert Block.of(softmax, labels).classes.shape == (2, 3, 6)


def test_noise_of_an_image_is_its_own():
    together = standard_normal(5, range(3, 6), (3, 8, 8))
    assert torch.equal(together[1:2], standard_normal(5, [4], (3, 8, 8)))
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together, standard_normal(6, range(3, 6), (3, 8, 8)))
    many = standard_normal(0, range(200), (3, 16, 16))
    assert many.mean().abs() < 0.02
    assert many.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.usefixtures("small_blocks")
def test_a_block_of_images_at_a_time_is_in_memory(monkeypatch):
    blocks, alive = [], []
    read = LabelledImages.block

    def watched(self, start, stop, fit):
        alive.append(sum(block() is not None for block in blocks))
        images, labels = read(self, start, stop, fit)
        blocks.append(weakref.ref(images))
        return images, labels

    monkeypatch.setattr(LabelledImages, "block", watched)
    screen(model(), pictures(), ["noise", "zoom"])
    assert len(blocks) == 4  # the first image before the work, and three blocks
    assert alive == [0, 0, 0, 0]


class Broken(nn.Module):
    """Returns NaN for one image once it gets dark."""

    def forward(self, images):
        logits = images.mean((2, 3))
        logits[:1] /= (images[:1].sum() > 200).float()
        return logits.log()


class Spoilt(nn.Module):
    """Returns NaN or an infinite number for every image."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, images):
        return images.mean((2, 3)) + self.value


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_stop_before_the_work(value, tmp_path):
    spoilt = ImageModel("spoilt", Spoilt(value), Preprocessing())
    with pytest.raises(InvnbError, match="'spoilt' returns NaN or infinite logits for the first"):
        screen(spoilt, pictures(6, classes=3), ["zoom"], folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_nan_is_named():
    broken = ImageModel("broken", Broken(), Preprocessing())
    pattern = r"'broken' returns NaN for 1 of 6 images at brightness -0\.[4-8]"
    with pytest.raises(InvnbError, match=pattern):
        screen(broken, pictures(6, classes=3), ["brightness"])


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (nn.Conv2d(4, 2, 3), r"'own' cannot take images of \(3, 12, 12\): .*expected input"),
        (nn.Identity(), r"must map one image to logits \(1, classes\), not to \(1, 3, 12, 12\)"),
        (nn.Flatten(), r"noise has 5 classes \(class 0, .*\), and the model 432 outputs"),
    ],
)
def test_networks_that_do_not_go_with_the_images(network, why):
    with pytest.raises(InvnbError, match=why):
        screen(ImageModel("own", network, Preprocessing()), pictures(), ["zoom"])


def test_names_that_do_not_go_with_the_network():
    with pytest.raises(InvnbError, match="has 5 outputs and names of 3 classes"):
        screen(replace(model(), classes=("a", "b", "c")), pictures(), ["zoom"])
    with pytest.raises(DataError, match=r"has 5 classes .* and the model 4 outputs"):
        screen(replace(model(4), classes=tuple("abcd")), pictures(), ["zoom"])


def test_labels_out_of_range():
    wrong = replace(pictures(), labels=tuple(range(N)))
    for network in (model(), replace(model(), classes=wrong.classes)):
        with pytest.raises(InvnbError, match=r"label 5 of noise is out of range: .* from 0 to 4"):
            screen(network, wrong, ["zoom"])


def test_no_images():
    with pytest.raises(InvnbError, match="there are no images in noise"):
        screen(model(), pictures().chosen([]), ["zoom"])


def test_unknown_names():
    with pytest.raises(InvnbError, match="transformation 'zom' is unknown"):
        screen(model(), pictures(), ["zom"])
    table = screen(model(), pictures(), ["zoom"])
    with pytest.raises(InvnbError, match="'blur' was not screened: there are zoom"):
        table.predicted("blur")


def test_class_without_images():
    table = screen(model(), pictures().of(["class 1", "class 3"]), ["zoom"])
    assert table.present == [1, 3]
    with pytest.raises(InvnbError, match="no images of class 'class 2'"):
        table.mean_softmax("zoom", 2)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no imagenet-sample in the data folder")
def test_photographs_and_a_network_of_torchvisions(tmp_path, monkeypatch):
    """The real path, with weights made on the spot and some photographs."""
    torch.manual_seed(0)
    network = torchvision.models.get_model("squeezenet1_1")
    torch.save(network.state_dict(), tmp_path / "checkpoint.pt")
    for wnid in sorted((SAMPLE / "val").iterdir()):
        (tmp_path / "val" / wnid.name).mkdir(parents=True)
    for wnid in ("n01440764", "n04522168"):
        for file in (SAMPLE / "val" / wnid).iterdir():
            (tmp_path / "val" / wnid / file.name).write_bytes(file.read_bytes())
    found = load(f"squeezenet1_1@{tmp_path}/checkpoint.pt")
    one = replace(TRANSFORMATIONS["rotation"], magnitudes=(-90.0, 0.0))
    table = screen(found, load_images(str(tmp_path)), [one])
    assert (table.labels.tolist()[0], len(table.labels)) == (0, 2)
    assert table.classes[table.labels[0]] == "tench"
    assert table.classes[table.labels[1]] == "vase"
    picture = Image.open(next((SAMPLE / "val" / "n04522168").iterdir())).convert("RGB")
    transforms = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT.transforms()
    with torch.no_grad():
        softmax = network.eval()(transforms(picture)[None]).softmax(-1)[0]
    assert table.predicted("rotation")[1, 1] == softmax.argmax()
    own = table.softmax_of_label("rotation")[1, 1]
    assert own == pytest.approx(softmax[table.labels[1]].item(), rel=1e-3)


@pytest.fixture(scope="module")
def of_shapes(tmp_path_factory):
    network = ImageModel("shapes", shapes.train(200), Preprocessing(32), shapes.CLASSES)
    images = load_images("shapes").chosen(range(140))
    folder = tmp_path_factory.mktemp("screenings")
    return screen(network, images, transformations(["rotation"]), folder=folder)


def softmax_at(table, name):
    label = table.classes.index(name)
    own = table.softmax_of_label("rotation")[:, table.labels == label].mean(1)
    return dict(zip(table.transformation("rotation").magnitudes, own, strict=True))


def test_upright_shapes_are_known(of_shapes):
    upright = of_shapes.transformation("rotation").magnitudes.index(0.0)
    assert (of_shapes.predicted("rotation")[upright] == of_shapes.labels).mean() > 0.97


def test_disc_is_flat(of_shapes):
    curve = softmax_at(of_shapes, "disc")
    assert max(curve.values()) - min(curve.values()) < 0.1
    assert min(curve.values()) > 0.85


@pytest.mark.parametrize("name", ["bar", "lying bar"])
def test_bar_comes_back_at_180(of_shapes, name):
    curve = softmax_at(of_shapes, name)
    assert curve[180] == pytest.approx(curve[0], abs=1e-3)
    assert curve[0] > 0.9
    assert curve[90] < 0.05


@pytest.mark.parametrize("name", ["square", "diamond"])
def test_square_comes_back_at_90(of_shapes, name):
    curve = softmax_at(of_shapes, name)
    assert curve[90] == pytest.approx(curve[0], abs=1e-3)
    assert curve[0] > 0.9
    assert curve[45] < 0.1


def test_triangle_comes_back_at_120(of_shapes):
    curve = softmax_at(of_shapes, "triangle")
    assert curve[120] == pytest.approx(curve[0], abs=0.1)
    assert curve[-120] == pytest.approx(curve[0], abs=0.1)
    assert min(curve.values()) < 0.1


def test_arrow_comes_back_after_a_whole_turn_alone(of_shapes):
    curve = softmax_at(of_shapes, "arrow")
    assert curve[0] > 0.9
    assert max(curve[angle] for angle in curve if abs(angle) >= 60) < 0.5
    assert min(curve.values()) < 0.1
