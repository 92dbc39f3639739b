"""Is a picture a digit? Judges that know an eleventh class, and strokes that hang together.

A plain digit classifier is sure of most pictures that no reader takes for a digit, so the judges
are trained on broken digits, too: `BROKEN`. How far they can be trusted is measured on held-out
digits, and on kinds of broken ones that they never saw: `UNSEEN`. Axes: N images of S x S pixels.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

import torch
from scipy import ndimage
from torch import Generator, Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, interpolate
from tqdm.auto import trange

from invnb.training import Trained

CLASSES = 11  # ten digits, and what is none
CONTRAST = 0.1  # a picture with less between darkest and brightest is blank
INK = 0.4  # of the brightest pixel: what belongs to a stroke
WHOLE = 0.95  # of a stroke's ink in one piece
SURE = 0.5  # probability of a digit
PIXELS = 28


def stretched(images: Tensor) -> Tensor:
    """Return images `[N, S, S]` with 0 for the darkest pixel and 1 for the brightest.

    Those that have hardly a difference between the two, less than `CONTRAST`, become all zero.
    """
    low, high = images.amin((1, 2), keepdim=True), images.amax((1, 2), keepdim=True)
    return torch.where(high - low < CONTRAST, 0, (images - low) / (high - low))


def in_one_piece(images: Tensor) -> Tensor:
    """Return the share of the strokes' ink in the largest connected piece, `[N]`, 0 for blank ones.

    Pixels with more than `INK` of the brightest are strokes; neighbours touch, also at corners.
    """
    bright = stretched(images).cpu()
    inked = (bright > INK).numpy()
    near = ndimage.generate_binary_structure(3, 3)
    near[[0, 2]] = False  # pieces end with their image
    pieces, count = ndimage.label(inked, near)
    ink = ndimage.sum_labels(bright.numpy(), pieces, range(count + 1))
    ink[0] = 0
    largest = torch.as_tensor(ink[pieces]).amax((1, 2))
    total = (bright * torch.as_tensor(inked)).sum((1, 2))
    return torch.where(total > 0, largest / total, 0).float()


class Judge(nn.Module):
    """A small convolutional network, `[N, 28, 28]` to logits `[N, 11]`."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 128),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(128, CLASSES),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits; the last class is "not a digit"."""
        return self.layers(images.unsqueeze(1))


def train_judge(
    images: Tensor, labels: Tensor, *, seed: int, steps: int = 3000, batch_size: int = 128
) -> Trained:
    """Train a judge on digits, two thirds of them softened, and as many broken ones.

    Args:
        images: `[N, 28, 28]`, 0..1.
        labels: `[N]`, 0..9.
        seed: of weights and batches.
        steps: of the optimiser, Adam, over one cycle up to a learning rate of .002.
        batch_size: digits a step; there are as many broken ones.

    """
    start = perf_counter()
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # dropout, too
        judge = Judge().to(images.device).train()
        optimizer = torch.optim.Adam(judge.parameters(), 2e-3, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 2e-3, max(steps, 1), cycle_momentum=False
        )
        generator = torch.Generator().manual_seed(seed)
        axes = _axes(images)
        losses = []
        for _ in trange(steps, desc="judge", leave=False):
            some = torch.randint(len(images), (batch_size,), generator=generator).to(images.device)
            good = softened(images[some], axes, generator)
            bad = _one_of_each(images, batch_size, generator)
            wanted = torch.cat([labels[some], labels.new_full((len(bad),), CLASSES - 1)])
            loss = cross_entropy(judge(stretched(torch.cat([good, bad]))), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    state = {name: t.detach().cpu().clone() for name, t in judge.state_dict().items()}
    return Trained(seed, state, 0, steps, perf_counter() - start, losses)


class Jury(nn.Module):
    """Several judges, whose probabilities are averaged."""

    def __init__(self, trained: Sequence[Trained]):
        super().__init__()
        self.judges = nn.ModuleList(Judge() for _ in trained)
        for judge, one in zip(self.judges, trained, strict=True):
            judge.load_state_dict(one.state)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities `[N, 11]` for images `[N, 28, 28]` of any contrast.

        Blank images are not digits.
        """
        bright = stretched(images)
        mean = torch.stack([judge(bright).softmax(1) for judge in self.judges]).mean(0)
        nothing = torch.zeros_like(mean[0])
        nothing[-1] = 1
        return torch.where((bright.amax((1, 2)) > 0).unsqueeze(1), mean, nothing)

    def read(self, images: Tensor, batch_size: int = 256) -> tuple[Tensor, Tensor]:
        """Return the likeliest digit of each image, and whether the jury takes it for one, `[N]`.

        It does where that digit's probability is above `SURE`.
        """
        parts = [self(some)[:, :-1].max(1) for some in images.split(batch_size)]
        return torch.cat([p.indices for p in parts]), torch.cat([p.values > SURE for p in parts])


def softened(images: Tensor, axes: Tensor, generator: Generator) -> Tensor:
    """Return digits as decoders draw them: as they are, blurred, or in few components.

    Args:
        images: `[N, S, S]`.
        axes: `[C, S * S]`, orthonormal, what the few components are.
        generator: draws which becomes what, a third each.

    """
    kind = torch.randint(3, (len(images), 1, 1), generator=generator).to(images.device)
    blurred = _blur(images)
    flat = images.flatten(1)
    few = (flat @ axes.T @ axes).clamp(0, 1).view_as(images)
    return torch.where(kind == 0, images, torch.where(kind == 1, blurred, few))


def _axes(images: Tensor, count: int = 40) -> Tensor:
    """Return the leading directions of images `[N, S, S]`, not centred, `[count, S * S]`."""
    flat = images[:5000].flatten(1)
    return torch.linalg.eigh(flat.T @ flat).eigenvectors.T[-count:]


def _blur(images: Tensor) -> Tensor:
    kernel = torch.tensor([1.0, 2, 1]).to(images) / 4
    kernel = torch.outer(kernel, kernel)[None, None]
    return conv2d(images.unsqueeze(1), kernel, padding=1).squeeze(1)


def _uniform(shape: tuple[int, ...], generator: Generator, like: Tensor) -> Tensor:
    return torch.rand(shape, generator=generator).to(like)


def _draw(images: Tensor, n: int, generator: Generator) -> Tensor:
    return images[torch.randint(len(images), (n,), generator=generator).to(images.device)]


def shuffled(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return digits whose sixteen squares have changed places."""
    side = images.shape[-1] // 4
    squares = _draw(images, n, generator).unfold(1, side, side).unfold(2, side, side).flatten(1, 2)
    order = torch.rand(squares.shape[:2], generator=generator).argsort(1).to(images.device)
    mixed = squares.gather(1, order[..., None, None].expand_as(squares))
    return mixed.unflatten(1, (4, 4)).transpose(2, 3).flatten(3).flatten(1, 2)


def cut(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return digits with three slanting gaps, 3 to 5 pixels wide, in their strokes."""
    digits = _draw(images, n, generator)
    for _ in range(3):
        digits = digits * (
            _distance_to_line(digits, generator) > 1.5 + _uniform((n, 1, 1), generator, digits)
        )
    return digits


def blobs(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return pictures of four to seven round spots."""
    return _spots(images, n, generator, 4 + torch.randint(4, (n,), generator=generator))


def cut_with_blobs(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return digits with gaps and one to three spots."""
    spots = _spots(images, n, generator, 1 + torch.randint(3, (n,), generator=generator))
    return torch.maximum(cut(images, n, generator), spots)


def overlaid(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return two digits on top of each other."""
    return torch.maximum(_draw(images, n, generator), _draw(images, n, generator))


def smooth_field(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return smooth random fields, cut off at about the ink of a digit."""
    coarse = torch.randn((n, 1, 7, 7), generator=generator).to(images)
    field = interpolate(coarse, images.shape[-2:], mode="bicubic").squeeze(1)
    level = field.flatten(1).quantile(0.8, dim=1)[:, None, None]
    return ((field - level) * 3).clamp(0, 1)


def halves(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return the upper half of one digit over the lower half of another."""
    top, bottom = _draw(images, n, generator), _draw(images, n, generator)
    return torch.cat([top[:, : PIXELS // 2], bottom[:, PIXELS // 2 :]], 1)


def middle_flipped(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return digits whose middle eight columns stand on their head."""
    digits = _draw(images, n, generator).clone()
    digits[:, :, 10:18] = digits[:, :, 10:18].flip(1)
    return digits


def blank(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return pictures with nothing but faint noise."""
    return 0.05 * _uniform((n, *images.shape[1:]), generator, images)


Kind = Callable[[Tensor, int, Generator], Tensor]
BROKEN: dict[str, Kind] = {
    "shuffled squares": shuffled,
    "cut strokes": cut,
    "cut strokes and spots": cut_with_blobs,
    "spots": blobs,
    "two digits": overlaid,
}
UNSEEN: dict[str, Kind] = {
    "smooth field": smooth_field,
    "two halves": halves,
    "middle flipped": middle_flipped,
    "blank": blank,
}


def _one_of_each(images: Tensor, n: int, generator: Generator) -> Tensor:
    """Return about `n` broken digits, as many of each kind."""
    each = -(-n // len(BROKEN))
    return torch.cat([kind(images, each, generator) for kind in BROKEN.values()])[:n]


def _distance_to_line(images: Tensor, generator: Generator) -> Tensor:
    """Return each pixel's distance from a random line through the middle part, `[N, S, S]`."""
    n, size = len(images), images.shape[-1]
    angle = torch.pi * _uniform((n, 1, 1), generator, images)
    offset = size * (_uniform((n, 1, 1), generator, images) - 0.5) * 0.6
    x = torch.arange(size).to(images) - (size - 1) / 2
    return (x * angle.cos() + x[:, None] * angle.sin() - offset).abs()


def _spots(images: Tensor, n: int, generator: Generator, count: Tensor) -> Tensor:
    size, most = images.shape[-1], int(count.max())
    x = torch.arange(size).to(images)
    centre = 4 + (size - 9) * _uniform((n, most, 2), generator, images)
    radius = 1.5 + 1.5 * _uniform((n, most, 1, 1), generator, images)
    far = (x - centre[..., 0, None, None]).square() + (
        x[:, None] - centre[..., 1, None, None]
    ).square()
    each = (radius + 0.5 - far.sqrt()).clamp(0, 1)  # (n, spots, S, S)
    there = torch.arange(most) < count[:, None]
    return (each * there.to(images)[..., None, None]).amax(1)
