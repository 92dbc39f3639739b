"""invnb.experiment: measured as by brute force, and trained once per everything that matters."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from scipy.ndimage import gaussian_filter
from scipy.special import softmax
from scipy.stats import entropy

from invnb import experiment
from invnb.cnn import CNN, TiedCNN
from invnb.data import ImageData
from invnb.errors import InvnbError
from invnb.experiment import KINDS, PENALTY, Experiment, orbit_similarity
from invnb.groups import GROUPS, R4, T3
from invnb.models import MLP, TiedMLP
from invnb.penalties import PENALTIES
from invnb.training import Schedule, Trained
from invnb.transforming import Split, Splits, make_splits

SIZE = 6
OWN = """
from functools import partial

from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 9))

partly = partial(nn.Sequential, nn.Flatten(), nn.Linear(36, 9))
ten = partial(nn.Sequential, nn.Flatten(), nn.Linear(36, 10))
wide = partial(nn.Sequential, nn.Flatten(), nn.Linear(37, 9))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("INVNB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "own_model.py"
    sys.modules.pop("own_model", None)


def make_split(n, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, SIZE, SIZE, generator=generator, dtype=torch.float64)
    return Split(images, torch.randint(9, (n,), generator=generator))


def make(**changes):
    splits = Splits(make_split(40, 0), make_split(25, 1), make_split(20, 2), 0.1, 0.3)
    settings = dict(
        splits=splits,
        checksum="abc",
        hidden=8,
        layers=2,
        schedule=Schedule(epochs=2, batch_size=16, learning_rate=1e-2),
        saliency_images=7,
    )
    return Experiment(**settings | changes)


def fail(*arguments, **options):
    raise AssertionError("trained again")


@pytest.fixture
def given(monkeypatch):
    """What training was given, instead of training."""
    given = []

    def watching(factory, group, training, validation, schedule, *, seeds, label):
        given.append((group, training, validation, schedule, label))
        return [Trained(s, {}, 0, 0, 0.0) for s in seeds]

    monkeypatch.setattr(experiment, "train", watching)
    return given


# --- what is trained ---


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_kinds_of_models(group):
    this = make()
    assert isinstance(wt := this.factory("WT", group)(), TiedMLP)
    assert wt.group is group
    for model in ("DA", *PENALTY):
        assert type(this.factory(model, group)()) is MLP
        assert this.factory(model, group)().first.weight.shape == (8, 36)
        assert len(this.factory(model, group)().rest) == 3


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_kinds_of_convolutional_models(group):
    this = make(architecture="CNN")
    assert isinstance(wt := this.factory("WT", group)(), TiedCNN)
    assert wt.group is group
    for model in KINDS:
        network = this.factory(model, group)()
        assert model == "WT" or type(network) is CNN
        assert network.readout.weight.shape == (9, 8)
        this.check(model)


@pytest.mark.parametrize(
    ("model", "nu"), [("WT", 0), ("DA", 0), *((model, 0.5) for model in PENALTY)]
)
def test_a_second_call_trains_nothing(model, nu, monkeypatch):
    first = make().train(model, R4, [2, 0], nu=nu)
    monkeypatch.setattr(experiment, "train", fail)
    second = make().train(model, R4, [2, 0], nu=nu)
    assert [t.seed for t in second] == [2, 0]
    for a, b in zip(first, second, strict=True):
        assert all(torch.equal(a.state[name], b.state[name]) for name in a.state)
        assert {**vars(a), "state": None} == {**vars(b), "state": None}


def test_what_training_is_given(given):
    this = make()
    this.train("IR", T3, [0], nu=0.25, epochs=1)
    ((group, training, validation, schedule, label),) = given
    assert (group, label) == (T3, "T3 IR ν=0.25")
    assert training is this.splits.train  # upright: training augments
    assert torch.equal(validation.images, this.splits.validation.transformed(T3, 1).images)
    assert schedule == Schedule(epochs=1, batch_size=16, learning_rate=1e-2, nu=0.25)


def test_da_and_ir_without_regulariser_are_one_network(monkeypatch):
    make().train("DA", R4, [0])
    monkeypatch.setattr(experiment, "train", fail)
    make().train("IR", R4, [0], nu=0.0)
    with pytest.raises(AssertionError, match="trained again"):
        make().train("IR", R4, [0], nu=0.5)
    with pytest.raises(AssertionError, match="trained again"):
        make().train("WT", R4, [0])


@pytest.mark.parametrize(
    ("model", "penalty"),
    [
        ("IR", "LI"),
        ("IR_KL", "KL"),
        ("IR_norm", "norm"),
        ("IR_through", "norm_through"),
        ("decay", "decay"),
        ("spectral", "spectral"),
    ],
)
def test_the_penalty_of_each_kind(model, penalty, given):
    make().train(model, R4, [0], nu=0.25)
    make().train(model, R4, [1])
    (*_, schedule, label), (*_, without, label_without) = given
    plain = make().schedule
    assert schedule == replace(plain, nu=0.25, penalty=penalty)
    assert without == plain
    assert (label, label_without) == (f"R4 {model} ν=0.25", f"R4 {model}")


def test_every_penalty_has_a_kind():
    assert sorted(PENALTY.values()) == sorted(PENALTIES)


@pytest.mark.parametrize("architecture", ["MLP", "CNN"])
def test_without_weight_every_penalty_is_the_da_network(architecture, monkeypatch):
    this = make(architecture=architecture)
    (first,) = this.train("DA", R4, [0], epochs=1)
    monkeypatch.setattr(experiment, "train", fail)
    for model in PENALTY:
        (second,) = this.train(model, R4, [0], nu=0.0, epochs=1)
        assert all(torch.equal(first.state[name], t) for name, t in second.state.items())


def test_kinds_of_equal_weight_are_trained_apart(cache, monkeypatch):
    states = [make().train(model, R4, [0], nu=0.5, epochs=1)[0].state for model in PENALTY]
    assert len(list(cache.iterdir())) == len(PENALTY)
    for i, a in enumerate(states):
        for b in states[:i]:
            assert not torch.equal(a["first.weight"], b["first.weight"])
    monkeypatch.setattr(experiment, "train", fail)
    for model, state in zip(PENALTY, states, strict=True):
        (again,) = make().train(model, R4, [0], nu=0.5, epochs=1)
        assert torch.equal(again.state["first.weight"], state["first.weight"])


@pytest.mark.parametrize("model", ["WT", "DA"])
def test_architectures_are_trained_apart(model, cache, monkeypatch):
    make().train(model, R4, [0], epochs=1)
    this = make(architecture="CNN")
    (trained,) = this.train(model, R4, [0], epochs=1)
    assert len(list(cache.iterdir())) == 2
    network = this.network(model, R4, trained)
    assert type(network) is (TiedCNN if model == "WT" else CNN)
    assert torch.equal(network.first.weight, trained.state["first.weight"].float())
    make(architecture="CNN", hidden=9).train(model, R4, [0], epochs=1)
    assert len(list(cache.iterdir())) == 3
    monkeypatch.setattr(experiment, "train", fail)
    this.train(model, R4, [0], epochs=1)
    make(architecture="CNN", layers=3).train(model, R4, [0], epochs=1)  # a CNN has no such size


def shuffled(split):
    order = torch.randperm(len(split.labels), generator=torch.Generator().manual_seed(3))
    return Split(split.images[order], split.labels[order])


CHANGES = {
    "hidden": lambda e: replace(e, hidden=9),
    "layers": lambda e: replace(e, layers=3),
    "data": lambda e: replace(e, checksum="abd"),
    "training split": lambda e: replace(
        e, splits=replace(e.splits, train=e.splits.train.first(39))
    ),
    "permutation": lambda e: replace(e, splits=replace(e.splits, train=shuffled(e.splits.train))),
    "validation split": lambda e: replace(
        e, splits=replace(e.splits, validation=e.splits.validation.first(19))
    ),
    "epochs": lambda e: replace(e, schedule=replace(e.schedule, epochs=3)),
    "batch size": lambda e: replace(e, schedule=replace(e.schedule, batch_size=17)),
    "learning rate": lambda e: replace(e, schedule=replace(e.schedule, learning_rate=0.02)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_trained_anew_when_something_else_determines_it(change, cache):
    make().train("DA", R4, [0])
    change(make()).train("DA", R4, [0])
    assert len(list(cache.iterdir())) == 2


def test_trained_anew_for_another_group_seed_or_number_of_epochs(cache):
    make().train("DA", R4, [0])
    make().train("DA", T3, [0])
    make().train("DA", R4, [1])
    make().train("DA", R4, [0], epochs=1)
    assert len(list(cache.iterdir())) == 4


def test_trained_anew_when_the_code_or_torch_changes(cache, monkeypatch):
    make().train("DA", R4, [0])
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "code_hash", lambda *modules: "other")
        make().train("DA", R4, [0])
    monkeypatch.setattr(torch, "__version__", "9.9")
    make().train("DA", R4, [0])
    assert len(list(cache.iterdir())) == 3


def test_how_much_is_measured_does_not_matter(monkeypatch):
    make().train("DA", R4, [0])
    monkeypatch.setattr(experiment, "train", fail)
    make(saliency_images=3).train("DA", R4, [0])


def test_trained_anew_for_other_validation_images(cache):
    """The size of the test split says which images validate: they are cut behind it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (120, 28, 28), generator=generator, dtype=torch.uint8)
    data = ImageData(images, torch.arange(120) % 9, "made up", "folder", "abc")
    cut = [make_splits(data, train=40, test=n, validation=20) for n in (20, 40)]
    assert not torch.equal(cut[0].validation.images, cut[1].validation.images)
    for splits in cut:
        make(splits=splits).train("DA", R4, [0])
    assert len(list(cache.iterdir())) == 2


# --- one's own network ---


def test_own_model_is_trained_like_da(own_module, cache, monkeypatch):
    (first,) = make().train("own_model:make", R4, [3])
    assert set(first.state) == {"1.weight", "1.bias"}
    assert first.steps == 6
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "train", fail)
        (second,) = make().train("own_model:make", R4, [3])
    assert torch.equal(first.state["1.weight"], second.state["1.weight"])
    own_module.write_text(OWN + "\n# changed\n")
    make().train("own_model:make", R4, [3])
    assert len(list(cache.iterdir())) == 2


def test_own_model_with_a_checkpoint_is_taken_as_it_is(own_module, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "train", fail)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 9))
    torch.save(network.state_dict(), tmp_path / "own.pt")
    model = f"own_model:make@{tmp_path / 'own.pt'}"
    this = make()
    trained = this.train(model, R4, [0, 1])
    assert [(t.seed, t.steps, t.epoch) for t in trained] == [(0, 0, 0)]
    x = torch.randn(2, SIZE, SIZE)
    assert torch.equal(this.network(model, R4, trained[0])(x), network(x))


def test_own_model_that_does_not_fit_is_refused_before_training(own_module):
    make().check("own_model:make")
    with pytest.raises(InvnbError, match="gives \\(2, 10\\) for 2 images, not logits \\(2, 9\\)"):
        make().check("own_model:ten")
    with pytest.raises(InvnbError, match="fails on images \\[2, 6, 6\\]: "):
        make().check("own_model:wide")


def test_own_model_by_a_partial(own_module):
    make().train("own_model:partly", R4, [0])


# --- what is measured ---


def test_network_is_ready_to_measure():
    this = make()
    (trained,) = this.train("WT", R4, [0])
    network = this.network("WT", R4, trained)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value.double(), trained.state[name].float().double())


def test_poses_are_fixed_and_those_of_test_and_validation_differ():
    this = make()
    same = make_split(20, 2)
    this = make(splits=replace(this.splits, test=same, validation=same))
    assert torch.equal(this.test(R4).images, same.transformed(R4, 2).images)
    assert torch.equal(this.validation(R4).images, same.transformed(R4, 1).images)
    assert not torch.equal(this.test(R4).images, this.validation(R4).images)
    assert torch.equal(this.test(R4).images, this.test(R4).images)
    assert torch.equal(this.test(T3).images, same.transformed(T3, 2).images)


def brute_force_map(network, x, y):
    """Captum's integrated gradients, thresholded, and scipy's Gaussian with wrapped edges."""
    salience = IntegratedGradients(network).attribute(x[None], target=int(y), n_steps=32)
    salience = salience[0].abs().detach().numpy()
    salience[salience < 0.9 * salience.max()] = 0
    return torch.from_numpy(gaussian_filter(salience, 1, radius=1, mode="wrap"))


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_measure_against_brute_force(group):
    torch.manual_seed(0)
    network = MLP(SIZE, hidden=8, layers=2).double()
    this = make()
    split, n = make_split(25, 3), this.saliency_images
    correct, li, di, si, same = [], [], [], [], []
    for b, (x, y) in enumerate(zip(split.images, split.labels, strict=True)):
        f_x = network(x[None])[0].detach().numpy()
        correct.append(f_x.argmax() == y.item())
        classes = {f_x.argmax()}
        for k in range(1, group.order):
            gx = group.act(x, k)
            f_gx = network(gx[None])[0].detach().numpy()
            classes.add(f_gx.argmax())
            li.append(0.5 * ((f_x - f_gx) ** 2).sum())
            di.append(entropy(softmax(f_x), softmax(f_gx)))
            if b < n:
                u = brute_force_map(network, x, y).flatten()
                v = group.act(brute_force_map(network, gx, y), -k).flatten()
                si.append((u @ v / (u.norm() * v.norm())).item())
        same.append(len(classes) == 1)
    expected = dict(
        zip(
            ("accuracy", "LI", "DI", "SI", "same_prediction"),
            map(np.mean, (correct, li, di, si, same)),
            strict=True,
        )
    )
    assert 0 < expected["same_prediction"] < 1
    assert this.measure(network, split, group) == pytest.approx(expected)


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_measure_of_an_invariant_network(group):
    found = make().measure(TiedMLP(group, SIZE, hidden=8).double(), make_split(25, 3), group)
    assert found["LI"] < 1e-24
    assert abs(found["DI"]) < 1e-12
    assert found["SI"] == pytest.approx(1, abs=1e-12)
    assert found["same_prediction"] == 1


def test_similarity_in_chunks_and_with_another_recipe():
    torch.manual_seed(0)
    network, split = MLP(SIZE, hidden=8, layers=2).double(), make_split(11, 4)
    whole = orbit_similarity(network, split, R4)
    assert whole.shape == (11, 4)
    torch.testing.assert_close(orbit_similarity(network, split, R4, chunk=3), whole)
    coarse = orbit_similarity(network, split, R4, threshold=0.1)
    assert (coarse - whole)[:, 1:].abs().max() > 0.1


@pytest.mark.parametrize("model", ["WT", "DA", "own_model:make"])
def test_a_weight_for_a_kind_without_penalty_is_refused(model, own_module):
    with pytest.raises(InvnbError, match=f"{model} takes no weight, got 0.5; IR"):
        make().train(model, R4, [0], nu=0.5)
