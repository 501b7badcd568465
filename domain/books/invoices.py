"""The invoice book: it makes each invoice again, numbers it, and moves the subscription on."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from domain.billing_terms import DEFAULT_TERMS, BillingTerms, TaxMode, ZeroInvoices
from domain.books import held, items, subscriptions
from domain.books.account_credit import CreditKind, add_credit, balance, use_credit
from domain.books.billing_state import InvoiceEntry, packed
from domain.books.charged import charged_by
from domain.books.decision import Decision
from domain.books.facts import Fact, read_fact
from domain.books.invoice_checks import (
    as_of_in,
    content_in,
    hash_of_terms,
    rebuilt_next,
)
from domain.books.invoice_terms_of import invoice_terms, next_invoice_at
from domain.books.ledger import LedgerAccount, post_money
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import LINES_MAX
from domain.invoice_terms import ITEMS_MAX, PERIODS_MAX, InvoiceKind
from domain.money import minor_unit_places, round_half_up
from domain.own_json import Int64, Minor, Name
from domain.period import Period, parse_time, time_text
from domain.sellers import seller_named

if TYPE_CHECKING:
    from domain.billing_terms import Seller
    from domain.books.customer import Customer
    from domain.books.state import TenantState
    from domain.books.subscription import Subscription
    from domain.canonical import Json
    from domain.fields import Fields
    from domain.invoice import InvoiceContent
    from domain.invoice_terms import InvoiceTerms

NUMBER_DIGITS = 6
"""Digits of a number at least; the 1,000,000th of a year simply has one more."""


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer FinalizeInvoice.

    The checks, in order: 1. the fields, the content's form and its hash; 2. the id is free; 3.
    customer and subscription known; 4. not parked; 5. the period is the open one; 6. it is over,
    grace included; 7. currency; 8. terms; 9. the content is built again, with as many of the items
    as it has room for, to the byte.

    Args:
        state: Books of the tenant.
        command: {invoice: inv_…, as_of: RFC 3339, content: canonical JSON text, content_sha256}.
        received_at_ms: When the command was received; what is due goes by as_of.

    Returns:
        InvoiceFinalized, with the next number of the seller's prefix and the year of as_of; what
        it moves of account credit; MoneyPosted; SubscriptionRenewed. Or, for an invoice of 0 that
        the catalogue in force wants skipped, InvoiceSkipped and SubscriptionRenewed.

    Raises:
        Rejected: invoice_exists, subscription_unknown, customer_unknown, invoice_parked,
            period_not_current, period_not_over, content_hash_differs, currency_differs,
            terms_differ, lines_differ, or command_invalid for the rest.
    """
    fields = fields_of_command(command, names=("invoice", "as_of", "content", "content_sha256"))
    invoice, as_of = read_id(fields, "invoice", prefix="inv"), as_of_in(fields)
    text, opened = content_in(fields)
    known = state.billing.found(invoice)
    if known is not None:
        what = f"is number {known.number}" if known.number else "was skipped"
        raise Rejected(Code.INVOICE_EXISTS, f"invoice {invoice} {what}")
    customer, subscription = _billed(state, opened.object("terms"))
    if subscription is not None:
        _require_open(subscription, terms=opened.object("terms"))
        _require_over(state, subscription=subscription, customer=customer, as_of=as_of)
    currency = opened.object("terms").text("currency")
    if currency != customer.currency:
        raise Rejected(
            Code.CURRENCY_DIFFERS,
            f"the content is in {currency}, the customer pays {customer.currency}",
        )
    name = None if subscription is None else subscription.subscription
    waiting = items.waiting(state, customer=customer.customer, subscription=name)
    if subscription is None and not waiting:
        raise Rejected(Code.ITEM_UNKNOWN, f"no item waits for {customer.customer!r}")
    terms = invoice_terms(
        subscription=subscription,
        customer=customer,
        items=waiting,
        credit=balance(state, customer.customer),
        catalogues=state.catalogues,
        published_at=state.published_at,
        tenant=state.tenant,
    )
    content = rebuilt_next(state, terms=terms, text=text, opened=opened)
    decision = Decision(state, command, received_at_ms)
    if _is_skipped(state, content):
        _add_skipped(decision, fields, as_of=as_of, content=content)
    else:
        _add_final(decision, fields, as_of=as_of, content=content)
    if subscription is not None:
        decision.facts.append(
            subscriptions.renewal(
                state=state,
                subscription=subscription,
                charged=charged_by(content, invoice=invoice),
            )
        )
    return decision.made()


def _billed(state: TenantState, terms: Fields) -> tuple[Customer, Subscription | None]:
    """Return who pays and what is billed; nothing for items alone."""
    subscription: Subscription | None = None
    if terms.choice("kind", InvoiceKind) == InvoiceKind.ITEMS:
        customer_id = terms.text("customer")
    else:
        subscription = state.subscriptions.get(terms.text("subscription"))
        if subscription is None:
            raise Rejected(
                Code.SUBSCRIPTION_UNKNOWN,
                f"there is no subscription {terms.text('subscription')!r}",
            )
        if subscription.parked_reason:
            raise Rejected(
                Code.INVOICE_PARKED,
                f"{subscription.subscription} is parked: {subscription.parked_reason}",
            )
        customer_id = subscription.customer
    customer = state.customers.get(customer_id)
    if customer is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer_id!r}")
    return customer, subscription


def _require_open(subscription: Subscription, *, terms: Fields) -> None:
    """Refuse a second invoice for a period, and a period that is not to be invoiced next."""
    kind = terms.text("kind")
    index = terms.integer("period_index", minimum=0, maximum=PERIODS_MAX)
    period = terms.object("period")
    found = Period(period.time("start"), period.time("end"))
    name = subscription.subscription
    is_opening = kind == InvoiceKind.OPENING
    if index < subscription.period_index or (
        is_opening and index == subscription.period_index and not subscription.opening_due
    ):
        raise Rejected(
            Code.INVOICE_EXISTS,
            f"the period from {time_text(found.start)} of {name} has its invoice",
        )
    if (
        subscription.is_over
        or index != subscription.period_index
        or found != subscription.period
        or is_opening != subscription.opening_due
    ):
        raise Rejected(
            Code.PERIOD_NOT_CURRENT,
            f"{name} is next invoiced for {time_text(subscription.period.start)} "
            f"to {time_text(subscription.period.end)}",
        )


def _require_over(
    state: TenantState, *, subscription: Subscription, customer: Customer, as_of: datetime
) -> None:
    """Refuse an invoice before its time: the period's end, which no longer belongs to it."""
    version = subscription.phase_at(subscription.period.start).catalogue_version
    billing = state.catalogues[version].billing
    due = next_invoice_at(subscription=subscription, customer=customer, billing=billing)
    if due is None or as_of < due:
        when = "never" if due is None else time_text(due)
        raise Rejected(
            Code.PERIOD_NOT_OVER,
            f"at {time_text(as_of)} it is too early, the invoice is due from {when}",
        )


def _is_skipped(state: TenantState, content: InvoiceContent) -> bool:
    """Say whether the catalogue in force wants an invoice of nothing left out."""
    return (
        billing_in_force(state).zero_invoices is ZeroInvoices.SKIP
        and not content.terms.items
        and all(line.amount == 0 for line in content.lines)
    )


def billing_in_force(state: TenantState) -> BillingTerms:
    """This function will return the policies that no amount depends on: those in force now."""
    return DEFAULT_TERMS if state.catalogue is None else state.catalogue.billing


def seller_of(state: TenantState, key: str) -> Seller:
    """This function will return a document's own seller, also one that is no longer sold by.

    Raises:
        Rejected: seller_unknown, when no catalogue version has it.
    """
    versions = sorted(state.catalogues, reverse=True)
    return seller_named(key, newest_first=(state.catalogues[each].billing for each in versions))


def next_number(state: TenantState, *, prefix: str, at: datetime) -> str:
    """This function will return the next number of a prefix in a year (S3-30).

    Numbers have no gap within tenant, prefix and year. A prefix belongs to one seller and one kind
    of document, in every catalogue version (domain.sellers).
    """
    number = state.billing.numbers.get((prefix, at.year), 0) + 1
    return f"{prefix}{at.year}-{number:0{NUMBER_DIGITS}d}"


def take_number(state: TenantState, number: str) -> None:
    """This function will note that a number was given out."""
    head, _, tail = number.rpartition("-")
    state.billing.numbers[head[:-4], int(head[-4:])] = int(tail)


def minor_of(amount: int, *, scale: int, currency: str) -> int:
    """This function will round an amount of a content to minor units, halves away from zero."""
    unit = 10 ** (scale - minor_unit_places(currency))
    return amount if unit == 1 else round_half_up(Fraction(amount, unit), places=0)


def _period_json(terms: InvoiceTerms) -> Json:
    if terms.period is None:
        return None
    return {
        "index": terms.period_index,
        "start": time_text(terms.period.start),
        "end": time_text(terms.period.end),
    }


def _add_skipped(
    decision: Decision, command: Fields, *, as_of: datetime, content: InvoiceContent
) -> None:
    """Add that a period has no invoice, with all that a correction of it needs."""
    decision.add(
        "InvoiceSkipped",
        {
            **_said(command, as_of=as_of, content=content),
            "number": "",
            "reason": "every line is 0",
            "skipped_at": decision.at,
        },
    )


def _said(command: Fields, *, as_of: datetime, content: InvoiceContent) -> dict[str, Json]:
    """Return what a fact says of an invoice, but for its number."""
    terms, totals = content.terms, content.totals

    def minor(amount: int) -> int:
        return minor_of(amount, scale=terms.scale, currency=terms.currency)

    due = datetime.combine(as_of.date(), time(), as_of.tzinfo) + timedelta(days=terms.due_days)
    return {
        "invoice": command.text("invoice"),
        "kind": terms.kind,
        "seller": terms.seller,
        "subscription": terms.subscription,
        "customer": terms.customer,
        "period": _period_json(terms),
        "currency": terms.currency,
        "issued_at": time_text(as_of),
        "due_at": time_text(due),
        "subtotal_minor": minor(totals.subtotal),
        "discount_minor": minor(totals.discount),
        "credit_minor": totals.credit_minor,
        "promotion_minor": totals.promotion_minor,
        "tax_minor": minor(totals.tax),
        "total_minor": totals.total_minor,
        "carry_minor": totals.carry_minor,
        "items": [item.item for item in terms.items],
        "kept": kept_of(content),
        "content": command.document("content"),
        "content_sha256": command.text("content_sha256"),
    }


def _add_final(
    decision: Decision, command: Fields, *, as_of: datetime, content: InvoiceContent
) -> None:
    """Add the invoice, the account credit it uses or leaves, and its posting."""
    terms, totals, invoice = content.terms, content.totals, command.text("invoice")
    seller = seller_of(decision.state, terms.seller)
    decision.add(
        "InvoiceFinalized",
        {
            **_said(command, as_of=as_of, content=content),
            "number": next_number(decision.state, prefix=seller.prefix, at=as_of),
        },
    )
    credit = totals.credit_minor - totals.carry_minor
    tax_minor = minor_of(totals.tax, scale=terms.scale, currency=terms.currency)
    post_money(
        decision,
        kind="invoice",
        customer=terms.customer,
        currency=terms.currency,
        reference=invoice,
        legs=(
            (LedgerAccount.RECEIVABLE, totals.total_minor),
            (LedgerAccount.ACCOUNT_CREDIT, credit),
            (LedgerAccount.TAX, -tax_minor),
            (LedgerAccount.REVENUE, tax_minor - totals.total_minor - credit),
        ),
        promotion_minor=totals.promotion_minor,
    )
    use_credit(
        decision,
        invoice=invoice,
        customer=terms.customer,
        currency=terms.currency,
        amount_minor=totals.credit_minor,
    )
    if totals.carry_minor:
        add_credit(
            decision,
            credit=decision.id_of("crd", "carry", invoice),
            customer=terms.customer,
            amount_minor=totals.carry_minor,
            currency=terms.currency,
            kind=CreditKind.CARRY,
            reference=invoice,
            reason="the invoice came to less than 0",
        )


def kept_of(content: InvoiceContent) -> Json:
    """This function will write what the books keep of a content, so that a restore is quick.

    Returns:
        {terms_sha256, scale, positions, lines: ids, nets, taxes, credited, in_prices: 0 or 1 for
        each line}.
    """
    return {
        "terms_sha256": hash_of_terms(content.terms).hex(),
        "scale": content.scale,
        "positions": list(content.pin.usage_positions),
        "lines": [line.line_id for line in content.lines],
        "nets": [line.net for line in content.lines],
        "taxes": [line.tax_amount for line in content.lines],
        "credited": [line.credited for line in content.lines],
        "in_prices": [
            int(content.tax_of(line).mode is TaxMode.INCLUSIVE) for line in content.lines
        ],
    }


class Kept(Struct):
    """What kept_of wrote."""

    terms_sha256: Name
    scale: Annotated[int, Meta(ge=0, le=18)]
    positions: tuple[Int64, ...]
    lines: Annotated[tuple[str, ...], Meta(max_length=LINES_MAX + ITEMS_MAX)]
    nets: list[Int64]
    taxes: list[Int64]
    credited: list[Int64]
    in_prices: list[Annotated[int, Meta(ge=0, le=1)]]


class _Said(Struct):
    """What the books keep of an invoice's fact: nothing of its content."""

    invoice: Name
    number: str
    kind: InvoiceKind
    seller: Name
    subscription: str
    customer: Name
    currency: Name
    issued_at: str
    due_at: str
    total_minor: Minor
    credit_minor: Minor
    promotion_minor: Minor
    carry_minor: Minor
    tax_minor: Int64
    items: tuple[Name, ...]
    kept: Kept


def apply_finalized(*, state: TenantState, fact: Fact) -> None:
    """This function will take the invoice's number and items, and keep what is needed of it."""
    entry = _entry(state, read_fact(_Said, fact))
    state.billing.invoices[entry.invoice] = entry
    held.move_items(state, entry, sign=1)
    take_number(state, entry.number)
    if entry.subscription:
        before = state.subscriptions[entry.subscription]
        state.billing.before_renewal[entry.subscription] = (entry.invoice, before)


def apply_skipped(*, state: TenantState, fact: Fact) -> None:
    """This function will keep what a correction needs: usage of the period may come late."""
    entry = _entry(state, read_fact(_Said, fact))
    if entry.kind is InvoiceKind.PERIOD:
        state.billing.skipped[entry.invoice] = entry


def _entry(state: TenantState, said: _Said) -> InvoiceEntry:
    """Return what is kept of an invoice; its items wait no longer."""
    billing, kept = state.billing, said.kept
    nets = billing.once(packed(kept.nets))
    return InvoiceEntry(
        invoice=said.invoice,
        number=said.number,
        kind=said.kind,
        seller=billing.once(said.seller),
        subscription=billing.once(said.subscription),
        customer=billing.once(said.customer),
        currency=billing.once(said.currency),
        issued_at=parse_time(said.issued_at),
        due_at=parse_time(said.due_at),
        scale=kept.scale,
        total_minor=said.total_minor,
        credit_minor=said.credit_minor,
        promotion_minor=said.promotion_minor,
        carry_minor=said.carry_minor,
        tax_minor=said.tax_minor,
        terms_sha256=bytes.fromhex(kept.terms_sha256),
        lines=billing.once(kept.lines),
        nets=nets,
        taxes=billing.once(packed(kept.taxes)),
        in_prices=billing.once(bytes(kept.in_prices)),
        credited=billing.once(packed(kept.credited)),
        effective=nets,
        positions=billing.once(kept.positions),
        items=items.take_waiting(state, customer=said.customer, items=set(said.items)),
    )


def invoice_in(state: TenantState, fields: Fields) -> InvoiceEntry:
    """This function will return the invoice that a command names.

    Raises:
        Rejected: invoice_unknown or invoice_void.
    """
    entry = state.billing.invoices.get(fields.text("invoice"))
    if entry is None:
        raise Rejected(Code.INVOICE_UNKNOWN, f"there is no invoice {fields.text('invoice')!r}")
    if entry.is_void:
        raise Rejected(Code.INVOICE_VOID, f"invoice {entry.number} was voided")
    return entry


def entry_of(state: TenantState, invoice: str) -> InvoiceEntry:
    """This function will return the invoice that a fact names (Rejected otherwise)."""
    entry = state.billing.invoices.get(invoice)
    if entry is None:
        raise Rejected(Code.STATE_CORRUPT, f"invoice {invoice} was never numbered")
    return entry


def require_new_ids(state: TenantState, *, name: str, code: Code, what: str) -> None:
    """This function will refuse an id that is taken (Rejected with the code given)."""
    if name in state.billing.ids:
        raise Rejected(code, f"the {what} id {name} is taken")
