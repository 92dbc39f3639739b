"""Conditions that a claim is judged by, each decided by a 95 % interval over seeds.

Every condition estimates one number with an interval and names the region that it must lie in. It
*holds* when the whole interval lies in the region, is *contradicted* when no part of it does, and
is *undecided* in between, or where there is no interval. Six forms, as written in the yml files:

- `R4.DA.LI / R4.IR.LI >= 100`: arithmetic over measurement names, evaluated for each seed that all
  of them have (so models are paired), against a number. `a < b` stands for `a - b < 0`,
  `-1 <= a <= 1` for both at once, `curve[0.1]` for a curve's value at 0.1 of its axis, `max(a, b)`
  for the larger of both, seed by seed. Products and quotients of several measurements, where all
  values are positive, get their interval on the log scale, and their estimate is the geometric
  mean.
- `{within: M, margin: 0.01}`: Welch's interval of our mean minus the published one.
- `{within_factor: M, factor: 1.5, or_both_below: 0.05}`: the same for the logarithm, where the
  published mean and deviation become those of the log-normal distribution that has them. With
  `or_both_below`, it holds as well when the published mean and our interval are below this.
- `{predicted: M, or_within: 0.005}`: the published value, of one network, lies in the prediction
  interval for one more of ours, or our mean is this near to it; undecided for one seed that is
  not near.
- `{upper: M, at_least: 0.95}`: the interval's upper limit reaches 0.95; undecided for one seed.
- `{reached: M, at_least: 8}`: the measurement's mean does; never undecided. For counts of what
  intervals decided, and for limits of intervals, where the spread is in the number already.
"""

import ast
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from invnb import expressions, statistics
from invnb.errors import InvnbError
from invnb.expressions import Columns, Quantity
from invnb.statistics import Estimate

HOLDS, UNDECIDED, CONTRADICTED = STATES = ("holds", "undecided", "contradicted")

Published = Mapping[str, Any] | None  # {"value", "sd", "n", "unit"}


class Region(NamedTuple):
    """An interval of allowed numbers; a closed end belongs to it."""

    low: float = -math.inf
    high: float = math.inf
    low_closed: bool = True
    high_closed: bool = True

    def holds(self, number: float) -> bool:
        """Return whether a number lies inside."""
        return self._reaches(number) and self._stays(number)

    def decide(self, estimate: Estimate) -> str:
        """Return whether the estimate's interval lies inside, outside, or neither."""
        if estimate.low is None:
            return UNDECIDED
        if self._reaches(estimate.low) and self._stays(estimate.high):
            return HOLDS
        if self._reaches(estimate.high) and self._stays(estimate.low):
            return UNDECIDED
        return CONTRADICTED

    def _reaches(self, number: float) -> bool:
        return (operator.ge if self.low_closed else operator.gt)(number, self.low)

    def _stays(self, number: float) -> bool:
        return (operator.le if self.high_closed else operator.lt)(number, self.high)


class Outcome(NamedTuple):
    """What became of a condition.

    Attributes:
        state: one of `STATES`.
        subject: what was estimated.
        estimate: with the interval that decided.

    """

    state: str
    subject: str
    estimate: Estimate


@dataclass(frozen=True)
class Comparison:
    """Arithmetic over measurements that must lie in a region."""

    text: str
    quantities: tuple[Quantity, ...]
    subject: ast.expr
    region: Region

    @classmethod
    def parse(cls, written: str) -> "Comparison":
        """Return what is written as `a < 1`, `a < b` or `-1 < a < 1`."""
        tree = expressions.parse(written)
        if not isinstance(tree, ast.Compare):
            raise InvnbError("it compares nothing: use <, <=, > or >=")
        sides = [tree.left, *tree.comparators]
        used = [expressions.quantities(side) for side in sides]
        match [bool(u) for u in used]:
            case [True, False]:
                subject, region = sides[0], _one_sided(tree.ops[0], _constant(sides[1]))
            case [True, True]:
                subject = ast.BinOp(sides[0], ast.Sub(), sides[1])
                region = _one_sided(tree.ops[0], 0.0)
            case [False, True, False]:
                subject, region = sides[1], _two_sided(tree)
            case _:
                raise InvnbError("it must be one of: a < number, a < b, number < a < number")
        distinct = tuple(dict.fromkeys(q for side in used for q in side))
        return cls(written, distinct, subject, region)

    def judge(self, columns: Columns, published: Published) -> Outcome:
        """Return the outcome for columns that hold every quantity; `published` plays no part."""
        values = expressions.evaluate(self.subject, columns)
        if not np.isfinite(values).all():
            estimate = Estimate(None, None, None, "division by zero")
        elif (
            len(self.quantities) > 1 and expressions.is_product(self.subject) and (values > 0).all()
        ):
            estimate = statistics.student(np.log(values)).mapped(math.exp)
        else:
            estimate = statistics.student(values)
        return Outcome(self.region.decide(estimate), ast.unparse(self.subject), estimate)


@dataclass(frozen=True)
class _OfOne:
    """A condition on a single measurement, written as a mapping."""

    quantity: Quantity
    compares_with: ClassVar[str | None] = "spread"  # what a claim must publish: that, or a value

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The one measurement."""
        return (self.quantity,)


@dataclass(frozen=True)
class Within(_OfOne):
    """Our mean minus the published one is inside a margin."""

    margin: float

    @property
    def text(self) -> str:
        """The condition in words."""
        return f"{self.quantity} - published within ± {self.margin:g}"

    def can_hold(self, published: Published) -> bool:
        """Return whether the published spread alone, with none of ours, fits into the margin."""
        ours = np.full(2, published["value"])
        return self.judge({self.quantity: ours}, published).state == HOLDS

    def judge(self, columns: Columns, published: Published) -> Outcome:
        """Return the outcome of Welch's interval of the difference."""
        estimate = statistics.welch(
            columns[self.quantity], published["value"], published["sd"], published["n"]
        )
        state = Region(-self.margin, self.margin).decide(estimate)
        return Outcome(state, f"{self.quantity} - published", estimate)


@dataclass(frozen=True)
class WithinFactor(_OfOne):
    """Our mean over the published one is inside a factor, or both are small."""

    factor: float
    or_both_below: float | None = None

    @property
    def text(self) -> str:
        """The condition in words."""
        small = "" if self.or_both_below is None else f", or both below {self.or_both_below:g}"
        return f"{self.quantity} / published within a factor of {self.factor:g}{small}"

    def judge(self, columns: Columns, published: Published) -> Outcome:
        """Return the outcome of the better of the two ways to agree."""
        values = columns[self.quantity]
        ways = [self._ratio(values, published)]
        if self.or_both_below is not None and published["value"] < self.or_both_below:
            estimate = statistics.student(values)
            below = Region(high=self.or_both_below, high_closed=False)
            ways.insert(0, Outcome(below.decide(estimate), str(self.quantity), estimate))
        return min(ways, key=lambda way: STATES.index(way.state))

    def _ratio(self, values: np.ndarray, published: Published) -> Outcome:
        subject = f"{self.quantity} / published"
        if published["value"] <= 0 or (values <= 0).any():
            no_ratio = Estimate(None, None, None, "there is no ratio, because a value is zero")
            return Outcome(CONTRADICTED, subject, no_ratio)
        variance = math.log1p((published["sd"] / published["value"]) ** 2)
        centre = math.log(published["value"]) - variance / 2
        estimate = statistics.welch(np.log(values), centre, variance**0.5, published["n"])
        bound = math.log(self.factor)
        return Outcome(Region(-bound, bound).decide(estimate), subject, estimate.mapped(math.exp))


@dataclass(frozen=True)
class Predicted(_OfOne):
    """The published value could be one more of ours, or our mean is near to it."""

    or_within: float | None = None
    compares_with = "value"

    @property
    def text(self) -> str:
        """The condition in words."""
        near = "" if self.or_within is None else f", or mean within {self.or_within:g} of it"
        return f"published in the prediction interval of {self.quantity}{near}"

    def judge(self, columns: Columns, published: Published) -> Outcome:
        """Return whether the prediction interval holds the published value."""
        estimate = statistics.prediction(columns[self.quantity])
        subject = f"one more {self.quantity}"
        near = self.or_within is not None and (
            abs(estimate.mean - published["value"]) <= self.or_within
        )
        if estimate.low is None and not near:
            return Outcome(UNDECIDED, subject, estimate)
        inside = near or estimate.low <= published["value"] <= estimate.high
        return Outcome(HOLDS if inside else CONTRADICTED, subject, estimate)


@dataclass(frozen=True)
class Upper(_OfOne):
    """The interval's upper limit reaches a number."""

    at_least: float
    compares_with = None

    @property
    def text(self) -> str:
        """The condition in words."""
        return f"interval of {self.quantity} reaches {self.at_least:g}"

    def judge(self, columns: Columns, published: Published) -> Outcome:
        """Return whether the upper limit of the Student-t interval is high enough."""
        estimate = statistics.student(columns[self.quantity])
        if estimate.high is None:
            return Outcome(UNDECIDED, str(self.quantity), estimate)
        state = HOLDS if estimate.high >= self.at_least else CONTRADICTED
        return Outcome(state, str(self.quantity), estimate)


@dataclass(frozen=True)
class Reached(_OfOne):
    """A count of what intervals decided is large enough."""

    at_least: float
    compares_with = None

    @property
    def text(self) -> str:
        """The condition in words."""
        return f"{self.quantity} reaches {self.at_least:g}"

    def judge(self, columns: Columns, published: Published) -> Outcome:
        """Return whether the mean is large enough."""
        mean = statistics.mean(columns[self.quantity])
        estimate = Estimate(mean, None, None, "what intervals decided already")
        state = HOLDS if mean >= self.at_least else CONTRADICTED
        return Outcome(state, str(self.quantity), estimate)


Condition = Comparison | Within | WithinFactor | Predicted | Upper | Reached
FORMS = {
    "within": Within,
    "within_factor": WithinFactor,
    "predicted": Predicted,
    "upper": Upper,
    "reached": Reached,
}
SYNTAX = (
    "an expression, {within, margin}, {within_factor, factor[, or_both_below]}, "
    "{predicted[, or_within]}, {upper, at_least}, {reached, at_least}"
)


def parse(written: Any, published: Published) -> Condition:
    """Return the condition that a yml file writes as text or as a mapping.

    Args:
        written: see the top of this module.
        published: of the claim; forms that compare with it need value, sd and n of 2 or more.

    Raises:
        InvnbError: naming what is wrong and what is allowed.

    """
    if isinstance(written, str):
        return Comparison.parse(written)
    if not isinstance(written, Mapping) or not (form := FORMS.get(next(iter(written), None))):
        raise InvnbError(f"it is none of: {SYNTAX}")
    (_, name), *numbers = written.items()
    quantity = expressions.quantity(expressions.parse(str(name)))
    if quantity is None:
        raise InvnbError(f"{name!r} is not the name of a measurement")
    for key, value in numbers:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvnbError(f"{key} must be a number, not {value!r}")
    if form.compares_with == "spread" and not _has_spread(published):
        raise InvnbError("it needs a published value, its sd, and n of 2 or more")
    if form.compares_with == "value" and not published:
        raise InvnbError("it needs a published value")
    try:
        return form(quantity, **dict(numbers))
    except TypeError as error:
        raise InvnbError(f"it is none of: {SYNTAX}") from error


def _has_spread(published: Published) -> bool:
    return bool(published) and published["sd"] is not None and (published["n"] or 0) > 1


def _constant(side: ast.expr) -> float:
    return float(expressions.evaluate(side, {}))


def _one_sided(op: ast.cmpop, bound: float) -> Region:
    match op:
        case ast.Lt() | ast.LtE():
            return Region(high=bound, high_closed=isinstance(op, ast.LtE))
        case ast.Gt() | ast.GtE():
            return Region(low=bound, low_closed=isinstance(op, ast.GtE))
    raise InvnbError("an interval decides <, <=, > and >= alone")


def _two_sided(tree: ast.Compare) -> Region:
    low, high = _constant(tree.left), _constant(tree.comparators[1])
    if not all(isinstance(op, ast.Lt | ast.LtE) for op in tree.ops) or low > high:
        raise InvnbError("it must rise from left to right, with < or <=")
    return Region(low, high, *(isinstance(op, ast.LtE) for op in tree.ops))
