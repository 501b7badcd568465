"""Quantities are whole billionths (scale 9), from the wire to the invoice; never a float."""

from __future__ import annotations

import re
from decimal import Decimal

from domain.codes import Code
from domain.errors import Rejected

SCALE = 9
NANOS_PER_UNIT: int = 10**SCALE
UNITS_MAX = 10**14
"""Largest quantity of one event, in units, exclusive: 20,000 of them still add up within int64,
so one micro-batch can never overflow its window delta."""

_TEXT = re.compile(r"([0-9]{1,29})(?:\.([0-9]{1,18}))?", re.ASCII)


def parse_nanos(text: str) -> int:
    """This function will read plain decimal text as billionths.

    Args:
        text: Digits with an optional fraction, for example "12.5"; no sign, no exponent.

    Returns:
        The quantity times 10^9.

    Raises:
        Rejected: bad_value, when it is no such text, finer than a billionth, or too large.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise Rejected(Code.BAD_VALUE, f"quantity {text[:40]!r} is not plain decimal text")
    fraction = (match[2] or "").rstrip("0")
    if len(fraction) > SCALE:
        raise Rejected(Code.BAD_VALUE, f"quantity {text} has more than {SCALE} decimal places")
    units = int(match[1])
    if units >= UNITS_MAX:
        raise Rejected(Code.BAD_VALUE, f"quantity {text} is not below {UNITS_MAX} units")
    return units * NANOS_PER_UNIT + int(fraction.ljust(SCALE, "0") or "0")


def nanos_text(nanos: int) -> str:
    """This function will write billionths as exact decimal text: 12500000000 as 12.5."""
    sign = "-" if nanos < 0 else ""
    units, fraction = divmod(abs(nanos), NANOS_PER_UNIT)
    tail = f"{fraction:09d}".rstrip("0")
    return f"{sign}{units}.{tail}" if tail else f"{sign}{units}"


def decimal_nanos(value: Decimal) -> int:
    """This function will turn a decimal of at most 9 places, in units, into billionths."""
    return int(f"{value:.9f}".replace(".", ""))
