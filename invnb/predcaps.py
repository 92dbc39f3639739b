"""Predictive capsules, rebuilt: their code was never published.

Rawlinson (2018), "Understanding Equivariance", and the update "Predictive Capsules Networks" tell
the properties: layers alike, linear but for the selection and the scaling, each learning by itself
to reconstruct its own input from the capsules that win; at each position those win that feedback
from the deeper layer predicts most strongly; the winners' total output is scaled to one. What they
leave open is in `Rules`. Axes: B images, L layers, H x H positions of a layer, G capsules of A
numbers, F = G A.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from invnb.encoders import LAYERS, Geometry, down, up
from invnb.errors import InvnbError

FEEDBACK = ("none", "strength", "agreement", "explained", "reconstruction")
SCALING = ("position", "layer", "running")
TINY = 1e-6  # keeps blank positions, whose total is zero, at zero
MOMENTUM = 0.01  # of the running total
RECENT = 0.05  # weight of the latest batch in the running shares
RATE = 0.05  # growth of an advantage in a step, in mean scores


@dataclass(frozen=True)
class Rules:
    """What the posts leave open, and what their arguments are tested by switching off.

    Attributes:
        winners: capsules that stay at a position; 0 keeps all (no sparsity).
        grouped: select capsules; otherwise as many single numbers as `winners` capsules have.
        feedback: what makes a capsule with output a and prediction p win. "none": its length |a|;
            "strength": |p|; "agreement": a.p; "explained": a.p - |p|^2 / 2, which is large where p
            is near to a; "reconstruction": a.p with p the deeper layer's reconstruction of its
            input, so that nothing is learned for feedback alone.
        passes: down and up the stack after the first pass up, which knows no feedback.
        scaling: divides outputs by their total length, the sum over the winners: at each
            "position"; over all positions of the "layer"; or by the "running" mean total of past
            batches, which no capsule competes for.
        lifetime: how much each capsule is used at least, as a share of what it would win were all
            equal. It also learns at the positions where its score is best, as many as that; and
            one that wins less gets an advantage, which grows until it does.

    """

    winners: int = 4
    grouped: bool = True
    feedback: str = "agreement"
    passes: int = 1
    scaling: str = "position"
    lifetime: float = 0.25

    def __post_init__(self) -> None:
        for name, known in (("feedback", FEEDBACK), ("scaling", SCALING)):
            if getattr(self, name) not in known:
                raise InvnbError(
                    f"unknown {name} {getattr(self, name)!r}; there are {', '.join(known)}"
                )
        fewest = min(layer.capsules for layer in LAYERS)
        if not 0 <= self.winners <= fewest:
            raise InvnbError(f"winners is {self.winners}; allowed are 0 (all) to {fewest}")
        if self.passes < 0 or not 0 <= self.lifetime <= 1:
            raise InvnbError(
                f"passes is {self.passes} and lifetime {self.lifetime:g}; "
                "allowed are 0 or more, and 0 to 1"
            )


class CapsuleLayer(nn.Module):
    """One layer: outputs linear in its input, the reconstruction of the input linear in them.

    Both use the same weights, as in the convolutional autoencoders of the post's authors; the
    reconstruction has a bias for each of its numbers.
    """

    def __init__(self, geometry: Geometry, channels: int, size: int, rules: Rules):
        super().__init__()
        self.geometry, self.size, self.rules = geometry, size, rules
        weight = torch.empty(geometry.channels, channels, geometry.kernel, geometry.kernel)
        self.weight = nn.Parameter(nn.init.trunc_normal_(weight, std=0.03, a=-0.06, b=0.06))
        self.bias = nn.Parameter(torch.zeros(channels, size, size))
        self.register_buffer("total", torch.zeros(()))
        rivals = geometry.capsules if rules.grouped else geometry.channels
        self.register_buffer("advantage", torch.zeros(rivals, 1, 1))
        self.register_buffer("share", torch.full((rivals, 1, 1), self._kept / rivals))

    def drive(self, maps: Tensor) -> Tensor:
        """Map the input `[B, C, H, H]` to outputs before selection, `[B, F, H', H']`."""
        return up(maps, self.weight, self.geometry)

    def reconstruct(self, outputs: Tensor) -> Tensor:
        """Map outputs `[B, F, H', H']` to what they say the input is, `[B, C, H, H]`."""
        return down(outputs, self.weight, self.geometry, self.size) + self.bias

    def scores(self, outputs: Tensor, prediction: Tensor | None) -> Tensor:
        """Return what capsules (or numbers) compete with, `[B, G or F, H', H']`."""
        return self._fit(outputs, prediction) + self.advantage

    def _fit(self, outputs: Tensor, prediction: Tensor | None) -> Tensor:
        atoms = self.geometry.atoms if self.rules.grouped else 1
        a = outputs.unflatten(1, (-1, atoms))
        if prediction is None or self.rules.feedback == "none":
            return _lengths(a)
        p = prediction.unflatten(1, (-1, atoms))
        if self.rules.feedback == "strength":
            return _lengths(p)
        if self.rules.feedback == "explained":
            return (a * p - p.square() / 2).sum(2)
        return (a * p).sum(2)

    def select(self, scores: Tensor) -> Tensor:
        """Return which outputs stay, as ones and zeros `[B, F, H', H']`."""
        if not self.rules.winners:
            return self._each(torch.ones_like(scores))
        best = scores.topk(self._kept, 1).indices
        return self._each(torch.zeros_like(scores).scatter_(1, best, 1))

    def select_to_learn(self, scores: Tensor, chosen: Tensor) -> Tensor:
        """Return `chosen` `[B, F, H', H']` and those that learn for the lifetime rule."""
        places = scores.shape[0] * scores.shape[2] * scores.shape[3]
        share = self.rules.lifetime * self._kept / scores.shape[1]
        if not (self.rules.winners and share):
            return chosen
        flat = scores.transpose(0, 1).flatten(1)  # (G, B * H' * H')
        best = flat.topk(max(round(share * places), 1), 1).indices
        own = torch.zeros_like(flat).scatter_(1, best, 1)
        own = own.unflatten(1, (len(scores), *scores.shape[2:])).transpose(0, 1)
        return torch.maximum(chosen, self._each(own))

    @torch.no_grad()
    def balance(self, outputs: Tensor, scores: Tensor, chosen: Tensor) -> None:
        """Give an advantage to capsules that have won too little lately, and take it back.

        Blank positions, where outputs are zero, are no win.

        Args:
            outputs: `[B, F, H', H']`.
            scores: `[B, G or F, H', H']`.
            chosen: `[B, F, H', H']`.

        """
        rivals = len(self.share)
        inked = (outputs != 0).any(1)  # (B, H', H')
        won = chosen.unflatten(1, (rivals, -1))[:, :, 0].transpose(0, 1)[:, inked]
        if won.shape[1]:
            self.share += RECENT * (won.mean(1).view_as(self.share) - self.share)
        equal = self._kept / rivals
        step = RATE * scores.abs().mean()
        self.advantage += step * (self.share < self.rules.lifetime * equal)
        self.advantage -= step * (self.share > equal)
        self.advantage.clamp_min_(0)

    def scale(self, outputs: Tensor) -> Tensor:
        """Return selected outputs `[B, F, H', H']` divided by their total."""
        lengths = _lengths(outputs.unflatten(1, (-1, self.geometry.atoms)))
        totals = lengths.sum(1, keepdim=True)  # (B, 1, H', H')
        if self.rules.scaling == "position":
            return outputs / (totals + TINY)
        if self.rules.scaling == "layer":
            return outputs / (totals.mean((1, 2, 3), keepdim=True) + TINY)
        if self.training:
            mean = totals.detach().mean()
            self.total += (MOMENTUM if self.total else 1) * (mean - self.total)
        return outputs / (self.total + TINY)

    @property
    def _kept(self) -> int:
        return self.rules.winners * (1 if self.rules.grouped else self.geometry.atoms)

    def _each(self, chosen: Tensor) -> Tensor:
        """Spread `[B, G or F, H', H']` over the numbers of capsules."""
        atoms = self.geometry.atoms if self.rules.grouped else 1
        return chosen.repeat_interleave(atoms, 1)


class Feedback(nn.Module):
    """A linear prediction of a layer's outputs from those of a deeper one, or its own before."""

    def __init__(self, geometry: Geometry, channels: int, size: int):
        super().__init__()
        self.geometry, self.size = geometry, size
        shape = (geometry.channels, channels, geometry.kernel, geometry.kernel)
        self.weight = nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.03))

    def forward(self, outputs: Tensor) -> Tensor:
        """Map deeper outputs `[B, F', H', H']` to a prediction `[B, F, H, H]`."""
        return down(outputs, self.weight, self.geometry, self.size)


@dataclass(frozen=True)
class State:
    """What a layer holds after a pass: tensors `[B, ., H, H]`.

    Attributes:
        given: its input.
        outputs: before selection.
        scores: of capsules, or of numbers where these are selected.
        chosen: ones and zeros.
        passed: outputs selected and scaled, the input of the next layer.

    """

    given: Tensor
    outputs: Tensor
    scores: Tensor
    chosen: Tensor
    passed: Tensor


class PredCaps(nn.Module):
    """Three layers of predictive capsules.

    The deepest layer has no deeper one: its prediction comes from its own outputs of the pass
    before, so that all layers work alike.
    """

    def __init__(self, rules: Rules | None = None, size: int = 28):
        super().__init__()
        self.rules = rules or Rules()
        channels, sizes = [1], [size]
        self.layers, self.feedback = nn.ModuleList(), nn.ModuleList()
        for layer in LAYERS:
            self.layers.append(CapsuleLayer(layer, channels[-1], sizes[-1], self.rules))
            channels.append(layer.channels)
            sizes.append(layer.positions(sizes[-1]))
        if self.learns_feedback:
            deeper = (*LAYERS[1:], Geometry(1, 1, LAYERS[-1].capsules, LAYERS[-1].atoms))
            for layer, of, to in zip(deeper, channels[1:], sizes[1:], strict=True):
                self.feedback.append(Feedback(layer, of, to))

    @property
    def learns_feedback(self) -> bool:
        """Whether there are weights for feedback alone."""
        return self.rules.feedback not in ("none", "reconstruction")

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[B, S, S]` to codes `[B, F]`, the mean over the top positions."""
        return self.settle(images)[-1].passed.mean((2, 3))

    def settle(self, images: Tensor) -> list[State]:
        """Run up the stack, then down and up `passes` times; images `[B, S, S]`."""
        states = self._climb(images.unsqueeze(1), [None] * len(self.layers))
        if self.rules.feedback != "none":
            for _ in range(self.rules.passes):
                predictions = self.predictions(states)
                states = self._climb(images.unsqueeze(1), predictions, states[0].outputs)
        return states

    def predictions(self, states: list[State]) -> list[Tensor | None]:
        """Return what feedback says each layer's outputs are, `[B, F, H, H]` or none."""
        context = [state.passed for state in (*states[1:], states[-1])]
        if self.learns_feedback:
            return [back(given) for back, given in zip(self.feedback, context, strict=True)]
        seen = [
            deeper.reconstruct(state.passed)
            for deeper, state in zip(self.layers[1:], states[1:], strict=True)
        ]
        return [*seen, None]

    def losses(self, images: Tensor) -> list[Tensor]:
        """Return the mean squared errors that layers and feedback learn by, each by its own.

        The inputs of each are taken as given, so that no gradient crosses a layer.
        """
        with torch.no_grad():
            states = self.settle(images)
        errors = []
        for layer, state in zip(self.layers, states, strict=True):
            learning = layer.select_to_learn(state.scores, state.chosen)
            if self.training and self.rules.winners:
                layer.balance(state.outputs, state.scores, state.chosen)
            errors.append(
                mse_loss(layer.reconstruct(layer.drive(state.given) * learning), state.given)
            )
        if self.learns_feedback:
            for guess, state in zip(self.predictions(states), states, strict=True):
                errors.append(mse_loss(guess, state.outputs))
        return errors

    def _climb(
        self, maps: Tensor, predictions: list[Tensor | None], first: Tensor | None = None
    ) -> list[State]:
        """Run up the stack once; `first` are the first layer's outputs, where they are known."""
        states = []
        for layer, prediction in zip(self.layers, predictions, strict=True):
            outputs = first if first is not None and not states else layer.drive(maps)
            scores = layer.scores(outputs, prediction)
            chosen = layer.select(scores)
            passed = layer.scale(outputs * chosen)
            states.append(State(maps, outputs, scores, chosen, passed))
            maps = passed
        return states


def _lengths(vectors: Tensor) -> Tensor:
    """Return the lengths of `[B, G, A, H, H]` along A; many times as fast as PyTorch's norm.

    The gradient at length 0 is 0, so that it is finite for blank places, too.
    """
    squared = vectors.square().sum(2)
    return torch.where(squared > 0, squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt(), 0)
