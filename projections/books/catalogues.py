"""catalogue: every version that was ever in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.books.rows import read_version

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_INSERT = """
    INSERT INTO catalogue (tenant, version, content, content_sha256, published_at)
    VALUES (%s, %s, %s, %s, %s)
"""


def project_published(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a catalogue version.

    It was published when the books say so, by the clock of a test tenant too: which version holds
    for a period goes by it.
    """
    fields = booking.fields
    connection.execute(
        _INSERT,
        (
            booking.tenant,
            read_version(fields, "version"),
            fields.document("content"),
            fields.text("content_sha256"),
            fields.time("published_at"),
        ),
    )
