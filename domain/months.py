"""Months of UTC, as exports name them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from domain.codes import Code
from domain.errors import Rejected

YEAR_MAX = 9_998
"""The last year that a month can follow."""

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)


def month_of(text: str) -> tuple[datetime, datetime]:
    """This function will read a month as the time from its first day to the next month's.

    Raises:
        Rejected: invalid_request, for anything else than a year and a month.
    """
    if _MONTH.fullmatch(text) is None or not 1 <= int(text[:4]) <= YEAR_MAX:
        raise Rejected(Code.INVALID_REQUEST, "month must be a year and a month, like 2026-11")
    year, month = int(text[:4]), int(text[5:])
    following = (year + 1, 1) if month == 12 else (year, month + 1)  # noqa: PLR2004 -- December
    return datetime(year, month, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)
