"""GET /analytics/recurring: monthly and annual recurring revenue; as metrics under S3's names."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Depends, Response

from api.backend import Backend
from api.dependencies import BackendDep, CallerDep
from api.parameters import refuse_query
from api.representations_analytics import (
    RecurringListRepresentation,
    to_representation_recurring,
)
from api.routes.common import READ_RESPONSES, new_router
from domain.recurring import RecurringRevenue, totals
from projections.queries.connection import tenant_connection
from projections.queries.recurring import ReckonedRevenue
from runtime.web.authentication import Caller

router = new_router("analytics")
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
ACTIVE = "dictamesh_billing_active_subscriptions"
MONTHLY = "dictamesh_billing_mrr"
ANNUAL = "dictamesh_billing_arr"


@router.get(
    "/analytics/recurring",
    responses=READ_RESPONSES,
    summary="Monthly and annual recurring revenue (S3-47)",
    dependencies=[Depends(refuse_query)],
)
def get_recurring(backend: BackendDep, caller: CallerDep) -> RecurringListRepresentation:
    """What active subscriptions come to when nothing changes: fees, seats and add-ons, no usage.

    By the tenant's time, by currency and plan, and by currency; a quarter counts a third of its
    price a month, a year a twelfth (S3-R7). Reckoned once a command changed something, or after
    five minutes: as_of says when.
    """
    found = _read(backend, caller)
    return to_representation_recurring(found.plans, as_of=found.as_of)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **READ_RESPONSES,
        200: {"content": {"text/plain": {}}, "description": "Prometheus text format"},
    },
    summary="A tenant's figures for Prometheus, under S3's names (S3-85 to S3-87)",
    dependencies=[Depends(refuse_query)],
)
def get_metrics(backend: BackendDep, caller: CallerDep) -> Response:
    """The tenant's own, so it needs a key; those of this process are at /metrics."""
    text = "".join(f"{line}\n" for line in _lines(_read(backend, caller).plans))
    return Response(text, media_type=TEXT_FORMAT)


def _read(backend: Backend, caller: Caller) -> ReckonedRevenue:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        return backend.revenue.find(connection, tenant=caller.tenant)


def _lines(plans: tuple[RecurringRevenue, ...]) -> Iterator[str]:
    yield f"# HELP {ACTIVE} Active subscriptions of a plan."
    yield f"# TYPE {ACTIVE} gauge"
    for each in plans:
        labels = f'plan="{_escaped(each.plan)}",currency="{each.annual.currency}"'
        yield f"{ACTIVE}{{{labels}}} {each.subscriptions}"
    sums = totals(plans)
    yield f"# HELP {MONTHLY} Monthly recurring revenue, major units of the currency."
    yield f"# TYPE {MONTHLY} gauge"
    for each in sums:
        yield f'{MONTHLY}{{currency="{each.monthly.currency}"}} {each.monthly.text()}'
    yield f"# HELP {ANNUAL} Annual recurring revenue, major units of the currency."
    yield f"# TYPE {ANNUAL} gauge"
    for each in sums:
        yield f'{ANNUAL}{{currency="{each.annual.currency}"}} {each.annual.text()}'


def _escaped(text: str) -> str:
    """Return a label's value as the text format has it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
