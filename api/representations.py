"""What answers look like: to_representation_ turns values of the queries into these, nothing else.

Money is whole minor units, its currency and the decimal text; quantities are decimal text; times
are RFC 3339 in UTC. No float is made on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from domain.canonical import decimal_text
from domain.money import Money
from domain.period import time_text
from domain.quantity import nanos_text
from projections.queries.customers import Customer
from projections.queries.invoices import Invoice, InvoiceDocument, InvoiceLine
from projections.queries.rejects import IntakeCounts, Reject
from projections.queries.subscriptions import Subscription
from projections.queries.usage import UsageBucket

if TYPE_CHECKING:
    from decimal import Decimal

Item = TypeVar("Item")
DECIMAL = "Exact decimal text"
TIME = "RFC 3339 time in UTC"


class Representation(BaseModel):
    """A JSON object of ours: exactly these members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListRepresentation(Representation, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    has_more: bool
    next_cursor: str | None = Field(description="cursor of the next page; null on the last one")


class MoneyRepresentation(Representation):
    """An amount of money."""

    amount_minor: int = Field(description="Whole minor units, for example cents")
    currency: str = Field(description="ISO 4217 code")
    amount: str = Field(description="The same amount in major units, decimal text")


class UsageRepresentation(Representation):
    """One meter's usage of one bucket and group."""

    start: str = Field(description=f"Start of the bucket; {TIME}")
    meter: str
    customer: str | None = Field(description="Set when asked for, or split by")
    group: dict[str, str | None] = Field(description="Value of each dimension of group_by")
    sum: str = Field(description=DECIMAL)
    min: str | None = Field(description=f"{DECIMAL}; null without events")
    max: str | None = Field(description=f"{DECIMAL}; null without events")
    latest: str | None = Field(
        description=f"{DECIMAL}; value of the event that occurred last; null without events"
    )
    events: int = Field(description="Events counted")
    late_events: int = Field(description="Of them, those that arrived after their hour")
    aggregation: str | None = Field(description="How the meter adds up")
    value: str | None = Field(
        description=f"{DECIMAL}; what the meter comes to by its aggregation: for unique the "
        "number of different values, for time_weighted value times hours"
    )
    is_estimate: bool = Field(
        description="Whether value is near the true one instead of equal to it: a percentile, to "
        "1 % of the value; a unique number above 4,096, to about 2 % of it"
    )


class CustomerRepresentation(Representation):
    """One customer."""

    customer: str
    currency: str
    created_at: str = Field(description=TIME)


class SubscriptionRepresentation(Representation):
    """One subscription and its current period [period_start, period_end)."""

    subscription: str
    customer: str
    plan: str
    catalogue_version: int
    period_index: int = Field(description="Count of the current period, from 0")
    period_start: str = Field(description=TIME)
    period_end: str = Field(description=TIME)
    currency: str
    anchor: str = Field(description=f"{TIME}; start of the first period, which sets the cycle")
    created_at: str = Field(description=TIME)


class InvoiceRepresentation(Representation):
    """One invoice without its lines."""

    invoice: str
    number: str
    subscription: str
    customer: str
    total: MoneyRepresentation
    period_start: str = Field(description=TIME)
    period_end: str = Field(description=TIME)
    issued_at: str = Field(description=TIME)
    content_sha256: str = Field(description="SHA-256 of content, 64 hex digits")


class InvoiceLineRepresentation(Representation):
    """One line of an invoice."""

    line: int
    price: str = Field(description="Key of the price that made it")
    form: str = Field(description="Form of that price, for example graduated")
    meter: str | None = Field(description="Meter it bills; null for a flat price")
    quantity: str = Field(description=DECIMAL)
    is_estimate: bool = Field(description="Whether the quantity is near the true one, not equal")
    unit: str
    amount: MoneyRepresentation
    amount_unrounded: str = Field(description=f"{DECIMAL}; before the one rounding")
    steps: list[dict[str, str]] = Field(description="How the amount came about, in order")


class InvoiceDocumentRepresentation(InvoiceRepresentation):
    """One invoice as a whole."""

    lines: list[InvoiceLineRepresentation]
    content: str = Field(description="Canonical JSON of lines and pin, byte for byte")


class RejectRepresentation(Representation):
    """One reject or conflict; its raw bytes lie in the dead-letter topic."""

    received_at: str = Field(description=TIME)
    topic: str
    partition: int
    source_offset: int
    event_index: int = Field(description="First event of the record meant, -1 for all of it")
    code: str
    events: int = Field(description="Events of the record that share the code")
    customer: str | None
    reason: str


class IntakeRepresentation(Representation):
    """What became of all events: received = accepted + duplicates + conflicts + rejected."""

    received: int
    accepted: int
    duplicates: int
    conflicts: int
    rejected: int
    events_by_code: dict[str, int] = Field(description="Rejects and conflicts by code")


class HealthRepresentation(Representation):
    """That the process lives."""

    status: str


class ReadinessRepresentation(Representation):
    """Whether the process can answer, and what each part it needs says."""

    status: str
    parts: dict[str, str]


def to_representation_money(money: Money) -> MoneyRepresentation:
    """This function will show an amount."""
    return MoneyRepresentation(
        amount_minor=money.amount_minor, currency=money.currency, amount=money.text()
    )


def to_representation_usage(bucket: UsageBucket) -> UsageRepresentation:
    """This function will show a bucket."""
    return UsageRepresentation(
        start=time_text(bucket.start),
        meter=bucket.meter,
        customer=bucket.customer,
        group=dict(bucket.group),
        sum=decimal_text(bucket.sum),
        min=_text_or_none(bucket.minimum),
        max=_text_or_none(bucket.maximum),
        latest=_text_or_none(bucket.latest),
        events=bucket.events,
        late_events=bucket.late_events,
        aggregation=bucket.aggregation,
        value=None if bucket.value is None else nanos_text(bucket.value.nanos),
        is_estimate=bucket.value is not None and bucket.value.is_estimate,
    )


def _text_or_none(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def to_representation_customer(customer: Customer) -> CustomerRepresentation:
    """This function will show a customer."""
    return CustomerRepresentation(
        customer=customer.customer,
        currency=customer.currency,
        created_at=time_text(customer.created_at),
    )


def to_representation_subscription(subscription: Subscription) -> SubscriptionRepresentation:
    """This function will show a subscription."""
    return SubscriptionRepresentation(
        subscription=subscription.subscription,
        customer=subscription.customer,
        plan=subscription.plan,
        catalogue_version=subscription.catalogue_version,
        period_index=subscription.period_index,
        period_start=time_text(subscription.period_start),
        period_end=time_text(subscription.period_end),
        currency=subscription.currency,
        anchor=time_text(subscription.anchor),
        created_at=time_text(subscription.created_at),
    )


def to_representation_invoice(invoice: Invoice) -> InvoiceRepresentation:
    """This function will show the head of an invoice."""
    return InvoiceRepresentation(
        invoice=invoice.invoice,
        number=invoice.number,
        subscription=invoice.subscription,
        customer=invoice.customer,
        total=to_representation_money(invoice.total),
        period_start=time_text(invoice.period.start),
        period_end=time_text(invoice.period.end),
        issued_at=time_text(invoice.issued_at),
        content_sha256=invoice.content_sha256,
    )


def to_representation_invoice_document(document: InvoiceDocument) -> InvoiceDocumentRepresentation:
    """This function will show an invoice with its lines."""
    head = to_representation_invoice(document.invoice)
    return InvoiceDocumentRepresentation(
        **dict(head),
        lines=[_line(line) for line in document.lines],
        content=document.content,
    )


def to_representation_reject(reject: Reject) -> RejectRepresentation:
    """This function will show a reject."""
    return RejectRepresentation(
        received_at=time_text(reject.key.received_at),
        topic=reject.key.topic,
        partition=reject.key.partition,
        source_offset=reject.key.source_offset,
        event_index=reject.key.event_index,
        code=reject.key.code,
        events=reject.events,
        customer=reject.customer or None,
        reason=reject.reason,
    )


def to_representation_intake(counts: IntakeCounts) -> IntakeRepresentation:
    """This function will show the intake counts."""
    return IntakeRepresentation(
        received=counts.received,
        accepted=counts.accepted,
        duplicates=counts.duplicates,
        conflicts=counts.conflicts,
        rejected=counts.rejected,
        events_by_code=dict(counts.events_by_code),
    )


def _line(line: InvoiceLine) -> InvoiceLineRepresentation:
    return InvoiceLineRepresentation(
        line=line.line,
        price=line.price,
        form=line.form,
        meter=line.meter or None,
        quantity=decimal_text(line.quantity),
        is_estimate=line.is_estimate,
        unit=line.unit,
        amount=to_representation_money(line.amount),
        amount_unrounded=decimal_text(line.amount_unrounded),
        steps=[dict(step) for step in line.steps],
    )
