"""correction and correction_line: invoices made again with usage that came later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from domain import own_json
from domain.invoice import LINES_MAX
from domain.rated import LINE_ID_LENGTH_MAX
from projections.books.invoices import Content
from projections.books.rows import signed_minor, text_of
from projections.texts import storable

if TYPE_CHECKING:
    import psycopg

    from domain.canonical import Json
    from domain.fields import Fields
    from projections.books.rows import Booking

DIFFERENCES_MAX = 2 * LINES_MAX
"""Differences of one correction: two lists of lines, each as long as an invoice may be."""
_INSERT = """
    INSERT INTO correction (tenant, correction, invoice, place, effect, credit_note, as_of,
        content, content_sha256, corrected_at, source_offset, pinned_partition, pinned_before,
        pinned_after)
    SELECT %s, %s, %s, 1 + count(*), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
    FROM correction WHERE tenant = %s AND invoice = %s
"""
_LINE = """
    INSERT INTO correction_line (tenant, correction, place, line, label, amount_before,
        amount_after, difference)
    VALUES (%s, %s, %s, %s, %s, round(%s / 10::numeric ^ %s, %s),
        round(%s / 10::numeric ^ %s, %s), round(%s / 10::numeric ^ %s, %s))
"""
# What is corrected is one of the two: an invoice, or a period that was skipped.
_PINS = (
    "UPDATE invoice SET pinned_offset = %s WHERE tenant = %s AND invoice = %s",
    "UPDATE skipped_invoice SET pinned_offset = %s WHERE tenant = %s AND invoice = %s",
)


class _Terms(Struct):
    customer: str


class _Corrected(Content, kw_only=True):
    terms: _Terms


def project_corrected(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a correction with its differences, and move the invoice's pin."""
    fields = booking.fields
    correction, invoice = fields.text("correction"), fields.text("invoice")
    text = fields.document("content")
    key = (booking.tenant, invoice)
    content = own_json.read_as(_Corrected, text, place="content")
    partition, pinned = content.pinned_for(booking.tenant, content.terms.customer)
    connection.execute(
        _INSERT,
        (
            *(booking.tenant, correction, invoice, fields.text("effect")),
            *(text_of(fields, "credit_note"), fields.time("as_of"), storable(text)),
            *(fields.text("content_sha256"), fields.time("corrected_at")),
            *(booking.source_offset, partition, _pinned_before(fields, partition), pinned, *key),
        ),
    )
    scale = content.scale
    lines = fields.objects("differences", count_max=DIFFERENCES_MAX)
    for place, line in enumerate(lines, start=1):
        amounts = (signed_minor(line, name) for name in ("before", "after", "difference"))
        name = line.text("line", length_max=LINE_ID_LENGTH_MAX)
        words = (name, text_of(line, "label"))
        scaled = [value for amount in amounts for value in (amount, scale, scale)]
        connection.execute(_LINE, (booking.tenant, correction, place, *words, *scaled))
    for statement in _PINS:
        connection.execute(statement, (pinned, *key))


def _pinned_before(fields: Fields, partition: int) -> int | None:
    """Return where the pin before stood; facts of before it was kept have none."""
    positions = fields.values.get("pin_before")
    if positions is None:
        return None
    position: Json = positions[partition] if isinstance(positions, list | tuple) else None
    if not isinstance(position, int):
        raise fields.refuse("pin_before", "must be offsets")
    return position
