"""Conditions over node fields: a small typed language, read once and never evaluated as code.

    fit_score >= 0.90 and (emergence_status = "ready" or present(approved_by)) and not frozen

A field that a node does not have makes every comparison with it false, and a boolean without a
comparison false too, so a condition has an answer for any data. Types are known beforehand: what
cannot be compared is refused when the rule is read.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from domain.tokens import Malformed, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.tokens import Token

LENGTH_MAX = 500
"""Characters of a condition: it is read by people."""

Value: TypeAlias = bool | Decimal | str


class FieldType(StrEnum):
    """What a node field holds."""

    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Present:
    """The node has the field, whatever it holds."""

    field: str

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Say whether it does."""
        return self.field in values


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with a constant of its type; false when the node does not have it."""

    field: str
    sign: str
    constant: Value

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Compare."""
        value = values.get(self.field)
        return value is not None and _SIGNS[self.sign](value, self.constant)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Expression

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Deny."""
        return not self.part.holds(values)


@dataclass(frozen=True, slots=True)
class Both:
    """All parts hold."""

    parts: tuple[Expression, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Ask all."""
        return all(part.holds(values) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds."""

    parts: tuple[Expression, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Ask until one does."""
        return any(part.holds(values) for part in self.parts)


Expression: TypeAlias = Present | Comparison | Not | Both | Either

_SIGNS: dict[str, Callable[[Value, Value], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = frozenset({"<", "<=", ">", ">="})
_TOKEN = re.compile(
    r"\s*(?:(?P<sign><=|>=|!=|=|<|>)|(?P<bracket>[()])"
    r"|(?P<decimal>[0-9]{1,18}(?:\.[0-9]{1,18})?)(?![A-Za-z0-9_.])"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]{0,63})"
    r"|\"(?P<double>[^\"]{0,200})\"|'(?P<single>[^']{0,200})')",
    re.ASCII,
)
_WORDS = frozenset({"and", "or", "not", "present", "true", "false"})
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
"""How a field is named, save for the words of the language."""


def fields_named(expression: Expression) -> frozenset[str]:
    """This function will return the fields that a condition looks at."""
    match expression:
        case Present(field) | Comparison(field):
            return frozenset({field})
        case Not(part):
            return fields_named(part)
        case Both(parts) | Either(parts):
            return frozenset[str]().union(*(fields_named(part) for part in parts))


def is_field_name(text: str) -> bool:
    """This function will say whether a condition could name a field so."""
    return FIELD_NAME.fullmatch(text) is not None and text not in _WORDS


def parse_expression(text: str, fields: Mapping[str, FieldType]) -> Expression:
    """This function will read a condition.

    Args:
        text: For example 'fit_score >= 0.90 and finalized'.
        fields: Fields that it may name, with their types.

    Raises:
        Malformed: For anything else, with the character it was met at.
    """
    return _Parser(text, fields).whole()


class _Parser:
    """Reads by recursive descent: either, both, not, and what cannot be divided."""

    def __init__(self, text: str, fields: Mapping[str, FieldType]) -> None:
        self._tokens = Tokens(text, pattern=_TOKEN, length_max=LENGTH_MAX)
        self._fields = fields

    def whole(self) -> Expression:
        """Return what all of the text says."""
        expression = self._either()
        token = self._tokens.take()
        if token.kind != "end":
            raise token.unexpected('expected "and", "or" or the end')
        return expression

    def _takes_word(self, word: str) -> bool:
        token = self._tokens.ahead
        is_there = token.kind == "word" and token.text == word
        if is_there:
            self._tokens.take()
        return is_there

    def _either(self) -> Expression:
        parts = [self._both()]
        while self._takes_word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._one()]
        while self._takes_word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _one(self) -> Expression:
        if self._takes_word("not"):
            return Not(self._tokens.nested(self._one))
        token = self._tokens.take()
        if token.kind == "bracket" and token.text == "(":
            inner = self._tokens.nested(self._either)
            self._expect_close()
            return inner
        if token.kind != "word" or token.text in _WORDS - {"present"}:
            raise token.unexpected("expected a field")
        if token.text == "present" and self._tokens.ahead.text == "(":
            self._tokens.take()
            field = self._field_of(self._tokens.take())
            self._expect_close()
            return Present(field)
        return self._comparison(token)

    def _expect_close(self) -> None:
        token = self._tokens.take()
        if token.text != ")" or token.kind != "bracket":
            raise token.unexpected('expected ")"')

    def _field_of(self, token: Token) -> str:
        if token.kind != "word" or token.text in _WORDS:
            raise token.unexpected("expected a field")
        if token.text not in self._fields:
            raise Malformed(
                f"names {token.text!r} at character {token.at}, which is no declared field"
            )
        return token.text

    def _comparison(self, token: Token) -> Expression:
        field = self._field_of(token)
        kind = self._fields[field]
        if self._tokens.ahead.kind != "sign":
            if kind is not FieldType.BOOLEAN:
                raise Malformed(
                    f"says nothing about {field!r} at character {token.at}: compare a {kind}"
                )
            return Comparison(field, "=", constant=True)
        sign = self._tokens.take()
        constant = self._constant(self._tokens.take(), field)
        if sign.text in _ORDERED and kind is not FieldType.DECIMAL:
            raise Malformed(f"orders {field!r} at character {sign.at}, which is a {kind}")
        return Comparison(field, sign.text, constant)

    def _constant(self, token: Token, field: str) -> Value:
        kind = self._fields[field]
        if kind is FieldType.DECIMAL and token.kind == "decimal":
            return Decimal(token.text)
        if kind is FieldType.TEXT and token.kind == "text":
            return token.text
        if kind is FieldType.BOOLEAN and token.text in {"true", "false"} and token.kind == "word":
            return token.text == "true"
        raise token.unexpected(f"expected a {kind} for {field!r}")
