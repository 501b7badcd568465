"""System S4's shapes: the columns of its tables; numbers are JSON numbers, digit by digit."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.canonical import decimal_text
from domain.period import Interval, time_text
from domain.quantity import nanos_text
from runtime.web.exact_json import Exact

if TYPE_CHECKING:
    from datetime import datetime

    from api.representations import UsageEventRepresentation
    from api.representations_invoices import InvoiceDocumentRepresentation
    from projections.queries.invoices import Invoice
    from projections.queries.subscriptions import Subscription
    from projections.queries.usage import UsageBucket

CYCLES: Mapping[Interval, str] = {
    Interval.MONTH: "monthly",
    Interval.QUARTER: "quarterly",
    Interval.YEAR: "yearly",
    Interval.LIFETIME: "lifetime",
}
"""Interval of a plan → billing cycle of S4 (S4-07)."""
STATUSES: Mapping[str, str] = {
    "final": "pending",
    "paid": "paid",
    "overdue": "overdue",
    "void": "cancelled",
}
"""Where an invoice stands → what S4 calls it (S4-09, C-11)."""


def to_s4_subscription(found: Subscription, *, now: datetime) -> dict[str, Exact]:
    """This function will show a subscription with the columns of S4's table."""
    agreed = found.agreed
    return {
        "id": agreed.subscription,
        "tenant_id": agreed.customer,
        "plan_type": found.plan,
        "billing_cycle": CYCLES[agreed.interval],
        "status": agreed.status_at(now),
        "trial_ends_at": _time(agreed.trial_ends_at),
        "current_period_start": time_text(agreed.period.start),
        "current_period_end": time_text(agreed.period.end),
        "cancelled_at": _time(agreed.ends_at),
        "created_at": time_text(agreed.created_at),
    }


def to_s4_invoice(invoice: Invoice) -> dict[str, Exact]:
    """This function will show an invoice without its lines."""
    return {
        "id": invoice.invoice,
        "invoice_number": invoice.number,
        "tenant_id": invoice.customer,
        "subscription_id": invoice.subscription or None,
        "status": STATUSES[invoice.status],
        "currency": invoice.total.currency,
        "amount": Decimal(invoice.total.text()),
        "amount_open": Decimal(invoice.amounts.open.text()),
        "due_date": time_text(invoice.due_at),
        "created_at": time_text(invoice.issued_at),
    }


def to_s4_document(document: InvoiceDocumentRepresentation) -> dict[str, Exact]:
    """This function will show an invoice with its lines."""
    return {
        "id": document.invoice,
        "invoice_number": document.number,
        "tenant_id": document.customer,
        "subscription_id": document.subscription,
        "status": STATUSES[document.status],
        "currency": document.total.currency,
        "amount": Decimal(document.total.amount),
        "amount_open": Decimal(document.open.amount),
        "due_date": document.due_at,
        "created_at": document.issued_at,
        "line_items": [
            {
                "description": line.label,
                "quantity": Decimal(line.quantity),
                "amount": Decimal(line.amount),
            }
            for line in document.lines
        ],
    }


def to_s4_usage(bucket: UsageBucket, *, resource_type: str, by_day: bool) -> dict[str, Exact]:
    """This function will show what a resource type came to, of a day or of all days."""
    text = decimal_text(bucket.sum) if bucket.value is None else nanos_text(bucket.value.nanos)
    day: dict[str, Exact] = {"date": bucket.start.date().isoformat()} if by_day else {}
    return day | {
        "resource_type": resource_type,
        "meter": bucket.meter,
        "quantity": Decimal(text),
        "events": bucket.events,
    }


def to_s4_event(event: UsageEventRepresentation) -> dict[str, Exact]:
    """This function will show an event with the columns of S4's usage_logs (S4-01)."""
    return {
        "id": event.id,
        "tenant_id": event.customer,
        "resource_type": event.type,
        "quantity": Decimal(event.quantity),
        "metadata": {**event.dimensions, **event.properties},
        "created_at": event.occurred_at,
        "is_amended": event.is_amended,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)
