"""From candidates to records: every event is checked, named, and put beside those it travels with.

Steps for each event: 1. the SDK's own check makes its row, so that an event has one key and one
fingerprint whichever way it came; 2. one that is in the request twice is sent once; 3. rows of one
partition and source become one UsageBatch.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.canonical import Json
from domain.codes import Code
from producers.gateway.candidates import Candidate, RefusedEvent
from producers.gateway.log import Record
from producers.gateway.partitions import partition_of_customer
from runtime import clock, ids
from runtime.metrics import GATEWAY_EVENTS
from schemas import wire_ids
from schemas.registry import USAGE_BATCH
from schemas.topics import USAGE_EVENTS
from tidegauge import errors, limits, text
from tidegauge.intake import Intake
from tidegauge.wire import batch

ACCEPTED = "accepted"
DUPLICATE = "duplicate_in_request"
REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Place:
    """What all events of a request share.

    Args:
        tenant: Of the API key.
        partitions: Partitions of usage.events.
        now: The gateway's clock: the time of events that came without one.
    """

    tenant: str
    partitions: int
    now: datetime


@dataclass(slots=True)
class Judgement:
    """What is to be sent of a request, and what is said of each event.

    Args:
        rows: Rows by (partition, source).
        results: One for each event, in order.
        refused: The first refusal; None when there was none.
        counts: How many events have each status.
    """

    rows: dict[tuple[int, str], list[batch.EventRow]] = field(default_factory=dict)
    results: list[dict[str, Json]] = field(default_factory=list)
    refused: RefusedEvent | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def accept(self, row: batch.EventRow, *, partition: int, source: str) -> None:
        """Take an event to those that are sent."""
        self.rows.setdefault((partition, source), []).append(row)
        self.say(row[batch.ROW_ID], ACCEPTED)

    def say(self, event_id: str | None, status: str, **more: Json) -> None:
        """Write down what became of the next event."""
        self.results.append({"index": len(self.results), "id": event_id, "status": status, **more})
        self.counts[status] += 1

    def report(self) -> None:
        """Count what is said, once it is said."""
        for status, count in self.counts.items():
            GATEWAY_EVENTS.labels(status=status).inc(count)


class Judge:
    """Judges the events of one request, in order.

    Args:
        place: What they share.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._intakes: dict[str, Intake] = {}
        self._seen: dict[tuple[str, bytes], bytes] = {}
        self.judgement = Judgement()

    def judge(self, candidate: Candidate) -> None:
        """Accept an event, or know it as one of before; else refuse it (RefusedEvent)."""
        row = self._row(candidate)
        _, key, fingerprint, customer, *_ = row
        name = (customer, key)
        before = self._seen.setdefault(name, fingerprint)
        if before is not fingerprint:
            if before != fingerprint:
                raise RefusedEvent("id", "came before with another payload", Code.CONFLICT)
            self.judgement.say(candidate.id, DUPLICATE)
            return
        partition = partition_of_customer(self._place.tenant, customer, self._place.partitions)
        self.judgement.accept(row, partition=partition, source=candidate.source)

    def refuse(self, error: RefusedEvent, event_id: Json) -> None:
        """Write down that an event is refused, and why."""
        shown = event_id[: limits.NAME_CHARACTERS_MAX] if isinstance(event_id, str) else None
        self.judgement.say(shown, REJECTED, code=error.code, param=error.param)
        self.judgement.refused = self.judgement.refused or error

    def _row(self, candidate: Candidate) -> batch.EventRow:
        """Return the row of one event, as the SDK would make it."""
        try:
            intake = self._intakes.get(candidate.source) or self._new_intake(candidate.source)
            return intake.row(
                candidate.customer,  # type: ignore[arg-type]  # checking this is the intake's task
                candidate.type_,  # type: ignore[arg-type]  # likewise
                candidate.quantity,
                candidate.occurred_at or self._place.now,
                candidate.dimensions,  # type: ignore[arg-type]  # likewise
                candidate.properties,  # type: ignore[arg-type]  # likewise
                candidate.id,
            )
        except errors.InvalidEvent as error:
            raise RefusedEvent(error.field, errors.CODES[error.code], error.code) from error

    def _new_intake(self, source: str) -> Intake:
        """Return the checks for one source; they live as long as the request and stay small."""
        fault = text.fault_in(source, characters_max=limits.NAME_CHARACTERS_MAX)
        if fault is not None:
            raise errors.InvalidEvent("source", fault)
        self._intakes[source] = intake = Intake(source=source, clock=lambda: self._place.now)
        return intake


class Encoder:
    """Writes rows as records; one for a process, because its batches are numbered."""

    def __init__(self) -> None:
        salt = ids.random_salt()
        self._producer_id = b"".join(number.to_bytes(8, "big") for number in salt)
        self._sequence = itertools.count()

    def records(
        self,
        tenant: str,
        judgement: Judgement,
        *,
        is_backfill: bool = False,
        traceparents: tuple[str, ...] = (),
    ) -> list[Record]:
        """Return the records of a request; every event that is accepted is in exactly one.

        Args:
            tenant: Of the API key.
            judgement: What is to be sent.
            is_backfill: Whether events may be older than the fold's horizon; a right of the key.
            traceparents: Those of the request; each record gets them all.
        """
        return [
            Record(USAGE_EVENTS.name, partition, tenant.encode(), value, traceparents)
            for (partition, source), rows in judgement.rows.items()
            for run in batch.cut_by_scale(rows)
            for value in self._values(tenant, source, run, is_backfill=is_backfill)
        ]

    def _values(
        self, tenant: str, source: str, rows: Sequence[batch.EventRow], *, is_backfill: bool
    ) -> Iterator[bytes]:
        header = batch.BatchHeader(
            tenant=tenant,
            source=source,
            producer_id=self._producer_id,
            sequence=next(self._sequence),
            sent_at_ms=clock.now_ms(),
            backfill=is_backfill,
            schema_id=wire_ids.number_of(USAGE_BATCH),
        )
        value = batch.encode(header, rows)
        if len(value) <= USAGE_EVENTS.message_bytes_max or len(rows) == 1:
            yield value
            return
        middle = len(rows) // 2
        yield from self._values(tenant, source, rows[:middle], is_backfill=is_backfill)
        yield from self._values(tenant, source, rows[middle:], is_backfill=is_backfill)
