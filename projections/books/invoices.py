"""invoice, invoice_line, invoice_tax: the document as it was finalised, in columns for queries.

The lines are taken from the content as the books have checked it, all in one statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw, Struct

from domain import own_json
from domain.own_json import Int64
from domain.routing import partition_of
from projections.books.rows import (
    AMOUNT_MINOR_MAX,
    read_period,
    signed_minor,
    text_of,
)
from projections.texts import storable

if TYPE_CHECKING:
    import psycopg

    from domain.fields import Fields
    from projections.books.rows import Booking

_INSERT = """
    INSERT INTO invoice (tenant, invoice, number, kind, seller, status, subscription, customer,
        currency, scale, subtotal_minor, discount_minor, credit_minor, tax_minor, total_minor,
        carry_minor, paid_minor, credited_minor, open_minor, period_index, period_start,
        period_end, issued_at, due_at, void_reason, usage_partition, pinned_offset, content,
        content_sha256, finalized_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, 0, %s, %s, %s, %s,
        %s, %s, '', %s, %s, %s, %s, %s)
"""
_LINES = """
    INSERT INTO invoice_line (tenant, invoice, line, id, kind, label, price, form, meter, unit,
        quantity, amount_unrounded, amount, net, discounts, tax, service_start, service_end,
        steps, is_estimate, refers_invoice, refers_line)
    SELECT %s, %s, number, l->>'id', l->>'kind', l->>'label', l->>'price', l->>'form',
        l->>'meter', l->>'unit', (l->>'quantity')::numeric, (l->>'amount_unrounded')::numeric,
        round((l->>'amount')::numeric / 10::numeric ^ %s, %s),
        round((l->>'net')::numeric / 10::numeric ^ %s, %s),
        coalesce(l->'discounts', '[]'), l->>'tax', (l->>'start')::timestamptz,
        (l->>'end')::timestamptz, l->'steps', coalesce((l->>'is_estimate')::boolean, false),
        coalesce(l->'refers'->>0, ''), coalesce(l->'refers'->>1, '')
    FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS e (l, number)
"""
_TAXES = """
    INSERT INTO invoice_tax (tenant, invoice, place, document)
    SELECT %s, %s, number, text
    FROM unnest(%s::text[]) WITH ORDINALITY AS e (text, number)
"""
_VOID = """
    UPDATE invoice SET status = 'void', voided_at = %s, void_reason = %s, open_minor = 0
    WHERE tenant = %s AND invoice = %s
"""
_SKIP = """
    INSERT INTO skipped_invoice (tenant, subscription, customer, period_index, period_start,
        period_end, reason, skipped_at, invoice, kind, usage_partition, pinned_offset, content)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_PARK = """
    INSERT INTO parked_invoice (tenant, subscription, customer, period_index, reason, total_minor,
        is_open, parked_at)
    VALUES (%s, %s, %s, %s, %s, %s, true, %s)
    ON CONFLICT (tenant, subscription) DO UPDATE SET period_index = excluded.period_index,
        reason = excluded.reason, total_minor = excluded.total_minor, is_open = true,
        parked_at = excluded.parked_at
"""
_RELEASE = """
    UPDATE parked_invoice SET is_open = false WHERE tenant = %s AND subscription = %s
"""
_STATUS = """
    UPDATE invoice SET status = %s WHERE tenant = %s AND invoice = %s
"""
INDEX_MAX = 2**31


class _Pin(Struct):
    usage_positions: tuple[Int64, ...]


class Content(Struct):
    """What tables have of a content; lines and taxes as they stand in it, in canonical form."""

    scale: int
    pin: _Pin
    lines: Raw
    taxes: tuple[Raw, ...] = ()

    def pinned_for(self, tenant: str, customer: str) -> tuple[int, int]:
        """Say which of a customer's usage it has taken in.

        Returns:
            The customer's partition of usage.events, and the source offset up to which it was
            counted.
        """
        positions = self.pin.usage_positions
        partition = partition_of(tenant, customer, partitions=len(positions))
        return partition, positions[partition]


def project_finalized(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert an invoice with its lines, numbered from 1 as in the content."""
    fields = booking.fields
    invoice, text = fields.text("invoice"), fields.document("content")
    content = own_json.read_as(Content, text, place="content")
    total, scale = _minor(fields, "total_minor"), content.scale
    partition, pinned = content.pinned_for(booking.tenant, _customer(fields))
    connection.execute(
        _INSERT,
        (
            *(booking.tenant, invoice, fields.text("number"), fields.text("kind")),
            *(fields.text("seller"), "final" if total else "paid"),
            *(text_of(fields, "subscription"), _customer(fields), fields.text("currency"), scale),
            *(signed_minor(fields, "subtotal_minor"), signed_minor(fields, "discount_minor")),
            *(_minor(fields, "credit_minor"), signed_minor(fields, "tax_minor"), total),
            *(_minor(fields, "carry_minor"), total, *_period(fields)),
            *(fields.time("issued_at"), fields.time("due_at"), partition, pinned),
            *(storable(text), fields.text("content_sha256"), booking.booked_at),
        ),
    )
    lines = storable(bytes(content.lines).decode())
    connection.execute(_LINES, (booking.tenant, invoice, *[scale] * 4, lines))
    if content.taxes:
        documents = [storable(bytes(tax).decode()) for tax in content.taxes]
        connection.execute(_TAXES, (booking.tenant, invoice, documents))
    mark_items(connection, booking, invoice=invoice, status="invoiced")


def _customer(fields: Fields) -> str:
    return fields.text("customer")


def _minor(fields: Fields, name: str) -> int:
    return fields.integer(name, minimum=0, maximum=AMOUNT_MINOR_MAX)


def _period(fields: Fields) -> tuple[object, object, object]:
    if fields.values.get("period") is None:
        return None, None, None
    period = read_period(fields)
    return period.index, period.start, period.end


def mark_items(
    connection: psycopg.Connection, booking: Booking, *, invoice: str, status: str
) -> None:
    """This function will say of the items that a fact names what became of them."""
    connection.execute(
        "UPDATE invoice_item SET status = %s, invoice = %s WHERE tenant = %s AND item = ANY(%s)",
        (status, invoice, booking.tenant, list(booking.fields.texts("items"))),
    )


def project_skipped(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a period that came to nothing and has no invoice."""
    fields = booking.fields
    text = fields.document("content")
    customer = _customer(fields)
    content = own_json.read_as(Content, text, place="content")
    connection.execute(
        _SKIP,
        (
            *(booking.tenant, fields.text("subscription"), customer, *_period(fields)),
            *(text_of(fields, "reason"), fields.time("skipped_at"), fields.text("invoice")),
            *(fields.text("kind"), *content.pinned_for(booking.tenant, customer), storable(text)),
        ),
    )


def project_parked(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert what waits for somebody to look at it."""
    fields = booking.fields
    connection.execute(
        _PARK,
        (
            *(booking.tenant, fields.text("subscription"), _customer(fields)),
            fields.integer("period_index", minimum=0, maximum=INDEX_MAX),
            *(text_of(fields, "reason"), _minor(fields, "total_minor")),
            fields.time("parked_at"),
        ),
    )


def project_released(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will close what was looked at."""
    connection.execute(_RELEASE, (booking.tenant, booking.fields.text("subscription")))


def project_voided(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will void an invoice and give its items back."""
    fields = booking.fields
    connection.execute(
        _VOID,
        (
            *(fields.time("voided_at"), text_of(fields, "reason")),
            *(booking.tenant, fields.text("invoice")),
        ),
    )
    mark_items(connection, booking, invoice="", status="pending")


def project_overdue(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will mark an invoice as overdue."""
    fields = booking.fields
    connection.execute(
        _STATUS, (text_of(fields, "status"), booking.tenant, fields.text("invoice"))
    )
