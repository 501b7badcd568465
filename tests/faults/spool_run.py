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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
LIFE_SHARES = 0.3, 1.1
"""A child is killed after so much of its even share of the events, so that all are spread."""
LINES_BYTES = 16
"""About what one event writes to the journal, in bytes."""
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


def run(plan: Plan, services: Services) -> dict[str, Any]:
    """Do what the plan says and return the figures."""
    print(f"spool run: {plan}", flush=True)
    chance = random.Random(plan.seed)
    topic = f"spool-{uuid.uuid4().hex[:12]}"
    folder = Path(tempfile.mkdtemp(prefix="spool-run-"))
    admin = AdminClient({"bootstrap.servers": services.kafka})
    admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS)])[topic].result(WAIT_S)
    broker_after = set(chance.sample(range(1, plan.kills), plan.broker_kills))
    torn = 0
    try:
        for life in range(plan.kills):
            outage = threading.Thread(target=_outage, args=(services,), daemon=True)
            if life in broker_after:
                outage.start()
            _live_and_die(plan, services.kafka, topic, folder, chance)
            if life in broker_after:
                outage.join(WAIT_S * 2)
            torn += _torn_tails(folder / "spool")
        child = _start(plan, services.kafka, topic, folder)
        if child.wait(WAIT_S * 3) != 0:
            raise RuntimeError((folder / "stderr").read_text())
        journal = Journal.read(folder / "journal")
        left = sorted(path.name for path in (folder / "spool").glob("*.spool"))
        figures = _judge(plan, journal, _count(services.kafka, topic))
        return figures | {"files_left": left, "torn_on_disk": torn, "end": journal.ends}
    finally:
        admin.delete_topics([topic])
        shutil.rmtree(folder)


def _live_and_die(plan: Plan, kafka: str, topic: str, folder: Path, chance: random.Random) -> None:
    """Start the child, let it record something, and kill it at a moment of chance."""
    before = len(Journal.read(folder / "journal").returned)
    path = folder / "journal"
    size = path.stat().st_size if path.exists() else 0
    share = plan.events / (plan.kills + 1) * chance.uniform(*LIFE_SHARES)
    enough = size + int(share * LINES_BYTES)
    child = _start(plan, kafka, topic, folder)
    _await(lambda: (path.exists() and path.stat().st_size >= enough) or child.poll() is not None)
    time.sleep(chance.uniform(0, 0.02))
    child.send_signal(signal.SIGKILL)
    child.wait()
    after = len(Journal.read(folder / "journal").returned)
    print(f"  killed after {after - before} events, {after} in all", flush=True)


def _start(plan: Plan, kafka: str, topic: str, folder: Path) -> subprocess.Popen[bytes]:
    intended = Journal.read(folder / "journal").intended
    first = max(intended, default=-1) + 1
    arguments = [kafka, topic, str(folder / "spool"), str(folder / "journal"), plan.fsync]
    numbers = [str(first), str(plan.events), str(plan.seed)]
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.spool_child", *arguments, *numbers],
            cwd=ROOT,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'producers/sdk/src'}"},
        )


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the child never recorded anything")
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


def _outage(services: Services) -> None:
    with services.control.away("kafka"):
        time.sleep(1)


def _count(kafka: str, topic: str) -> Counter[tuple[bytes, bytes, str, int]]:
    """Read the topic; return how often each (key, fingerprint, customer, quantity) is there."""
    schema = fastavro.parse_schema(json.loads(SCHEMA.read_text()))
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka, "group.id": topic, "enable.auto.commit": False}
    )
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
