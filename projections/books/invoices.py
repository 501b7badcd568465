"""invoice and invoice_line: the document as it was finalised, and its lines for queries."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.invoice import parse_invoice_content
from projections.books.rows import AMOUNT_MINOR_MAX, read_period

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_INSERT = """
    INSERT INTO invoice (tenant, invoice, number, subscription, customer, currency, total_minor,
        period_index, period_start, period_end, issued_at, content, content_sha256, finalized_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_INSERT_LINE = """
    INSERT INTO invoice_line (tenant, invoice, line, price, form, meter, unit, quantity,
        amount_unrounded, amount_minor, steps, is_estimate)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s)
"""
_STEP_TEXTS = ("quantity", "rate", "per", "amount")


def project_finalized(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert an invoice with its lines, numbered from 1 as in the content."""
    fields = booking.fields
    period = read_period(fields)
    invoice, content = fields.text("invoice"), fields.document("content")
    connection.execute(
        _INSERT,
        (
            *(booking.tenant, invoice, fields.text("number"), fields.text("subscription")),
            *(fields.text("customer"), fields.text("currency")),
            fields.integer("total_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
            *(period.index, period.start, period.end, fields.time("issued_at")),
            *(content, fields.text("content_sha256"), booking.booked_at),
        ),
    )
    for number, line in enumerate(parse_invoice_content(content).lines, start=1):
        steps = [
            {"label": step.label, **{name: str(getattr(step, name)) for name in _STEP_TEXTS}}
            for step in line.steps
        ]
        connection.execute(
            _INSERT_LINE,
            (
                *(booking.tenant, invoice, number),
                *(line.price, line.form, line.meter, line.unit),
                *(Decimal(line.quantity), Decimal(line.amount_unrounded), line.amount_minor),
                json.dumps(steps, sort_keys=True, ensure_ascii=False),
                line.is_estimate,
            ),
        )
