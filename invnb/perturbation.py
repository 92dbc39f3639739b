"""One number of a code is changed, and the decoded picture looked at (Rawlinson, 2018).

Every number of the code of every image is changed both ways along a ladder of steps in units of the
number's own spread, multiplied by factors, and moved as far as it takes to change the picture by a
given amount. Axes: N images, E numbers of a code, 2 signs (down, up), R rungs of the ladder, J of
them judged, F factors, T targets, S x S pixels. A row is one number of one image: M rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from invnb.encoders import Head
from invnb.errors import InvnbError
from invnb.judging import WHOLE, Jury, in_one_piece
from invnb.moments import MEASURES, moments

RUNGS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # spreads
JUDGED = (1.0, 2.0, 4.0, 8.0)  # rungs at which plausibility is measured
FACTORS = (-4.0, -1.0, 0.0, 0.5, 2.0, 3.0, 5.0, 9.0)  # what the post scales by is not told
TARGETS = (0.02, 0.06, 0.10, 0.14, 0.18)  # root mean square change of the pixels, 0..1
DESCRIBED = 2  # the target at which transformations are described
PATH = torch.linspace(0, 1, 6)[1:]  # shares of the way that a path is followed at
AT_ONCE = 128  # rows of pictures; more at a time leave the processor's cache and take longer


@dataclass(frozen=True)
class Decoder:
    """A reconstruction head that decodes codes with one number changed, quickly.

    Attributes:
        head: from `invnb.encoders.reconstructor`, on the device to compute on.

    """

    head: Head

    @torch.no_grad()
    def __call__(self, codes: Tensor) -> Tensor:
        """Return the pictures of codes `[N, E]`, `[N, S, S]`, 0..1."""
        return self._pictures(self.head.first(codes * self.head.scale))

    @torch.no_grad()
    def moved(self, codes: Tensor, which: Tensor, amounts: Tensor) -> Tensor:
        """Return the pictures of codes with number `which` moved by each of some amounts.

        The change of the first layer's sums is one column of its weights, which saves the rest of
        their product.

        Args:
            codes: `[M, E]`.
            which: `[M]`, the number to move in each.
            amounts: `[M, K]`, in the units of the code.

        Returns:
            `[M, K, S, S]`.

        """
        sums = self.head.first(codes * self.head.scale).unsqueeze(1)
        columns = self.head.first.weight.T[which].unsqueeze(1)  # (M, 1, hidden)
        return self._pictures(sums + self.head.scale * amounts.unsqueeze(2) * columns)

    def _pictures(self, sums: Tensor) -> Tensor:
        pixels = self.head.rest(sums).sigmoid()
        size = int(pixels.shape[-1] ** 0.5)
        return pixels.unflatten(-1, (size, size))


def spreads(codes: Tensor) -> Tensor:
    """Return the standard deviation of each number over the images where it is not zero, `[E]`.

    Numbers that are not zero in fewer than two images get 0.

    Args:
        codes: `[N, E]` of many images.

    """
    there = codes != 0
    count = there.sum(0)
    mean = codes.sum(0) / count.clamp_min(1)
    squares = ((codes - mean).square() * there).sum(0)
    return torch.where(count > 1, squares / (count - 1).clamp_min(1), 0).sqrt()


@dataclass(frozen=True)
class Response:
    """What became of the pictures; shares of pictures are means of the zeros and ones here.

    Attributes:
        active: `[N, E]`, bool, the numbers that were not zero.
        change: `[N, E, 2, R]`, root mean square change of the pixels on the ladder.
        unmoved: `[N]`, bool, the unperturbed decoding is plausible.
        ladder: `[N, E, 2, J]`, bool, plausible at the rungs `JUDGED`.
        scaled: `[N, E, F]`, bool, plausible after scaling; False for inactive numbers, which
            scaling leaves what they are.
        scaled_change: `[N, E, F]`.
        reached: `[N, E, 2, T]`, bool, whether the picture ever changes so much.
        amounts: `[N, E, 2, T]`, the steps it took, in spreads; nan where not reached.
        digit: `[N, E, 2, T]`, bool, the jury takes it for a digit; False where not reached.
        whole: `[N, E, 2, T]`, bool, its ink is in one piece; False where not reached.
        same: `[N, E, 2, T]`, bool, the likeliest digit is that of the unperturbed decoding.
        straightness: `[N, E, 2]`, mean cosine between successive steps of the path to the target
            `DESCRIBED`, 1 for a straight one; nan where not reached.
        monotony: `[N, E, 2]`, share of these steps that lead further away; nan where not reached.
        described: `[N, E, 2, len(MEASURES)]`, change of each of `invnb.moments.MEASURES` at that
            target; nan where not reached, or for inactive numbers.

    """

    active: Tensor
    change: Tensor
    unmoved: Tensor
    ladder: Tensor
    scaled: Tensor
    scaled_change: Tensor
    reached: Tensor
    amounts: Tensor
    digit: Tensor
    whole: Tensor
    same: Tensor
    straightness: Tensor
    monotony: Tensor
    described: Tensor

    @property
    def plausible(self) -> Tensor:
        """`[N, E, 2, T]`, bool: taken for a digit, and in one piece."""
        return self.digit & self.whole


def respond(decoder: Decoder, codes: Tensor, spread: Tensor, jury: Jury) -> Response:
    """Perturb every number of every code both ways.

    Args:
        decoder: of these codes.
        codes: `[N, E]`.
        spread: `[E]`, the unit of each number's steps, from `spreads` of many images.
        jury: says what is a digit.

    Raises:
        InvnbError: when the spread does not fit the codes.

    """
    if spread.shape != codes.shape[1:]:
        raise InvnbError(f"spread is {list(spread.shape)} for codes {list(codes.shape)}")
    n, e = codes.shape
    plain = decoder(codes)
    digit, sure = jury.read(plain)
    unmoved = (sure & _whole(plain)).cpu()
    start = _Start(codes, plain, digit, torch.stack(list(moments(plain).values()), -1))
    rows = torch.arange(n * e, device=codes.device).split(AT_ONCE)
    parts = [_respond(decoder, start, some // e, some % e, spread, jury) for some in rows]
    names = [name for name in Response.__annotations__ if name not in ("active", "unmoved")]
    found = {name: torch.cat([part[name].cpu() for part in parts]) for name in names}
    shaped = {name: values.unflatten(0, (n, e)) for name, values in found.items()}
    return Response(active=(codes != 0).cpu(), unmoved=unmoved, **shaped)


@dataclass(frozen=True)
class _Start:
    """Codes `[N, E]`, their pictures `[N, S, S]`, the likeliest digits and the moments of these."""

    codes: Tensor
    pictures: Tensor
    digits: Tensor
    moments: Tensor


def _respond(
    decoder: Decoder, start: _Start, image: Tensor, which: Tensor, spread: Tensor, jury: Jury
) -> dict[str, Tensor]:
    """Perturb number `which` of `image`, both `[M]`; the `[N, E]` of `Response` is `[M]` here."""
    codes, plain = start.codes[image], start.pictures[image].unsqueeze(1)
    own, unit = start.codes[image, which], spread[which]
    signs = torch.tensor([-1.0, 1.0]).to(codes)
    rungs = (signs[:, None] * torch.tensor(RUNGS).to(codes)).flatten()
    pictures = decoder.moved(codes, which, unit[:, None] * rungs)
    change = _change(pictures, plain).unflatten(1, (2, len(RUNGS)))
    judged = torch.tensor([RUNGS.index(rung) for rung in JUDGED]).to(image)
    ladder = _plausible(pictures.unflatten(1, (2, len(RUNGS)))[:, :, judged], jury)

    factors = torch.tensor(FACTORS).to(codes)
    scaled = torch.zeros(len(own), len(FACTORS), dtype=torch.bool, device=codes.device)
    scaled_change = torch.zeros_like(scaled, dtype=codes.dtype)
    if len(active := own.nonzero().flatten()):
        moves = own[active, None] * (factors - 1)
        pictures = decoder.moved(codes[active], which[active], moves)
        scaled_change[active] = _change(pictures, plain[active])
        scaled[active] = _plausible(pictures, jury)

    amounts = steps_to(change)  # (M, 2, T), in spreads, nan where not reached
    reached = amounts.isfinite()
    moves = (signs[:, None] * amounts * unit[:, None, None]).nan_to_num(0)
    pictures = decoder.moved(codes, which, moves.flatten(1)).unflatten(1, moves.shape[1:])
    read, sure = (found.view(moves.shape) for found in jury.read(pictures.flatten(0, 2)))
    there = reached[..., DESCRIBED]
    straightness, monotony = _follow(decoder, codes, which, moves[..., DESCRIBED], plain)
    goal = pictures[:, :, DESCRIBED]
    return {
        "change": change,
        "ladder": ladder,
        "scaled": scaled,
        "scaled_change": scaled_change,
        "reached": reached,
        "amounts": amounts,
        "digit": sure & reached,
        "whole": _whole(pictures.flatten(0, 2)).view(moves.shape) & reached,
        "same": (read == start.digits[image][:, None, None]) & reached,
        "straightness": straightness.masked_fill(~there, torch.nan),
        "monotony": monotony.masked_fill(~there, torch.nan),
        "described": _described(goal, start.moments[image], there & (own != 0)[:, None]),
    }


def _change(pictures: Tensor, start: Tensor) -> Tensor:
    """Return how much pictures `[M, K, S, S]` differ from `start` `[M, 1, S, S]`, `[M, K]`."""
    return (pictures - start).square().mean((2, 3)).sqrt()


def _whole(pictures: Tensor) -> Tensor:
    """Return whether nearly all ink of pictures `[M, S, S]` is in one piece, `[M]`."""
    return (in_one_piece(pictures) >= WHOLE).to(pictures.device)


def _plausible(pictures: Tensor, jury: Jury) -> Tensor:
    """Return which of pictures `[..., S, S]` are digits in one piece, `[...]`."""
    flat = pictures.flatten(0, -3)
    return (jury.read(flat)[1] & _whole(flat)).view(pictures.shape[:-2])


def _described(goal: Tensor, before: Tensor, there: Tensor) -> Tensor:
    """Return how the moments of pictures `[M, 2, S, S]` differ from `before` `[M, 9]`, or nan."""
    after = torch.stack(list(moments(goal.flatten(0, 1)).values()), -1)
    difference = after.unflatten(0, goal.shape[:2]) - before.unsqueeze(1)
    turn = list(MEASURES).index("rotation")  # an axis has no direction: half a turn is none
    difference[..., turn] = (difference[..., turn] + 90) % 180 - 90
    return difference.masked_fill(~there.unsqueeze(-1), torch.nan)


def steps_to(change: Tensor) -> Tensor:
    """Return the smallest steps, in spreads, at which pictures change by each of `TARGETS`.

    Between two rungs the change is taken to grow linearly.

    Args:
        change: `[..., R]` on the rungs.

    Returns:
        `[..., T]`, nan where no rung changes the picture as much.

    """
    rungs = torch.tensor((0.0, *RUNGS)).to(change)
    grown = torch.cat([torch.zeros_like(change[..., :1]), change], -1)
    targets = torch.tensor(TARGETS).to(change)
    above = grown.unsqueeze(-1) >= targets  # (..., 1 + R, T)
    first = above.float().argmax(-2)  # 0 where none is: the start is never above
    lower = (first - 1).clamp_min(0)
    low, high = grown.gather(-1, lower), grown.gather(-1, first)
    share = (targets - low) / (high - low)
    steps = rungs[lower] + share * (rungs[first] - rungs[lower])
    return torch.where(first > 0, steps, torch.nan)


def _follow(
    decoder: Decoder, codes: Tensor, which: Tensor, goal: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Return straightness and monotony of the paths to `goal` `[M, 2]`, both `[M, 2]`."""
    shares = PATH.to(goal)
    way = decoder.moved(codes, which, (goal.unsqueeze(2) * shares).flatten(1))
    way = way.unflatten(1, (2, len(PATH))).flatten(3)  # (M, 2, P, pixels)
    origin = start.flatten(2).unsqueeze(1).expand(-1, 2, -1, -1)  # (M, 2, 1, pixels)
    whole = torch.cat([origin, way], 2)
    steps = whole.diff(dim=2)
    straightness = cosine_similarity(steps[:, :, :-1], steps[:, :, 1:], dim=-1).mean(2)
    distance = (whole - origin).square().sum(-1)
    return straightness, (distance.diff(dim=2) > 0).float().mean(2)
