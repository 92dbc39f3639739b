"""invnb.itn_experiment: nets, and what is measured of them and by chance, computed once."""

import pytest
import torch

from invnb import itn_experiment, itn_measures, random_search
from invnb.image_training import ImageCourse
from invnb.itn import InvariantTransformerNet
from invnb.itn_training import ITNCourse
from invnb.screening_experiment import OnPixels, Screened


@pytest.fixture
def screened(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))
    return Screened("shapes", ImageCourse(epochs=1), at_most=2, training_images=30)


def test_a_net_is_learned_once(screened, monkeypatch):
    model = screened.model("small")
    images, labels = screened.block(model, 0, 14)
    course = ITNCourse(steps=3, batch_size=4, weight=0.1)
    first = itn_experiment.learned(model, images, labels, course, 0)
    monkeypatch.setattr(itn_experiment, "learn", None)
    again = itn_experiment.learned(model, images, labels, course, 0)
    assert torch.equal(first.record.cnn_loss, again.record.cnn_loss)
    assert first.state.keys() == again.state.keys()
    with pytest.raises(TypeError):  # other labels are another net
        itn_experiment.learned(model, images, labels.flip(0), course, 0)


@pytest.fixture
def net(screened):
    model = screened.model("AlexNet")
    images, labels = screened.block(model, 0, 6)
    learned = itn_experiment.learned(model, images, labels, ITNCourse(steps=3, batch_size=4), 0)
    return model, images, labels, learned


def test_agreement_is_measured_once(net, monkeypatch):
    model, images, _, learned = net
    found = itn_experiment.agreement(model, learned, images)
    transformer = InvariantTransformerNet().eval()
    transformer.load_state_dict(learned.state)
    expected = itn_measures.agreement(transformer, OnPixels(model).eval(), images)
    assert torch.equal(found, expected)
    monkeypatch.setattr(itn_measures, "agreement", None)
    assert torch.equal(itn_experiment.agreement(model, learned, images), found)


def test_a_search_is_made_once(net, monkeypatch):
    model, images, labels, _ = net
    about = {"budget": 60, "level": 0.0, "seed": 1, "climbing": True, "c_theta": 10.0}
    found = itn_experiment.searched(model, images, labels, **about)
    expected = random_search.search(OnPixels(model).eval(), images, labels, **about)
    assert torch.equal(found[0][0], expected.colour)
    assert torch.equal(found[1][0], expected.sampler)
    monkeypatch.setattr(random_search, "search", None)
    again = itn_experiment.searched(model, images, labels, **about)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    with pytest.raises(TypeError):
        itn_experiment.searched(model, images, labels, **about | {"seed": 2})
