"""The subscription book: which customer is on which plan, and which period runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from typing import TYPE_CHECKING

from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import Subscription, TenantState, period_json, read_id
from domain.catalogue import VERSION_MAX
from domain.codes import Code
from domain.errors import Rejected
from domain.period import Period, from_ms, monthly_period, time_text

if TYPE_CHECKING:
    from domain.books.state import Customer
    from domain.catalogue import Catalogue
    from domain.fields import Fields

YEAR_MIN, YEAR_MAX = 2000, 2999
"""Years in which a subscription may start: its periods stay within what a date can hold."""
INDEX_MAX = 12 * 6_100
"""Periods of one subscription: more than fit between its first start and the last as_of."""
MIDNIGHT = time()


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer CreateSubscription.

    Args:
        state: Books of the tenant.
        command: {subscription: sub_…, customer, plan, start: RFC 3339 at 00:00:00 UTC of a day}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SubscriptionCreated, with its first period and the catalogue version in force (G-07).

    Raises:
        Rejected: subscription_exists, customer_unknown, plan_unknown or currency_differs.
    """
    fields = fields_of_command(command, names=("subscription", "customer", "plan", "start"))
    subscription = read_id(fields, "subscription", prefix="sub")
    customer_id, plan_code, start = fields.text("customer"), fields.text("plan"), _start(fields)
    if subscription in state.subscriptions:
        raise Rejected(Code.SUBSCRIPTION_EXISTS, f"subscription {subscription} exists")
    customer = state.customers.get(customer_id)
    if customer is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer_id!r}")
    catalogue = _priced_by(state, plan_code=plan_code, customer=customer)
    return (
        fact_of(
            "SubscriptionCreated",
            {
                "subscription": subscription,
                "customer": customer_id,
                "plan": plan_code,
                "currency": customer.currency,
                "anchor": time_text(start),
                "period": period_json(monthly_period(start, index=0), index=0),
                "catalogue_version": catalogue.version,
                "catalogue_sha256": catalogue.sha256,
                "created_at": time_text(from_ms(received_at_ms)),
            },
        ),
    )


def _start(fields: Fields) -> datetime:
    """Read the start of a day; a month from it is a month of whole days (S1-40)."""
    start = fields.time("start")
    if start.time() != MIDNIGHT:
        raise fields.refuse("start", "must lie at 00:00:00 UTC of a day")
    if not YEAR_MIN <= start.year <= YEAR_MAX:
        raise fields.refuse("start", f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
    return start


def _priced_by(state: TenantState, *, plan_code: str, customer: Customer) -> Catalogue:
    """Return the catalogue in force, once it has the plan in the customer's currency."""
    catalogue = state.catalogue
    if catalogue is None:
        raise Rejected(Code.PLAN_UNKNOWN, "no catalogue was published")
    plan = catalogue.plan(plan_code)
    if plan.currency != customer.currency:
        raise Rejected(
            Code.CURRENCY_DIFFERS,
            f"plan {plan_code!r} is in {plan.currency}, the customer pays {customer.currency}",
        )
    return catalogue


def renewal(*, state: TenantState, subscription: Subscription) -> Fact:
    """This function will move a subscription to its next period.

    The next period takes the catalogue version that was in force at its start (G-07), whenever the
    period before is invoiced. Where that one no longer has the plan, or in another currency only,
    the version of the current period stays: a period that nothing prices could never be invoiced.

    Returns:
        SubscriptionRenewed.
    """
    index = subscription.period_index + 1
    period = monthly_period(subscription.anchor, index=index)
    catalogue = state.catalogues[subscription.catalogue_version]
    published = [
        version
        for version, moment in state.published_at.items()
        if version > catalogue.version and moment <= period.start
    ]
    in_force = state.catalogues[max(published, default=catalogue.version)]
    if any(
        plan.code == subscription.plan and plan.currency == subscription.currency
        for plan in in_force.plans
    ):
        catalogue = in_force
    return fact_of(
        "SubscriptionRenewed",
        {
            "subscription": subscription.subscription,
            "period": period_json(period, index=index),
            "catalogue_version": catalogue.version,
            "catalogue_sha256": catalogue.sha256,
        },
    )


def apply_created(*, state: TenantState, fact: Fact) -> None:
    """This function will add the subscription."""
    fields = fields_of_fact(fact)
    index, period = _period(fields.object("period"))
    state.put_subscription(
        Subscription(
            subscription=fields.text("subscription"),
            customer=fields.text("customer"),
            plan=fields.text("plan"),
            currency=fields.text("currency"),
            anchor=fields.time("anchor"),
            period_index=index,
            period=period,
            catalogue_version=_version(fields),
        )
    )


def apply_renewed(*, state: TenantState, fact: Fact) -> None:
    """This function will move the subscription to its next period."""
    fields = fields_of_fact(fact)
    index, period = _period(fields.object("period"))
    subscription = state.subscriptions.get(fields.text("subscription"))
    if subscription is None:
        raise fields.refuse("subscription", "was never created")
    state.put_subscription(
        replace(
            subscription, period_index=index, period=period, catalogue_version=_version(fields)
        )
    )


def _period(fields: Fields) -> tuple[int, Period]:
    index = fields.integer("index", minimum=0, maximum=INDEX_MAX)
    return index, Period(fields.time("start"), fields.time("end"))


def _version(fields: Fields) -> int:
    return fields.integer("catalogue_version", minimum=1, maximum=VERSION_MAX)
