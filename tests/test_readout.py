"""invnb.readout: against scikit-learn's own kernel, and what must not matter."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from invnb import readout


def blobs(n, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    return 2 * torch.eye(8)[labels] + torch.randn(n, 8, generator=generator) + 3, labels


TRAINING, TEST = blobs(300, 0), blobs(400, 1)


@pytest.mark.parametrize(
    ("reader", "model"),
    [
        ("logistic", LogisticRegression(C=100.0, tol=1e-3, max_iter=300)),
        ("svm", SVC(C=100.0, kernel="rbf", gamma=0.1, tol=1e-3)),
    ],
)
def test_accuracy_against_the_model_on_codes_of_length_one(reader, model):
    known, labels = (part.double().numpy() for part in TRAINING)
    middle = known.mean(0)
    size = np.sqrt(((known - middle) ** 2).sum(1).mean())
    model.fit((known - middle) / size, labels)
    found = readout.accuracies(reader, TRAINING, {"test": TEST, "training": TRAINING})
    for key, (codes, of) in {"test": TEST, "training": TRAINING}.items():
        expected = (model.predict((codes.numpy() - middle) / size) == of.numpy()).mean()
        assert 0.5 < expected < 0.95  # neither guessed nor all right
        assert found[key] == pytest.approx(expected, abs=0.005)


def test_more_codes_than_a_kernel_is_kept_for_are_read_alike(monkeypatch):
    found = readout.accuracies("svm", TRAINING, {"test": TEST})
    monkeypatch.setattr(readout, "AT_ONCE", 200)
    monkeypatch.setattr(readout, "rbf_kernel", None)
    assert readout.accuracies("svm", TRAINING, {"test": TEST}) == pytest.approx(found, abs=0.005)


@pytest.mark.parametrize("reader", readout.READERS)
def test_where_codes_lie_and_in_what_unit_does_not_matter(reader):
    moved = [(40 * codes - 7, labels) for codes, labels in (TRAINING, TEST)]
    known = readout.accuracies(reader, TRAINING, {"test": TEST})["test"]
    assert readout.accuracies(reader, moved[0], {"test": moved[1]})["test"] == pytest.approx(
        known, abs=0.005
    )
