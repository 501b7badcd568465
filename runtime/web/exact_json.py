"""JSON from strangers: numbers exactly as written, no key twice, no bracket deeper than allowed.

Steps of reading: 1. brackets are counted on the bytes, before anything is built of them; 2. the
text must be UTF-8; 3. fractions become Decimal, never a float.
"""

from __future__ import annotations

import json
from decimal import Decimal, DecimalException

from runtime.web.problems import ProblemError, invalid

NESTING_MAX = 16
"""Brackets inside brackets. Usage needs 4, node data of S0 about 6; a parser that recurses must
not be led further."""

Exact = None | bool | int | Decimal | str | list["Exact"] | dict[str, "Exact"]

_STRUCTURE = b'[]{}"'
_REST = bytes(byte for byte in range(256) if byte not in _STRUCTURE)


class _Malformed(ValueError):
    """The text is JSON to Python, and not to us."""


def read(body: bytes) -> Exact:
    """This function will read a body that is one JSON document.

    Raises:
        ProblemError: invalid_request with param body, and what is wrong with it.
    """
    if not is_shallow(body):
        raise invalid("body", f"Brackets do not match, or nest deeper than {NESTING_MAX}")
    try:
        value: Exact = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise invalid("body", "The body is not UTF-8") from error
    except DecimalException as error:
        raise invalid("body", "A number has an exponent that nothing can hold") from error
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from error
    return value


def _not_json(error: Exception) -> ProblemError:
    return invalid("body", f"The body is not JSON: {error}")


def is_shallow(body: bytes) -> bool:
    """This function will say whether brackets match and nest no deeper than NESTING_MAX.

    It works on whole buffers in C: escapes go, then everything but brackets and quotes, then what
    stands in quotes; each further pass takes the innermost pairs away. It may call malformed text
    shallow, which the parser then refuses, and never calls deep text shallow.
    """
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    left = body.translate(None, _REST).replace(b'""', b"")
    if b'"' in left:  # a text with brackets inside
        left = b"".join(left.split(b'"')[::2])
    for _ in range(NESTING_MAX):
        if not left:
            return True
        left = _without_innermost(left)
    return not left


def _without_innermost(brackets: bytes) -> bytes:
    # Marked first and removed together: removing one kind at once would make new pairs inside.
    return brackets.replace(b"[]", b"  ").replace(b"{}", b"  ").translate(None, b" ")


def write(value: Exact) -> str:
    """This function will write a value as compact JSON, numbers exactly as they were read."""
    match value:
        case dict():
            inside = ",".join(f"{json.dumps(name)}:{write(item)}" for name, item in value.items())
            return f"{{{inside}}}"
        case list():
            return f"[{','.join(write(item) for item in value)}]"
        case Decimal():
            return str(value)
        case _:
            return json.dumps(value)


def _unique_pairs(pairs: list[tuple[str, Exact]]) -> dict[str, Exact]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Malformed("a key is repeated in an object")
    return result


def _refuse_constant(name: str) -> Exact:
    raise _Malformed(f"{name} is no number")


_DECODER = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique_pairs
)
