"""What was not counted and why, and what became of everything that arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

from domain.period import Period
from projections.queries.paging import Page, conditions, page_of

_COUNTS = ", ".join(
    f"coalesce(sum({column}), 0) AS {column}"
    for column in ("received", "accepted", "duplicates", "conflicts", "rejected")
)
_KEY = "received_at, topic, partition, source_offset, event_index, code"


@dataclass(frozen=True, slots=True)
class RejectKey:
    """Place of a reject in the list, which shows the newest first.

    Args:
        received_at: Broker's append time of the record, UTC.
        topic, partition, source_offset: Where the record lies.
        event_index: First event of the record that is meant, -1 for the whole record.
        code: Stable reject code.
    """

    received_at: datetime
    topic: str
    partition: int
    source_offset: int
    event_index: int
    code: str


@dataclass(frozen=True, slots=True)
class Reject:
    """One reject or conflict.

    Args:
        key: Where it lies and its code.
        events: Events of the record that share this code.
        customer: Customer of the first event; empty when unknown.
        reason: What was wrong, for people.
    """

    key: RejectKey
    events: int
    customer: str
    reason: str


@dataclass(frozen=True, slots=True)
class IntakeCounts:
    """What became of all events: received = accepted + duplicates + conflicts + rejected.

    Args:
        received: Events that arrived.
        accepted: Events that were counted.
        duplicates: Repeats of counted events; they changed nothing.
        conflicts: Repeats with another payload; not counted, each listed as a reject.
        rejected: Events that were not counted for another reason.
        events_by_code: Events of the rejects and conflicts, by code, in the order of the code.
    """

    received: int
    accepted: int
    duplicates: int
    conflicts: int
    rejected: int
    events_by_code: tuple[tuple[str, int], ...]


def list_rejects(
    connection: sqlalchemy.Connection, *, limit: int, after: RejectKey | None, code: str | None
) -> Page[Reject]:
    """This function will return rejects, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last reject of the page before; None for the first page.
        code: Only those with this code; None for all.
    """
    where = conditions(
        f"({_KEY}) < (:received_at, :topic, :partition, :source_offset, :event_index, :after_code)"
        if after is not None
        else "",
        "code = :code" if code is not None else "",
    )
    descending = ", ".join(f"{column} DESC" for column in _KEY.split(", "))
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_KEY}, events, customer, reason FROM reject {where}"  # noqa: S608 -- fixed texts only
            f" ORDER BY {descending} LIMIT :row_count"
        ),
        {**_key_parameters(after), "code": code, "row_count": limit + 1},
    )
    return page_of([_from_row(row) for row in rows], limit=limit)


def count_intake(
    connection: sqlalchemy.Connection, *, period: Period | None, topic: str
) -> IntakeCounts:
    """This function will add up what became of the events received in a period.

    Args:
        connection: Connection of one tenant.
        period: Received within, both ends on the full hour; None for all time.
        topic: Topic whose rejects are counted by code.
    """
    bounds = {"start": period.start, "end": period.end} if period is not None else {}
    hours = "received_hour >= :start AND received_hour < :end" if period is not None else ""
    moments = "received_at >= :start AND received_at < :end" if period is not None else ""
    counts = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COUNTS} FROM intake_count {conditions(hours)}"  # noqa: S608 -- fixed texts only
        ),
        bounds,
    ).one()
    codes = connection.execute(
        sqlalchemy.text(
            "SELECT code, sum(events) AS events FROM reject"  # noqa: S608 -- fixed texts only
            f" {conditions('topic = :topic', moments)} GROUP BY code ORDER BY code"
        ),
        {"topic": topic, **bounds},
    )
    return IntakeCounts(
        received=int(counts.received),
        accepted=int(counts.accepted),
        duplicates=int(counts.duplicates),
        conflicts=int(counts.conflicts),
        rejected=int(counts.rejected),
        events_by_code=tuple((row.code, int(row.events)) for row in codes),
    )


def _key_parameters(key: RejectKey | None) -> dict[str, object]:
    if key is None:
        return {}
    return {
        "received_at": key.received_at,
        "topic": key.topic,
        "partition": key.partition,
        "source_offset": key.source_offset,
        "event_index": key.event_index,
        "after_code": key.code,
    }


def _from_row(row: sqlalchemy.Row[Any]) -> Reject:
    return Reject(
        key=RejectKey(
            received_at=row.received_at,
            topic=row.topic,
            partition=row.partition,
            source_offset=row.source_offset,
            event_index=row.event_index,
            code=row.code,
        ),
        events=row.events,
        customer=row.customer,
        reason=row.reason,
    )
