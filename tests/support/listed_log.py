"""A log of one partition in memory, from which a customer's events are listed page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from domain.period import Period, from_ms
from domain.usage.facts import UsageFacts
from domain.usage.records import SourceRecord
from projections import listed_events
from projections.invoicing.trace import merged_ranges
from projections.listed_events import Asked, EventPage, Place, read_page
from schemas.usage_wire import to_wire_usage_facts
from tests.support.amendable_log import AmendableLog
from tests.support.usage_truth import Event, batch_record

NOW_MS = 1_770_000_000_000
DAY = from_ms(NOW_MS).replace(hour=0, minute=0, second=0, microsecond=0)
ANN = Asked("acme", "ann", Period(DAY, DAY + timedelta(days=1)))
CATALOGUE: dict[str, Any] = {
    "version": 1,
    "meters": [{"key": "llm", "event_type": "llm", "aggregation": "sum", "unit": "token"}],
    "plans": [
        {
            "code": "P",
            "name": "P",
            "currency": "USD",
            "prices": [{"key": "llm", "form": "per_unit", "meter": "llm", "rate": "1"}],
        }
    ],
}


@dataclass(frozen=True)
class Message:
    """A facts record as a reader gets it."""

    place: int
    wire: bytes

    def offset(self) -> int:
        return self.place

    def value(self) -> bytes:
        return self.wire


class ListedLog:
    """Records, each of some events, and the facts of them, which all lie within the minute.

    Every read is counted.

    Args:
        records: Events of each record, as (customer, key) pairs.
        cuts: Places of records with which a micro-batch ends.
        late: (behind which of the facts, how many before those, by how many records longer): what
            a late writer appends, who begins where somebody else has been.
    """

    def __init__(
        self,
        records: Sequence[Sequence[tuple[str, int]]],
        *,
        cuts: Sequence[int],
        late: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        log = AmendableLog(CATALOGUE, now_ms=NOW_MS)
        self.counted: list[tuple[int, bytes]] = []
        known: set[tuple[str, int]] = set()
        for place, events in enumerate(records):
            log.values.append(
                batch_record(
                    [Event(key, customer=name, occurred_ms=NOW_MS) for name, key in events]
                )
            )
            for name, key in events:
                if name == "ann" and (name, key) not in known:
                    self.counted.append((len(log.values) - 1, key.to_bytes(16, "big")))
                known.add((name, key))
            if place in cuts:
                log.cut()
        log.cut()
        self._log = log
        facts: list[UsageFacts] = list(log.facts)
        for behind, back, longer in sorted(late, reverse=True):
            place = min(behind, len(log.facts) - 1)
            again = log.facts[max(0, place - back)]
            facts.insert(place + 1, replace(again, to_offset=again.to_offset + longer))
        self.wires = [to_wire_usage_facts(each, writer="w") for each in facts]
        self.facts_read: list[int] = []

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """Where the customer's events lie, as windows would say it of an hour each."""
        return merged_ranges((offset, offset) for offset, _ in self.counted)

    def page(self, *, limit: int, after: Place | None) -> EventPage:
        """Read a page, from the stretches that a page behind `after` is given."""
        least = after.offset if after else 0
        stretches = [each for each in self.stretches if each[1] >= least]
        settings: Any = SimpleNamespace(partitions=1)
        return read_page(settings, ANN, stretches=stretches, limit=limit, after=after)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let pages be read from here; beginning at a place of the log costs nothing."""
        monkeypatch.setattr(listed_events, "source_records", self._records)
        monkeypatch.setattr(listed_events, "read_partition", self._facts)
        monkeypatch.setattr(listed_events, "offset_at", lambda *_, **__: 0)
        monkeypatch.setattr(listed_events, "LOOKED_PER_STRETCH", 0)

    def _records(self, _: Any, *, partition: int, start: int, end: int) -> Iterator[SourceRecord]:
        assert partition == 0
        yield from self._log.records(start, end)

    def _facts(self, _: Any, __: Any, partition: int, *, start: int) -> Iterator[Message]:
        assert partition == 0
        for place in range(start, len(self.wires)):
            self.facts_read.append(place)
            yield Message(place, self.wires[place])
