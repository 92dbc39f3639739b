"""invnb.encoding: what learns and what does not, losses, seeds, and readings of codes."""

import pytest
import torch
from torch.nn.functional import one_hot

from invnb.encoders import ConvEncoder, classifier, reconstructor
from invnb.encoding import (
    Course,
    classified,
    codes_of,
    reconstruction_error,
    train_head,
    train_locally,
    train_through,
)
from invnb.errors import InvnbError
from invnb.perturbed_encoders import seeded
from invnb.predcaps import PredCaps, Rules

SHORT = Course(steps=60, batch_size=16, learning_rate=2e-3)


@pytest.fixture(scope="module")
def images():
    """Bars at one of ten heights."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (200,), generator=generator)
    images = torch.zeros(200, 28, 28)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[4 + 2 * label : 7 + 2 * label, 4:24] = 1
    return images, labels


def codes(n=200):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(1))


def test_layers_learn_to_reconstruct_their_inputs(images):
    encoder = seeded(lambda: PredCaps(Rules(winners=2)), 0)
    before = [loss.item() for loss in encoder.losses(images[0])]
    course = Course(steps=30, batch_size=16, learning_rate=3e-3)
    trained = train_locally(encoder, images[0], course, seed=0)
    after = [loss.item() for loss in encoder.losses(images[0])]
    assert after[0] < 0.6 * before[0]
    assert after[1] < before[1]
    assert (trained.steps, len(trained.losses)) == (30, 1)
    assert not encoder.training


def test_the_deepest_layer_learns_to_reconstruct_an_input_that_stays_as_it_is(images):
    encoder = seeded(lambda: PredCaps(Rules(winners=2)), 0)
    encoder.layers[:2].requires_grad_(False)
    before = encoder.losses(images[0])[2].item()
    train_locally(encoder, images[0], Course(30, 16, 3e-3), seed=0)
    assert encoder.losses(images[0])[2].item() < before


def test_through_training_moves_all_layers(images):
    encoder, head = seeded(lambda: (ConvEncoder(16), classifier(16)), 0)
    start = [p.clone() for p in encoder.parameters()]
    trained = train_through(encoder, head, *images, SHORT, seed=0)
    assert all(not torch.equal(a, b) for a, b in zip(start, encoder.parameters(), strict=True))
    assert trained.losses[-1] < trained.losses[0]
    assert {name[:2] for name in trained.state} == {"0.", "1."}


def test_a_heads_training_leaves_the_codes_alone_and_sets_its_scale(images):
    given = 7 * codes()
    kept = given.clone()
    head = seeded(lambda: classifier(8), 0)
    train_head(head, given, *images, SHORT, seed=0)
    assert torch.equal(given, kept)
    assert torch.allclose((given * head.scale).square().mean(), torch.tensor(1.0))


def test_heads_learn_what_they_are_for(images):
    coded = one_hot(images[1], 10).float()
    classify = seeded(lambda: classifier(10), 0)
    train_head(classify, coded, *images, SHORT, seed=0)
    assert (classified(classify, coded) == images[1]).float().mean() > 0.95
    draw = seeded(lambda: reconstructor(10), 0)
    train_head(draw, coded, images[0], None, SHORT, seed=0)
    variance = images[0].var(0).mean()  # what drawing the mean image would leave
    assert reconstruction_error(draw, coded, images[0]).mean() < 0.85 * variance


def test_the_losses_are_the_posts(images):
    head = seeded(lambda: reconstructor(8), 0)
    once = Course(steps=1, batch_size=4, learning_rate=1e-9)
    some = torch.randint(200, (4,), generator=torch.Generator().manual_seed(3))
    start = seeded(lambda: reconstructor(8), 0).fit_scale(codes())
    squared = (start(codes()[some]).sigmoid() - images[0][some].flatten(1)).square().mean()
    assert train_head(head, codes(), images[0], None, once, seed=3).losses[0] == pytest.approx(
        squared.item(), rel=1e-5
    )
    start = seeded(lambda: classifier(8), 0).fit_scale(codes())
    p, y = start(codes()[some]).sigmoid(), one_hot(images[1][some], 10)
    entropy = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
    head = seeded(lambda: classifier(8), 0)
    assert train_head(head, codes(), *images, once, seed=3).losses[0] == pytest.approx(
        entropy.item(), rel=1e-5
    )


def test_error_by_a_loop(images):
    head = seeded(lambda: reconstructor(8), 0)
    found = reconstruction_error(head, codes(), images[0], batch_size=7)
    for i in (0, 6, 7, 199):
        picture = head(codes()[i : i + 1]).sigmoid().view(28, 28)
        assert torch.allclose(found[i], (picture - images[0][i]).square().mean(), atol=1e-6)


def test_codes_do_not_depend_on_the_batch(images):
    encoder = seeded(lambda: PredCaps(Rules(feedback="none")), 0)
    whole = codes_of(encoder, images[0][:20])
    assert torch.allclose(codes_of(encoder, images[0][:20], batch_size=3), whole, atol=1e-6)


def test_a_seed_makes_the_same_network(images):
    def made(seed):
        encoder = seeded(PredCaps, 0)
        return train_locally(encoder, images[0], Course(steps=3, batch_size=8), seed=seed).state

    one, again, other = made(1), made(1), made(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["layers.0.weight"], other["layers.0.weight"])


def test_half_precision_keeps_weights_in_full(images):
    encoder = seeded(lambda: PredCaps(Rules(winners=1)), 0)
    course = Course(steps=2, batch_size=8, precision="bfloat16")
    state = train_locally(encoder, images[0], course, seed=0).state
    assert {t.dtype for t in state.values()} == {torch.float32}


def test_an_unknown_precision():
    with pytest.raises(InvnbError, match="unknown precision 'half'; there are float32, bfloat16"):
        Course(precision="half")
