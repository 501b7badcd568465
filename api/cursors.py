"""Cursors: the place of a list's last row, packed so that nobody is tempted to build one.

A cursor holds no secret and grants nothing: whatever a caller makes of it, it only says where a
list of the caller's own tenant goes on. So it is checked for its form, and not signed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from domain.canonical import from_json, to_canonical_json
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.period import parse_time
from runtime.web.problems import ProblemError, invalid

CURSOR_LENGTH_MAX = 2_000
"""Characters of a cursor; the longest key holds one text of 200 characters of up to 4 bytes."""
INTEGER_MAX = 2**63 - 1

CursorPart = str | int
Key = TypeVar("Key")


def to_cursor(kind: str, *parts: CursorPart) -> str:
    """This function will pack the sort key of a row.

    Args:
        kind: Name of the list; another list refuses the cursor.
        parts: The key's values.
    """
    packed = to_canonical_json([kind, *parts]).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def from_cursor(
    cursor: str | None, *, kind: str, make: Callable[[Sequence[CursorPart]], Key]
) -> Key | None:
    """This function will unpack the sort key of a row.

    Args:
        cursor: What to_cursor returned, or anything a caller made up; none for the first page.
        kind: Name of the list.
        make: Builds the key from its values; raises ValueError when they are none.

    Returns:
        The key of the last row seen; None for the first page.

    Raises:
        ProblemError: invalid_request with param cursor, for everything else.
    """
    if not cursor:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        packed = from_json(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
        if not isinstance(packed, list) or not packed or packed[0] != kind:
            raise _bad_cursor()
        return make([_part(value) for value in packed[1:]])
    except (binascii.Error, ValueError, Rejected) as error:
        raise _bad_cursor() from error


def only_text(parts: Sequence[CursorPart]) -> str:
    """This function will take a key of one text; ValueError otherwise."""
    (part,) = parts
    return text(part)


def moment_and_text(parts: Sequence[CursorPart]) -> tuple[datetime, str]:
    """This function will take a key of a time and a text; ValueError or Rejected otherwise."""
    at, name = parts
    return moment(at), text(name)


def text(part: CursorPart) -> str:
    """This function will take a value as text; ValueError otherwise."""
    if not isinstance(part, str):
        raise ValueError("a text is expected")  # noqa: TRY004 -- from_cursor turns it into a 400
    return part


def integer(part: CursorPart) -> int:
    """This function will take a value as a whole number; ValueError otherwise."""
    if not isinstance(part, int):
        raise ValueError("a number is expected")  # noqa: TRY004 -- from_cursor turns it into a 400
    return part


def moment(part: CursorPart) -> datetime:
    """This function will take a value as a time; ValueError or Rejected otherwise."""
    return parse_time(text(part))


def _part(value: object) -> CursorPart:
    if isinstance(value, str) and (value == "" or is_clean_text(value)):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX:
        return value
    raise ValueError("a cursor holds texts and numbers")


def _bad_cursor() -> ProblemError:
    return invalid("cursor", "This is no cursor of this list: start again without one")
