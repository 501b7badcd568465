"""Half-open periods [start, end) in UTC, and the monthly billing cycle."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.codes import Code
from domain.errors import Rejected

HOUR_MS = 3_600_000

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
"""RFC 3339 with at most microseconds, the offset optional so that its absence gets its own reason;
datetime.fromisoformat alone takes more, and takes more with each Python version."""


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span of time: start belongs to it, end does not.

    Args:
        start: Aware datetime; kept in UTC.
        end: Aware datetime after start; kept in UTC.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse naive or empty periods (Rejected bad_value)."""
        object.__setattr__(self, "start", require_utc(self.start))
        object.__setattr__(self, "end", require_utc(self.end))
        if self.start >= self.end:
            raise Rejected(Code.BAD_VALUE, f"period ends at {self.end} but starts at {self.start}")

    def contains(self, moment: datetime) -> bool:
        """Say whether a moment lies in the period."""
        return self.start <= moment < self.end


def require_utc(moment: datetime) -> datetime:
    """This function will return the moment in UTC.

    Raises:
        Rejected: bad_value, when the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise Rejected(Code.BAD_VALUE, f"time {moment.isoformat()} has no time zone")
    return moment.astimezone(UTC)


def parse_time(text: str) -> datetime:
    """This function will read an RFC 3339 time with its offset as UTC.

    Raises:
        Rejected: bad_value, for malformed text or a time without offset.
    """
    refusal = Rejected(Code.BAD_VALUE, f"{text[:40]!r} is no RFC 3339 time")
    if _RFC_3339.fullmatch(text) is None:
        raise refusal
    try:
        return require_utc(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError) as error:  # no such day, or outside the years 1 to 9999
        raise refusal from error


def time_text(moment: datetime) -> str:
    """This function will write a moment as RFC 3339 in UTC, exactly, no finer than needed."""
    utc = require_utc(moment)
    form = "seconds"
    if utc.microsecond:
        form = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    return utc.isoformat(timespec=form).replace("+00:00", "Z")


def from_ms(milliseconds: int) -> datetime:
    """This function will turn milliseconds since 1970 UTC into an aware datetime, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def to_ms(moment: datetime) -> int:
    """This function will turn a moment into milliseconds since 1970 UTC, dropping microseconds."""
    return (require_utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def add_months(anchor: datetime, *, months: int) -> datetime:
    """This function will move a cycle's anchor by whole months (G-05).

    A day that the month lacks becomes its last day; because every step starts from the anchor, the
    anchor's own day comes back in longer months.
    """
    index = anchor.year * 12 + anchor.month - 1 + months
    year, month = divmod(index, 12)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def monthly_period(anchor: datetime, *, index: int) -> Period:
    """This function will return the index-th monthly period of a cycle, from 0 at the anchor."""
    return Period(add_months(anchor, months=index), add_months(anchor, months=index + 1))
