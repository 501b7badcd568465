"""Canonical JSON: one byte form per value, so that hashes mean something.

Keys sorted by code point, no white space, UTF-8 unescaped, integers and text only: a float has no
single byte form and is refused (RFC 8785 allows them; money and quantities here are text).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from domain.codes import Code
from domain.errors import Rejected

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]


def _refuse_number(text: str) -> Json:
    raise Rejected(Code.BAD_VALUE, f"number {text[:40]} must be written as text or an integer")


def to_canonical_json(value: Json) -> str:
    """This function will write a value in its one canonical form.

    Raises:
        Rejected: bad_value, when a float or another foreign type is inside.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


_PLAIN = frozenset({str, int, bool, type(None)})
"""Types that need no second look; a document has mostly these."""


def _check(value: Json) -> None:
    if isinstance(value, int | str) or value is None:
        return
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise Rejected(Code.BAD_VALUE, f"key {key!r} is not text")
        items: Iterable[Json] = value.values()
    elif isinstance(value, list | tuple):
        items = value
    else:
        raise Rejected(Code.BAD_VALUE, f"{type(value).__name__} has no canonical form")
    for item in items:
        if type(item) not in _PLAIN:
            _check(item)


def from_json(text: str) -> Json:
    """This function will read JSON without ever making a float.

    Raises:
        Rejected: bad_value, for malformed text, repeated keys, fractions, exponents or a lone
            surrogate, which has no UTF-8 bytes and so no hash.
    """
    try:
        result: Json = _DECODER.decode(text)
        # An escaped lone surrogate has no UTF-8 bytes: it would fail later, when hashed or sent.
        (json.dumps(result, ensure_ascii=False) if "\\u" in text else text).encode()
    except (ValueError, RecursionError) as error:
        raise Rejected(Code.BAD_VALUE, f"not JSON: {error}") from error
    return result


def _unique_pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Rejected(Code.BAD_VALUE, "a key is repeated in an object")
    return result


_DECODER = json.JSONDecoder(
    parse_float=_refuse_number, parse_constant=_refuse_number, object_pairs_hook=_unique_pairs
)


def sha256_hex(text: str) -> str:
    """This function will return the SHA-256 of the UTF-8 bytes, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def decimal_text(value: Decimal) -> str:
    """This function will write a decimal exactly, without exponent or needless zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text
