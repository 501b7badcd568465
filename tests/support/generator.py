"""The load generator: one process that reports usage with the real SDK and journals it first.

What it does on purpose: 10 % resends through another Meter, conflicts (a used id, another
payload), events out of order, late, too late and in the future, records of a foreign producer,
and poison.
Unknown outcomes are sent again with the same ids, except one in ten, which stays unknown.
It goes on through broker outages: the SDK's buffer fills, `record` blocks, nothing is forgotten.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

import tidegauge
from tests.support import poison, workload
from tests.support.journal import COUNTED, Intent, Journal, Owner
from tests.support.kafka_hash import partition_of
from tests.support.workload import Event, Workload

CHUNK_S = 0.25
"""Intents of so much time are journaled with one fsync, seconds."""
CHUNK_EVENTS_MAX = 2_000
RESENDS_WAITING_MAX = 20_000
"""Events kept for a later resend; bounds memory."""
BUFFER_EVENTS_MAX = 10_000
BLOCK_MS = 30_000
DELIVERY_TIMEOUTS_MS = (4_000, 30_000)
"""Of a tenant's two meters: the first gives up in an outage, so outcomes become unknown."""
RESEND_ONE_IN, CONFLICT_ONE_IN, FOREIGN_ONE_IN, POISON_ONE_IN = 10, 400, 100, 250
LEFT_UNKNOWN_ONE_IN = 10
DRAIN_TIMEOUT_S = 90


class Delivery:
    """Keeps what is in flight, so that an outcome finds its events; journals the outcomes.

    The SDK's flush threads only put outcomes into a deque; everything else is the main thread's.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._reported: deque[tuple[int, str, tidegauge.Delivery]] = deque()
        self._flying: dict[tuple[int, str, str], deque[Event]] = {}
        self.again: deque[Event] = deque()
        self.counts: Counter[str] = Counter()

    def callback(self, meter: int, tenant: str) -> Callable[[tidegauge.Delivery], None]:
        """Return what a Meter is to call."""
        return lambda delivery: self._reported.append((meter, tenant, delivery))

    def expect(self, meter: int, event: Event) -> None:
        """Note that an event is on its way through a meter."""
        key = (meter, event.intent.tenant, event.id)
        self._flying.setdefault(key, deque()).append(event)

    def take_reports(self) -> None:
        """Journal all outcomes told so far; unknown ones are due again, most of them."""
        while self._reported:
            meter, tenant, delivery = self._reported.popleft()
            events = [self._landed((meter, tenant, event_id)) for event_id in delivery.ids]
            is_acked = delivery.error is None
            self._journal.settle(
                [owner_of(event.intent) for event in events],
                "acked" if is_acked else "unknown",
                partition=delivery.partition,
                offset=delivery.offset,
            )
            self.counts["acked" if is_acked else "unknown"] += len(events)
            if not is_acked:
                self.again.extend(event for event in events if not _is_left_unknown(event))

    def _landed(self, key: tuple[int, str, str]) -> Event:
        events = self._flying[key]
        event = events.popleft()
        if not events:
            del self._flying[key]
        return event


def owner_of(intent: Intent) -> Owner:
    """Return what names an event."""
    return intent.tenant, intent.customer, intent.key


def _is_left_unknown(event: Event) -> bool:
    return int(event.intent.key, 16) % LEFT_UNKNOWN_ONE_IN == 0 and event.intent.attempt == 0


class Stranger:
    """A producer without our SDK: single events, and poison."""

    def __init__(
        self, bootstrap: str, *, partitions: int, journal: Journal, counts: Counter[str], seed: int
    ) -> None:
        self._partitions = partitions
        self._journal = journal
        self._counts = counts
        self._random = random.Random(seed)
        self._kinds = list(poison.KINDS)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "message.max.bytes": 2 * 1024 * 1024,
                "delivery.timeout.ms": 60_000,
                "log_level": 2,
            }
        )

    def intent(self, like: Intent) -> Intent:
        """Return a new event of the same customer as it will be sent."""
        return Intent(
            key=self._random.randbytes(16).hex(),
            tenant=like.tenant,
            customer=like.customer,
            type="tokens",
            occurred_ms=like.occurred_ms,
            quantity="12.5",
            dimensions={"region": "eu"},
            properties={},
            expect=like.expect if like.expect in {"too_late", "future"} else COUNTED,
        )

    def send_event(self, intent: Intent) -> None:
        """Send one UsageEvent and journal its outcome when it is known."""
        place = self._place(intent, intent.occurred_ms)
        value = poison.single(
            place, key=bytes.fromhex(intent.key), occurred_at_ms=intent.occurred_ms
        )

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            outcome = "unknown" if error is not None else "acked"
            offset = None if error is not None else message.offset()
            self._journal.settle(
                [owner_of(intent)],
                "unknown" if error is not None else "acked",
                partition=place.partition,
                offset=offset,
            )
            self._counts[outcome] += 1

        self._produce(place.partition, value, intent.tenant.encode(), on_delivery)

    def send_poison(self, like: Intent, *, now_ms: int) -> None:
        """Send the next kind of poison in the name of a customer."""
        kind = self._kinds[self._counts["poison"] % len(self._kinds)]
        made = poison.make(kind, self._place(like, now_ms))
        self._counts["poison"] += 1

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            self._journal.poison(
                kind=made.kind,
                code=made.code,
                partition=made.partition,
                offset=None if error is not None else message.offset(),
                is_acked=error is None,
            )

        key = (like.tenant.encode(), None, b"\xff\0", b"nobody")[self._counts["poison"] % 4]
        self._produce(made.partition, made.value, key, on_delivery)

    def poll(self) -> None:
        """Serve delivery reports."""
        self._producer.poll(0)

    def flush(self, timeout_s: float) -> int:
        """Wait for all outcomes; return how many are missing."""
        return int(self._producer.flush(timeout_s))

    def _place(self, like: Intent, now_ms: int) -> poison.Place:
        partition = partition_of(like.tenant, like.customer, partitions=self._partitions)
        return poison.Place(
            tenant=like.tenant,
            customer=like.customer,
            partition=partition,
            partitions=self._partitions,
            now_ms=now_ms,
            random=self._random,
        )

    def _produce(
        self, partition: int, value: bytes | None, key: bytes | None, on_delivery: Any
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    "usage.events", value, key, partition=partition, on_delivery=on_delivery
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return


class Generator:
    """Sends a given number of different events at a given rate, and the extras on top."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._is_ending = self._is_hurried = False
        self._journal = Journal(options.journal)
        self._delivery = Delivery(self._journal)
        base_ms = options.base_ms or time.time_ns() // 1_000_000
        self._workload = Workload(seed=options.seed, base_ms=base_ms)
        self._random = random.Random(options.seed + 1)
        self._resends: deque[Event] = deque(maxlen=RESENDS_WAITING_MAX)
        self._journal.note(seed=options.seed, base_ms=base_ms, events=options.events)
        self._meters = {
            (number, tenant): tidegauge.Meter(
                options.kafka,
                tenant=tenant,
                source=workload.SOURCE,
                buffer_events_max=BUFFER_EVENTS_MAX,
                block_ms=BLOCK_MS,
                delivery_timeout_ms=timeout_ms,
                on_delivery=self._delivery.callback(number, tenant),
            )
            for tenant in workload.TENANTS
            for number, timeout_ms in enumerate(DELIVERY_TIMEOUTS_MS)
        }
        self._stranger = Stranger(
            options.kafka,
            partitions=options.partitions,
            journal=self._journal,
            counts=self._delivery.counts,
            seed=options.seed + 2,
        )

    def run(self) -> None:
        """Send everything, then wait until every outcome is known."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGUSR1, self._on_sigusr1)
        started_s, made, chunk = time.monotonic(), 0, self._chunk_events()
        while not self._is_ending and self._must_go_on(made):
            missing = self._options.events - made
            count = min(chunk, missing) if missing > 0 else chunk
            self._send_chunk(count)
            made += count
            self._delivery.counts["events"] = made
            self._report()
            if not self._is_hurried:
                time.sleep(max(0.0, started_s + made / self._options.rate - time.monotonic()))
        self._drain()
        self._report()
        self._journal.close()

    def _must_go_on(self, made: int) -> bool:
        is_waiting = self._options.until_told and not self._is_hurried
        return made < self._options.events or is_waiting

    def _chunk_events(self) -> int:
        return max(1, min(CHUNK_EVENTS_MAX, int(self._options.rate * CHUNK_S)))

    def _send_chunk(self, count: int) -> None:
        """Make a chunk and its extras, journal them all, and only then send."""
        now_ms = time.time_ns() // 1_000_000
        fresh = [self._workload.next(now_ms=now_ms) for _ in range(count)]
        sends = [(0, event) for event in fresh]
        self._resends.extend(self._some(fresh, RESEND_ONE_IN))
        conflicting = self._some(fresh, CONFLICT_ONE_IN)
        sends += [(1, self._workload.conflicting(event)) for event in conflicting]
        foreign = [self._stranger.intent(e.intent) for e in self._some(fresh, FOREIGN_ONE_IN)]
        sends += self._due_again(count)
        self._random.shuffle(sends)
        self._journal.intend([event.intent for _, event in sends] + foreign)
        for meter, event in sends:
            self._record(meter, event)
        for intent in foreign:
            self._stranger.send_event(intent)
        for event in self._some(fresh, POISON_ONE_IN):
            self._stranger.send_poison(event.intent, now_ms=now_ms)
        self._stranger.poll()
        self._delivery.take_reports()

    def _some(self, events: list[Event], one_in: int) -> list[Event]:
        return [event for event in events if self._random.randrange(one_in) == 0]

    def _due_again(self, count: int) -> list[tuple[int, Event]]:
        """Take resends on purpose, and what had an unknown outcome, for the other meter."""
        due: list[tuple[int, Event]] = []
        self._delivery.take_reports()
        while self._delivery.again and len(due) < count:
            due.append((1, _next_attempt(self._delivery.again.popleft())))
        resends = self._random.randrange(2 * count // RESEND_ONE_IN + 2)  # as many as come, about
        for _ in range(min(len(self._resends), resends)):
            due.append((1, _next_attempt(self._resends.popleft())))
            self._delivery.counts["resent"] += 1
        return due

    def _record(self, meter: int, event: Event) -> None:
        intent = event.intent
        self._delivery.expect(meter, event)
        while True:
            try:
                self._meters[meter, intent.tenant].record(
                    customer=intent.customer,
                    type=intent.type,
                    quantity=intent.quantity,
                    occurred_at=event.occurred_at,
                    dimensions=intent.dimensions,
                    properties=intent.properties or None,
                    id=event.id,
                )
            except tidegauge.BufferFull:
                self._delivery.counts["buffer_full"] += 1
                self._delivery.take_reports()
            else:
                return

    def _drain(self) -> None:
        """Send what is due again until nothing is, and wait for the last outcomes."""
        deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
        while time.monotonic() < deadline_s:
            for meter in self._meters.values():
                meter.flush(5)
            due = self._due_again(CHUNK_EVENTS_MAX)
            if not due and not any(meter.counters.pending for meter in self._meters.values()):
                break
            self._journal.intend([event.intent for _, event in due])
            for number, event in due:
                self._record(number, event)
        for meter in self._meters.values():
            meter.close(10)
        self._delivery.counts["poison_open"] = self._stranger.flush(30)
        self._delivery.take_reports()

    def _on_sigterm(self, *_: object) -> None:
        self._is_ending = True

    def _on_sigusr1(self, *_: object) -> None:
        self._is_hurried = True

    def _report(self) -> None:
        print(json.dumps(self._delivery.counts), flush=True)


def _next_attempt(event: Event) -> Event:
    fields = {name: getattr(event.intent, name) for name in event.intent.__slots__}
    return Event(event.id, Intent(**{**fields, "attempt": event.intent.attempt + 1}))


def main() -> None:
    """Run one load to its end; SIGTERM ends it early, SIGUSR1 lets the rest go at full speed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="different events per second")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--partitions", type=int, default=4)
    until_told = "go on beyond --events, until SIGUSR1"
    parser.add_argument("--until-told", action="store_true", help=until_told)
    parser.add_argument("--base-ms", type=int, default=0, help="default: now")
    Generator(parser.parse_args()).run()


if __name__ == "__main__":
    main()
