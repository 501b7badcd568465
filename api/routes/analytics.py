"""GET /analytics and its parts; S0's /api/metrics and /api/tier-analytics (S0-41, S0-42)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BeforeValidator, Field

from api.backend import Backend
from api.cursors import CursorPart, from_cursor, integer, text, to_cursor
from api.dependencies import BackendDep, CallerDep, get_caller
from api.parameters import PageParameters, Parameters, Text, Time, read_period, refuse_repeats
from api.representations import ListRepresentation
from api.representations_analytics import (
    ActivityListRepresentation,
    CustomerFiguresRepresentation,
    MetricsRepresentation,
    RevenueTrendRepresentation,
    TierAnalyticsRepresentation,
    to_representation_activity,
    to_representation_customer_figures,
    to_representation_metrics,
    to_representation_preference,
    to_representation_revenue,
    to_representation_tier,
)
from api.routes.common import READ_RESPONSES, new_router
from domain.period import Period
from projections.queries import analytics
from projections.queries.analytics import TREND_DAYS_MAX
from projections.queries.analytics_summary import summary
from projections.queries.analytics_values import (
    ACTIVE_DAYS_DEFAULT,
    ACTIVE_DAYS_MAX,
    CustomerKey,
    Step,
)
from projections.queries.clocks import tenant_now
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import invalid

router = new_router("analytics")
s0_router = APIRouter(
    prefix="/api",
    tags=["analytics"],
    dependencies=[Depends(get_caller), Depends(refuse_repeats)],
    redirect_slashes=False,
)
_KIND = "analytics-customers"
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""Times that may be asked about, so that a window before and a day after are still dates."""


def _whole_number(value: object) -> object:
    # pydantic would also read "1_0" and "+5".
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 6):  # noqa: PLR2004 -- ACTIVE_DAYS_MAX is shorter
        raise ValueError("must be a whole number")
    return value


class MetricsParameters(Parameters):
    """Parameters of the metrics."""

    as_of: Time | None = Field(None, description="The present; the tenant's time if none")
    active_days: Annotated[
        int, BeforeValidator(_whole_number), Field(ge=1, le=ACTIVE_DAYS_MAX)
    ] = Field(
        ACTIVE_DAYS_DEFAULT, description="Window in which an active customer did something, days"
    )


class TierParameters(Parameters):
    """Parameters of the tier analytics."""

    start: Time | None = Field(
        None, alias="from", description="Charges requested at or after it; both or none"
    )
    end: Time | None = Field(None, alias="to", description="Charges requested before it")
    customer: Text | None = Field(None, description="Preferences of this customer alone")


class TrendParameters(Parameters):
    """Parameters of the revenue."""

    start: Time = Field(alias="from", description="First moment that counts")
    end: Time = Field(alias="to", description="First moment that no longer counts")
    step: Step = Field(Step.DAY, description="Length of a step, in UTC")


class ActivityParameters(Parameters):
    """Parameters of the activity."""

    start: Time = Field(alias="from", description="Its day is the first one")
    end: Time = Field(alias="to", description="The day of the moment before it is the last one")
    customer: Text | None = Field(None, description="Only this customer")


@router.get("/analytics", responses=READ_RESPONSES, summary="Where the tenant stands")
def get_analytics(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[MetricsParameters, Query()]
) -> MetricsRepresentation:
    """Customers, credits, revenue, tiers, what waits, and what follows from it as sentences."""
    return _metrics(backend, caller, parameters)


@s0_router.get("/metrics", responses=READ_RESPONSES, summary="Customers and revenue (S0-41)")
def get_metrics(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[MetricsParameters, Query()]
) -> MetricsRepresentation:
    """The same as /api/v1/billing/analytics, at the address that S0 names."""
    return _metrics(backend, caller, parameters)


@router.get("/analytics/tiers", responses=READ_RESPONSES, summary="Use and revenue by tier")
def get_tiers(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[TierParameters, Query()]
) -> TierAnalyticsRepresentation:
    """Tiers by rank of their revenue, and those used most."""
    return _tiers(backend, caller, parameters)


@s0_router.get("/tier-analytics", responses=READ_RESPONSES, summary="Tiers (S0-42)")
def get_tier_analytics(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[TierParameters, Query()]
) -> TierAnalyticsRepresentation:
    """The same as /api/v1/billing/analytics/tiers, at the address that S0 names."""
    return _tiers(backend, caller, parameters)


@router.get("/analytics/revenue", responses=READ_RESPONSES, summary="Revenue by day or month")
def get_revenue(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[TrendParameters, Query()]
) -> RevenueTrendRepresentation:
    """Charges made less refunds, by day or month of UTC and currency; empty steps are left out."""
    period = _bounded(parameters.start, parameters.end)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = analytics.revenue(connection, period=period, step=parameters.step)
    return RevenueTrendRepresentation(data=[to_representation_revenue(step) for step in found])


@router.get("/analytics/activity", responses=READ_RESPONSES, summary="Activity by day")
def get_activity(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[ActivityParameters, Query()]
) -> ActivityListRepresentation:
    """Node events and transactions by day of UTC, of one customer or of all."""
    period = _bounded(parameters.start, parameters.end)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = analytics.activity(
            connection,
            first=period.start.date(),
            last=(period.end - timedelta(microseconds=1)).date(),
            customer=parameters.customer,
        )
    return ActivityListRepresentation(data=[to_representation_activity(day) for day in found])


@router.get(
    "/analytics/customers", responses=READ_RESPONSES, summary="Customers by lifetime value"
)
def list_customer_figures(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[PageParameters, Query()]
) -> ListRepresentation[CustomerFiguresRepresentation]:
    """All customers, by currency and what they have spent, the highest first."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=_to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = analytics.customer_figures(connection, limit=parameters.limit, after=after)
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_customer_figures(row) for row in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, last.currency, last.spent_minor, last.customer)
        if last
        else None,
    )


def _metrics(
    backend: Backend, caller: Caller, parameters: MetricsParameters
) -> MetricsRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        as_of = _known("as_of", parameters.as_of or tenant_now(connection))
        found = summary(connection, as_of=as_of, active_days=parameters.active_days)
    return to_representation_metrics(found)


def _tiers(
    backend: Backend, caller: Caller, parameters: TierParameters
) -> TierAnalyticsRepresentation:
    if (parameters.start is None) != (parameters.end is None):
        raise invalid("to" if parameters.end is None else "from", "Give both from and to, or none")
    period = None
    if parameters.start is not None and parameters.end is not None:
        period = read_period(_known("from", parameters.start), _known("to", parameters.end))
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        tiers = analytics.tier_figures(connection, period=period)
        preferences = analytics.preferences(connection, customer=parameters.customer)
    return TierAnalyticsRepresentation(
        tiers=[to_representation_tier(tier) for tier in tiers],
        preferences=[to_representation_preference(item) for item in preferences],
    )


def _bounded(start: datetime, end: datetime) -> Period:
    period = read_period(_known("from", start), _known("to", end))
    if period.end - period.start > timedelta(days=TREND_DAYS_MAX):
        raise invalid("to", f"from and to are more than {TREND_DAYS_MAX} days apart")
    return period


def _known(param: str, moment: datetime) -> datetime:
    if not EARLIEST <= moment < LATEST:
        raise invalid(param, f"The time must lie between {EARLIEST.year} and {LATEST.year}")
    return moment


def _to_key(parts: Sequence[CursorPart]) -> CustomerKey:
    currency, spent, customer = parts
    return CustomerKey(
        currency=text(currency), spent_minor=integer(spent), customer=text(customer)
    )
