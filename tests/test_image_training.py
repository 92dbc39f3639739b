"""invnb.image_training: against a plain PyTorch loop, pixel by pixel, and reproducible by seed."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad

from invnb.cifar_nets import normalise
from invnb.errors import InvnbError
from invnb.image_training import ImageCourse, draw_moves, moved, predict, train

SIZE, CLASSES = 8, 3
COURSE = ImageCourse(epochs=3, batch_size=16, learning_rate=0.05, margin=1)


def pictures(n, seed=0):
    """Return noise with a bright channel, which tells the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    images = torch.randint(128, (n, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    images[torch.arange(n), labels] += 127
    return images, labels


def tiny():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(24, CLASSES),
    )


def course(**changes):
    return ImageCourse(**{**vars(COURSE), **changes})


def same(a, b):
    return all(torch.equal(a.state[name], b.state[name]) for name in a.state)


def test_no_epochs_give_the_untrained_network():
    torch.manual_seed(5)
    untrained = tiny().state_dict()
    trained = train(tiny, *pictures(20), course(epochs=0), seed=5)
    assert (trained.steps, trained.losses) == (0, [])
    assert all(torch.equal(trained.state[name], t) for name, t in untrained.items())


def test_fewer_images_than_a_batch_are_one_batch():
    assert course().batches(10) == (1, 10)
    assert course().steps(10) == 3
    assert course().steps(50) == 9
    assert train(tiny, *pictures(10), COURSE, seed=0).steps == 3


@pytest.mark.parametrize("n", [40, 5])
def test_training_is_the_textbook_loop(n):
    images, labels = pictures(n)
    torch.manual_seed(3)
    network, generator = tiny().train(), torch.Generator().manual_seed(3)
    optimizer = torch.optim.SGD(network.parameters(), 1, 0.9, weight_decay=5e-4, nesterov=True)
    count = max(n // 16, 1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, 3 * count, cycle_momentum=False)
    losses = []
    for _ in range(3):
        order = torch.randperm(n, generator=generator)[: count * min(n, 16)]
        moves = draw_moves(len(order), 1, generator)
        total = 0
        for i in range(count):
            some = order[16 * i : 16 * (i + 1)]
            batch = normalise(moved(images[some], moves[16 * i : 16 * (i + 1)], 1))
            loss = cross_entropy(network(batch), labels[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            total += loss.item()
        losses.append(total / count)
    trained = train(tiny, images, labels, COURSE, seed=3)
    assert trained.losses == pytest.approx(losses, rel=1e-4)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(trained.state[name], tensor, rtol=1e-3, atol=1e-5)


def test_seed_alone_decides():
    images, labels = pictures(40)
    first = train(tiny, images, labels, COURSE, seed=1)
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    assert same(first, train(tiny, images, labels, COURSE, seed=1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not same(first, train(tiny, images, labels, COURSE, seed=2))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_network_learns_and_bfloat16_keeps_float32_weights(precision):
    images, labels = pictures(96)
    learned = train(tiny, images, labels, course(epochs=20, precision=precision), seed=0)
    network = tiny()
    network.load_state_dict(learned.state)
    assert {t.dtype for t in learned.state.values()} == {torch.float32, torch.int64}
    assert learned.losses[-1] < learned.losses[0] / 2
    held_out, truth = pictures(60, seed=1)
    assert (predict(network.eval(), held_out) == truth).float().mean() > 0.9


def test_moves_are_crops_of_the_padded_image_and_mirrored():
    images = torch.randint(1, 256, (200, 3, 4, 6), dtype=torch.uint8)
    moves = draw_moves(200, 2, torch.Generator().manual_seed(0))
    assert moves.amin(0).tolist() == [0, 0, 0]
    assert moves.amax(0).tolist() == [4, 4, 1]
    result, padded = moved(images, moves, 2), pad(images, (2, 2, 2, 2))
    for i, (y, x, mirror) in enumerate(moves.tolist()):
        crop = padded[i, :, y : y + 4, x : x + 6]
        assert torch.equal(result[i], crop.flip(-1) if mirror else crop)
    stay = torch.tensor([[2, 2, 0]]).expand(200, 3)
    assert torch.equal(moved(images, stay, 2), images)


def test_no_margin_only_mirrors():
    images = torch.randint(256, (9, 3, 4, 4), dtype=torch.uint8)
    moves = draw_moves(9, 0, torch.Generator().manual_seed(0))
    assert moves[:, :2].abs().sum() == 0
    assert torch.equal(moved(images, moves, 0).sum(-1), images.sum(-1))


def test_predictions_do_not_depend_on_the_chunk():
    images, _ = pictures(23)
    network = tiny().eval()
    want = network(normalise(images)).argmax(1)
    assert torch.equal(predict(network, images, chunk=5), want)
    assert torch.equal(predict(network, images.float() / 255), want)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(4, 3, 8, 8), torch.zeros(4), r"got float32 \[4, 3, 8, 8\]"),
        (torch.zeros(4, 8, 8, dtype=torch.uint8), torch.zeros(4), r"got uint8 \[4, 8, 8\]"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.zeros(0), "N of 1 or more"),
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(3), r"labels must be \[4\]"),
    ],
)
def test_images_of_another_kind_are_refused(images, labels, message):
    with pytest.raises(InvnbError, match=message):
        train(tiny, images, labels, COURSE, seed=0)


def test_unknown_precision_is_refused():
    with pytest.raises(InvnbError, match="'half'; there are float32, bfloat16"):
        ImageCourse(precision="half")
