"""`/admin-api.php?action=…`, system S4's own address: small aliases of what is above (S4-R3).

S4's tenant is a customer of ours (C-02), and is named in each call, as a key may speak for many.
Reads are here, changes in s4_changes. Quotas and notifications are no actions yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeVar

import sqlalchemy
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.dependencies import BackendDep, CallerDep, OptionalKeyDep, get_caller
from api.parameters import refuse_repeats
from api.representations import UsageEventRepresentation
from api.representations_s4 import (
    STATUSES,
    to_s4_document,
    to_s4_event,
    to_s4_invoice,
    to_s4_subscription,
    to_s4_usage,
)
from api.routes import invoices as invoice_routes
from api.routes import s4_changes
from api.routes.allowances import moment_of
from api.routes.common import COMMAND_RESPONSES, FIND_RESPONSES
from api.routes.usage_events import names_of, page_of_events
from domain.books.invoice_checks import YEAR_MAX, YEAR_MIN
from domain.catalogue import Catalogue
from domain.codes import Code
from domain.fields import Fields
from domain.gain_share import read_day
from domain.period import Period
from projections.queries import catalogues, invoices, subscriptions
from projections.queries.connection import tenant_connection
from projections.queries.invoices import Invoice, InvoiceFilter, InvoiceKey
from projections.queries.paging import Page
from projections.queries.subscriptions import Subscription
from projections.queries.usage import list_usage
from projections.queries.usage_events import Asked, Place
from projections.queries.usage_question import Granularity, UsageQuestion
from runtime import clock
from runtime.ids import new_id
from runtime.web import exact_json
from runtime.web.authentication import Caller
from runtime.web.exact_json import Exact
from runtime.web.problems import Problem, ProblemError, invalid, not_found

router = APIRouter(
    tags=["s4"],
    dependencies=[Depends(get_caller), Depends(refuse_repeats)],
    redirect_slashes=False,
)
PATH: Final = "/admin-api.php"
PER_PAGE_DEFAULT, PER_PAGE_MAX = 20, 100
PAGE_MAX = 100
"""Pages are walked through, for lists go on from their last row: further ones by a cursor, at
/api/v1/billing."""
EVENTS_MAX = 2_000
"""Events that page and per_page may reach: each page reads the log from the first event on."""
LOOKS_MAX = 10
"""Pages of GET usage/events that one page here may take: some seconds, where each finds little."""
STATISTICS_DAYS = 30
"""Days of statistics where no date is given (S4-85)."""
SUBSCRIPTIONS_MAX = 100
"""Subscriptions of a tenant that are looked through for the one that runs."""
Row = TypeVar("Row")
Found = TypeVar("Found")
Answer = Callable[[Backend, Caller, Fields], Exact]


def _get_usage_stats(backend: Backend, caller: Caller, given: Fields) -> Exact:
    """Totals by resource type (S4-58)."""
    return _usage(backend, caller, given, granularity=Granularity.PERIOD)


def _get_usage_timeseries(backend: Backend, caller: Caller, given: Fields) -> Exact:
    """The same per day, for charts (S4-59)."""
    return _usage(backend, caller, given, granularity=Granularity.DAY)


def _usage(backend: Backend, caller: Caller, given: Fields, *, granularity: Granularity) -> Exact:
    given.only(("tenant_id", "resource_type", "start_date", "end_date"))
    customer = given.text("tenant_id")
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        period = _days(given, today=moment_of(connection, None).date())
        newest = catalogues.catalogue_in_force(connection)
        buckets = list_usage(
            connection,
            question=UsageQuestion(
                period=period, granularity=granularity, customer=customer, until=clock.now()
            ),
        )
    types = {meter.key: meter.event_type for meter in newest.meters} if newest else {}
    wanted = _types(given, newest)
    rows: list[Exact] = [
        to_s4_usage(bucket, resource_type=name, by_day=granularity is Granularity.DAY)
        for bucket in buckets
        if (name := types.get(bucket.meter, bucket.meter)) in (wanted or {name})
    ]
    return {
        "tenant_id": customer,
        "start_date": period.start.date().isoformat(),
        "end_date": (period.end - timedelta(days=1)).date().isoformat(),
        "data": rows,
    }


def _list_usage_events(backend: Backend, caller: Caller, given: Fields) -> Exact:
    """Events page by page (S4-75, S4-R1)."""
    names = ("tenant_id", "resource_type", "start_date", "end_date", "page", "per_page")
    given.only(names)
    number, size = _paging(given)
    if number * size > EVENTS_MAX:
        raise invalid("page", f"page and per_page reach {EVENTS_MAX} events; then take the cursor")
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        period = _days(given, today=moment_of(connection, None).date())
        newest = catalogues.catalogue_in_force(connection)
    asked = Asked(
        tenant=caller.tenant,
        customer=given.text("tenant_id"),
        period=period,
        types=_types(given, newest),
    )
    found: list[UsageEventRepresentation] = []
    behind: Place | None = None
    for _ in range(LOOKS_MAX):
        rows, behind = page_of_events(
            backend, asked, limit=number * size - len(found), after=behind
        )
        found += rows
        if behind is None or len(found) == number * size:
            break
    else:
        raise invalid("start_date", "too much of the log lies between: take fewer days")
    shown: list[Exact] = [to_s4_event(each) for each in found[(number - 1) * size :]]
    return _paged(shown, number, size, has_more=behind is not None)


def _types(given: Fields, newest: Catalogue | None) -> frozenset[str]:
    """Return all names of the resource type that is asked for; empty for all types (S4-R5)."""
    if "resource_type" not in given.values:
        return frozenset()
    return names_of(newest, given.text("resource_type"))


def _get_subscription(backend: Backend, caller: Caller, given: Fields) -> Exact:
    """By its id, or the one of a tenant that runs, else the newest (S4-64)."""
    given.only(("id", "tenant_id"))
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        now = moment_of(connection, None)
        found = _subscription(connection, given, now=now)
    if found is None:
        raise not_found()
    return to_s4_subscription(found, now=now)


def _subscription(
    connection: sqlalchemy.Connection, given: Fields, *, now: datetime
) -> Subscription | None:
    if "id" in given.values:
        return subscriptions.find_subscription(connection, subscription=given.text("id"))
    page = subscriptions.list_subscriptions(
        connection, limit=SUBSCRIPTIONS_MAX, after=None, customer=given.text("tenant_id")
    )
    return max(
        page.rows,
        key=lambda each: (
            each.agreed.status_at(now) != "cancelled",
            each.agreed.created_at,
            each.subscription,
        ),
        default=None,
    )


def _list_invoices(backend: Backend, caller: Caller, given: Fields) -> Exact:
    """The newest first, of a tenant and a status (S4-68)."""
    given.only(("tenant_id", "status", "page", "per_page"))
    number, size = _paging(given)
    status = None
    if "status" in given.values:
        wanted = given.choice("status", STATUSES.values())
        status = next(ours for ours, name in STATUSES.items() if name == wanted)
    customer = given.text("tenant_id")

    def page_after(last: Invoice | None) -> Page[Invoice]:
        return invoices.list_invoices(
            connection,
            limit=size,
            after=None if last is None else InvoiceKey(last.issued_at, last.invoice),
            wanted=InvoiceFilter(customer=customer, subscription=None, status=status),
        )

    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = _walk(page_after, number=number)
    shown: list[Exact] = [to_s4_invoice(each) for each in page.rows]
    return _paged(shown, number, size, has_more=page.has_more)


def _get_invoice(backend: Backend, caller: Caller, given: Fields) -> Exact:
    """With its lines, by id or number (S4-69)."""
    given.only(("id",))
    return to_s4_document(invoice_routes.find(backend, caller, given.text("id")))


READS: Mapping[str, Answer] = {
    "get_usage_stats": _get_usage_stats,
    "get_usage_timeseries": _get_usage_timeseries,
    "list_usage_events": _list_usage_events,
    "get_subscription": _get_subscription,
    "list_invoices": _list_invoices,
    "get_invoice": _get_invoice,
}
"""Action → what answers it by GET."""


def _action_schema(actions: Sequence[str]) -> dict[str, object]:
    return {
        "parameters": [
            {
                "name": "action",
                "in": "query",
                "required": True,
                "description": "What is asked for; docs/billing.md lists the parameters of each",
                "schema": {"type": "string", "enum": sorted(actions)},
            }
        ]
    }


@router.get(
    PATH,
    responses=FIND_RESPONSES,
    summary="S4: read usage, subscription and invoices",
    openapi_extra=_action_schema(list(READS)),
)
def get_action(request: Request, backend: BackendDep, caller: CallerDep) -> Response:
    """Each action takes S4's parameters and no others (S4-R4): docs/billing.md lists them."""
    values = dict(request.query_params)
    answer = _named(values.pop("action", ""), READS, others=s4_changes.CHANGES, allow="POST")
    given = Fields("body", {**values}, Code.INVALID_REQUEST)
    return _answer(answer(backend, caller, given))


@router.post(
    PATH,
    responses=COMMAND_RESPONSES,
    summary="S4: change subscriptions and invoices",
    openapi_extra=_action_schema(list(s4_changes.CHANGES)),
)
async def post_action(
    request: Request, backend: BackendDep, caller: CallerDep, key: OptionalKeyDep
) -> Response:
    """The body is JSON or a form. Without an Idempotency-Key each request is a wish of its own."""
    values = dict(request.query_params)
    change = _named(values.pop("action", ""), s4_changes.CHANGES, others=READS, allow="GET")
    for name in values:
        raise invalid(name, f"{name[:50]}: only action stands in the address of a POST")
    given = await s4_changes.read(request)
    made = await change.ask(backend, caller, key or new_id("key"), given)

    def show() -> Exact:
        if change.is_of_invoice:
            return to_s4_document(invoice_routes.find(backend, caller, made))
        wanted = Fields("body", {"id": made}, Code.INTERNAL)
        return _get_subscription(backend, caller, wanted)

    return _answer(await run_in_threadpool(show), status=change.status)


def _named(
    action: str, mine: Mapping[str, Found], *, others: Mapping[str, object], allow: str
) -> Found:
    """Return what an action names; 405 where it is of the other method, 400 where it is none."""
    if action in mine:
        return mine[action]
    if action in others:
        detail = f"{action} is asked for by {allow}"
        raise ProblemError(
            Problem(405, Code.INVALID_REQUEST, detail, "method", (("Allow", allow),))
        )
    raise invalid("action", f"There is no action {action[:50]!r}")


def _walk(page_after: Callable[[Row | None], Page[Row]], *, number: int) -> Page[Row]:
    """Go through pages by their last rows, up to the one that is asked for."""
    page = page_after(None)
    for _ in range(number - 1):
        if not page.has_more:
            return Page(rows=(), has_more=False)
        page = page_after(page.rows[-1])
    return page


def _paging(given: Fields) -> tuple[int, int]:
    return (
        _number(given, "page", default=1, maximum=PAGE_MAX),
        _number(given, "per_page", default=PER_PAGE_DEFAULT, maximum=PER_PAGE_MAX),
    )


def _number(given: Fields, name: str, *, default: int, maximum: int) -> int:
    """Read a whole number as the address writes it."""
    if name not in given.values:
        return default
    text = given.text(name)
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(maximum))
    if not is_number or not 1 <= int(text) <= maximum:
        raise given.refuse(name, f"must be a whole number from 1 to {maximum}")
    return int(text)


def _paged(rows: list[Exact], number: int, size: int, *, has_more: bool) -> Exact:
    return {"data": rows, "page": number, "per_page": size, "has_more": has_more}


def _days(given: Fields, *, today: date) -> Period:
    """Read start_date and end_date, both of which count; without them the last 30 days."""
    last = _day(given, "end_date") if "end_date" in given.values else today
    first = (
        _day(given, "start_date")
        if "start_date" in given.values
        else last - timedelta(days=STATISTICS_DAYS - 1)
    )
    if first > last:
        raise given.refuse("end_date", "lies before the start_date")
    return Period(
        datetime.combine(first, time(), UTC),
        datetime.combine(last, time(), UTC) + timedelta(days=1),
    )


def _day(given: Fields, name: str) -> date:
    """Read a day of the years of the books: days before and after it exist."""
    day = read_day(given, name)
    if not YEAR_MIN <= day.year <= YEAR_MAX:
        raise given.refuse(name, f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
    return day


def _answer(document: Exact, *, status: int = 200) -> Response:
    return Response(exact_json.write(document), media_type="application/json", status_code=status)
