"""PostgreSQL's COPY BINARY format for fixed-width rows, built by columns instead of by rows.

A row is one element of a structured array: a field count, then per field its length and bytes,
all big-endian. Numerics are written with a fixed number of base-10000 digits; the server drops
leading zeros and trailing ones when it reads them, so the stored form is the canonical one.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from domain.quantity import NANOS_PER_UNIT, SCALE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from domain.usage.seen import Int32s, Int64s, UInt64s

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_UNIX_TO_POSTGRES_US = 946_684_800_000_000
"""From 1970 to 2000, where PostgreSQL starts counting, microseconds."""
_HOUR_US = 3_600_000_000
_DIGIT_BASE = 10_000
_UNIT_DIGITS = 5  # 20 decimal places hold every int64
_NANO_DIGITS = 3  # 12 decimal places hold 9
_DIGEST_DIGITS = 10  # 40 decimal places hold every 128-bit number
_NEGATIVE = 0x4000
_LIMB = np.uint64(32)
_LIMB_MASK = np.uint64(2**32 - 1)
_TWO_DIGITS = np.uint64(_DIGIT_BASE**2)


def _numeric(digits: int) -> np.dtype:
    return np.dtype(
        [
            ("count", ">i2"),
            ("weight", ">i2"),
            ("sign", ">u2"),
            ("scale", ">i2"),
            ("digits", ">i2", (digits,)),
        ]
    )


class Kind(Enum):
    """What a column holds."""

    INTEGER = "integer"
    TEXT = "text, of one length in all rows"
    BIGINT = "bigint"
    UUID = "uuid"
    TIMESTAMP = "timestamptz"
    QUANTITY = "numeric with 9 places"
    DIGEST = "numeric of 128 bits"


_FORMS: dict[Kind, np.dtype] = {
    Kind.INTEGER: np.dtype(">i4"),
    Kind.BIGINT: np.dtype(">i8"),
    Kind.UUID: np.dtype("V16"),
    Kind.TIMESTAMP: np.dtype(">i8"),
    Kind.QUANTITY: _numeric(_UNIT_DIGITS + _NANO_DIGITS),
    Kind.DIGEST: _numeric(_DIGEST_DIGITS),
}
"""How each kind is written."""


class RowFormat:
    """The wire form of one table's rows.

    Args:
        kinds: Kind of each column, in the order of the COPY statement.
        text_bytes: Length of every TEXT in bytes; rows of another length need another format, and
            may stand in the same payload.
    """

    def __init__(self, kinds: Mapping[str, Kind], *, text_bytes: int = 0) -> None:
        forms = _FORMS | {Kind.TEXT: np.dtype(f"V{text_bytes}")}
        fields: list[tuple[str, np.dtype]] = [("fields", np.dtype(">i2"))]
        for name, kind in kinds.items():
            fields += [(f"{name}.length", np.dtype(">i4")), (name, forms[kind])]
        self._template = np.zeros(1, dtype=np.dtype(fields))
        self._template["fields"] = len(kinds)
        for name, kind in kinds.items():
            self._template[f"{name}.length"] = forms[kind].itemsize
            if kind is Kind.QUANTITY:
                constants = (_UNIT_DIGITS + _NANO_DIGITS, _UNIT_DIGITS - 1, SCALE)
            elif kind is Kind.DIGEST:
                constants = (_DIGEST_DIGITS, _DIGEST_DIGITS - 1, 0)
            else:
                continue
            for part, constant in zip(("count", "weight", "scale"), constants, strict=True):
                self._template[name][part] = constant

    def rows(self, count: int) -> np.ndarray:
        """Return so many rows with everything but the values in place; numerics are zero."""
        return np.repeat(self._template, count)


def payload(*parts: np.ndarray) -> Iterator[bytes | memoryview]:
    """This function will yield what COPY … FROM STDIN (FORMAT BINARY) reads, rows uncopied."""
    yield _HEADER
    for rows in parts:
        yield rows.view(np.uint8).data
    yield _TRAILER


def timestamps_of_hours(hour: Int32s) -> Int64s:
    """This function will turn hours since 1970 UTC into PostgreSQL's microseconds since 2000."""
    return hour.astype(np.int64) * _HOUR_US - _UNIX_TO_POSTGRES_US


def put_texts(column: np.ndarray, texts: Sequence[bytes], place: Int32s) -> None:
    """This function will write texts[place[row]] into each row of a TEXT column."""
    column[:] = np.array(texts, dtype=column.dtype)[place]


def put_quantities(column: np.ndarray, units: Int64s, nanos: Int32s) -> None:
    """This function will write units plus billionths into a QUANTITY column.

    Args:
        column: The column of new rows; its digits are still zero.
        units: Whole part, rounded down.
        nanos: Billionths in [0, 10^9).
    """
    negative = units < 0
    if negative.any():
        column["sign"] = np.where(negative, _NEGATIVE, 0)
        borrow = (negative & (nanos > 0)).astype(np.int64)
        units = np.where(negative, -(units + borrow), units)
        nanos = np.where(borrow == 1, NANOS_PER_UNIT - nanos, nanos)
    digits = column["digits"]
    rest = units
    for index in range(_UNIT_DIGITS - 1, -1, -1):
        rest, digits[:, index] = _split(rest)
        if not rest.any():
            break
    if nanos.any():
        rest = nanos.astype(np.int64) * 10 ** (4 * _NANO_DIGITS - SCALE)
        for index in range(_UNIT_DIGITS + _NANO_DIGITS - 1, _UNIT_DIGITS - 1, -1):
            rest, digits[:, index] = _split(rest)


def _split(values: Int64s) -> tuple[Int64s, Int64s]:
    """Cut off the last base-10000 digit; a product is quicker than a second division."""
    rest = values // _DIGIT_BASE
    return rest, values - rest * _DIGIT_BASE


def put_digests(column: np.ndarray, high: UInt64s, low: UInt64s) -> None:
    """This function will write 128-bit numbers, given in halves, into a DIGEST column.

    Long division of four 32-bit limbs by 10^8 gives two digits a round; a remainder below 2^27
    before a limb of 32 bits fits 64 bits.
    """
    limbs = [high >> _LIMB, high & _LIMB_MASK, low >> _LIMB, low & _LIMB_MASK]
    digits = column["digits"]
    for index in range(_DIGEST_DIGITS - 2, -1, -2):
        remainder = np.zeros_like(high)
        for place, limb in enumerate(limbs):
            value = (remainder << _LIMB) | limb
            limbs[place] = value // _TWO_DIGITS
            remainder = value - limbs[place] * _TWO_DIGITS
        pair = remainder.astype(np.int64)
        digits[:, index], digits[:, index + 1] = _split(pair)
