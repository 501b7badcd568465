"""What may be asked of usage: a period, how long a bucket is, and what to split by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.aggregation.measure import Span
from domain.codes import Code
from domain.errors import Rejected
from domain.period import add_months, to_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.period import Period

RANGE_HOURS_MAX = {"hour": 31 * 24, "day": 400 * 24, "month": 1_830 * 24, "period": 1_830 * 24}
"""Longest span by granularity, hours: a month of hours, 13 months of days, 5 years of the rest."""
USAGE_ROWS_MAX = 10_000
"""Rows of one answer: a month of hours of 13 series, or 13 months of days of 25 of them."""
NEVER = datetime.max.replace(tzinfo=UTC)


class Granularity(StrEnum):
    """How long one bucket is, in UTC; one of the whole period cannot be had by adding up others.

    A user of two days is one user of both.
    """

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    PERIOD = "period"


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """What is asked of the windows.

    Args:
        period: Hours that count, half-open; both ends on the full hour.
        granularity: Length of a bucket. A bucket that the period cuts holds its inner part only.
        customer: Only this customer; None for all of the tenant.
        meter: Only this meter; None for all.
        by_customer: Whether each customer gets rows of its own.
        dimensions: Dimension names to split by, in the order of the answer.
        until: Up to when a time-weighted value holds on: nobody knows it beyond the present.
    """

    period: Period
    granularity: Granularity
    customer: str | None = None
    meter: str | None = None
    by_customer: bool = False
    dimensions: tuple[str, ...] = ()
    until: datetime = NEVER

    def __post_init__(self) -> None:
        """Refuse a period off the hour or too long (Rejected invalid_request with param)."""
        for name, moment in (("from", self.period.start), ("to", self.period.end)):
            if moment.minute or moment.second or moment.microsecond:
                raise Rejected(
                    Code.INVALID_REQUEST, "usage is kept by the hour: give a full hour", param=name
                )
        hours_max = RANGE_HOURS_MAX[self.granularity]
        if self.period.end - self.period.start > timedelta(hours=hours_max):
            raise Rejected(
                Code.INVALID_REQUEST,
                f"a period by the {self.granularity} has at most {hours_max // 24} days",
                next_step="Ask for a shorter period or a coarser granularity",
                param="from",
            )

    def bucket_of(self, moment: datetime) -> datetime:
        """Return the start of the bucket that a moment of the period, in UTC, lies in."""
        if self.granularity is Granularity.PERIOD:
            return self.period.start
        if self.granularity is Granularity.MONTH:
            return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if self.granularity is Granularity.DAY:
            return moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return moment.replace(minute=0, second=0, microsecond=0)

    def buckets(self) -> Iterator[tuple[datetime, Span]]:
        """Yield start and inner part of every bucket of the period, up to until."""
        start = self.bucket_of(self.period.start)
        end = min(self.period.end, self.until)
        while start < end:
            following = self._end_of(start)
            yield (
                start,
                Span(to_ms(max(start, self.period.start)), to_ms(min(following, end))),
            )
            start = following

    def _end_of(self, start: datetime) -> datetime:
        """Return where the bucket that starts here ends, cut by the period or not."""
        match self.granularity:
            case Granularity.HOUR:
                return start + timedelta(hours=1)
            case Granularity.DAY:
                return start + timedelta(hours=24)
            case Granularity.MONTH:
                return add_months(start, months=1)
            case Granularity.PERIOD:
                return self.period.end


def too_many_rows() -> Rejected:
    """This function will return the refusal of an answer with more than USAGE_ROWS_MAX rows."""
    return Rejected(
        Code.INVALID_REQUEST,
        f"the answer has more than {USAGE_ROWS_MAX} rows",
        next_step="Ask for a shorter period, a coarser granularity, one customer or one meter",
        param="from",
    )
