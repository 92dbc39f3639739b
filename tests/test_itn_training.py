"""invnb.itn_training: against the loop written out, the switch, and a classifier left alone."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from invnb.cache import measure_or_load
from invnb.cifar_nets import normalise
from invnb.errors import InvnbError
from invnb.itn import InvariantTransformerNet, displacement, inverse, magnitude, unit_vectors
from invnb.itn_training import ITNCourse, Learned, frozen, learn, weighted

COURSE = ITNCourse(steps=4, batch_size=6, learning_rate=1e-2, c_theta=3.0, vectors=5)


def small():
    return InvariantTransformerNet(8)


def make_classifier():
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    ).eval()


@pytest.fixture
def classifier():
    return make_classifier()


@pytest.fixture
def pictures(classifier):
    """Return images with labels of which the classifier gets three quarters right."""
    images = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        labels = classifier(normalise(images)).argmax(1)
    labels[::4] = (labels[::4] + 1) % 3
    return images, labels


def course(**changes):
    return ITNCourse(**{**vars(COURSE), **changes})


def by_hand(classifier, images, labels, course, seed):
    """Return the net and each step's losses, accuracy and branch, written out."""
    torch.manual_seed(seed)
    net, generator = small(), torch.Generator().manual_seed(seed)
    adams = [torch.optim.Adam(net.parameters(), course.learning_rate) for _ in range(2)]
    if course.moments == "shared":
        adams[1] = adams[0]
    right = (classifier(normalise(images)).argmax(1) == labels).double().mean().item()
    level = right if course.level is None else course.level
    rows = []
    for _ in range(course.steps):
        some = torch.randint(len(images), (course.batch_size,), generator=generator)
        k1, k2 = torch.rand(2, course.batch_size, 2, generator=generator)
        s4, s3 = (unit_vectors(course.vectors, d, generator) for d in (4, 3))
        changed = net(images[some] / 255, k1, k2)
        logits = classifier(normalise(changed))
        cnn = cross_entropy(logits, labels[some])
        colour, space = net.colour(k1), net.space(k2)
        judged = space if course.loss_on == "sampler" else inverse(space)
        total = 0
        for i in range(course.batch_size):
            of_colour = displacement(colour[i : i + 1], s4)[0] * (k1[i, 0] + k1[i, 1])
            of_space = displacement(judged[i : i + 1], s3)[0] * (k2[i, 0] + k2[i, 1])
            total = total + course.c_theta * of_colour + of_space
        transformers = total / course.batch_size
        accuracy = (logits.argmax(1) == labels[some]).double().mean().item()
        if course.weight is not None:
            took, loss = 1, cnn + course.weight * transformers
        else:
            took = int(accuracy < level)
            loss = cnn if took else transformers
        adam = adams[took]
        adam.zero_grad()
        loss.backward()
        adam.step()
        sizes = magnitude(colour).mean().item(), magnitude(judged).mean().item()
        rows.append((cnn.item(), transformers.item(), accuracy, took, *sizes))
    return net, torch.tensor(rows)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss_on": "image"},
        {"moments": "shared"},
        {"weight": 0.5},
        {"level": 0.0},
        {"level": 1.0},
        {"steps": 1},
    ],
    ids=str,
)
def test_training_is_the_loop_written_out(classifier, pictures, changes):
    of = course(**{"steps": 12, **changes})
    net, rows = by_hand(classifier, *pictures, of, seed=3)
    learned = learn(classifier, *pictures, of, seed=3, make=small)
    found = torch.stack(list(vars(learned.record).values()), 1).float()
    torch.testing.assert_close(found, rows, rtol=1e-3, atol=1e-4)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(learned.state[name], tensor, rtol=1e-2, atol=1e-4)


def test_switch_is_by_accuracy_and_its_level_is_the_clean_accuracy(classifier, pictures):
    learned = learn(classifier, *pictures, course(steps=30), seed=0, make=small)
    assert learned.level == 0.75
    record = learned.record
    assert torch.equal(record.took_cnn == 1, record.accuracy < 0.75)
    assert 0 < record.took_cnn.sum() < 30


def test_identity_is_left_only_by_the_loss_of_the_classifier(classifier, pictures):
    stays = learn(classifier, *pictures, course(level=0.0), seed=0, make=small)
    assert stays.record.colour.max() == stays.record.space.max() == 0
    leaves = learn(classifier, *pictures, course(level=1.0), seed=0, make=small)
    assert leaves.record.colour[0] == 0
    assert leaves.record.colour[-1] > 0


def test_transformers_go_far_where_nothing_holds_them(classifier, pictures):
    of = course(steps=60, weight=100.0, learning_rate=3e-2)
    record = learn(classifier, *pictures, of, seed=0, make=small).record
    assert record.took_cnn.min() == 1
    assert record.transformer_loss[-1] < 10 * record.transformer_loss[5] < 0
    assert record.space[-1] > 1


def test_weighted_loss_is_the_sum_of_controls_times_displacement():
    matrix, vectors = torch.stack((2 * torch.eye(2, 3), torch.eye(2, 3))), torch.eye(3)
    control = torch.tensor([[0.25, 0.5], [1.0, 1.0]])
    # the first unit vectors move by 1 each, the third not: -2 / 3; the identity moves none
    assert weighted(matrix, control, vectors).item() == pytest.approx(0.75 * -2 / 3 / 2)


def test_classifier_and_generators_stay_as_they_were(classifier, pictures):
    classifier.train()
    classifier[0].weight.requires_grad_(False)
    before = {k: t.clone() for k, t in classifier.state_dict().items()}
    state = torch.random.get_rng_state()
    learned = learn(classifier, *pictures, COURSE, seed=0, make=small)
    assert all(torch.equal(t, before[k]) for k, t in classifier.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert classifier.training
    assert [p.requires_grad for p in classifier.parameters()] == [False] + [True] * 5
    assert all(p.grad is None for p in classifier.parameters())
    again = learn(make_classifier(), *pictures, COURSE, seed=0, make=small)
    assert all(torch.equal(t, again.state[k]) for k, t in learned.state.items())


def test_classifier_that_changes_is_told():
    classifier = make_classifier()
    with pytest.raises(InvnbError, match=r"but changed at '4\.bias'"), frozen(classifier):
        classifier[4].bias += 1
    assert classifier[4].bias.requires_grad


def test_learned_survives_the_cache(classifier, pictures, tmp_path):
    learned = learn(classifier, *pictures, COURSE, seed=0, make=small)
    for _ in range(2):
        back = Learned.from_tensors(measure_or_load({"k": 1}, learned.tensors, folder=tmp_path))
        assert (back.level, back.seconds) == (learned.level, learned.seconds)
        assert torch.equal(back.record.space, learned.record.space)
        assert back.state.keys() == learned.state.keys()


def test_bfloat16_is_near_float32(classifier, pictures):
    full, half = (
        learn(classifier, *pictures, course(precision=p, steps=1), seed=0, make=small).record
        for p in ("float32", "bfloat16")
    )
    assert full.cnn_loss.item() != half.cnn_loss.item()
    assert full.cnn_loss.item() == pytest.approx(half.cnn_loss.item(), rel=0.05)


def test_divergence_is_told(classifier, pictures):
    with pytest.raises(InvnbError, match=r"diverged: from step 2 on .* below 1e\+30 may help"):
        learn(classifier, *pictures, course(level=1.0, learning_rate=1e30), seed=0, make=small)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss_on": "both"}, "loss_on must be one of sampler, image, got 'both'"),
        ({"moments": "two"}, "moments must be one of apart, shared, got 'two'"),
        ({"precision": "half"}, "precision must be one of float32, bfloat16"),
        ({"steps": 0}, "steps must be 1 or more, got 0"),
        ({"vectors": 0}, "vectors must be 1 or more, got 0"),
        ({"weight": 0.0}, "weight must be above 0, or None to switch, got 0"),
        ({"level": 80.8}, "level is a fraction, 0 to 1, got 80.8"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(InvnbError, match=message):
        course(**changes)
