"""One partition of usage.events with its fold, whose amendments are announced as the tool does."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

from domain.acceptance import accepts
from domain.aggregation.window_row import WindowRow
from domain.usage.amendments import EventAmended
from domain.usage.customer_windows import WindowsByCustomer
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from domain.usage.records import SourceRecord
from projections.counted_events import CountedEvent, find_in_log
from projections.window_states import states_before
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
    """A partition; events wait until a micro-batch is cut or an amendment comes.

    It is read as the tool reads one; `looked_at` are the facts offsets that somebody has read.
    """

    partition, partitions = 0, 1

    def __init__(self, catalogue: dict[str, Any], *, now_ms: int) -> None:
        self.catalogue = catalogue
        self.now_ms = now_ms
        self.values: list[bytes] = []
        self.facts: list[UsageFacts] = []
        self.fold = UsageFold(partition=0, partitions=1)
        self.looked_at: list[int] = []
        self._folded = 0
        self._found: dict[int, CountedEvent] = {}
        self.publish(catalogue)

    def publish(self, catalogue: dict[str, Any], *, tenant: str = "acme") -> None:
        self.values.append(
            to_wire_catalogue(
                tenant=tenant, version=catalogue["version"], content=json.dumps(catalogue)
            )
        )
        self.cut()

    def send(self, event: Event) -> None:
        """An event arrives; it is folded with the next cut."""
        self.values.append(event_record(event))

    def cut(self) -> None:
        """Fold what waits as one micro-batch."""
        start, self._folded = self._folded, len(self.values)
        records = self.records(start, self._folded)
        if records:
            facts = self.fold.step(records, from_offset=start, to_offset=self._folded)
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

    def accepted_facts(self, *, start: int, position: int) -> Iterator[tuple[int, UsageFacts]]:
        for offset, facts in enumerate(self.facts[start:], start):
            self.looked_at.append(offset)
            span = {"from_offset": facts.from_offset, "to_offset": facts.to_offset}
            if accepts(position=position, **span):
                position = facts.to_offset
                yield offset, facts

    def facts_at(self, offsets: Collection[int]) -> Iterator[UsageFacts]:
        self.looked_at += offsets
        return (self.facts[offset] for offset in offsets)

    def find(self, event: Event) -> CountedEvent | None:
        """Look for an event among what was folded."""
        key = event.key.to_bytes(16, "big")
        return find_in_log(self, tenant="acme", customer=event.customer, key=key)

    def announce(self, event: Event, **changes: Any) -> int:
        """Find an event and announce its amendment; return the offset.

        What waits is folded in between: others go on while the tool reads.
        """
        found = self.find(event)
        if found is None:
            self.cut()
            found = self.find(event)
        at = self._control(amended(event, **self._counted(event), announces=True, **changes))
        if found is not None:
            self._found[at] = found
        return at

    def amend(
        self,
        event: Event,
        at: int,
        *,
        found: CountedEvent | None = None,
        replacement: Event | None = None,
        **changes: Any,
    ) -> int:
        """Amend an event as the tool does, after an announcement; return the offset.

        Args:
            event: The event.
            at: Offset of the announcement.
            found: What was found of the event; None for what the announcement began with.
            replacement: What counts instead.
            changes: Fields of the record that are other than the tool's.
        """
        plain = amended(event, replacement=replacement, **self._counted(event))
        states = states_before(found or self._found[at], announced_at=at)
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
