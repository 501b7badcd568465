"""Half-open periods [start, end) in UTC, and the cycles in which subscriptions are billed.

A cycle counts whole UTC days from 00:00, so no country's clock change can make a period longer or
shorter, and 29 February is a day like any other.
"""

from __future__ import annotations

import calendar
import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from domain.codes import Code
from domain.errors import Rejected

HOUR_MS = 3_600_000
TIMES_MAX = 4_096
"""Times kept read and written, 300 bytes each: those of periods come again and again."""
DAY = timedelta(days=1)
LIFETIME_END = datetime(9999, 1, 1, tzinfo=UTC)
"""End of a lifetime's one period: later than any as_of, and still a date."""

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
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


@functools.lru_cache(maxsize=TIMES_MAX)
def parse_time(text: str) -> datetime:
    """This function will read an RFC 3339 time with its offset as UTC.

    Raises:
        Rejected: bad_value, for malformed text or a time without offset.
    """
    reason = "%r is no RFC 3339 time"
    if _RFC_3339.fullmatch(text) is None:
        raise Rejected(Code.BAD_VALUE, reason % text[:40])
    try:
        return require_utc(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError) as error:  # no such day, or outside the years 1 to 9999
        raise Rejected(Code.BAD_VALUE, reason % text[:40]) from error


@functools.lru_cache(maxsize=TIMES_MAX)
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


def floor_day(moment: datetime) -> datetime:
    """This function will return 00:00 UTC of the day that a moment lies in."""
    return datetime.combine(require_utc(moment).date(), time(), tzinfo=UTC)


def ceil_day(moment: datetime) -> datetime:
    """This function will return the first 00:00 UTC that is not before a moment."""
    day = floor_day(moment)
    return day if day == require_utc(moment) else day + DAY


def days_of(period: Period) -> int:
    """This function will count the whole UTC days of a period that starts and ends at 00:00."""
    return (period.end - period.start) // DAY


class Interval(StrEnum):
    """How long a plan's periods are; a lifetime has one, which does not end."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    LIFETIME = "lifetime"


MONTHS: dict[Interval, int] = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}
"""Months of an interval; a lifetime has no such number."""


def add_months(anchor: datetime, *, months: int, day: int = 0) -> datetime:
    """This function will move a cycle's anchor by whole months (G-05).

    A day that the month lacks becomes its last day; because every step starts from the anchor, the
    anchor's own day comes back in longer months.

    Args:
        anchor: Where to count from.
        months: How many months; may be negative.
        day: Day of the month that is wished for, 1 to 31; 0 for the anchor's own.
    """
    index = anchor.year * 12 + anchor.month - 1 + months
    year, month = divmod(index, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return anchor.replace(year=year, month=month + 1, day=min(day or anchor.day, last))


def calendar_anchor(moment: datetime, *, interval: Interval) -> datetime:
    """This function will return the start of the calendar month, quarter or year of a moment.

    Args:
        moment: Any moment.
        interval: Month, quarter or year; of a lifetime the day itself is the start.
    """
    day = floor_day(moment)
    if interval is Interval.LIFETIME:
        return day
    months = MONTHS[interval]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def cycle_period(
    anchor: datetime, *, interval: Interval, moment: datetime, anchor_day: int = 0
) -> Period:
    """This function will return the whole period of a cycle that a moment lies in.

    Args:
        anchor: Start of a period of the cycle, 00:00 UTC, not after the moment.
        interval: How long the periods are.
        moment: Any moment from the anchor on.
        anchor_day: Day of the month on which periods start where the month has it; 0 for the
            anchor's own. It differs from that when the anchor lies in a shorter month.

    Raises:
        Rejected: bad_value, when the moment lies before the anchor.
    """
    if moment < anchor:
        raise Rejected(Code.BAD_VALUE, f"{time_text(moment)} lies before {time_text(anchor)}")
    if interval is Interval.LIFETIME:
        return Period(anchor, LIFETIME_END)
    length = MONTHS[interval]
    months = (moment.year - anchor.year) * 12 + moment.month - anchor.month
    index = months // length
    start = add_months(anchor, months=index * length, day=anchor_day)
    if start > moment:
        index -= 1
        start = add_months(anchor, months=index * length, day=anchor_day)
    return Period(start, add_months(anchor, months=(index + 1) * length, day=anchor_day))
