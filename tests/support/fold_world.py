"""A usage log on the real broker, engines that fold it, and the truth about it."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field, replace

from confluent_kafka import Message

from domain.acceptance import accepts
from domain.usage.facts import UsageFacts
from domain.usage.records import SourceRecord
from runtime import clock
from runtime.commands import CommandSender
from runtime.kafka import new_consumer, new_producer, partition_ends, read_partition
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_DEAD, USAGE_EVENTS, USAGE_FACTS_TOPIC
from schemas.usage_wire import from_wire_usage_facts
from streams.engine import FoldEngine
from streams.usage import UsageBinding
from tests.support.kafka_hash import partition_of
from tests.support.usage_facts import rejects_of, totals_of, windows_of
from tests.support.usage_truth import CATALOGUE, Event, Truth, batch_record, event_record

TENANT = "acme"
CUSTOMERS = [f"customer-{number}" for number in range(10)]
RUN_SECONDS_MAX = 90


@dataclass
class FoldWorld:
    """Sends records and counts them the plain way at once."""

    settings: Settings
    seed: int = 1
    truth: Truth = field(init=False)
    sent: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.truth = Truth(partitions=self.settings.partitions)
        self.now_ms = clock.now_ms()
        self._producer = new_producer(self.settings)
        CommandSender(self.settings, actor="test").publish_catalogue(
            tenant=TENANT, version=1, content=json.dumps(CATALOGUE)
        )
        self._ends = dict.fromkeys(range(self.settings.partitions), 1)

    def ends(self) -> dict[int, int]:
        """The end of every source partition."""
        consumer = new_consumer(self.settings, group="test")
        ends = {
            number: partition_ends(consumer, USAGE_EVENTS.name, number)[1]
            for number in range(self.settings.partitions)
        }
        consumer.close()
        return ends

    def send(self, events: int, *, repeats: int = 0) -> None:
        """Send new events, some as batches and some alone, and repeats of earlier ones."""
        fresh = [self.new_event() for _ in range(events)]
        again = self.random.choices(self.sent or fresh, k=repeats)
        self.sent += fresh
        waiting = fresh + again
        self.random.shuffle(waiting)
        for partition in range(self.settings.partitions):
            mine = [
                event
                for event in waiting
                if partition_of(TENANT, event.customer, partitions=self.settings.partitions)
                == partition
            ]
            while mine:
                size = self.random.choice((1, 1, 5, 40))
                self._send_record(partition, mine[:size])
                mine = mine[size:]
        assert self._producer.flush(30) == 0

    def send_garbage(self, partition: int) -> None:
        """Send one record that is none."""
        self._producer.produce(USAGE_EVENTS.name, b"garbage", b"key", partition=partition)
        assert self._producer.flush(30) == 0
        self.refuse(partition, "undecodable")

    def refuse(self, partition: int, code: str) -> None:
        """Tell the truth of a record at a partition's end that must be refused."""
        self.truth.refuse(partition=partition, offset=self._ends[partition], events=1, code=code)
        self._ends[partition] += 1

    def conflict(self) -> None:
        """Send the key of an earlier event with another payload."""
        event = replace(self.sent[0], fingerprint=4711)
        partition = partition_of(TENANT, event.customer, partitions=self.settings.partitions)
        self._send_record(partition, [event])
        assert self._producer.flush(30) == 0

    def new_event(self) -> Event:
        """An event that nobody has sent."""
        draw = self.random
        kind = draw.choice(("llm", "call", "disk"))
        return Event(
            key=draw.getrandbits(128),
            customer=draw.choice(CUSTOMERS),
            type=kind,
            occurred_ms=self.now_ms - draw.randrange(60_000),
            quantity=draw.randrange(10_000),
            scale=draw.choice((0, 2)),
            dimensions=(("model", draw.choice("ab")), ("region", draw.choice("xy"))),
            properties=(("ms", f"{draw.randrange(99)}.5"),) if kind == "call" else (),
            fingerprint=draw.getrandbits(64),
        )

    def _send_record(self, partition: int, events: list[Event]) -> None:
        value = event_record(events[0]) if len(events) == 1 else batch_record(events)
        self._producer.produce(USAGE_EVENTS.name, value, TENANT.encode(), partition=partition)
        self.count(events, partition=partition)

    def count(self, events: list[Event], *, partition: int) -> None:
        """Tell the truth of a record at a partition's end that holds these events."""
        self.truth.take(
            events, tenant=TENANT, backfill=False, partition=partition,
            offset=self._ends[partition], received_ms=self.now_ms,
        )  # fmt: skip
        self._ends[partition] += 1

    def append_facts(self, partition: int, value: bytes) -> None:
        """Append a record to the facts as a writer out of order would."""
        self._producer.produce(USAGE_FACTS_TOPIC.name, value, partition=partition)
        assert self._producer.flush(30) == 0

    # ── folding ─────────────────────────────────────────────────────────────────────────────────

    def engine(
        self, shutdown: Shutdown, *, group: str = "", settings: Settings | None = None
    ) -> FoldEngine[SourceRecord, UsageFacts]:
        """An engine of one group."""
        settings = settings or self.settings
        binding = UsageBinding(settings)
        engine: FoldEngine[SourceRecord, UsageFacts] = FoldEngine(
            settings, binding, shutdown, group=group
        )
        return engine

    def fold(self, *, group: str = "", settings: Settings | None = None) -> None:
        """Run one engine until everything that was sent is folded."""
        shutdown = Shutdown()
        timer = threading.Timer(RUN_SECONDS_MAX, shutdown.request)
        timer.start()
        try:
            self.engine(shutdown, group=group, settings=settings).run(until=self.ends())
            assert not shutdown.is_requested, "the fold did not come to the end in time"
        finally:
            timer.cancel()

    # ── looking ─────────────────────────────────────────────────────────────────────────────────

    def records(self, partition: int, *, start: int = 0) -> list[UsageFacts]:
        """Every facts record of a partition from an offset on, ignored ones included."""
        return [
            from_wire_usage_facts(message.value())
            for message in read_partition(self.settings, USAGE_FACTS_TOPIC, partition, start=start)
        ]

    def accepted(self, partition: int) -> list[UsageFacts]:
        """The facts records that count."""
        position, counted = 0, []
        for facts in self.records(partition):
            if accepts(
                position=position, from_offset=facts.from_offset, to_offset=facts.to_offset
            ):
                counted.append(facts)
                position = facts.to_offset
        return counted

    def dead(self, partition: int) -> list[Message]:
        """The dead letters of a partition."""
        return list(read_partition(self.settings, USAGE_DEAD, partition))

    def assert_true(self) -> None:
        """Compare every window, total and reject with the truth."""
        facts = {number: self.accepted(number) for number in range(self.settings.partitions)}
        every = [each for records in facts.values() for each in records]
        assert self.truth.windows == windows_of(every)
        assert self.truth.totals == +totals_of(every)
        rejects: Counter[tuple[int, int, int, str]] = Counter()
        for number, records in facts.items():
            rejects += rejects_of(records, partition=number)
        assert self.truth.rejects == rejects
