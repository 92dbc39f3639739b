"""Arithmetic over measurement names, as criteria write it.

`R4.DA.LI / R4.IR.LI`, `curve[0.1]`, and `max(A.score, B.score)`, the largest for each seed.
"""

import ast
import operator
from collections.abc import Mapping
from functools import reduce
from typing import NamedTuple

import numpy as np

from invnb.errors import InvnbError

OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
EXTREMES = {"max": np.maximum, "min": np.minimum}


class Quantity(NamedTuple):
    """A measurement, or the value of a curve at one point of its axis."""

    name: str
    at: float | None = None

    def __str__(self) -> str:
        """Return the quantity as it is written in an expression."""
        return self.name if self.at is None else f"{self.name}[{self.at:g}]"


Columns = Mapping[Quantity, np.ndarray]  # values over the seeds, (n,)


def parse(written: str) -> ast.expr:
    """Return the syntax tree of an expression or comparison, not checked any further."""
    try:
        return ast.parse(written.strip(), mode="eval").body
    except SyntaxError as error:
        raise InvnbError(f"it cannot be read: {error.msg}") from error


def quantity(node: ast.expr) -> Quantity | None:
    """Return what dotted words, perhaps with an axis value, stand for; None for other nodes."""
    match node:
        case ast.Name(name):
            return Quantity(name)
        case ast.Attribute(inner, word) if (outer := quantity(inner)) and outer.at is None:
            return Quantity(f"{outer.name}.{word}")
        case ast.Subscript(inner, ast.Constant(int() | float() as at)):
            outer = quantity(inner)
            return Quantity(outer.name, float(at)) if outer and outer.at is None else None
    return None


def quantities(node: ast.expr) -> list[Quantity]:
    """Return the quantities in an expression, in order of appearance.

    Raises:
        InvnbError: for anything but quantities, numbers, + - * /, brackets, max and min.

    """
    if found := quantity(node):
        return [found]
    match node:
        case ast.Constant(int() | float()) if not isinstance(node.value, bool):
            return []
        case ast.UnaryOp(ast.USub(), operand):
            return quantities(operand)
        case ast.BinOp(left, op, right) if type(op) in OPERATIONS:
            return quantities(left) + quantities(right)
        case ast.Call(ast.Name(name), [_, _, *_] as among, []) if name in EXTREMES:
            return [found for one in among for found in quantities(one)]
    raise InvnbError(
        f"{ast.unparse(node)!r} is not allowed: expressions are made of measurement names, "
        "numbers, + - * /, brackets, and max or min of several"
    )


def evaluate(node: ast.expr, columns: Columns) -> np.ndarray:
    """Return the value of a checked expression for each seed; inf or nan after division by zero."""
    if found := quantity(node):
        return columns[found]
    match node:
        case ast.BinOp(left, op, right):
            with np.errstate(divide="ignore", invalid="ignore"):
                return OPERATIONS[type(op)](evaluate(left, columns), evaluate(right, columns))
        case ast.UnaryOp(_, operand):
            return -evaluate(operand, columns)
        case ast.Call(ast.Name(name), among):
            return reduce(EXTREMES[name], (evaluate(one, columns) for one in among))
        case ast.Constant(value):
            return np.float64(value)
    raise TypeError(f"unchecked expression: {ast.unparse(node)}")


def is_product(node: ast.expr) -> bool:
    """Return whether an expression is made of quantities, numbers, * and / alone."""
    match node:
        case ast.BinOp(left, ast.Mult() | ast.Div(), right):
            return is_product(left) and is_product(right)
        case ast.BinOp() | ast.UnaryOp() | ast.Call():
            return False
    return True
