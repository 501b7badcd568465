"""One partition of usage.events with its fold, whose amendments are announced as the tool does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from domain.aggregation.window_row import WindowRow
from domain.catalogue import parse_catalogue
from domain.usage.amendments import ADDITIVE, EventAmended, meters_hash
from domain.usage.customer_windows import WindowsByCustomer
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from domain.usage.records import SourceRecord
from projections.counted_events import CountedEvent
from projections.window_states import states_of_log
from schemas.amendment_wire import to_wire_event_amended
from schemas.usage_wire import (
    from_wire_usage_facts,
    from_wire_usage_source,
    to_wire_catalogue,
    to_wire_usage_facts,
)
from tests.support.amending import amended, payload_of
from tests.support.usage_truth import Event, event_record

CUSTOMERS = ("ann", "bob")


class AmendableLog:
    """A partition; events wait until a micro-batch is cut or an amendment comes."""

    def __init__(self, catalogue: dict[str, Any], *, now_ms: int) -> None:
        self.catalogue = catalogue
        self.now_ms = now_ms
        self.values: list[bytes] = []
        self.facts: list[UsageFacts] = []
        self.fold = UsageFold(partition=0, partitions=1)
        self.publish(catalogue)

    def publish(self, catalogue: dict[str, Any]) -> None:
        self.values.append(
            to_wire_catalogue(
                tenant="acme", version=catalogue["version"], content=json.dumps(catalogue)
            )
        )
        self.cut()

    def send(self, event: Event) -> None:
        """An event arrives; it is folded with the next cut."""
        self.values.append(event_record(event))

    def cut(self) -> None:
        """Fold what waits as one micro-batch."""
        start = self.facts[-1].to_offset if self.facts else 0
        records = self.records(start, len(self.values))
        if records:
            facts = self.fold.step(records, from_offset=start, to_offset=len(self.values))
            self.facts.append(from_wire_usage_facts(to_wire_usage_facts(facts, writer="w")))

    def restart(self) -> None:
        """Forget the fold's memory, and restore it from its facts."""
        self.cut()
        self.fold = UsageFold(partition=0, partitions=1)
        for facts in self.facts:
            self.fold.restore(facts)

    def records(self, start: int, end: int) -> list[SourceRecord]:
        return [
            from_wire_usage_source(value, offset=start + place, received_at_ms=self.now_ms)
            for place, value in enumerate(self.values[start:end])
        ]

    def announce(self, event: Event, **changes: Any) -> int:
        """Announce the amendment of an event; return the offset."""
        return self._control(amended(event, **self._counted(event), announces=True, **changes))

    def amend(
        self, event: Event, at: int, *, replacement: Event | None = None, **changes: Any
    ) -> int:
        """Amend an event as the tool does, after an announcement; return the offset."""
        counted = self._counted(event)
        plain = amended(event, replacement=replacement, **counted)
        states = states_of_log(
            found_of(event, plain, catalogue=self.catalogue),
            announced_at=at,
            facts=self.facts,
            read=self.records,
            partitions=1,
        )
        fields = {"announced_at": at, "states": states, **changes}
        return self._control(replace(plain, **fields))

    def void(self, event: Event, **options: Any) -> int:
        """Announce and amend at once."""
        return self.amend(event, self.announce(event), **options)

    def _counted(self, event: Event) -> dict[str, Any]:
        """Where and when the event came: the tool finds it in the log."""
        offset = 0
        for record in self.records(0, len(self.values)):
            offset, body = record.offset, record.body
            if isinstance(body, dict) and body["key"] == event.key.to_bytes(16, "big"):
                break
            if isinstance(body, EventAmended) and body.replacement == payload_of(event):
                break
        return {"offset": offset, "received_ms": self.now_ms, "catalogue": self.catalogue}

    def _control(self, record: EventAmended) -> int:
        """A record that stands alone is a micro-batch of its own."""
        self.cut()
        self.values.append(to_wire_event_amended(record))
        self.cut()
        return len(self.values) - 1

    def codes(self) -> list[str]:
        return [reject.code.value for facts in self.facts for reject in facts.rejects]

    def rows(self) -> dict[tuple[str, str, Any, int], WindowRow]:
        return rows_of(self.facts)


def rows_of(facts: Iterable[UsageFacts]) -> dict[tuple[str, str, Any, int], WindowRow]:
    """Windows by customer, meter, dimensions and hour; without those of no event."""
    windows = WindowsByCustomer(tenant="acme", customers=CUSTOMERS)
    for each in facts:
        windows.add(each)
    return {
        (customer, row.meter, row.dimensions, row.hour): row
        for customer in CUSTOMERS
        for row in windows.of(customer)
        if row.events
    }


def found_of(event: Event, plain: EventAmended, *, catalogue: dict[str, Any]) -> CountedEvent:
    """The event as projections.counted_events finds it."""
    meters: Sequence[Any] = parse_catalogue(json.dumps(catalogue)).meters_of(event.type)
    return CountedEvent(
        tenant="acme",
        customer=event.customer,
        key=event.key.to_bytes(16, "big"),
        partition=0,
        offset=plain.original_offset,
        received_at_ms=plain.original_received_at_ms,
        payload=plain.original,
        meters_sha256=meters_hash(meters),
        is_additive=all(meter.aggregation in ADDITIVE for meter in meters),
    )
