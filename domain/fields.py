"""Reading untrusted JSON objects field by field, with the place named when something is wrong."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import EnumType
from typing import TYPE_CHECKING

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from domain.period import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

TEXT_LENGTH_MAX = 200
"""Characters of an identifier: a customer, type, meter, plan or key; keeps index rows small."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)


def is_clean_text(text: str, *, length_max: int = TEXT_LENGTH_MAX) -> bool:
    """This function will say whether a text is non-empty, short enough and free of control codes.

    Control characters and lone surrogates would break canonical forms, which separate by them.
    """
    return 0 < len(text) <= length_max and _CONTROL.search(text) is None


def are_clean_texts(texts: Sequence[str], *, length_max: int) -> bool:
    """This function will say whether is_clean_text holds for all of them, in one pass."""
    lengths = [len(text) for text in texts]
    return (not lengths or (min(lengths) > 0 and max(lengths) <= length_max)) and _CONTROL.search(
        "".join(texts)
    ) is None


@functools.cache
def _members(choices: EnumType) -> tuple[str, ...]:
    """Return the texts of an enum; asking an enum for its members is slow."""
    members: Iterable[object] = choices.__members__.values()
    return tuple(str(member) for member in members)


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object under reading; every getter names the place of what it refuses.

    Args:
        place: Path of the object for messages, for example "plans[0].prices[2]".
        values: The object itself.
        code: Code of the refusals.
    """

    place: str
    values: Mapping[str, Json]
    code: Code

    @classmethod
    def of(cls, value: Json, *, place: str, code: Code) -> Fields:
        """Take any JSON value that must be an object (Rejected otherwise)."""
        if not isinstance(value, Mapping):
            raise Rejected(code, f"{place} must be an object")
        return cls(place, value, code)

    def refuse(self, name: str, why: str) -> Rejected:
        """Return the refusal of one field; a name from outside is shown escaped if need be."""
        shown = name if is_clean_text(name) else ascii(name[:TEXT_LENGTH_MAX])
        return Rejected(self.code, f"{self.place}.{shown} {why}", param=f"{self.place}.{shown}")

    def only(self, names: Iterable[str]) -> None:
        """Refuse fields that nobody reads: a misspelt name must not be silently ignored."""
        unknown = sorted(set(self.values) - set(names))
        if unknown:
            raise self.refuse(unknown[0], "is no known field")

    def text(
        self, name: str, *, default: str | None = None, length_max: int = TEXT_LENGTH_MAX
    ) -> str:
        """Return a clean text."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or not is_clean_text(value, length_max=length_max):
            raise self.refuse(name, f"must be text of 1 to {length_max} printable characters")
        return value

    def choice(self, name: str, choices: Iterable[str], *, default: str | None = None) -> str:
        """Return a text that is one of the choices."""
        value = self.text(name, default=default)
        allowed = _members(choices) if isinstance(choices, EnumType) else tuple(choices)
        if value not in allowed:
            raise self.refuse(name, f"must be one of {', '.join(allowed)}")
        return value

    def integer(self, name: str, *, minimum: int, maximum: int, default: int | None = None) -> int:
        """Return a whole number within bounds, both inclusive."""
        value = self.values.get(name, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or not minimum <= value <= maximum
        ):
            raise self.refuse(name, f"must be a whole number from {minimum} to {maximum}")
        return value

    def boolean(self, name: str, *, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise self.refuse(name, "must be true or false")
        return value

    def decimal(self, name: str, *, default: str | None = None) -> Decimal:
        """Return a non-negative decimal written as plain text, at most 18 places."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or _DECIMAL.fullmatch(value) is None:
            if isinstance(value, str) and _DECIMAL.fullmatch(value.removeprefix("-")):
                raise self.refuse(name, "must be a decimal that is not below 0")
            raise self.refuse(name, 'must be a decimal written as text, for example "0.0020"')
        return Decimal(value)

    def document(self, name: str) -> str:
        """Return a text of any length and characters: a document whose reader checks it."""
        value = self.values.get(name)
        if not isinstance(value, str):
            raise self.refuse(name, "must be a document written as text")
        return value

    def time(self, name: str) -> datetime:
        """Return an RFC 3339 time as UTC."""
        try:
            return parse_time(self.text(name))
        except Rejected as error:
            raise self.refuse(name, f"is wrong: {error.reason}") from error

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of clean texts without repeats; missing counts as empty."""
        value = self.values.get(name, [])
        if not isinstance(value, list | tuple):
            raise self.refuse(name, "must be a list")
        items = tuple(item for item in value if isinstance(item, str) and is_clean_text(item))
        if len(items) != len(value) or len(set(items)) != len(items):
            raise self.refuse(name, "must be a list of different texts")
        return items

    def objects(self, name: str, *, count_max: int) -> tuple[Fields, ...]:
        """Return a list of objects; missing counts as empty."""
        value = self.values.get(name, [])
        if not isinstance(value, list | tuple) or len(value) > count_max:
            raise self.refuse(name, f"must be a list of at most {count_max} objects")
        return tuple(
            Fields.of(item, place=f"{self.place}.{name}[{index}]", code=self.code)
            for index, item in enumerate(value)
        )

    def object(self, name: str) -> Fields:
        """Return a nested object."""
        return Fields.of(self.values.get(name), place=f"{self.place}.{name}", code=self.code)
