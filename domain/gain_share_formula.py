"""Formulas over a KPI's figures: exact arithmetic, read once and never evaluated as code.

    (actual - baseline) * cost_per_unit * multiplier

The conditions of emergence (domain.emergence_rules.expressions) compare fields with constants and
have no arithmetic, so this is a reader of its own over the same tokens: four operations,
parentheses, decimals and the names of NAMES. Everything is a fraction, so a division loses
nothing; rounding happens once, where a formula's result becomes money.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from domain.codes import Code
from domain.errors import Rejected
from domain.tokens import Malformed, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAMES = ("baseline", "actual", "improvement", "cost_per_unit", "multiplier")
"""What a formula may name. `improvement` is above 0 when the KPI became better."""
FORMULA_LENGTH_MAX = 200
"""Characters of a formula: an auditor reads it, and a report holds it."""

_SIGNS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<sign>[-+*/()])"
    r"|(?P<decimal>[0-9]{1,18}(?:\.[0-9]{1,18})?)(?![A-Za-z0-9_.])"
    r"|(?P<word>[a-z_]{1,64}))",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Constant:
    """A decimal."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Name:
    """One of NAMES."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    """Two parts and what is done with them."""

    sign: str
    left: Part
    right: Part


Part: TypeAlias = Constant | Name | Operation


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was read.

    Args:
        text: As it was written.
        part: What it says.
    """

    text: str
    part: Part

    def value(self, figures: Mapping[str, Fraction]) -> Fraction:
        """Return the exact result.

        Args:
            figures: Value of each of NAMES.

        Raises:
            Rejected: formula_undefined, when it divides by 0 for these figures.
        """
        try:
            return _value(self.part, figures)
        except ZeroDivisionError as error:
            raise Rejected(
                Code.FORMULA_UNDEFINED, f"the formula {self.text!r} divides by 0"
            ) from error


def _value(part: Part, figures: Mapping[str, Fraction]) -> Fraction:
    match part:
        case Constant(value):
            return value
        case Name(name):
            return figures[name]
        case Operation(sign, left, right):
            return _SIGNS[sign](_value(left, figures), _value(right, figures))


def parse_formula(text: str) -> Formula:
    """This function will read a formula.

    Args:
        text: For example "improvement * cost_per_unit * multiplier".

    Raises:
        Malformed: For anything else, with the character it was met at.
    """
    return Formula(text, _Parser(text).whole())


class _Parser:
    """Reads by recursive descent: sums, products, and what cannot be divided."""

    def __init__(self, text: str) -> None:
        self._tokens = Tokens(text, pattern=_TOKEN, length_max=FORMULA_LENGTH_MAX)

    def whole(self) -> Part:
        """Return what all of the text says."""
        part = self._sum()
        token = self._tokens.take()
        if token.kind != "end":
            raise token.unexpected("expected + - * / or the end")
        return part

    def _chain(self, signs: str, read: Callable[[], Part]) -> Part:
        """Read parts with one of the signs between them, from left to right."""
        part = read()
        while self._tokens.ahead.text and self._tokens.ahead.text in signs:
            sign = self._tokens.take().text
            part = Operation(sign, part, read())
        return part

    def _sum(self) -> Part:
        return self._chain("+-", self._product)

    def _product(self) -> Part:
        return self._chain("*/", self._one)

    def _one(self) -> Part:
        token = self._tokens.take()
        if token.kind == "decimal":
            return Constant(Fraction(token.text))
        if token.kind == "word":
            if token.text not in NAMES:
                raise Malformed(
                    f"names {token.text!r} at character {token.at}, "
                    f"which is none of {', '.join(NAMES)}"
                )
            return Name(token.text)
        if token.text == "(":
            return self._tokens.nested(self._bracket)
        raise token.unexpected("expected a name, a decimal or (")

    def _bracket(self) -> Part:
        part = self._sum()
        token = self._tokens.take()
        if token.text != ")":
            raise token.unexpected("expected )")
        return part
