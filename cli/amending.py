"""Amending an event from the command line: announce, read, send, and wait for what became of it.

1. The amendment is announced, when a meter of the event is not additive: from there on the fold
   gathers what the event's windows take.
2. What the windows held before that, without the event, is read from the log. The facts are read
   once: finding the event has noted them, and each announcement reads on from there.
3. The amendment is sent with it. When another one was quicker, everything from 1 on is repeated.

Stopped anywhere, nothing has changed or all has; running the command again is safe.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected, Retryable
from runtime import clock

if TYPE_CHECKING:
    from domain.usage.amendments import EventAmended
    from projections.counted_events import CountedEvent
    from projections.queries.amendments import AmendmentRow
    from runtime.settings import Settings

INTERVAL_MS = 50
"""Time between two looks at whether a record is projected, ms."""
TRIES_MAX = 5
"""Announcements of one command: each that fails means that another amendment took effect."""


def amend(
    settings: Settings, found: CountedEvent, amended: EventAmended
) -> tuple[AmendmentRow, bool]:
    """This function will amend an event, and return what the tables then show of it.

    Returns:
        The amendment, and whether it is this one; else the event was amended before.

    Raises:
        Rejected: With the fold's code, when it refused the amendment.
        Retryable: command_timeout, when nothing is visible in time; broker_away.
        Fatal: log_truncated, when events of its hour are older than the log and its archive.
    """
    if found.is_additive:
        return _sent(settings, amended)
    tries = 1
    while True:
        try:
            return _sent(settings, _stated(settings, found, amended))
        except Rejected as error:
            if error.code is not Code.AMENDMENT_OUTDATED or tries == TRIES_MAX:
                raise
            tries += 1


def _stated(settings: Settings, found: CountedEvent, amended: EventAmended) -> EventAmended:
    """Announce an amendment and return it with the windows stated anew."""
    from producers.amendments.sending import send_amendment
    from projections.window_states import states_before

    announcement = replace(amended, announces=True, replacement=None)
    place = send_amendment(settings, announcement)
    _outcome(settings, announcement, place)
    states = states_before(found, announced_at=place[1])
    return replace(amended, announced_at=place[1], states=states)


def _sent(settings: Settings, amended: EventAmended) -> tuple[AmendmentRow, bool]:
    from producers.amendments.sending import send_amendment

    place = send_amendment(settings, amended)
    row = _outcome(settings, amended, place)
    if row is None:  # a rebuild has emptied the tables between two looks
        raise Retryable(
            Code.NOT_READY,
            "the tables do not show the amendment any more",
            retry_after_ms=1000,
            next_step="Wait until `tidegauge rebuild` has ended, then run the same again",
        )
    return row, (row.partition, row.source_offset) == place


def _outcome(
    settings: Settings, amended: EventAmended, place: tuple[int, int]
) -> AmendmentRow | None:
    """Wait until the tables show what became of a record; return the event's amendment.

    Raises:
        Rejected: With the fold's code, when it refused the record.
        Retryable: command_timeout, when nothing is visible in time.
    """
    from projections.queries import amendments
    from projections.queries.connection import tenant_connection
    from runtime import postgres
    from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC

    engine = postgres.new_engine(settings, role="app")
    deadline = clock.monotonic_ms() + settings.command_timeout_ms
    partition, offset = place
    try:
        while clock.monotonic_ms() < deadline:
            with tenant_connection(engine, tenant=amended.tenant) as connection:
                if amendments.is_projected(
                    connection,
                    facts_topic=USAGE_FACTS_TOPIC.name,
                    partition=partition,
                    source_offset=offset,
                ):
                    refusal = amendments.find_refusal(
                        connection,
                        topic=USAGE_EVENTS.name,
                        partition=partition,
                        source_offset=offset,
                    )
                    if refusal is not None:
                        raise Rejected(
                            Code(refusal[0]),
                            refusal[1],
                            next_step="docs/amendments.md says what to do instead",
                        )
                    return amendments.find_amendment(
                        connection,
                        customer=amended.customer,
                        event=uuid.UUID(bytes=amended.key),
                    )
            clock.sleep_ms(INTERVAL_MS)
    finally:
        engine.dispose()
    raise Retryable(
        Code.COMMAND_TIMEOUT,
        f"the amendment is in the log at {partition}/{offset}, its outcome is not visible yet",
        retry_after_ms=1000,
        next_step="Are `tidegauge stream usage` and `tidegauge project` running? Then run the "
        "same again",
    )
