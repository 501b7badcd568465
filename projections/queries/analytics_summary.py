"""What the overview, /api/metrics and the insights show together, from one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy

from domain.period import Period, add_months
from projections.queries import analytics
from projections.queries.analytics_values import (
    Credits,
    Revenue,
    Segments,
    Step,
    TierFigures,
    Waiting,
)
from projections.queries.insights import Figures, Insight, insights

TREND_DAYS = 30
"""Days of the trend by day; a month of work."""
TREND_MONTHS = 12
"""Months of the trend by month; a year."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Where the tenant stands.

    Args:
        as_of: The present that was asked for, UTC.
        active_days: Window of the segments, days.
        today, this_month: Revenue of the day and the month of as_of, by currency.
        by_day, by_month: Trends; steps without a booking are left out.
        tiers: What each tier came to, of all charges.
        credits: Where all credits are.
        segments: Customers, and what they do.
        waiting: What waits for somebody.
        insights: What follows, as sentences.
    """

    as_of: datetime
    active_days: int
    today: tuple[Revenue, ...]
    this_month: tuple[Revenue, ...]
    by_day: tuple[Revenue, ...]
    by_month: tuple[Revenue, ...]
    tiers: tuple[TierFigures, ...]
    credits: Credits
    segments: Segments
    waiting: Waiting
    insights: tuple[Insight, ...]


def summary(connection: sqlalchemy.Connection, *, as_of: datetime, active_days: int) -> Summary:
    """This function will return where the tenant stands.

    Args:
        connection: Connection of one tenant.
        as_of: The present, from the caller.
        active_days: Window in which somebody active did something, 1 to ACTIVE_DAYS_MAX days.
    """
    midnight = as_of.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = midnight + timedelta(days=1)
    month = midnight.replace(day=1)
    first_month = add_months(month, months=1 - TREND_MONTHS)
    by_day = analytics.revenue(
        connection,
        period=Period(tomorrow - timedelta(days=TREND_DAYS), tomorrow),
        step=Step.DAY,
    )
    by_month = analytics.revenue(connection, period=Period(first_month, tomorrow), step=Step.MONTH)
    segments = analytics.segments(connection, as_of=as_of, days=active_days)
    credits_ = analytics.credit_sums(connection)
    waiting = analytics.waiting(connection)
    last_month = add_months(month, months=-1)
    this_month = _of(by_month, month.date())
    figures = Figures(
        tiers=analytics.tier_figures(connection, period=Period(month, tomorrow)),
        this_month=this_month,
        last_month=_of(by_month, last_month.date()),
        credits=credits_,
        segments=segments,
        active_days=active_days,
        waiting=waiting,
    )
    return Summary(
        as_of=as_of,
        active_days=active_days,
        today=_of(by_day, midnight.date()),
        this_month=this_month,
        by_day=by_day,
        by_month=by_month,
        tiers=analytics.tier_figures(connection),
        credits=credits_,
        segments=segments,
        waiting=waiting,
        insights=insights(figures),
    )


def _of(trend: tuple[Revenue, ...], start: date) -> tuple[Revenue, ...]:
    return tuple(step for step in trend if step.start == start)
