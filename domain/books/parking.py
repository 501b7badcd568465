"""Parking: a subscription whose next invoice looks wrong waits for somebody to look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from domain.books import subscriptions
from domain.books.decision import Decision
from domain.books.records import Command, fields_of_command
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import AMOUNT_MINOR_MAX
from domain.invoice_terms import PERIODS_MAX
from domain.period import from_ms

if TYPE_CHECKING:
    from domain.books.facts import Fact
    from domain.books.state import TenantState


def decide_park(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer ParkInvoice.

    Args:
        state: Books of the tenant.
        command: {subscription, period_index: period whose invoice it is, reason: for people,
            total_minor: what the invoice would come to before account credit}. Without an index,
            as it was sent once, it is about the open period.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        InvoiceParked and SubscriptionChanged.

    Raises:
        Rejected: subscription_unknown, invoice_parked, or period_not_current: a slow builder's
            reason is not about the next period.
    """
    names = ("subscription", "period_index", "reason", "total_minor")
    fields = fields_of_command(command, names=names)
    subscription, reason = subscriptions.subscription_of(state, fields), fields.text("reason")
    index = fields.integer(
        "period_index", minimum=0, maximum=PERIODS_MAX, default=subscription.period_index
    )
    if subscription.is_over or index != subscription.period_index:
        raise Rejected(
            Code.PERIOD_NOT_CURRENT,
            f"period {index} of {subscription.subscription} is not invoiced next",
        )
    if subscription.parked_reason:
        raise Rejected(
            Code.INVOICE_PARKED,
            f"{subscription.subscription} is parked: {subscription.parked_reason}",
        )
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "InvoiceParked",
        {
            "subscription": subscription.subscription,
            "customer": subscription.customer,
            "period_index": subscription.period_index,
            "reason": reason,
            "total_minor": fields.integer("total_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
            "parked_at": decision.at,
        },
    )
    decision.facts.append(
        subscriptions.changed(
            state=state,
            subscription=structs.replace(subscription, parked_reason=reason),
            change={"kind": "parked", "reason": reason},
            at=from_ms(received_at_ms),
        )
    )
    return decision.made()


def decide_release(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer ReleaseInvoice.

    Args:
        state: Books of the tenant.
        command: {subscription: one that is parked}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        InvoiceReleased and SubscriptionChanged.

    Raises:
        Rejected: subscription_unknown or invoice_not_parked.
    """
    fields = fields_of_command(command, names=("subscription",))
    subscription = subscriptions.subscription_of(state, fields)
    if not subscription.parked_reason:
        raise Rejected(Code.INVOICE_NOT_PARKED, f"{subscription.subscription} is not parked")
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "InvoiceReleased",
        {
            "subscription": subscription.subscription,
            "customer": subscription.customer,
            "period_index": subscription.period_index,
            "released_at": decision.at,
        },
    )
    decision.facts.append(
        subscriptions.changed(
            state=state,
            subscription=structs.replace(subscription, parked_reason=""),
            change={"kind": "released"},
            at=from_ms(received_at_ms),
        )
    )
    return decision.made()


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will change nothing: the subscription beside it says whether it is parked."""
