"""credit_note and credit_note_line: what was taken back of an invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.invoice import LINES_MAX
from domain.rated import LINE_ID_LENGTH_MAX
from projections.books.rows import AMOUNT_MINOR_MAX, text_of

if TYPE_CHECKING:
    import psycopg

    from domain.fields import Fields
    from domain.invoice import LINES_MAX
from projections.books.rows import Booking

_INSERT = """
    INSERT INTO credit_note (tenant, credit_note, number, invoice, customer, currency, seller,
        net_minor, tax_minor, promotion_minor, total_minor, to_receivable_minor, to_credit_minor,
        reason, paid_to, issued_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_LINE = """
    INSERT INTO credit_note_line (tenant, credit_note, place, line, label, amount_minor, tax_minor,
        promotion_minor, promotion_tax_minor)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_INVOICE = """
    UPDATE invoice SET status = %s, credited_minor = %s, open_minor = %s
    WHERE tenant = %s AND invoice = %s
"""
_AMOUNTS = (
    *("net_minor", "tax_minor", "promotion_minor", "total_minor"),
    *("to_receivable_minor", "to_credit_minor"),
)


def _minor(fields: Fields, name: str) -> int:
    return fields.integer(name, minimum=0, maximum=AMOUNT_MINOR_MAX)


def project_issued(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a credit note with its lines, and lower what is open."""
    fields = booking.fields
    note, invoice = fields.text("credit_note"), fields.text("invoice")
    connection.execute(
        _INSERT,
        (
            *(booking.tenant, note, fields.text("number"), invoice, fields.text("customer")),
            *(fields.text("currency"), fields.text("seller")),
            *(_minor(fields, name) for name in _AMOUNTS),
            *(text_of(fields, "reason"), fields.text("to"), fields.time("issued_at")),
        ),
    )
    for place, line in enumerate(fields.objects("lines", count_max=LINES_MAX), start=1):
        drawn = line.object("drawn")
        amounts = (
            *(_minor(line, "amount_minor"), _minor(line, "tax_minor")),
            *(_minor(drawn, "promotion_minor"), _minor(drawn, "promotion_tax_minor")),
        )
        name = line.text("line", length_max=LINE_ID_LENGTH_MAX)
        words = (name, text_of(line, "label"))
        connection.execute(_LINE, (booking.tenant, note, place, *words, *amounts))
    connection.execute(
        _INVOICE,
        (
            *(fields.text("status"), _minor(fields, "credited_minor")),
            *(_minor(fields, "open_minor"), booking.tenant, invoice),
        ),
    )
