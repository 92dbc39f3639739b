"""The measures that all chapters share, and the page that compares them."""

import pytest
import torch
from torch import nn

from invnb import across, across_page, across_table, recording
from invnb.across_comparisons import comparisons
from invnb.image_transformations import ELEVEN, TRANSFORMATIONS, brighten


class Linear(nn.Module):
    """Logits that are linear in the pixels, of any number of channels."""

    def __init__(self, channels, classes=3, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(classes, channels, 8, 8, generator=generator) / 255

    def forward(self, pictures):
        return torch.einsum("bchw,kchw->bk", pictures, self.weight)


class Mean(nn.Module):
    """Tells bright images from dark ones, whatever their pose."""

    def forward(self, pictures):
        bright = pictures.mean((1, 2, 3)) / 255
        return torch.stack((1 - bright, bright), 1)


@pytest.fixture(autouse=True)
def forget():
    recording.reset()
    yield
    recording.reset()


def pictures(n=12, channels=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 255 * torch.rand(n, channels, 8, 8, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
def test_against_brute_force(channels):
    network, images = Linear(channels), pictures(5, channels)
    labels = torch.tensor([0, 1, 2, 0, 1])
    found = across.look(network, images, labels).measures
    logits = [[network(image.rot90(k, (1, 2))[None])[0] for k in range(4)] for image in images]
    expected = {"LI": [], "DI": [], "relative_LI": [], "same_prediction": [], "accuracy": []}
    apart = [(a[0] - b[0]).square().sum() for a in logits for b in logits if a is not b]
    for of, label in zip(logits, labels, strict=True):
        for turned in of[1:]:
            change = (turned - of[0]).square().sum()
            expected["LI"].append(change / 2)
            expected["relative_LI"].append(change / torch.stack(apart).mean())
            p, q = of[0].softmax(0), turned.softmax(0)
            expected["DI"].append((p * (p / q).log()).sum())
        expected["same_prediction"].append(float(len({int(z.argmax()) for z in of}) == 1))
        expected["accuracy"].append(float(of[0].argmax() == label))
    for name, values in expected.items():
        assert found[name] == pytest.approx(float(torch.tensor(values).mean()), rel=1e-4), name
    jacobian = network.weight.flatten(1)  # the same everywhere
    largest = torch.linalg.svdvals(jacobian)[0] * images.std()
    assert found["sigma_max"] == pytest.approx(largest.item(), rel=1e-4)


def test_an_invariant_network_is_found_invariant():
    images = pictures(10)
    images[::2] /= 3
    found = across.look(Mean(), images, (images.mean((1, 2, 3)) > 127.5).long())
    for name, value in {"LI": 0, "DI": 0, "relative_LI": 0, "SI": 1, "same_prediction": 1}.items():
        assert found.measures[name] == pytest.approx(value, abs=1e-4), name
    assert found.curves["rotation"][12] == 1  # unturned
    assert found.curves["brightness"][0] < 1  # where all is dark


def test_saliency_of_a_colour_image_is_that_of_its_channels_together():
    gray = pictures(6)
    one, three = Linear(1), Linear(3)
    three.weight = one.weight.expand(-1, 3, -1, -1) / 3
    labels = torch.zeros(6, dtype=torch.long)
    alone = across.look(one, gray, labels).measures
    together = across.look(three, gray.expand(-1, 3, -1, -1), labels).measures
    assert together["SI"] == pytest.approx(alone["SI"], abs=1e-6)
    assert together["LI"] == pytest.approx(alone["LI"], rel=1e-4)


def test_curves_are_accuracy_at_each_magnitude():
    images = pictures(9)
    labels = torch.arange(9) % 3
    network = Linear(1)
    curves = across.look(network, images, labels).curves
    assert set(curves) == set(ELEVEN) - {"grayscale"}
    assert all(len(curves[n]) == len(TRANSFORMATIONS[n].magnitudes) for n in curves)
    third = TRANSFORMATIONS["brightness"].magnitudes[2]
    changed = brighten(images.expand(-1, 3, -1, -1), third)[:, :1]
    right = (network(changed).argmax(1) == labels).float().mean().item()
    assert curves["brightness"][2] == pytest.approx(right)
    assert "grayscale" in across.look(Linear(3), pictures(4, 3), labels[:4]).curves


def looked_at(name="Net_1", seeds=(0, 1)):
    images = pictures(6)
    labels = torch.arange(6) % 3
    looks = [across.look(Linear(1, seed=s), images, labels) for s in seeds]
    across.store(name, looks, seeds)
    return looks


def test_stored_measures_make_a_row_of_the_table():
    looks = looked_at()
    measured = recording.measurements()
    assert across_table.networks(measured) == ["Net_1"]
    (predictions,), (others,) = across_table.tables(measured)
    assert predictions["network"] == others["network"] == "Net 1"
    assert {*predictions} & {*others} == {"network"}
    assert {*across_table.TITLES.values()} == {*predictions, *others} - {"network", "transformed"}
    assert across_table.tables({}) == []
    mean = sum(one.measures["LI"] for one in looks) / 2
    assert measured["across.Net_1.LI"]["mean"] == pytest.approx(mean)
    curve = [sum(values) / 2 for values in zip(*(one.curves["blur"] for one in looks), strict=True)]
    assert across_table.kept(measured, "Net_1")["blur"] == pytest.approx(sum(curve) / len(curve))


def chapter(**changed):
    return {"status": "complete", "measurements": recording.measurements()} | changed


def test_page_has_a_row_for_each_network_a_figure_and_sentences(tmp_path):
    looked_at("One")
    looked_at("Two", (2,))
    recording.record("BN_00.Pinv", [0.02], unit="fraction", seeds=[0])
    recording.record("proper.BN_00.Pinv", [0.03], unit="fraction", seeds=[0])
    recording.record("C4.Pinv", None, unit="fraction", reason="not in this run")
    of = {"rotation-generalization": chapter()}
    across_page.write(tmp_path, of, {})
    text = (tmp_path / "across.md").read_text()
    assert text.count("[Rotation generalization](../notebooks/rotation-generalization.ipynb)") == 7
    assert "Of 2 rows" in text
    assert (tmp_path / "across.svg").exists()
    table = (tmp_path / "circle.md").read_text()
    assert "| BN 00 |" in table
    assert "0.020" in table
    assert "proper" not in table
    assert "C4" not in table


def test_page_takes_this_run_before_the_reference_and_skips_what_failed(tmp_path):
    looked_at("Old")
    reference = {"a": chapter(), "b": chapter(status="failed")}
    recording.reset()
    looked_at("New")
    found = across_page.networks({**reference, "a": chapter()})
    assert [n.name for n in found if n.chapter == "a"] == ["New"]
    across_page.write(tmp_path, reference, {"a": chapter()})
    assert "Old" not in (tmp_path / "across.md").read_text()


def test_page_without_measures_says_so(tmp_path):
    across_page.write(tmp_path, {}, {"a": chapter()})
    assert across_page.NOTHING in (tmp_path / "across.md").read_text()
    assert not (tmp_path / "across.svg").exists()


@pytest.mark.parametrize(
    ("same", "si", "words"),
    [
        ((0.5, 0.6), (0.9, 0.9), "No network gives one prediction to 90% of its images"),
        (
            (0.95, 0.6),
            (0.9, 0.2),
            "At least 90% of the images get one prediction in 1 of 2 rows, and in all",
        ),
        ((0.95, 0.99), (0.9, 0.2), "below 0.7 in B (0.20)."),
    ],
)
def test_reasons_follow_from_the_numbers(same, si, words):
    names = ("A", "B")
    measured = {
        f"across.{n}.{m}": {"mean": v}
        for m, values in (("same_prediction", same), ("SI", si))
        for n, v in zip(names, values, strict=True)
    }
    found = [across_table.Network("c", n, measured) for n in names]
    assert words in across_page._reasons(found)


MEASURES = ("accuracy", "same_prediction", "relative_LI", "SI")


def network(chapter, name, value=0.5):
    measured = {f"across.{name}.{m}": {"mean": value} for m in MEASURES}
    return across_table.Network(chapter, name, measured)


def test_a_comparison_without_its_networks_says_what_it_takes():
    told = "\n".join(comparisons([], []))
    assert told.count("(It takes ") == 4
    assert told.count("**") == 2  # no heading but that of what is missing
    assert "%" not in told


def test_comparisons_name_the_networks_and_their_numbers():
    found = [
        network("rotation-generalization", "CNN_00_free", 0.25),
        network("rotation-generalization", "BN_00_free", 0.75),
        network("rotation-generalization", "BN_00_restricted", 0.125),
        network("genuine-invariance", "R4_WT", 1.0),
        network("cnn-screening", "AlexNet", 0.375),
    ]
    told = "\n".join(comparisons(found, [{"chapter": "[genuine invariance](x)"}]))
    assert "Not answered" not in told
    assert "BN 00 free is right about 75.0% of upright digits" in told  # the more accurate one
    assert "R4 WT, whose weights know the group, is right about 100.0%" in told
    assert "BN 00 gives one prediction to all four poses of 75% of the free digits and 12%" in told
    assert "share of images: AlexNet 38%." in told
