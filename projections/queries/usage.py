"""Usage over time: hourly windows added up into hours, days or months of UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy

from domain.codes import Code
from domain.errors import Rejected
from domain.period import Period
from projections.queries.paging import conditions

USAGE_ROWS_MAX = 10_000
"""Rows of one answer: a month of hours of 13 series, or 13 months of days of 25 of them."""
RANGE_HOURS_MAX = {"hour": 31 * 24, "day": 400 * 24, "month": 1_830 * 24}
"""Longest span by granularity, hours: a month of hours, 13 months of days, 5 years of months."""


class Granularity(StrEnum):
    """How long one bucket is, in UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


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
    """

    period: Period
    granularity: Granularity
    customer: str | None = None
    meter: str | None = None
    by_customer: bool = False
    dimensions: tuple[str, ...] = ()

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


@dataclass(frozen=True, slots=True)
class UsageBucket:
    """One meter's usage of one bucket and group.

    Args:
        start: Start of the bucket, UTC.
        meter: Meter key.
        customer: Set when the question splits by customer, or asks for one.
        group: Value of each dimension asked for; None where the events had none.
        sum, minimum, maximum: Over the events, exact.
        latest: Value of the event that occurred last; of equal ones, the last one received.
        events: Events counted.
        late_events: Of them, those that arrived after their hour.
    """

    start: datetime
    meter: str
    customer: str | None
    group: tuple[tuple[str, str | None], ...]
    sum: Decimal
    minimum: Decimal
    maximum: Decimal
    latest: Decimal
    events: int
    late_events: int


def list_usage(
    connection: sqlalchemy.Connection, *, question: UsageQuestion
) -> tuple[UsageBucket, ...]:
    """This function will add up the windows of a period.

    Args:
        connection: Connection of one tenant.
        question: What is asked.

    Returns:
        Buckets that hold events, by start, meter, customer and group.

    Raises:
        Rejected: invalid_request, when the answer would have more than USAGE_ROWS_MAX rows.
    """
    rows = connection.execute(
        sqlalchemy.text(_statement(question)),
        {
            "granularity": question.granularity.value,
            "start": question.period.start,
            "end": question.period.end,
            "customer": question.customer,
            "meter": question.meter,
            "dimensions": list(question.dimensions),
            "row_count": USAGE_ROWS_MAX + 1,
        },
    ).all()
    if len(rows) > USAGE_ROWS_MAX:
        raise Rejected(
            Code.INVALID_REQUEST,
            f"the answer has more than {USAGE_ROWS_MAX} rows",
            next_step="Ask for a shorter period, a coarser granularity, one customer or one meter",
            param="from",
        )
    return tuple(_from_row(row, question=question) for row in rows)


def _statement(question: UsageQuestion) -> str:
    """Return the statement; it is put together from fixed texts, every value is bound.

    Each series gets the number of its group once, so that windows are grouped by a time and a
    number; and the latest value is the largest array of (occurred, offset, value), which needs no
    sort: on 480,000 windows together 3 to 4 times as fast as grouping the plain join by texts.
    """
    where = conditions(
        "customer = :customer" if question.customer is not None else "",
        "meter = :meter" if question.meter is not None else "",
    )
    customer = "customer" if question.by_customer else "CAST(NULL AS text)"
    # A series has at most one value per dimension; unnest keeps the order that was asked for.
    group = (
        "ARRAY(SELECT usage_series.dimensions ->> asked.name"
        " FROM unnest(CAST(:dimensions AS text[])) WITH ORDINALITY AS asked (name, place)"
        " ORDER BY asked.place)"
        if question.dimensions
        else "CAST(ARRAY[] AS text[])"
    )
    return f"""
        WITH named AS (
            SELECT tenant, series, meter, {customer} AS customer, {group} AS dimension_values
            FROM usage_series {where}
        ), numbered AS MATERIALIZED (
            SELECT named.*,
                dense_rank() OVER (ORDER BY meter, customer, dimension_values) AS number
            FROM named
        ), groups AS (
            SELECT DISTINCT number, meter, customer, dimension_values FROM numbered
        ), buckets AS (
            SELECT date_trunc(:granularity, w.hour, 'UTC') AS start,
                numbered.number,
                sum(w.sum) AS sum, min(w.min) AS minimum, max(w.max) AS maximum,
                (max(ARRAY[w.latest_occurred_ms, w.latest_offset, w.latest]))[3] AS latest,
                sum(w.events) AS events, sum(w.late) AS late_events
            FROM usage_window AS w
            JOIN numbered ON numbered.tenant = w.tenant AND numbered.series = w.series
            WHERE w.hour >= :start AND w.hour < :end
            GROUP BY 1, 2
            ORDER BY 1, 2
            LIMIT :row_count
        )
        SELECT buckets.*, groups.meter, groups.customer, groups.dimension_values
        FROM buckets JOIN groups USING (number)
        ORDER BY start, number"""  # noqa: S608 -- fixed texts only


def _from_row(row: sqlalchemy.Row[Any], *, question: UsageQuestion) -> UsageBucket:
    return UsageBucket(
        start=row.start,
        meter=row.meter,
        customer=row.customer if question.by_customer else question.customer,
        group=tuple(zip(question.dimensions, row.dimension_values, strict=True)),
        sum=row.sum,
        minimum=row.minimum,
        maximum=row.maximum,
        latest=row.latest,
        events=int(row.events),
        late_events=int(row.late_events),
    )
