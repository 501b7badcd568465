"""The proof of the spool: kill -9 at random, start again, and count what the broker has.

`python -m tests.faults.spool_run --help` runs it by hand, on services of its own; test_spool.py
runs a short one. Nothing here uses the SDK's code to judge: the journal says what was promised,
and the topic is read and counted by key with fastavro alone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import confluent_kafka
import fastavro
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.faults.spool_child import event_id
from tests.faults.world import Services
from tests.support.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PARTITIONS = 4
WAIT_S = 60
LIFE_SHARES = 0.2, 0.9
"""A child is killed after so much of its even share of the events, so that all are spread."""
SHARE_MAX = 1.2
"""A child waits after so much of its even share: a late kill leaves enough for the others."""
SCHEMA = ROOT / "schemas" / "avro" / "usage_batch.avsc"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Args:
        seed: Of the moments of the kills.
        events: How many events, over all lives.
        kills: How often the child is killed.
        broker_kills: How often the broker is killed meanwhile, and started again.
        fsync: The spool's policy.
    """

    seed: int
    events: int
    kills: int
    broker_kills: int
    fsync: str


@dataclass(slots=True)
class Journal:
    """What the child said, over all its lives."""

    intended: set[int] = field(default_factory=set)
    returned: set[int] = field(default_factory=set)
    ends: list[str] = field(default_factory=list)

    @property
    def next(self) -> int:
        """Return the number that nobody intended yet."""
        return max(self.intended, default=-1) + 1

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Read the file; a line that was cut off was not said."""
        journal = cls()
        text = path.read_text() if path.exists() else ""
        for line in text.splitlines(keepends=True):
            if not line.endswith("\n"):
                continue
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "?":
                journal.intended.add(int(rest))
            elif kind == "!":
                journal.returned.add(int(rest))
            elif kind == "end":
                journal.ends.append(rest)
        return journal


@dataclass(frozen=True, slots=True)
class Way:
    """How events get to the log, and where they are found there.

    Args:
        where: The broker, or the URL of a gateway.
        name: The topic, or an API key of the gateway.
        kafka: The broker.
        topic: Where the events are found.
    """

    where: str
    name: str
    kafka: str
    topic: str


def run(plan: Plan, services: Services) -> dict[str, Any]:
    """Do what the plan says straight on Kafka, on a topic of its own, and return the figures."""
    topic = f"spool-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": services.kafka})
    admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS)])[topic].result(WAIT_S)
    outages = random.Random(plan.seed).sample(range(1, plan.kills), plan.broker_kills)

    way = Way(services.kafka, topic, services.kafka, topic)
    try:
        return prove(plan, way, lambda life: BrokerOutage(services) if life in outages else None)
    finally:
        admin.delete_topics([topic])


class Outage(Protocol):
    """What else happens during a life of the child, in a thread of its own."""

    def has_struck(self) -> bool:
        """Say whether the child may be killed now: not before it has felt this."""

    def __call__(self) -> None:
        """Let it happen; the next life begins when it is over."""


class BrokerOutage:
    """The broker is killed, and started again."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def has_struck(self) -> bool:
        """Say that the child may die at any moment of it."""
        return True

    def __call__(self) -> None:
        """Kill the broker for a second."""
        with self._services.control.away("kafka"):
            time.sleep(1)


def prove(plan: Plan, way: Way, outage_of: Callable[[int], Outage | None]) -> dict[str, Any]:
    """Do what the plan says and return the figures.

    Args:
        plan: What to do.
        way: Where to.
        outage_of: Says what else happens during a life of the child, by its number from 0.
    """
    print(f"spool run: {plan}", flush=True)
    chance = random.Random(plan.seed)
    folder = Path(tempfile.mkdtemp(prefix="spool-run-"))
    torn = hits = 0
    try:
        for life in range(plan.kills):
            outage = outage_of(life)
            with _during(outage):
                hits += _live_and_die(plan, way, folder, chance, outage)
            torn += _torn_tails(folder / "spool")
        child = _start(plan, way, folder, plan.events, is_ending=True)
        if child.wait(WAIT_S * 3) != 0:
            raise RuntimeError((folder / "stderr").read_text())
        journal = Journal.read(folder / "journal")
        left = sorted(path.name for path in (folder / "spool").glob("*.spool"))
        figures = _judge(plan, journal, _count(way))
        return figures | {
            "files_left": left,
            "torn_on_disk": torn,
            "killed_at_work": hits,
            "end": journal.ends,
        }
    finally:
        shutil.rmtree(folder)


@contextmanager
def _during(outage: Outage | None) -> Iterator[None]:
    thread = threading.Thread(target=outage, daemon=True) if outage else None
    if thread is not None:
        thread.start()
    yield
    if thread is not None:
        thread.join(WAIT_S * 2)
        assert not thread.is_alive(), "the outage does not end"


def _live_and_die(
    plan: Plan, way: Way, folder: Path, chance: random.Random, outage: Outage | None
) -> bool:
    """Start the child, let it record something, and kill it at a moment of chance.

    Returns:
        Whether it was killed at work; when the kill comes late, it waits for it.
    """
    before = Journal.read(folder / "journal")
    path = folder / "journal"
    size = path.stat().st_size if path.exists() else 0
    even = plan.events / (plan.kills + 1)
    share = int(even * chance.uniform(*LIFE_SHARES))
    said = range(before.next, before.next + share)
    enough = size + sum(len(f"? {number}\n! {number}\n") for number in said)
    last = before.next + int(even * SHARE_MAX)
    child = _start(plan, way, folder, last, is_ending=False)
    _await(lambda: (path.exists() and path.stat().st_size >= enough) or child.poll() is not None)
    _await(lambda: outage is None or outage.has_struck())
    time.sleep(chance.uniform(0, 0.02))
    child.send_signal(signal.SIGKILL)
    if child.wait() != -signal.SIGKILL:
        raise RuntimeError((folder / "stderr").read_text())
    after = Journal.read(folder / "journal")
    is_hit = after.next < last
    print(
        f"  killed {'at work' if is_hit else 'waiting'} after"
        f" {len(after.returned) - len(before.returned)} events, {len(after.returned)} in all",
        flush=True,
    )
    return is_hit


def _start(
    plan: Plan, way: Way, folder: Path, last: int, *, is_ending: bool
) -> subprocess.Popen[bytes]:
    first = Journal.read(folder / "journal").next
    places = [way.where, way.name, str(folder / "spool"), str(folder / "journal"), plan.fsync]
    numbers = [first, last, plan.seed, int(is_ending)]
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.spool_child", *places, *map(str, numbers)],
            cwd=ROOT,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'producers/sdk/src'}"},
        )


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the child never got so far")
        time.sleep(0.005)


def _torn_tails(folder: Path) -> int:
    """Count files whose last frame is incomplete, by the format's description alone."""
    torn = 0
    for path in folder.glob("*.spool"):
        data = path.read_bytes()
        at = 0
        while at + 8 <= len(data):
            length = int.from_bytes(data[at : at + 4], "little")
            if at + 8 + length > len(data):
                break
            at += 8 + length
        torn += at < len(data)
    return torn


def _count(way: Way) -> Counter[tuple[bytes, bytes, str, int]]:
    """Read the topic; return how often each (key, fingerprint, customer, quantity) is there."""
    schema = fastavro.parse_schema(json.loads(SCHEMA.read_text()))
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": way.kafka, "group.id": "spool", "enable.auto.commit": False}
    )
    topic = way.topic
    ends = {
        place: consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, place))[1]
        for place in range(PARTITIONS)
    }
    consumer.assign(
        [confluent_kafka.TopicPartition(topic, place, 0) for place, end in ends.items() if end]
    )
    found: Counter[tuple[bytes, bytes, str, int]] = Counter()
    left = sum(ends.values())
    deadline = time.monotonic() + WAIT_S
    while left > 0 and time.monotonic() < deadline:
        for message in consumer.consume(500, timeout=0.5):
            assert message.error() is None
            left -= 1
            datum: Any = fastavro.schemaless_reader(
                io.BytesIO((message.value() or b"")[5:]), schema, None
            )
            for at, quantity in enumerate(datum["quantity"]):
                key = datum["keys"][16 * at : 16 * at + 16]
                fingerprint = datum["fingerprints"][8 * at : 8 * at + 8]
                customer = datum["strings"][datum["customer"][at]]
                found[key, fingerprint, customer, quantity * 10 ** -datum["scale"]] += 1
    consumer.close()
    assert left == 0
    return found


def _judge(
    plan: Plan, journal: Journal, found: Counter[tuple[bytes, bytes, str, int]]
) -> dict[str, Any]:
    """Compare what was promised with what is there."""
    numbers = {uuid.UUID(event_id(plan.seed, n)).bytes: n for n in journal.intended}
    keys = Counter(key for key, *_ in found)
    delivered = {numbers[key] for key in keys if key in numbers}
    return {
        "seed": plan.seed,
        "fsync": plan.fsync,
        "kills": plan.kills,
        "broker_kills": plan.broker_kills,
        "intended": len(journal.intended),
        "returned": len(journal.returned),
        # record() returned, and the broker does not have it.
        "lost": len(journal.returned - delivered),
        # The broker has it, and nobody intended it.
        "phantom": sum(1 for key in keys if key not in numbers),
        # One key with two payloads: a fold would call it a conflict.
        "conflicts": sum(1 for count in keys.values() if count > 1),
        "wrong": sum(
            1
            for key, _, customer, quantity in found
            if key in numbers
            and (customer, quantity) != (f"cus_{numbers[key] % 50}", numbers[key])
        ),
        "delivered": len(delivered),
        "copies": sum(found.values()),
    }


def main() -> None:
    """Run by hand: the full proof, on services of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--broker-kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--fsync", choices=("always", "interval", "never"), action="append")
    arguments = parser.parse_args()
    services = Services()
    failed = False
    try:
        for fsync in arguments.fsync or ["always", "interval"]:
            plan = Plan(
                arguments.seed, arguments.events, arguments.kills, arguments.broker_kills, fsync
            )
            figures = run(plan, services)
            print(json.dumps(figures, indent=2), flush=True)
            failed |= any(figures[name] for name in ZEROS)
    finally:
        services.down()
    sys.exit(1 if failed else 0)


ZEROS = ("lost", "phantom", "conflicts", "wrong", "files_left")
"""Figures that must be nothing."""

if __name__ == "__main__":
    main()
