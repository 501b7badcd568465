"""The invoice book: it checks what a builder made, numbers it, and moves the subscription on."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.aggregation.measure import Measured
from domain.books import subscriptions
from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import Subscription, TenantState, period_json, read_id
from domain.canonical import sha256_hex
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import InvoiceContent, hash_text, parse_invoice_content, require_totals
from domain.money import EXACT
from domain.period import monthly_period, time_text
from domain.quantity import SCALE
from domain.rating import rate

if TYPE_CHECKING:
    from domain.fields import Fields

YEAR_MAX = 8_000
"""Last year of an as_of: the period after it still ends within what a date can hold."""
NUMBER_DIGITS = 6
"""Digits of an invoice number at least; the 1,000,000th of a year simply has one more."""


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer FinalizeInvoice.

    The checks, in order: 1. the fields and the content's form; 2. subscription known; 3. period
    and id free; 4. period current; 5. period over; 6. hash; 7. catalogue; 8. tenant, customer,
    plan and currency; 9. rounding and total; 10. every line as the plan prices its quantity.

    Args:
        state: Books of the tenant.
        command: {invoice: inv_…, as_of: RFC 3339, content: canonical JSON text, content_sha256}.
        received_at_ms: When the command was received; a decision goes by as_of.

    Returns:
        InvoiceFinalized, with the next number of the tenant and the year of as_of, and
        SubscriptionRenewed.

    Raises:
        Rejected: subscription_unknown, invoice_exists, period_not_current, period_not_over,
            content_hash_differs, catalogue_differs, currency_differs, totals_differ, lines_differ,
            or command_invalid for the rest.
    """
    del received_at_ms
    fields = fields_of_command(command, names=("invoice", "as_of", "content", "content_sha256"))
    invoice, as_of = read_id(fields, "invoice", prefix="inv"), _as_of(fields)
    text, content_sha256 = fields.document("content"), hash_text(fields, "content_sha256")
    content = _content(fields, text)
    subscription = state.subscriptions.get(content.subscription)
    if subscription is None:
        raise Rejected(
            Code.SUBSCRIPTION_UNKNOWN, f"there is no subscription {content.subscription!r}"
        )
    _require_free(state, invoice=invoice, content=content, subscription=subscription)
    _require_over(subscription, as_of=as_of)
    if sha256_hex(text) != content_sha256:
        raise Rejected(Code.CONTENT_HASH_DIFFERS, f"the content hashes to {sha256_hex(text)}")
    _require_agreement(state, fields=fields, content=content, subscription=subscription)
    require_totals(content)
    _require_lines(state, content=content, subscription=subscription)
    number = state.invoices_issued.get(as_of.year, 0) + 1
    return (
        fact_of(
            "InvoiceFinalized",
            {
                "invoice": invoice,
                "number": f"INV-{as_of.year}-{number:0{NUMBER_DIGITS}d}",
                "issued_at": time_text(as_of),
                "subscription": content.subscription,
                "customer": content.customer,
                "period": period_json(content.period, index=subscription.period_index),
                "currency": content.currency,
                "total_minor": content.total_minor,
                "content": text,
                "content_sha256": content_sha256,
            },
        ),
        subscriptions.renewal(state=state, subscription=subscription),
    )


def _as_of(fields: Fields) -> datetime:
    as_of = fields.time("as_of")
    if not subscriptions.YEAR_MIN <= as_of.year <= YEAR_MAX:
        raise fields.refuse(
            "as_of", f"must lie in the years {subscriptions.YEAR_MIN} to {YEAR_MAX}"
        )
    return as_of


def _content(fields: Fields, text: str) -> InvoiceContent:
    try:
        return parse_invoice_content(text)
    except Rejected as error:
        raise fields.refuse("content", f"is wrong: {error.reason}") from error


def _require_free(
    state: TenantState, *, invoice: str, content: InvoiceContent, subscription: Subscription
) -> None:
    """Refuse a second invoice for a period, a second use of an id, and a period of the future."""
    if invoice in state.invoices:
        raise Rejected(
            Code.INVOICE_EXISTS, f"invoice {invoice} is number {state.invoices[invoice]}"
        )
    if content.period == subscription.period:
        return
    start, anchor = content.period.start, subscription.anchor
    index = (start.year - anchor.year) * 12 + start.month - anchor.month
    if 0 <= index < subscription.period_index and content.period == monthly_period(
        anchor, index=index
    ):
        raise Rejected(
            Code.INVOICE_EXISTS,
            f"the period from {time_text(start)} of {subscription.subscription} has its invoice",
        )
    raise Rejected(
        Code.PERIOD_NOT_CURRENT,
        f"the current period runs from {time_text(subscription.period.start)} "
        f"to {time_text(subscription.period.end)}",
    )


def _require_over(subscription: Subscription, *, as_of: datetime) -> None:
    """Refuse an invoice before the period's end, which itself no longer belongs to it."""
    end = subscription.period.end
    if as_of < end:
        raise Rejected(
            Code.PERIOD_NOT_OVER, f"at {time_text(as_of)} the period runs until {time_text(end)}"
        )


def _require_agreement(
    state: TenantState, *, fields: Fields, content: InvoiceContent, subscription: Subscription
) -> None:
    """Refuse content that was made for another tenant, customer, plan, currency or catalogue."""
    catalogue = state.catalogues[subscription.catalogue_version]
    pin = content.pin
    if (pin.catalogue_version, pin.catalogue_sha256) != (catalogue.version, catalogue.sha256):
        raise Rejected(
            Code.CATALOGUE_DIFFERS,
            f"the period is priced by catalogue version {catalogue.version} "
            f"with hash {catalogue.sha256}",
        )
    for name, found, expected in (
        ("tenant", content.tenant, state.tenant),
        ("customer", content.customer, subscription.customer),
        ("plan", content.plan, subscription.plan),
    ):
        if found != expected:
            raise fields.refuse("content", f"has the {name} {found!r}, not {expected!r}")
    if content.currency != subscription.currency:
        raise Rejected(
            Code.CURRENCY_DIFFERS,
            f"the content is in {content.currency}, the subscription in {subscription.currency}",
        )


def _require_lines(
    state: TenantState, *, content: InvoiceContent, subscription: Subscription
) -> None:
    """Price the quantities of the content again: the builder's word is not taken for it."""
    catalogue = state.catalogues[subscription.catalogue_version]
    usage = {
        line.meter: Measured(
            int(EXACT.scaleb(Decimal(line.quantity), SCALE)), is_estimate=line.is_estimate
        )
        for line in content.lines
        if line.meter
    }
    expected = rate(usage=usage, plan=catalogue.plan(content.plan), catalogue=catalogue)
    if [line.price for line in content.lines] != [line.price for line in expected]:
        raise Rejected(
            Code.LINES_DIFFER, f"the lines are not the prices of plan {content.plan!r} in order"
        )
    for line, right in zip(content.lines, expected, strict=True):
        if line != right:
            raise Rejected(
                Code.LINES_DIFFER,
                f"line {line.price!r} is not what plan {content.plan!r} charges: "
                f"{right.quantity} cost {right.amount_unrounded}",
            )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will take the invoice's id and number."""
    fields = fields_of_fact(fact)
    number = fields.text("number")
    state.invoices[fields.text("invoice")] = number
    _, year, count = number.split("-")
    state.invoices_issued[int(year)] = int(count)
