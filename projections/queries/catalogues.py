"""Published catalogues, and how much usage waits for a type that nobody had published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy

from domain.catalogue import Catalogue
from domain.codes import Code
from projections import published
from projections.published import Published
from projections.queries.connection import driver_of
from schemas.topics import USAGE_EVENTS

_NEWEST = """
    SELECT version, content, content_sha256, published_at FROM catalogue
    ORDER BY version DESC LIMIT 1
"""
_VERSION = """
    SELECT version, content, content_sha256, published_at FROM catalogue WHERE version = :version
"""
_REFUSED_TYPES = """
    SELECT count(DISTINCT (partition, source_offset)) AS records,
        coalesce(sum(events), 0) AS events
    FROM reject WHERE topic = :topic AND code = :code AND received_at >= :since
"""


@dataclass(frozen=True, slots=True)
class PublishedCatalogue:
    """One version that the books took.

    Args:
        version: Its number.
        content: The document as canonical JSON.
        content_sha256: Hash that invoices pin, 64 hex digits.
        published_at: When it was published, by the tenant's time, UTC.
    """

    version: int
    content: str
    content_sha256: str
    published_at: datetime


def find_catalogue(
    connection: sqlalchemy.Connection, *, version: int | None
) -> PublishedCatalogue | None:
    """This function will return a published version; None when there is no such one.

    Args:
        connection: Connection of one tenant.
        version: Its number; None for the one in force.
    """
    row = connection.execute(
        sqlalchemy.text(_NEWEST if version is None else _VERSION), {"version": version}
    ).one_or_none()
    if row is None:
        return None
    return PublishedCatalogue(row.version, row.content, row.content_sha256, row.published_at)


def catalogue_in_force(connection: sqlalchemy.Connection) -> Catalogue | None:
    """This function will return the newest version, parsed; None when there is none.

    Raises:
        Rejected: catalogue_invalid, for one that a newer version of us published.
    """
    return catalogue_of_version(connection, version=None)


def catalogue_of_version(
    connection: sqlalchemy.Connection, *, version: int | None
) -> Catalogue | None:
    """This function will return a version, parsed; None when there is no such one.

    Args:
        connection: Connection of one tenant.
        version: Its number; None for the one in force.

    Raises:
        Rejected: catalogue_invalid, for one that a newer version of us published.
    """
    return published.read_version(driver_of(connection), version=version)


def read_published(connection: sqlalchemy.Connection) -> Published:
    """This function will return every version of the connection's tenant, parsed."""
    return published.read_published(driver_of(connection))


def count_refused_types(connection: sqlalchemy.Connection, *, since: datetime) -> tuple[int, int]:
    """This function will count what was refused because no meter took its event type.

    Which type it was is not counted: a reject stands for all events of a record that share its
    code, and names the first one's type only. One that was sent again since is still counted.

    Args:
        connection: Connection of one tenant.
        since: Only what was received from then on, aware.

    Returns:
        Source records, and events in them.
    """
    row = connection.execute(
        sqlalchemy.text(_REFUSED_TYPES),
        {"topic": USAGE_EVENTS.name, "code": Code.UNKNOWN_TYPE.value, "since": since},
    ).one()
    return int(row.records), int(row.events)
