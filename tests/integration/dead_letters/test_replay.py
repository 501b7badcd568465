"""Dead letters on the real broker: listed, shown, sent again, and counted once all the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runtime.commands import CommandSender
from runtime.kafka import new_producer, read_partition
from schemas.topics import USAGE_DEAD, USAGE_EVENTS
from tests.support.fold_world import TENANT, FoldWorld
from tests.support.kafka_hash import partition_of
from tests.support.processes import run_command
from tests.support.usage_facts import totals_of, windows_of
from tests.support.usage_truth import CATALOGUE, METERS, Event, batch_record, event_record

CUSTOMER = "ann"
CATALOGUE_METERS = [{**meter, "aggregation": "sum", "unit": "unit"} for meter in METERS]
HOME = partition_of(TENANT, CUSTOMER, partitions=2)


def send(world: FoldWorld, value: bytes, *, partition: int = HOME, key: bytes = b"acme") -> None:
    producer = new_producer(world.settings)
    producer.produce(USAGE_EVENTS.name, value, key, partition=partition)
    assert producer.flush(30) == 0


def publish(world: FoldWorld, version: int, *event_types: str) -> None:
    """Publish the truth's catalogue with one more counter per type."""
    more = [
        {
            "key": f"more_{name.replace('.', '_')}", "event_type": name, "group_by": [],
            "aggregation": "sum", "unit": "unit",
        }
        for name in event_types
    ]  # fmt: skip
    content = {**CATALOGUE, "version": version, "meters": [*CATALOGUE_METERS, *more]}
    CommandSender(world.settings, actor="test").publish_catalogue(
        tenant=TENANT, version=version, content=json.dumps(content)
    )


def dead(world: FoldWorld, tmp_path: Path, *arguments: str) -> CompletedProcess[str]:
    settings = {"kafka": world.settings.kafka, "partitions": "2"}
    return run_command(["dead", *arguments], settings, cwd=tmp_path)


def totals(world: FoldWorld) -> Counter[str]:
    return totals_of(each for number in range(2) for each in world.accepted(number))


def sums(world: FoldWorld, meter: str) -> int:
    facts = [each for number in range(2) for each in world.accepted(number)]
    return sum(each.sum for key, each in windows_of(facts).items() if key[2] == meter)


def batch_of(world: FoldWorld, count: int, unknown: int) -> bytes:
    """One batch: `unknown` events of a type that nobody has published, the rest known."""
    return batch_record(
        [
            Event(
                key=1_000 + number,
                customer=CUSTOMER,
                type="new.type" if number < unknown else "disk",
                occurred_ms=world.now_ms,
                quantity=2,
            )
            for number in range(count)
        ]
    )


class TestAnUnknownType:
    def test_counts_once_after_it_was_published_however_often_it_is_replayed(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        """499 good events and one of an unknown type; the good ones become duplicates."""
        send(world, batch_of(world, 500, unknown=1))
        world.fold()
        assert (499, 1, 0) == tuple(
            totals(world)[name] for name in ("accepted", "rejected", "duplicates")
        )

        early = dead(world, tmp_path, "replay", "--code", "unknown_type", "--dry-run")
        assert "1 records with 500 events or commands would be sent" in early.stdout
        publish(world, 2, "new.type")
        world.fold()
        once = dead(world, tmp_path, "replay", "--code", "unknown_type")
        assert (0, "") == (once.returncode, once.stderr)
        assert "1 records with 500 events or commands sent again" in once.stdout
        assert "duplicates by their keys" in once.stdout
        world.fold()
        assert (500, 499) == tuple(totals(world)[name] for name in ("accepted", "duplicates"))
        assert 2 * 10**9 == sums(world, "more_new_type")

        dead(world, tmp_path, "replay", f"usage.events/{HOME}/1")
        world.fold()
        assert (500, 999) == tuple(totals(world)[name] for name in ("accepted", "duplicates"))
        assert (2 * 10**9, 499 * 2 * 10**9) == (sums(world, "more_new_type"), sums(world, "disk"))

    def test_that_is_still_unknown_becomes_another_letter(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        send(world, batch_of(world, 1, unknown=1))
        world.fold()
        dead(world, tmp_path, "replay", "--all")
        world.fold()
        assert 2 == len(world.dead(HOME))
        assert (0, 2) == tuple(totals(world)[name] for name in ("accepted", "rejected"))

    def test_goes_back_as_the_very_same_bytes_with_its_name(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        value = batch_of(world, 3, unknown=3)
        send(world, value, key=b"acme")
        world.fold()
        dead(world, tmp_path, "replay", "--all")
        again = list(read_partition(world.settings, USAGE_EVENTS, HOME))[-1]
        assert (value, b"acme") == (again.value(), again.key())
        assert [("tidegauge-replay-of", f"usage.events/{HOME}/1".encode())] == again.headers()


class TestAMisroutedRecord:
    def test_goes_to_the_partition_where_its_customer_lives(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        event = Event(key=7, customer=CUSTOMER, type="disk", occurred_ms=world.now_ms, quantity=3)
        send(world, event_record(event), partition=1 - HOME)
        world.fold()
        assert 1 == len(world.dead(1 - HOME))
        done = dead(world, tmp_path, "replay", "--code", "misrouted")
        assert 0 == done.returncode
        world.fold()
        assert 3 * 10**9 == sums(world, "disk")

    def test_of_customers_from_several_partitions_is_refused(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        other = next(
            name
            for name in (f"customer-{number}" for number in range(99))
            if partition_of(TENANT, name, partitions=2) != HOME
        )
        events = [
            Event(key=number, customer=name, type="disk", occurred_ms=world.now_ms)
            for number, name in enumerate((CUSTOMER, other))
        ]
        send(world, batch_record(events))
        world.fold()
        done = dead(world, tmp_path, "replay", "--all")
        assert 1 == done.returncode
        assert "letter_split" in done.stdout


class TestALetterThatCannotGoBack:
    def test_is_refused_when_only_its_head_was_kept(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        before = world.ends()
        producer = new_producer(world.settings)
        headers: list[tuple[str, str | bytes | None]] = [
            ("topic", b"usage.events"), ("partition", b"0"), ("offset", b"17"),
            ("code", b"oversized"), ("bytes", b"6000000"), ("sha256", b"00"),
        ]  # fmt: skip
        producer.produce(USAGE_DEAD.name, b"head", b"acme", partition=0, headers=headers)
        assert producer.flush(30) == 0
        done = dead(world, tmp_path, "replay", "usage.events/0/17")
        assert (1, before) == (done.returncode, world.ends())
        assert "letter_cut" in done.stdout

    @pytest.mark.parametrize("name", ["usage.events/0/99", "nowhere/0/0", "usage.events/x/0", "x"])
    def test_is_unknown_when_nobody_wrote_it(
        self, world: FoldWorld, tmp_path: Path, name: str
    ) -> None:
        done = dead(world, tmp_path, "replay", name)
        assert 1 == done.returncode
        assert "letter_unknown" in done.stderr

    def test_is_not_chosen_by_chance(self, world: FoldWorld, tmp_path: Path) -> None:
        world.send_garbage(1)
        world.fold()
        before = world.ends()
        done = dead(world, tmp_path, "replay")
        assert (1, before) == (done.returncode, world.ends())
        assert "nothing says which" in done.stderr


class TestLooking:
    def test_lists_letters_with_their_counts(self, world: FoldWorld, tmp_path: Path) -> None:
        world.send_garbage(1)
        send(world, batch_of(world, 2, unknown=2))
        world.fold()
        everything = dead(world, tmp_path, "list")
        assert "2 dead letters" in everything.stdout
        chosen = dead(world, tmp_path, "list", "--code", "unknown_type", "--tenant", TENANT)
        assert "1 dead letters" in chosen.stdout
        assert f"usage.events/{HOME}/1" in chosen.stdout
        assert "0 dead letters" in dead(world, tmp_path, "list", "--tenant", "other").stdout
        later = dead(world, tmp_path, "list", "--since", "2100-01-01T00:00:00Z")
        assert "0 dead letters" in later.stdout

    def test_refuses_to_look_at_more_than_was_said(self, world: FoldWorld, tmp_path: Path) -> None:
        """A list that left some out without a word would be believed."""
        for _ in range(3):
            world.send_garbage(1)
        world.fold()
        done = dead(world, tmp_path, "list", "--scan-max", "2")
        assert 1 == done.returncode
        assert "more than 2" in done.stderr

    def test_shows_a_letter_and_nothing_that_moves_the_cursor(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        send(world, b"\x1b[2Jboo", partition=0, key=b"\x1b]0;title\x07")
        world.fold()
        done = dead(world, tmp_path, "show", "usage.events/0/1")
        assert 0 == done.returncode, done.stderr
        assert "\x1b" not in done.stdout
        assert "1b 5b 32 4a 62 6f 6f" in done.stdout
        assert "code: unknown_schema" in done.stdout or "code: undecodable" in done.stdout

    def test_shows_events(self, world: FoldWorld, tmp_path: Path) -> None:
        send(world, batch_of(world, 30, unknown=1))
        world.fold()
        done = dead(world, tmp_path, "show", f"usage.events/{HOME}/1", "--bytes", "16")
        assert "batch of 30 events of acme" in done.stdout
        assert "0: 'ann' 'new.type' 2e-0" in done.stdout
        assert "and 10 more" in done.stdout
