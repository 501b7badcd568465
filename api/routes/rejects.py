"""GET /rejects and GET /intake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Query

from api.cursors import CursorPart, from_cursor, integer, moment, text, to_cursor
from api.dependencies import BackendDep, CallerDep
from api.parameters import IntakeParameters, RejectParameters, read_period
from api.representations import (
    IntakeRepresentation,
    ListRepresentation,
    RejectRepresentation,
    to_representation_intake,
    to_representation_reject,
)
from api.routes.common import READ_RESPONSES, new_router
from domain.period import Period, time_text
from projections.queries import rejects
from projections.queries.connection import tenant_connection
from projections.queries.rejects import RejectKey
from runtime.web.problems import invalid
from schemas.topics import USAGE_EVENTS

router = new_router("intake")
_KIND = "rejects"


@router.get("/rejects", responses=READ_RESPONSES, summary="Rejects and conflicts")
def list_rejects(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[RejectParameters, Query()]
) -> ListRepresentation[RejectRepresentation]:
    """What was not counted and why, the newest first."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=_to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = rejects.list_rejects(
            connection,
            limit=parameters.limit,
            after=after,
            code=parameters.code.value if parameters.code else None,
        )
    return ListRepresentation(
        data=[to_representation_reject(reject) for reject in page.rows],
        has_more=page.has_more,
        next_cursor=_to_cursor(page.rows[-1].key) if page.has_more else None,
    )


@router.get("/intake", responses=READ_RESPONSES, summary="What became of all events")
def get_intake(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[IntakeParameters, Query()]
) -> IntakeRepresentation:
    """Counts of the events received, of all time or from one full hour to another."""
    period = _to_period(parameters.start, parameters.end)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        counts = rejects.count_intake(connection, period=period, topic=USAGE_EVENTS.name)
    return to_representation_intake(counts)


def _to_period(start: datetime | None, end: datetime | None) -> Period | None:
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise invalid("from" if start is None else "to", "from and to come together")
    for name, value in (("from", start), ("to", end)):
        if value.minute or value.second or value.microsecond:
            raise invalid(name, "the intake is counted by the hour: give a full hour")
    return read_period(start, end)


def _to_cursor(key: RejectKey) -> str:
    return to_cursor(
        _KIND,
        time_text(key.received_at),
        key.topic,
        key.partition,
        key.source_offset,
        key.event_index,
        key.code,
    )


def _to_key(parts: Sequence[CursorPart]) -> RejectKey:
    received_at, topic, partition, source_offset, event_index, code = parts
    return RejectKey(
        received_at=moment(received_at),
        topic=text(topic),
        partition=integer(partition),
        source_offset=integer(source_offset),
        event_index=integer(event_index),
        code=text(code),
    )
