"""What system S4 changes by POST: each action asks for what our own addresses ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_form_or_object
from api.representations_s4 import CYCLES
from api.routes import customers as customer_routes
from api.routes.common import COUNT_MAX, act, calling
from api.routes.invoice_status import Settled, settle
from api.routes.invoices import ask_for_invoice
from api.routes.items import ask_for_item, ask_to_remove
from domain.books.subscriptions import TRIAL_DAYS_MAX
from domain.canonical import Json
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.fields import Fields
from domain.gain_share import read_day
from domain.money import minor_unit_places
from domain.period import time_text
from projections.queries.clocks import tenant_now
from projections.queries.connection import tenant_connection
from projections.queries.plans import list_plans
from projections.queries.subscriptions import find_subscription
from runtime.web.authentication import Caller
from runtime.web.exact_json import Exact
from runtime.web.problems import ProblemError, invalid

LINES_MAX = 100
"""Line items of one request: each is a command of its own."""
DIGITS_MAX = 18
"""Digits of an amount before and after its point."""
_OPERATION = "POST /admin-api.php"
_SUBSCRIPTION = {"subscription": "id", "when": "at_period_end", "as_of": ""}
"""What S4 calls the fields of a change of a subscription."""


@dataclass(frozen=True, slots=True)
class Change:
    """An action.

    Args:
        ask: Sends what is asked for and returns the id of what was made or changed.
        is_of_invoice: Whether that is an invoice; else it is a subscription.
        status: HTTP status of success.
    """

    ask: Callable[[Backend, Caller, str, Fields], Awaitable[str]]
    is_of_invoice: bool
    status: int = 200


async def read(request: Request) -> Fields:
    """This function will read the body, JSON or a form; numbers become decimal text."""
    body = await read_form_or_object(request)
    return Fields(
        "body", {name: _plain(value) for name, value in body.items()}, Code.INVALID_REQUEST
    )


def _plain(value: Exact) -> Json:
    """Return what JSON holds with its fractions as text, so that no float comes about."""
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int) or max(-exponent, value.adjusted()) > DIGITS_MAX:
            raise invalid("body", f"a number has more than {DIGITS_MAX} digits on one side")
        return f"{value:f}"
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


async def _create_subscription(backend: Backend, caller: Caller, key: str, given: Fields) -> str:
    """Starts a plan today, or on start_date (S4-65)."""
    given.only(("tenant_id", "plan_type", "billing_cycle", "start_date", "trial_days"))
    plan = await run_in_threadpool(_plan, backend, caller, given)
    customer = given.text("tenant_id")
    subscription = derived_id("sub", caller.tenant, _OPERATION, key)

    def start() -> str:
        with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
            made = find_subscription(connection, subscription=subscription)
            if made is not None:  # the same wish on another day is the same wish
                return time_text(made.agreed.starts_at)
            today = tenant_now(connection).date()
        first = read_day(given, "start_date") if "start_date" in given.values else today
        return time_text(datetime.combine(first, time(), UTC))

    trial = {"trial_days": _whole(given, "trial_days")} if "trial_days" in given.values else {}
    with calling({"customer": "tenant_id", "plan": "plan_type", "start": "start_date"}):
        await act(
            backend,
            caller,
            operation=f"{_OPERATION} create_subscription",
            idempotency_key=key,
            kind="CreateSubscription",
            body={
                "subscription": subscription,
                "customer": customer,
                "plan": plan,
                "start": await run_in_threadpool(start),
                **trial,
            },
        )
    return subscription


async def _update_subscription(backend: Backend, caller: Caller, key: str, given: Fields) -> str:
    """Another plan or cycle, now or when the period is over (S4-66)."""
    given.only(("id", "plan_type", "billing_cycle", "at_period_end"))
    subscription, plan = given.text("id"), await run_in_threadpool(_plan, backend, caller, given)
    body: dict[str, Json] = {"subscription": subscription, "plan": plan, "when": _when(given)}
    with calling({**_SUBSCRIPTION, "plan": "plan_type"}):
        await act(
            backend,
            caller,
            operation=f"{_OPERATION} update_subscription",
            idempotency_key=key,
            kind="ChangePlan",
            body=body,
        )
    return subscription


async def _cancel_subscription(backend: Backend, caller: Caller, key: str, given: Fields) -> str:
    """At once, or at the end of the period: the caller chooses (S4-67)."""
    given.only(("id", "at_period_end"))
    subscription = given.text("id")
    with calling(_SUBSCRIPTION):
        await act(
            backend,
            caller,
            operation=f"{_OPERATION} cancel_subscription",
            idempotency_key=key,
            kind="CancelSubscription",
            body={"subscription": subscription, "when": _when(given)},
        )
    return subscription


async def _create_invoice(backend: Backend, caller: Caller, key: str, given: Fields) -> str:
    """Adds the line items and bills at once what waits for the tenant (S4-70).

    All of them or none: each is read before the first is sent, and what was added is taken back
    when the books refuse one of them.
    """
    given.only(("tenant_id", "line_items"))
    customer = await run_in_threadpool(
        customer_routes.find, backend, caller, given.text("tenant_id")
    )
    lines = given.objects("line_items", count_max=LINES_MAX)
    wishes = [
        _item(line, customer=customer.customer, currency=customer.currency) for line in lines
    ]
    added: list[str] = []
    try:
        for number, wished in enumerate(wishes):
            item_key = derived_id("key", caller.tenant, key, str(number))
            with calling(_names_of_line(lines[number])):
                added.append(await ask_for_item(backend, caller, item_key, wished=wished))
    except ProblemError:
        for item in added:
            item_key = derived_id("key", caller.tenant, key, item)
            await ask_to_remove(backend, caller, item_key, item=item, reason="refused as a whole")
        raise
    with calling({"customer": "tenant_id", "as_of": ""}):
        made = await ask_for_invoice(backend, caller, key, customer=customer.customer)
    return made.invoice


async def _update_invoice(backend: Backend, caller: Caller, key: str, given: Fields) -> str:
    """Its payment status: paid records the payment of what is open, cancelled voids (S4-71)."""
    given.only(("id", "status", "payment_method", "reason"))
    invoice = given.text("id")
    wanted = given.choice("status", ("paid", "cancelled"))
    with calling({"invoice": "id", "method": "payment_method"}):
        await settle(
            backend,
            caller,
            key,
            invoice=invoice,
            status=Settled.VOID if wanted == "cancelled" else Settled.PAID,
            method=given.text("payment_method", default="manual"),
            reason=given.text("reason", default="cancelled"),
        )
    return invoice


CHANGES: Mapping[str, Change] = {
    "create_subscription": Change(_create_subscription, is_of_invoice=False, status=201),
    "update_subscription": Change(_update_subscription, is_of_invoice=False),
    "cancel_subscription": Change(_cancel_subscription, is_of_invoice=False),
    "create_invoice": Change(_create_invoice, is_of_invoice=True, status=201),
    "update_invoice": Change(_update_invoice, is_of_invoice=True),
}
"""Action → what it asks for by POST."""


def _item(line: Fields, *, customer: str, currency: str) -> Fields:
    """Read a line item as an item is wished for (Rejected otherwise)."""
    line.only(("description", "amount"))
    wished: dict[str, Json] = {
        "customer": customer,
        "label": line.text("description"),
        "amount_minor": _minor(line, "amount", currency=currency),
        "currency": currency,
    }
    found = Fields(line.place, wished, Code.INVALID_REQUEST)
    found.integer("amount_minor", minimum=0, maximum=COUNT_MAX)
    return found


def _names_of_line(line: Fields) -> dict[str, str]:
    """Return what the fields of an item are called in the line item that asks for it."""
    place = line.place.removeprefix("body.")
    return {
        "customer": "tenant_id",
        "label": f"{place}.description",
        "amount_minor": f"{place}.amount",
        "currency": "",
    }


def _plan(backend: Backend, caller: Caller, given: Fields) -> str:
    """Return the code of the plan that a plan type, and perhaps a cycle, mean.

    A plan of another cycle has a code of its own: that of the type and the cycle, "…_quarterly".
    """
    wanted = given.text("plan_type")
    if "billing_cycle" not in given.values:
        return wanted
    cycle = given.choice("billing_cycle", CYCLES.values())
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        cycles = {each.plan.code: CYCLES[each.plan.interval] for each in list_plans(connection)}
    for code in (wanted, f"{wanted}_{cycle}"):
        if cycles.get(code) == cycle:
            return code
    raise invalid("billing_cycle", f"there is no plan {wanted[:50]!r} that is {cycle}")


def _when(given: Fields) -> str:
    """Read at_period_end: true or false, which a form writes as 1 and 0 too."""
    value = given.values.get("at_period_end", False)
    if value in (True, "true", "1"):
        return "period_end"
    if value in (False, "false", "0"):
        return "now"
    raise given.refuse("at_period_end", "must be true or false")


def _whole(given: Fields, name: str) -> int:
    """Read a whole number; a form writes it as text."""
    value = given.values[name]
    is_text = isinstance(value, str) and value.isascii() and value.isdigit()
    number = int(value[:5]) if is_text and isinstance(value, str) else value
    return Fields(given.place, {name: number}, given.code).integer(
        name, minimum=0, maximum=TRIAL_DAYS_MAX
    )


def _minor(line: Fields, name: str, *, currency: str) -> int:
    """Return an amount in whole minor units; what is finer is refused."""
    value = line.values.get(name)
    text = str(value) if type(value) is int else value
    amount = Fields(line.place, {name: text}, line.code).decimal(name)
    minor = amount.scaleb(minor_unit_places(currency))
    if minor != minor.to_integral_value():
        raise line.refuse(name, f"is finer than a minor unit of {currency}")
    return int(minor)
