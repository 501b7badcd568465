"""Analytics: revenue over time, tiers by rank, when customers work, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, timedelta

from fastapi import Request, Response

from api.console.charts import Line, chart
from api.console.navigation import BASE_PATH
from api.console.rendering import render
from api.console.routing import new_router
from api.console.session import ConsoleCallerDep
from api.dependencies import BackendDep
from domain.money import minor_unit_places
from projections.queries import analytics
from projections.queries.analytics_summary import TREND_DAYS, summary
from projections.queries.analytics_values import ACTIVE_DAYS_DEFAULT, ActivityDay, Revenue
from projections.queries.clocks import tenant_now
from projections.queries.connection import tenant_connection

router = new_router()
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@router.get(f"{BASE_PATH}/analytics")
def get_analytics(request: Request, backend: BackendDep, caller: ConsoleCallerDep) -> Response:
    """All figures of emergence billing; each chart has a table of the same numbers."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        now = tenant_now(connection)
        today = now.astimezone(UTC).date()
        first = today - timedelta(days=TREND_DAYS - 1)
        figures = summary(connection, as_of=now, active_days=ACTIVE_DAYS_DEFAULT)
        days = analytics.activity(connection, first=first, last=today)
    return render(
        request,
        "analytics.html",
        caller=caller,
        place="analytics",
        figures=figures,
        days=days,
        weekdays=_weekdays(days),
        revenue_charts=_revenue_charts(figures.by_day, first=first, last=today),
        activity_chart=_activity_chart(days, first=first, last=today),
    )


def _weekdays(days: Iterable[ActivityDay]) -> list[tuple[str, int, int]]:
    """Return node events and transactions by weekday."""
    events, transactions = [0] * len(WEEKDAYS), [0] * len(WEEKDAYS)
    for day in days:
        events[day.day.weekday()] += day.updates + day.pulses
        transactions[day.day.weekday()] += day.transactions
    return list(zip(WEEKDAYS, events, transactions, strict=True))


def _revenue_charts(
    by_day: Sequence[Revenue], *, first: date, last: date
) -> list[tuple[str, str]]:
    """Return a chart for each currency; amounts of two never share an axis."""
    charts = []
    for currency in sorted({step.currency for step in by_day}):
        net = {step.start: step.net_minor for step in by_day if step.currency == currency}
        top_ups = {step.start: step.top_up_minor for step in by_day if step.currency == currency}
        lines = (Line("Revenue", net), Line("Top-ups", top_ups))
        places = minor_unit_places(currency)
        charts.append(
            (currency, chart(lines, first=first, last=last, unit=f"{currency} ", places=places))
        )
    return charts


def _activity_chart(days: Sequence[ActivityDay], *, first: date, last: date) -> str:
    lines = (
        Line("Node updates", {day.day: day.updates for day in days}),
        Line("Pulses", {day.day: day.pulses for day in days}),
        Line("Transactions", {day.day: day.transactions for day in days}),
    )
    return chart(lines, first=first, last=last, unit="", places=0)
