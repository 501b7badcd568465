"""GET /usage/current and /usage/history: usage by the periods that a customer is billed for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy
from fastapi import Query
from pydantic import Field

from api.cursors import from_cursor, to_cursor
from api.dependencies import BackendDep, CallerDep
from api.parameters import CurrentUsageParameters, UsageHistoryParameters
from api.representations import (
    TIME,
    ListRepresentation,
    Representation,
    UsageRepresentation,
    to_representation_usage,
)
from api.representations_allowances import (
    CurrentUsageRepresentation,
    to_representation_allowances,
)
from api.routes.allowances import moment_of
from api.routes.common import FIND_RESPONSES, new_router
from api.routes.invoices import to_key
from domain.period import Period, time_text
from projections.queries import allowances, catalogues, customers, invoices
from projections.queries.allowances import State
from projections.queries.connection import tenant_connection
from projections.queries.invoices import Invoice, InvoiceFilter
from projections.queries.usage import list_usage
from projections.queries.usage_question import RANGE_HOURS_MAX, Granularity, UsageQuestion
from runtime import clock
from runtime.web.problems import not_found

router = new_router("usage")
_KIND = "usage-history"
_RANGE_MAX = timedelta(hours=RANGE_HOURS_MAX[Granularity.PERIOD])
"""Longest period that is added up at once; a lifetime is longer."""


class PastUsageRepresentation(Representation):
    """What was used in a period that has been invoiced."""

    subscription: str
    customer: str
    invoice: str
    number: str
    period_start: str = Field(description=TIME)
    period_end: str = Field(description=TIME)
    usage: list[UsageRepresentation]


@router.get(
    "/usage/current", responses=FIND_RESPONSES, summary="Usage of the running period (S3-60)"
)
def get_current(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[CurrentUsageParameters, Query()]
) -> ListRepresentation[CurrentUsageRepresentation]:
    """One row per subscription that runs, live from the windows; none without such a one."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        _require_customer(connection, parameters.customer)
        moment = moment_of(connection, None)
        states = allowances.find_states(
            connection,
            tenant=caller.tenant,
            moment=moment,
            published=catalogues.read_published(connection),
            customer=parameters.customer,
        )
        usage = _UsageOf(connection, parameters.customer)
        data = [_current(state, moment=moment, usage=usage) for state in states]
    return ListRepresentation(data=data, has_more=False, next_cursor=None)


@router.get("/usage/history", responses=FIND_RESPONSES, summary="Usage of past periods (S3-61)")
def get_history(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[UsageHistoryParameters, Query()]
) -> ListRepresentation[PastUsageRepresentation]:
    """Periods that were invoiced, the newest first, with what their windows say now.

    Usage that came after the invoice is in it, as in its correction. A page may hold fewer
    periods than were asked for: invoices of items have none.
    """
    after = from_cursor(parameters.cursor, kind=_KIND, make=to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        _require_customer(connection, parameters.customer)
        page = invoices.list_invoices(
            connection,
            limit=parameters.limit,
            after=after,
            wanted=InvoiceFilter(
                customer=parameters.customer, subscription=parameters.subscription
            ),
        )
        usage = _UsageOf(connection, parameters.customer)
        data = [
            _past(invoice, invoice.period, usage=usage)
            for invoice in page.rows
            if invoice.kind == "period" and invoice.status != "void" and invoice.period
        ]
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=data,
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.issued_at), last.invoice) if last else None,
    )


class _UsageOf:
    """Adds a customer's usage up, each period once: subscriptions often share it."""

    def __init__(self, connection: sqlalchemy.Connection, customer: str) -> None:
        self._connection, self._customer = connection, customer
        self._found: dict[Period, list[UsageRepresentation]] = {}

    def within(self, period: Period) -> list[UsageRepresentation]:
        """Return each meter over a period of full hours."""
        if period not in self._found:
            question = UsageQuestion(
                period=period,
                granularity=Granularity.PERIOD,
                customer=self._customer,
                until=clock.now(),
            )
            self._found[period] = [
                to_representation_usage(bucket)
                for bucket in list_usage(self._connection, question=question)
            ]
        return self._found[period]


def _require_customer(connection: sqlalchemy.Connection, customer: str) -> None:
    if customers.find_customer(connection, customer=customer) is None:
        raise not_found()


def _current(state: State, *, moment: datetime, usage: _UsageOf) -> CurrentUsageRepresentation:
    period = state.standing.period
    hour = moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    end = min(period.end, hour)
    start = max(period.start, end - _RANGE_MAX)
    shown = to_representation_allowances(state, at=time_text(moment))
    return CurrentUsageRepresentation(
        **{name: getattr(shown, name) for name in type(shown).model_fields},
        usage_start=time_text(start),
        usage=usage.within(Period(start, end)),
    )


def _past(invoice: Invoice, period: Period, *, usage: _UsageOf) -> PastUsageRepresentation:
    return PastUsageRepresentation(
        subscription=invoice.subscription,
        customer=invoice.customer,
        invoice=invoice.invoice,
        number=invoice.number,
        period_start=time_text(period.start),
        period_end=time_text(period.end),
        usage=usage.within(Period(max(period.start, period.end - _RANGE_MAX), period.end)),
    )
