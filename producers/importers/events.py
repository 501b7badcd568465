"""From a row's values to the event that the SDK records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.codes import Code
from domain.usage.microbatch import FUTURE_MS, HORIZON_MS
from producers.importers.mapping import ImportMapping, Part
from producers.importers.rows import BadRow, Row
from producers.importers.times import time_of

HORIZON = timedelta(milliseconds=HORIZON_MS)
"""Older events are refused by the fold unless they are a backfill."""
AHEAD = timedelta(milliseconds=FUTURE_MS)
"""Events further ahead are refused by the fold."""
ID_HASH_CHARACTERS = 32
"""Hex digits of the content's hash in a generated id: 128 bits, so no two files meet."""


class Event(NamedTuple):
    """One event, its arguments as `Meter.record` takes them.

    Args:
        customer, type: Whose and what.
        quantity: Decimal text.
        occurred_at: Aware.
        dimensions, properties: Texts by name, or None.
        id: Stable: the same for the same row of the same content.
    """

    customer: str
    type: str
    quantity: str
    occurred_at: datetime
    dimensions: dict[str, str] | None
    properties: dict[str, str] | None
    id: str


class EventMaker:
    """Makes events of rows.

    Args:
        mapping: The mapping of a file.
        content_sha256: Hash of the file's content, for rows without an id.
        is_backfill: Whether events may be older than the horizon.
        now: The clock.
    """

    def __init__(
        self,
        mapping: ImportMapping,
        *,
        content_sha256: str,
        is_backfill: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._mapping = mapping
        self._content = content_sha256[:ID_HASH_CHARACTERS]
        self._is_backfill = is_backfill
        self._now = now

    def make(self, row: Row) -> Event:
        """This function will make the event of a row.

        Raises:
            BadRow: The row's own fault, or a part is missing or malformed.
        """
        if row.values is None:
            raise BadRow(row.fault or Code.VALUE_MISSING)
        mapping, values = self._mapping, row.values
        occurred_at = time_of(needed(values, mapping.time, "time"), mapping.time_form)
        check_age(occurred_at, now=self._now(), is_backfill=self._is_backfill)
        event_id = value_of(values, mapping.id, "id") if mapping.id else None
        return Event(
            customer=needed(values, mapping.customer, "customer"),
            type=needed(values, mapping.type, "type"),
            quantity=needed(values, mapping.quantity, "quantity"),
            occurred_at=occurred_at,
            dimensions=labels(values, mapping.dimensions, "dimensions"),
            properties=labels(values, mapping.properties, "properties"),
            id=event_id or f"{self._content}:{row.line}",
        )


def check_age(occurred_at: datetime, *, now: datetime, is_backfill: bool) -> None:
    """This function will refuse what the fold would refuse, so that it ends with the rejects.

    Raises:
        BadRow: too_late or future.
    """
    age = now - occurred_at
    if age > HORIZON and not is_backfill:
        raise BadRow(Code.TOO_LATE, "time")
    if -age > AHEAD:
        raise BadRow(Code.FUTURE, "time")


def needed(values: Mapping[str, object], part: Part | None, field: str) -> str:
    """This function will return the text of a part that every event has.

    Raises:
        BadRow: value_missing or value_not_scalar.
    """
    text = value_of(values, part, field) if part else None
    if text is None:
        raise BadRow(Code.VALUE_MISSING, field)
    return text


def labels(
    values: Mapping[str, object], parts: tuple[tuple[str, Part], ...], field: str
) -> dict[str, str] | None:
    """This function will return dimensions or properties; those without a value are left out.

    Raises:
        BadRow: value_not_scalar.
    """
    if not parts:
        return None
    found = {name: value_of(values, part, field) for name, part in parts}
    return {name: text for name, text in found.items() if text is not None} or None


def value_of(values: Mapping[str, object], part: Part, field: str) -> str | None:
    """This function will return the text of a part; an empty one counts as missing.

    A column named a.b that is not there itself is looked for as b inside a.

    Raises:
        BadRow: value_not_scalar.
    """
    if part.constant is not None:
        return part.constant
    value = values.get(part.column)
    if value is None and "." in part.column:
        value = _inside(values, part.column)
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    raise BadRow(Code.VALUE_NOT_SCALAR, field)


def _inside(values: Mapping[str, object], path: str) -> object:
    found: object = values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
