"""What an amendment of a level reads, and how long it takes.

Claim: it decodes each facts record of its partition once, and again only those that touch the
event's hour; from its announcement on it takes at most 1 s and 0.2 s for each of those that lies
apart, however long the log is.
Method: a fold in this process makes a partition of batches of 100 events of 200 customers over 34
days, each a facts record of its own; one in 2,500 holds an event of the amended one's hour, far
from the others. The last event of the log is found, its amendment is announced, and its window is
stated without it: what `tidegauge event void` does, without waiting for the tables. Smallest,
largest and latest value are compared with the truth. Beside it, in the same run, the same facts
are read and not decoded. Broker on the same machine; no database takes part.
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.bench_fold import Stopwatch
from benchmarks.support import settings_of_services, write_result
from domain.quantity import NANOS_PER_UNIT
from domain.routing import partition_of
from domain.usage.fold import UsageFold
from projections.counted_events import find_in_log
from projections.partition_log import KafkaPartitionLog
from projections.window_states import states_before
from runtime import clock
from runtime.kafka import new_producer, read_partition
from schemas.amendment_wire import to_wire_event_amended
from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC, Topic
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue, to_wire_usage_facts
from tests.support.topics import fresh_topics
from tests.support.usage_truth import HOUR_MS, Event, batch_record
from tidegauge.overriding import override

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from domain.usage.facts import UsageFacts
    from projections.counted_events import CountedEvent
    from runtime.settings import Settings

TENANT, PARTITION = "acme", 0
CUSTOMERS, EVENTS_PER_BATCH, DAYS = 200, 100, 34
APART = 2_500
METERS = [
    {"key": key, "event_type": "load", "aggregation": key, "unit": "u"}
    for key in ("latest", "max")
]


class Writer:
    """Appends source records, each folded on its own, and their facts."""

    def __init__(self, settings: Settings) -> None:
        self.now_ms = clock.now_ms()
        self._fold = UsageFold(partition=PARTITION, partitions=settings.partitions)
        options = {"linger.ms": 20, "queue.buffering.max.messages": 500_000}
        self._producer = new_producer(settings, **options)
        self.end = 0

    def append(self, value: bytes) -> None:
        source = from_wire_usage_source(value, offset=self.end, received_at_ms=self.now_ms)
        facts = self._fold.step([source], from_offset=self.end, to_offset=self.end + 1)
        self.end += 1
        self._produce(USAGE_EVENTS, value)
        self._produce(USAGE_FACTS_TOPIC, to_wire_usage_facts(facts, writer="benchmark"))

    def _produce(self, topic: Topic, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic.name, value, TENANT.encode(), partition=PARTITION)
                break
            except BufferError:
                self._producer.poll(0.05)
        self._producer.poll(0)

    def flush(self) -> None:
        if self._producer.flush(60):
            raise SystemExit("the broker did not take the workload within 60 s")


@dataclass(frozen=True)
class CountingLog(KafkaPartitionLog):
    """The partition, with the facts offsets that were decoded."""

    decoded: list[int] = field(default_factory=list)

    @override
    def accepted_facts(self, *, start: int, position: int) -> Iterator[tuple[int, UsageFacts]]:
        for offset, facts in super().accepted_facts(start=start, position=position):
            self.decoded.append(offset)
            yield offset, facts

    @override
    def facts_at(self, offsets: Collection[int]) -> Iterator[UsageFacts]:
        self.decoded.extend(offsets)
        return super().facts_at(offsets)


def customers(settings: Settings) -> list[str]:
    """Return customers of one partition."""
    names = (f"customer-{number:05d}" for number in range(100 * CUSTOMERS))
    home = [
        name
        for name in names
        if partition_of(TENANT, name, partitions=settings.partitions) == PARTITION
    ]
    return home[:CUSTOMERS]


def write(writer: Writer, names: list[str], *, batches: int, seed: int) -> list[Event]:
    """Make the log; return the events of the first customer's last hour, in their order."""
    chance = random.Random(seed)
    start_ms = writer.now_ms - DAYS * 24 * HOUR_MS
    last_ms = writer.now_ms // HOUR_MS * HOUR_MS
    own: list[Event] = []
    for number in range(batches):
        occurred_ms = start_ms + number * DAYS * 24 * HOUR_MS // batches
        events = [
            Event(
                key=number * EVENTS_PER_BATCH + place + 1,
                customer=chance.choice(names),
                type="load",
                occurred_ms=occurred_ms,
                quantity=chance.randrange(1_000_000),
            )
            for place in range(EVENTS_PER_BATCH)
        ]
        if number % APART == 0 or number == batches - 1:
            events[0] = replace(events[0], customer=names[0], occurred_ms=last_ms)
        own += [
            event
            for event in events
            if (event.customer, event.occurred_ms // HOUR_MS) == (names[0], last_ms // HOUR_MS)
        ]
        writer.append(batch_record(events, tenant=TENANT))
    return own


def is_right(found: CountedEvent, at: int, left: list[Event]) -> bool:
    """State the windows, and say whether both meters have the values of the events left."""
    values = [event.quantity * NANOS_PER_UNIT for event in left]
    latest = max(reversed(left), key=lambda event: event.occurred_ms)
    expected = (min(values), max(values), latest.quantity * NANOS_PER_UNIT)
    states = states_before(found, announced_at=at)
    return [expected] * len(METERS) == [
        (state.min_nanos, state.max_nanos, state.latest_nanos) for state in states
    ]


def measured(settings: Settings, writer: Writer, own: list[Event]) -> dict[str, Any]:
    """Amend the last event of the hour; return the figures."""
    log, event = CountingLog(settings, PARTITION), own[-1]
    key = event.key.to_bytes(16, "big")
    watch = Stopwatch()
    found = find_in_log(log, tenant=TENANT, customer=event.customer, key=key)
    finding = watch.figures()
    assert found is not None
    plain = found.amended(event_id="last", replacement=None, reason="benchmark", actor="bench")
    writer.append(to_wire_event_amended(replace(plain, announces=True)))
    writer.flush()
    watch = Stopwatch()
    right = is_right(found, writer.end - 1, own[:-1])
    stating = watch.figures()
    watch = Stopwatch()
    records = sum(1 for _ in read_partition(settings, USAGE_FACTS_TOPIC, PARTITION))
    once = set(log.decoded)
    return {
        "facts_records": records,
        "facts_decoded": len(log.decoded),
        "facts_decoded_again": len(log.decoded) - len(once),
        "facts_of_the_hour": len({(event.key - 1) // EVENTS_PER_BATCH for event in own}),
        "find_s": round(finding["wall_s"], 2),
        "from_announcement_on_s": round(stating["wall_s"], 2),
        "read_only_s": round(watch.figures()["wall_s"], 2),
        "states_wrong": int(not right),
    }


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    settings = settings_of_services()
    fresh_topics(settings)
    writer = Writer(settings)
    content = json.dumps({"version": 1, "meters": METERS, "plans": []})
    writer.append(to_wire_catalogue(tenant=TENANT, version=1, content=content))
    own = write(
        writer,
        customers(settings),
        batches=arguments.events // EVENTS_PER_BATCH,
        seed=arguments.seed,
    )
    writer.flush()
    result = measured(settings, writer, own)
    write_result(arguments, result)
    sys.exit(1 if result["states_wrong"] else 0)


if __name__ == "__main__":
    main()
