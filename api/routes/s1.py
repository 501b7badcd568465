"""The addresses of system S1 in its own shapes (S1-48 … S1-54, S1-57): aliases of what is above.

The tenant of S1 is a customer of ours (C-02). Amounts are JSON numbers, as S1 writes them, digit
by digit from whole minor units or exact decimals; no float is made. What takes usage (usage/track,
asset_snapshots) is served by the gateway under the same paths.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from api.backend import Backend
from api.bodies import read_json_bytes
from api.commands import Command
from api.dependencies import BackendDep, CallerDep, OptionalKeyDep, get_caller
from api.parameters import Parameters, Text, read_id, refuse_query, refuse_repeats
from api.representations_s1 import (
    S1BaselineRepresentation,
    S1GainShareRepresentation,
    S1InvoiceRepresentation,
    S1PlanRepresentation,
    S1SubscriptionRepresentation,
    S1SummaryRepresentation,
    to_s1_baseline,
    to_s1_gain_share,
    to_s1_invoice,
    to_s1_plan,
    to_s1_subscription,
    to_s1_summary,
)
from api.routes.allowances import moment_of
from api.routes.common import (
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    READ_RESPONSES,
    act,
    calling,
    object_body,
)
from api.routes.common import text_field as text_schema
from api.routes.gain_shares import ask_for_baseline, ask_for_run
from domain.books.records import Command as Wish
from domain.canonical import from_json
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.fields import Fields, is_clean_text
from domain.gain_share import read_day
from domain.period import time_text
from projections.queries import (
    allowances,
    catalogues,
    customers,
    drafts,
    gain_shares,
    invoices,
    s1,
    subscriptions,
)
from projections.queries.clocks import tenant_now
from projections.queries.connection import tenant_connection
from projections.queries.gain_shares import GainShareRun
from projections.queries.invoices import Invoice
from projections.queries.plans import list_plans
from projections.queries.subscriptions import Subscription
from runtime.ids import new_id
from runtime.web import exact_json
from runtime.web.authentication import Caller
from runtime.web.exact_json import Exact
from runtime.web.problems import invalid, not_found

router = APIRouter(
    tags=["s1"],
    dependencies=[Depends(get_caller), Depends(refuse_repeats)],
    redirect_slashes=False,
)
BILLING_API = "/functions/v1/billing-api"
_TENANT = {"customer": "tenant_id"}
_SUBSCRIPTION = {**_TENANT, "plan": "plan_code", "currency": "plan_code", "start": "start_date"}
"""What S1 calls the fields of the books; a customer's currency is that of the plan."""
NUMBER = {"type": "number"}
NUMBER_DIGITS_MAX = 40
"""Digits of a number before and after its point, twice what the books take: 1e5000000000 is short
in a body, and 5 GB when it is written out."""


class SummaryParameters(Parameters):
    """Whose usage."""

    tenant_id: Text = Field(description="The customer")


@router.get(
    f"{BILLING_API}/plans",
    response_model=list[S1PlanRepresentation],
    responses=READ_RESPONSES,
    summary="S1: the plans",
    dependencies=[Depends(refuse_query)],
)
def get_plans(backend: BackendDep, caller: CallerDep) -> Response:
    """Plans in CAD of the catalogue in force, in its order (S1-18: a new one needs no code)."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        plans = [
            s1.s1_plan(each.plan)
            for each in list_plans(connection)
            if each.plan.currency == s1.CURRENCY
        ]
    return _answer([to_s1_plan(plan) for plan in plans])


@router.post(
    f"{BILLING_API}/subscriptions",
    status_code=201,
    response_model=S1SubscriptionRepresentation,
    responses=COMMAND_RESPONSES,
    summary="S1: subscribe a tenant to a plan",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "tenant_id": text_schema("The customer; created in the plan's currency if need be"),
            "plan_code": text_schema("Code of the plan"),
            "start_date": text_schema("First day, for example 2025-01-01"),
        },
        required=("tenant_id", "plan_code", "start_date"),
        example={"tenant_id": "plant-1", "plan_code": "PRO", "start_date": "2025-01-01"},
    ),
)
async def create_subscription(
    request: Request, backend: BackendDep, caller: CallerDep, key: OptionalKeyDep
) -> Response:
    """S1 has no call that makes a tenant, so the first subscription does."""
    body = await _read(request, ("tenant_id", "plan_code", "start_date"))
    customer, plan = _text(body, "tenant_id"), _text(body, "plan_code")
    start = datetime.combine(_day(body, "start_date"), time(), UTC)
    operation = f"POST {BILLING_API}/subscriptions"
    key = key or new_id("key")
    subscription = derived_id("sub", caller.tenant, operation, key)
    with calling(_SUBSCRIPTION):
        await _await_customer(backend, caller, customer=customer, plan=plan)
        await act(
            backend,
            caller,
            operation=operation,
            idempotency_key=key,
            kind="CreateSubscription",
            body={
                "subscription": subscription,
                "customer": customer,
                "plan": plan,
                "start": time_text(start),
            },
        )
    found, now = await run_in_threadpool(_subscription, backend, caller, subscription)
    return _answer(to_s1_subscription(found, at=max(start, now)), status=201)


async def _await_customer(backend: Backend, caller: Caller, *, customer: str, plan: str) -> None:
    """Create the customer in the plan's currency, unless there is one."""

    def currency_of_new() -> str | None:
        with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
            if customers.find_customer(connection, customer=customer) is not None:
                return None
            sold = {each.plan.code: each.plan.currency for each in list_plans(connection)}
        # The books refuse a plan that nobody sells.
        return sold.get(plan)

    currency = await run_in_threadpool(currency_of_new)
    if currency is not None:
        await act(
            backend,
            caller,
            operation=f"POST {BILLING_API}/subscriptions customer",
            idempotency_key=customer,
            kind="CreateCustomer",
            body={"customer": customer, "currency": currency},
        )


@router.get(
    f"{BILLING_API}/subscriptions/{{subscription}}",
    response_model=S1SubscriptionRepresentation,
    responses=FIND_RESPONSES,
    summary="S1: one subscription",
    dependencies=[Depends(refuse_query)],
)
def get_subscription(backend: BackendDep, caller: CallerDep, subscription: str) -> Response:
    """With its open period: the one that is invoiced next (S1-39)."""
    found, now = _subscription(backend, caller, read_id(subscription))
    return _answer(to_s1_subscription(found, at=now))


def _subscription(
    backend: Backend, caller: Caller, subscription: str
) -> tuple[Subscription, datetime]:
    """Return a subscription and the tenant's time."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = subscriptions.find_subscription(connection, subscription=subscription)
        now = tenant_now(connection)
    if found is None:
        raise not_found()
    return found, now


@router.get(
    f"{BILLING_API}/usage/summary",
    response_model=S1SummaryRepresentation,
    responses=FIND_RESPONSES,
    summary="S1: what a tenant used in its running period",
)
def get_summary(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[SummaryParameters, Query()]
) -> Response:
    """Of the first subscription that has credits, else of the first that runs."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        states = allowances.find_states(
            connection,
            tenant=caller.tenant,
            moment=moment_of(connection, None),
            published=catalogues.read_published(connection),
            customer=parameters.tenant_id,
        )
    if not states:
        raise not_found()
    state = next((each for each in states if s1.credits_of(each) is not None), states[0])
    return _answer(to_s1_summary(state))


@router.post(
    "/functions/v1/billing-invoice",
    status_code=201,
    response_model=S1InvoiceRepresentation,
    responses=COMMAND_RESPONSES,
    summary="S1: make the invoice of a subscription's open period",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {"subscription_id": text_schema("Subscription")},
        required=("subscription_id",),
        example={"subscription_id": "sub_00000000000000000000000000000000"},
    ),
)
async def create_invoice(request: Request, backend: BackendDep, caller: CallerDep) -> Response:
    """Once its period and the grace after it are over (S1-R9); collecting it is Stripe's.

    A period has one invoice: a request that is sent again finds the next period, not yet over.
    """
    body = await _read(request, ("subscription_id",))
    subscription = _text(body, "subscription_id")

    def draft() -> Wish:
        with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
            now = moment_of(connection, None).replace(microsecond=0)
        return drafts.subscription_draft(
            backend.settings, tenant=caller.tenant, subscription=subscription, as_of=now
        )

    wish = await run_in_threadpool(draft)
    wished = Fields.of(from_json(wish.body), place="body", code=Code.INTERNAL)
    with calling({"subscription": "subscription_id", "as_of": ""}):
        await backend.commands.execute(
            Command(
                tenant=caller.tenant,
                command_id=wish.command_id,
                kind=wish.kind,
                body=wished.values,
                actor=f"api:{caller.key_id}",
            )
        )
    invoice = wished.text("invoice")

    def find() -> Invoice | None:
        with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
            found = invoices.find_invoice(connection, invoice=invoice)
        return None if found is None else found.invoice

    made = await run_in_threadpool(find)
    if made is None:
        raise not_found()
    return _answer(to_s1_invoice(made), status=201)


@router.post(
    "/functions/v1/billing-gainshare",
    status_code=201,
    response_model=S1GainShareRepresentation,
    responses=COMMAND_RESPONSES,
    summary="S1: calculate a gain-share",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "tenant_id": text_schema("The customer"),
            "period_start": text_schema("First day"),
            "period_end": text_schema("Last day; it belongs to the period (S1-R21)"),
            "share_pct": {**NUMBER, "description": "Percent"},
        },
        required=("tenant_id", "period_start", "period_end", "share_pct"),
        example={
            "tenant_id": "plant-1",
            "period_start": "2024-01-01",
            "period_end": "2024-12-31",
            "share_pct": 15.0,
        },
    ),
)
async def create_gain_share(
    request: Request, backend: BackendDep, caller: CallerDep, key: OptionalKeyDep
) -> Response:
    """Pending approval; without an Idempotency-Key each request is a run of its own."""
    body = await _read(request, ("tenant_id", "period_start", "period_end", "share_pct"))
    with calling(_TENANT):
        run = await ask_for_run(
            backend,
            caller,
            idempotency_key=key or new_id("key"),
            customer=_text(body, "tenant_id"),
            start=_day(body, "period_start"),
            end=_day(body, "period_end"),
            share_pct=_decimal(body, "share_pct"),
        )

    def find() -> GainShareRun:
        with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
            found = gain_shares.find_run(connection, run=run)
        if found is None:
            raise not_found()
        return found

    return _answer(to_s1_gain_share(await run_in_threadpool(find)), status=201)


@router.post(
    "/rest/v1/kpi_baselines",
    status_code=201,
    response_model=S1BaselineRepresentation,
    responses=COMMAND_RESPONSES,
    summary="S1: record a KPI's value before",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "tenant_id": text_schema("The customer"),
            "metric": text_schema("KPI of the catalogue"),
            "baseline_value": NUMBER,
            "cost_per_unit": NUMBER,
            "multiplier": {**NUMBER, "description": "1 when it is left out (S1-R2)"},
            "effective_from": text_schema("First day that is compared with it"),
        },
        required=("tenant_id", "metric", "baseline_value", "cost_per_unit", "effective_from"),
        example={
            "tenant_id": "plant-1",
            "metric": "availability",
            "baseline_value": 86.0,
            "cost_per_unit": 25000,
            "effective_from": "2024-01-01",
        },
    ),
)
async def create_baseline(
    request: Request, backend: BackendDep, caller: CallerDep, key: OptionalKeyDep
) -> Response:
    """The bearer says whose books; apikey is not looked at (S1-R20)."""
    body = await _read(
        request,
        (
            *("tenant_id", "metric", "baseline_value"),
            *("cost_per_unit", "multiplier", "effective_from"),
        ),
    )
    with calling(_TENANT):
        baseline = await ask_for_baseline(
            backend,
            caller,
            idempotency_key=key or new_id("key"),
            customer=_text(body, "tenant_id"),
            metric=_text(body, "metric"),
            baseline_value=_decimal(body, "baseline_value"),
            cost_per_unit=_decimal(body, "cost_per_unit"),
            multiplier=_decimal(body, "multiplier") if "multiplier" in body else "1",
            effective_from=_day(body, "effective_from"),
        )

    def find() -> gain_shares.Baseline:
        with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
            found = gain_shares.find_baseline(connection, baseline=baseline)
        if found is None:
            raise not_found()
        return found

    made = await run_in_threadpool(find)
    return _answer(to_s1_baseline(made), status=201)


async def _read(request: Request, names: tuple[str, ...]) -> dict[str, Exact]:
    body = exact_json.read(await read_json_bytes(request))
    if not isinstance(body, dict):
        raise invalid("body", "The body must be a JSON object")
    for name in body:
        if name not in names:
            raise invalid(name, f"{name[:50]} is no known field")
    return body


def _text(body: dict[str, Exact], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not is_clean_text(value):
        raise invalid(name, f"{name} must be text of 1 to 200 printable characters")
    return value


def _day(body: dict[str, Exact], name: str) -> date:
    fields = Fields("body", {name: _text(body, name)}, Code.INVALID_REQUEST)
    return read_day(fields, name)


def _decimal(body: dict[str, Exact], name: str) -> str:
    """Return a number, or decimal text, as plain decimal text; the books check its range."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise invalid(name, f"{name} must be a number")
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    exponent = value.as_tuple().exponent
    if (
        not isinstance(exponent, int)
        or exponent < -NUMBER_DIGITS_MAX
        or value.adjusted() > NUMBER_DIGITS_MAX
    ):
        raise invalid(
            name, f"{name} must be a number of at most {NUMBER_DIGITS_MAX} digits on either side"
        )
    return f"{value:f}"


def _answer(document: Exact, *, status: int = 200) -> Response:
    return Response(exact_json.write(document), media_type="application/json", status_code=status)
