"""invnb.training: against a plain PyTorch loop, and each seed the same network in any company."""

import copy
from itertools import combinations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from invnb import training as module
from invnb.cnn import CNN, TiedCNN
from invnb.groups import GROUPS, R4, T3
from invnb.models import MLP, TiedMLP
from invnb.penalties import PENALTIES
from invnb.training import Schedule, accuracies, train
from invnb.transforming import Split

SIZE, CLASSES = 6, 4
SCHEDULE = Schedule(epochs=4, batch_size=16, learning_rate=1e-2)
CASES = [("LI", 0.0), *((penalty, 0.5) for penalty in PENALTIES)]
PENALISED = pytest.mark.parametrize(("penalty", "nu"), CASES)


def make_split(n, seed, dtype=torch.float64):
    """Return images with a bright spot whose place, and a noisy one whose size, tell the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    images = torch.randn(n, SIZE, SIZE, generator=generator, dtype=dtype)
    images[torch.arange(n), 2, 2] += labels
    return Split(images, labels)


TRAINING, VALIDATION = make_split(50, 0), make_split(40, 1).transformed(R4, 0)


def tiny():
    return MLP(SIZE, CLASSES, hidden=8, layers=2)


def tiny_cnn():
    return CNN(SIZE, CLASSES, hidden=8)


def schedule(**changes):
    return Schedule(**{**vars(SCHEDULE), **changes})


def run(factory=tiny, seeds=(0,), group=R4, training=TRAINING, validation=VALIDATION, **changes):
    return train(factory, group, training, validation, schedule(**changes), seeds=list(seeds))


def difference(a, b):
    assert a.keys() == b.keys()
    return max((a[name].double() - b[name].double()).abs().max().item() for name in a)


def accuracy(network, split):
    with torch.no_grad():
        return (network(split.images).argmax(-1) == split.labels).double().mean().item()


def over_orbit(penalty, logits, other):
    if penalty == "KL":
        return kl_div(
            log_softmax(other, 1), log_softmax(logits, 1), reduction="batchmean", log_target=True
        )
    distance = ((logits - other) ** 2).sum(1)
    if penalty == "LI":
        return 0.5 * distance.mean()
    return (distance / ((logits.detach() if penalty == "norm" else logits) ** 2).sum(1)).mean()


def squared_spectral_norm(weight, right):
    """Return the square after one power iteration, which moves `right`, in place."""
    matrix = weight.reshape(len(weight), -1)
    with torch.no_grad():
        left = matrix @ right / (matrix @ right).norm()
        right.copy_(matrix.T @ left / (matrix.T @ left).norm())
    return (left @ matrix @ right) ** 2


def plain_loop(factory, group, nu, seed, epochs=SCHEDULE.epochs, penalty="LI"):
    """Train one network the textbook way; yield it with its mean loss after each epoch."""
    torch.manual_seed(seed)
    network = factory().to(torch.float64)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=SCHEDULE.learning_rate)
    if penalty == "decay":
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=SCHEDULE.learning_rate, weight_decay=nu
        )
    weights = [p for p in network.parameters() if p.ndim > 1]
    right = [torch.ones(w[0].numel(), dtype=torch.float64) for w in weights]
    n = len(TRAINING.images)
    for _ in range(epochs):
        network.train()
        order = torch.randperm(n, generator=generator)
        poses = torch.randint(group.order, (n,), generator=generator)
        turns = torch.randint(1, group.order, (n,), generator=generator)
        total = 0.0
        for batch in torch.arange(n).split(SCHEDULE.batch_size):
            x = group.act_each(TRAINING.images[order[batch]], poses[batch])
            logits = network(x)
            loss = cross_entropy(logits, TRAINING.labels[order[batch]])
            if nu and penalty not in ("decay", "spectral"):
                other = network(group.act_each(x, turns[batch]))
                loss = loss + nu * over_orbit(penalty, logits, other)
            if nu and penalty == "spectral":
                loss = loss + nu / 2 * sum(map(squared_spectral_norm, weights, right))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        network.eval()
        yield network, total / n


class Normalised(nn.Module):
    """A network with batch normalisation, whose running statistics are buffers.

    Without the bias that the normalisation takes out: its gradient is rounding, which Adam scales.
    """

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(36, 8, bias=False),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Linear(8, CLASSES),
        )

    def forward(self, x):
        return self.layers(x)


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES), nn.Dropout(0.5))

    def forward(self, x):
        return self.layers(x)


def check_against_a_plain_loop(factory, group, nu, penalty, seeds=(3, 7)):
    for ours in run(factory, seeds, group, nu=nu, penalty=penalty):
        best, losses, history = None, [], []
        for network, loss in plain_loop(factory, group, nu, ours.seed, penalty=penalty):
            losses.append(loss)
            history.append(accuracy(network, VALIDATION))
            if history[-1] > max(history[:-1], default=-1):
                best = copy.deepcopy(network.state_dict())
        assert difference(ours.state, best) < 1e-10
        assert ours.losses == pytest.approx(losses, rel=1e-6)
        assert ours.validation_accuracy == pytest.approx(history)


@PENALISED
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("kind", ["MLP", "TiedMLP", "Normalised"])
def test_against_a_plain_loop(kind, group, penalty, nu):
    factory = {
        "MLP": tiny,
        "TiedMLP": lambda: TiedMLP(group, SIZE, CLASSES, hidden=8, layers=2),
        "Normalised": Normalised,
    }[kind]
    check_against_a_plain_loop(factory, group, nu, penalty)


@PENALISED
@pytest.mark.parametrize("stacked", [False, True])
def test_convolutional_networks_against_a_plain_loop(stacked, penalty, nu, monkeypatch):
    """One by one, as a CPU trains them, and in a stack, as a GPU does."""
    if stacked:
        monkeypatch.setattr(module, "_stacks", lambda network, device: True)
    check_against_a_plain_loop(tiny_cnn, R4, nu, penalty)


def test_tied_convolutional_networks_against_a_plain_loop():
    check_against_a_plain_loop(lambda: TiedCNN(T3, SIZE, CLASSES, hidden=8), T3, 0.0, "LI")


@PENALISED
def test_a_seed_alone_is_the_same_network_in_company(penalty, nu):
    together = run(seeds=(5, 2, 9), nu=nu, penalty=penalty)
    assert [t.seed for t in together] == [5, 2, 9]
    for ours in together:
        (alone,) = run(seeds=(ours.seed,), nu=nu, penalty=penalty)
        assert difference(ours.state, alone.state) < 1e-10
        assert ours.epoch == alone.epoch
        assert ours.validation_accuracy == alone.validation_accuracy


def test_a_convolutional_network_alone_is_the_same_in_company():
    for ours in run(tiny_cnn, (5, 2), nu=0.5, penalty="spectral"):
        (alone,) = run(tiny_cnn, (ours.seed,), nu=0.5, penalty="spectral")
        assert difference(ours.state, alone.state) == 0


@pytest.mark.parametrize("penalty", PENALTIES)
def test_without_weight_the_penalty_is_nothing(penalty):
    assert difference(run(penalty=penalty)[0].state, run()[0].state) == 0


def test_every_penalty_makes_a_network_of_its_own():
    networks = [run(nu=nu, penalty=penalty, epochs=1)[0] for penalty, nu in CASES]
    for a, b in combinations(networks, 2):
        assert difference(a.state, b.state) > 1e-4


def test_same_seed_twice_is_equal_bit_for_bit():
    training, validation = make_split(50, 0, torch.float32), make_split(40, 1, torch.float32)
    first, second = (run(training=training, validation=validation, nu=0.5) for _ in "ab")
    assert difference(first[0].state, second[0].state) == 0
    assert first[0].losses == second[0].losses


def test_different_seeds_differ():
    a, b = run(seeds=(0, 1))
    assert difference(a.state, b.state) > 0.01


def test_types_of_what_is_returned():
    splits = [make_split(50, s, torch.float32) for s in (0, 1)]
    (ours,) = run(training=splits[0], validation=splits[1])
    assert all(t.dtype == torch.float32 and not t.requires_grad for t in ours.state.values())
    tiny().load_state_dict(ours.state)
    assert ours.seconds > 0


def test_the_regulariser_lowers_the_logit_invariance_error():
    def error(nu):
        network = tiny().double()
        network.load_state_dict(run(nu=nu, epochs=20)[0].state)
        with torch.no_grad():
            logits = torch.stack([network(x) for x in R4.orbit(VALIDATION.images)])
        return (logits[1:] - logits[0]).square().sum(-1).mean().item() / 2

    errors = [error(nu) for nu in (0.0, 0.1, 10.0)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_the_best_epoch_is_the_first_maximum_and_its_state_is_returned():
    some_not_last = False
    for ours in run(seeds=range(6), epochs=12):
        history = ours.validation_accuracy
        assert len(history) == len(ours.losses) == 12
        assert ours.epoch == 1 + history.index(max(history))
        some_not_last |= ours.epoch < 12
        network = tiny().double()
        network.load_state_dict(ours.state)
        assert accuracy(network, VALIDATION) == pytest.approx(max(history))
    assert some_not_last


def test_ties_go_to_the_first_epoch():
    """Without learning every epoch is as good as the first."""
    (ours,) = run(learning_rate=0.0)
    assert len(set(ours.validation_accuracy)) == 1
    assert ours.epoch == 1


def test_no_epochs_gives_the_initial_network():
    (ours,) = run(seeds=(4,), epochs=0)
    torch.manual_seed(4)
    assert difference(ours.state, tiny().state_dict()) == 0
    assert (ours.epoch, ours.steps, ours.losses, ours.validation_accuracy) == (0, 0, [], [])


@pytest.mark.parametrize(
    ("n", "batch", "steps"), [(48, 16, 3), (49, 16, 4), (50, 16, 4), (5, 16, 1), (50, 1, 50)]
)
def test_the_last_partial_batch_is_a_step(n, batch, steps):
    assert schedule(epochs=2, batch_size=batch).steps(n) == 2 * steps
    done = []

    class Counting(torch.optim.Adam):
        def step(self, *arguments):
            done.append(1)
            return super().step(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "Adam", Counting)
        (ours,) = run(training=make_split(n, 0), epochs=2, batch_size=batch)
    assert len(done) == ours.steps == 2 * steps


def test_the_last_partial_batch_is_learned_from():
    met = []

    class Meeting(nn.Module):
        def __init__(self):
            super().__init__()
            self.read_out = nn.Linear(1, CLASSES)

        def forward(self, x):
            if self.training:
                met.append(x.shape[0])
            return self.read_out(x.sum((-2, -1)).unsqueeze(-1))

    run(Meeting, training=make_split(17, 0), epochs=1)
    assert met == [16, 1]


def test_the_papers_schedule():
    assert vars(Schedule()) == dict(
        epochs=300, batch_size=512, learning_rate=8e-4, nu=0.0, penalty="LI"
    )
    assert Schedule().steps(10_000) == 6000


@pytest.mark.parametrize("factory", [Dropping, tiny_cnn])
def test_dropout_and_convolutional_networks_train_one_by_one(factory, monkeypatch):
    stacks, stack = [], module.stack_module_state
    monkeypatch.setattr(
        module, "stack_module_state", lambda ns: stacks.append(len(ns)) or stack(ns)
    )
    assert [t.seed for t in run(factory, (3, 1, 2))] == [3, 1, 2]
    assert stacks == [1, 1, 1]
    stacks.clear()
    run(seeds=(3, 1, 2))
    assert stacks == [3]


def test_dropout_networks_depend_on_the_seed_alone():
    first, second = (run(Dropping)[0] for _ in "ab")
    assert difference(first.state, second.state) == 0


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_the_global_generator_is_kept(seeds):
    state = torch.random.get_rng_state()
    run(seeds=seeds, nu=0.5)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_data_are_kept():
    images = TRAINING.images.clone()
    run(nu=0.5)
    assert torch.equal(TRAINING.images, images)


def test_the_groups_order_bounds_the_draws():
    """With T3, whose order is 3, an element 3 would be out of range."""
    assert len(run(group=T3, epochs=20, nu=1.0)[0].losses) == 20


def test_accuracies_in_chunks():
    split = make_split(23, 5)
    networks = [tiny().double() for _ in range(3)]

    def forward(x):
        return torch.stack([network(x[s]) for s, network in enumerate(networks)])

    expected = [accuracy(network, split) for network in networks]
    for chunk in (1, 5, 23, 100):
        found = accuracies(forward, split, 3, chunk=chunk)
        assert found.tolist() == pytest.approx(expected)
