"""Amendments of events, and what became of the control records that asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence
    from datetime import datetime

AMENDMENTS_MAX = 500
"""Rows of one answer; the newest are those that people look for."""
_COLUMNS = (
    "event, kind, customer, event_id, partition, source_offset, original_offset, original,"
    " replacement_event, replacement, reason, actor, amended_at"
)
_FIND = sqlalchemy.text(
    f"SELECT {_COLUMNS} FROM event_amendment WHERE customer = :customer AND event = :event"  # noqa: S608 -- fixed texts only
)
_LIST = sqlalchemy.text(
    f"SELECT {_COLUMNS} FROM event_amendment WHERE customer = :customer"  # noqa: S608 -- fixed texts only
    " ORDER BY amended_at DESC, source_offset DESC LIMIT :row_count"
)
_AMENDED = sqlalchemy.text(
    "SELECT event FROM event_amendment WHERE customer = :customer AND event = ANY(:events)"
)
_REFUSAL = sqlalchemy.text(
    "SELECT code, reason FROM reject WHERE topic = :topic AND partition = :partition"
    " AND source_offset = :source_offset ORDER BY code LIMIT 1"
)
_POSITION = sqlalchemy.text(
    "SELECT next_offset FROM position WHERE topic = :topic AND partition = :partition"
)


@dataclass(frozen=True, slots=True)
class AmendmentRow:
    """One amendment.

    Args:
        event: Key of the original as a UUID.
        kind: "void" or "replace".
        customer: Whose event it was.
        event_id: Its id as people gave it.
        partition, source_offset: Where the control record lies.
        original_offset: Where the original lies.
        original: Its payload, canonical JSON.
        replacement_event: Key of what counts instead; None for nothing.
        replacement: Its payload, canonical JSON; empty for nothing.
        reason: Why.
        actor: Who.
        amended_at: Append time of the control record.
    """

    event: uuid.UUID
    kind: str
    customer: str
    event_id: str
    partition: int
    source_offset: int
    original_offset: int
    original: str
    replacement_event: uuid.UUID | None
    replacement: str
    reason: str
    actor: str
    amended_at: datetime


def find_amendment(
    connection: sqlalchemy.Connection, *, customer: str, event: uuid.UUID
) -> AmendmentRow | None:
    """This function will return the amendment of an event; None when there is none."""
    row = connection.execute(_FIND, {"customer": customer, "event": event}).one_or_none()
    return None if row is None else AmendmentRow(*row)


def amended_events(
    connection: sqlalchemy.Connection, *, customer: str, events: Sequence[uuid.UUID]
) -> frozenset[uuid.UUID]:
    """This function will say which of some events of a customer were voided or replaced."""
    rows = connection.execute(_AMENDED, {"customer": customer, "events": list(events)})
    return frozenset(rows.scalars())


def list_amendments(
    connection: sqlalchemy.Connection, *, customer: str, limit: int = AMENDMENTS_MAX
) -> tuple[AmendmentRow, ...]:
    """This function will return a customer's amendments, the newest first."""
    rows = connection.execute(_LIST, {"customer": customer, "row_count": limit})
    return tuple(AmendmentRow(*row) for row in rows)


def find_refusal(
    connection: sqlalchemy.Connection, *, topic: str, partition: int, source_offset: int
) -> tuple[str, str] | None:
    """This function will return code and reason of a refused record; None when it was not."""
    row = connection.execute(
        _REFUSAL, {"topic": topic, "partition": partition, "source_offset": source_offset}
    ).one_or_none()
    return None if row is None else (row.code, row.reason)


def is_projected(
    connection: sqlalchemy.Connection, *, facts_topic: str, partition: int, source_offset: int
) -> bool:
    """This function will say whether the tables hold what became of a source record."""
    position = connection.execute(
        _POSITION, {"topic": facts_topic, "partition": partition}
    ).scalar_one_or_none()
    return position is not None and position > source_offset
