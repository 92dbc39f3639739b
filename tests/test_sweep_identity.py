import checkout
import pytest
from PIL import Image

from invnb import data, provenance
from invnb.sweep_identity import differences, identity, images_of


@pytest.fixture(autouse=True)
def notebook(tmp_path, monkeypatch):
    checkout.make(tmp_path, monkeypatch)
    checkout.add_notebook("tiny", checkout.MEASURE)


def test_equal_machines_have_no_differences():
    assert differences(identity("tiny", ["digits"], None), identity("tiny", ["digits"], None)) == ""


def test_identity_holds_code_packages_and_data():
    found = identity("tiny", ["digits", "mnist"], None)
    assert found["invnb.recording"] == provenance.code_hash("invnb.recording")
    assert found["torch"] == provenance.packages()["torch"]
    assert found["data digits"] == data.load("digits").checksum
    assert found["data mnist"] == "DataUnavailableError", "missing here and there is no difference"
    assert {"tiny.ipynb", "invnb.runner", "invnb.engine", "python"} <= found.keys()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"invnb.engine": "0"}, "invnb.engine has other code"),
        ({"tiny.ipynb": "0"}, "tiny.ipynb has other code"),
        ({"torch": "1.0"}, "torch is 1.0, here 2.0"),
        ({"data digits": "b" * 64}, "data digits have checksum bbbbbbbbbbbb, here aaaaaaaaaaaa"),
        (
            {"numpy": "1", "python": "3.12", "scipy": "1", "torch": "1.0"},
            "numpy is 1, here 3, python is 3.12, here 3.11, scipy is 1, here 3 and 1 more",
        ),
    ],
)
def test_each_difference_is_named(changed, sentence):
    ours = {"invnb.engine": "1", "tiny.ipynb": "1", "torch": "2.0", "data digits": "a" * 64}
    ours |= {"numpy": "3", "scipy": "3", "python": "3.11"}
    assert differences(ours, ours | changed) == sentence


def test_a_module_that_is_missing_there_is_named():
    assert differences({"invnb.engine": "1"}, {}) == "invnb.engine is missing"


def test_an_image_folder_is_compared_by_its_files(tmp_path):
    def checksum():
        return identity("tiny", ["pictures"], str(tmp_path))["data pictures"]

    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / name / "1.bmp")
    before = checksum()
    assert checksum() == before
    Image.new("RGB", (9, 9)).save(tmp_path / "pictures" / "b" / "1.bmp")
    assert checksum() != before


def test_images_are_what_data_parameters_name():
    values = [{"data": "mnist", "drift_data": "scrambled", "seeds": [0]}, {"data": "digits"}]
    assert images_of(values) == ["digits", "mnist", "scrambled"]
