"""The sweep on the real log, with folds and projector running and no policy: all is caught up on.

One pipeline serves all tests of this file. Each has a project of its own and leaves nothing to be
swept, so what a look sends is what the test made.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, LiteralString

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from domain import wishes
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.emergence.facts import Detected, EmergenceEvent, EmergenceFacts, Ended
from domain.emergence.records import DetectionSettled
from domain.errors import Retryable
from projections.effects import sweep
from projections.effects.sweep import Mark, Sweep, is_reached, limit_queries, note_mark
from projections.projector import run_projector
from projections.queries import overlooked
from projections.queries.overlooked import BEGINNING, Stretch, parameters_of
from runtime import clock, postgres
from runtime.commands import CommandSender
from runtime.kafka import new_producer, read_partition
from runtime.node_events import NodeEventSender, partition_of_project, settlement_event
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from schemas.emergence_wire import from_wire_emergence_facts
from schemas.node_wire import NodeReport, to_wire_node_updated
from schemas.topics import EMERGENCE_FACTS_TOPIC, NODE_EVENTS
from streams.books import BooksBinding
from streams.emergence import EmergenceBinding
from streams.engine import FoldEngine
from tests.support.databases import create_migrated
from tests.support.emergence_world import BUNDLE, SINGLES, TENANT, node_data, s0
from tests.support.services import drop_database
from tests.support.tables import rows, wait_until
from tests.support.topics import fresh_topics

PARTITIONS = 2
NAME = "test_sweep"
BLUEPRINT = SINGLES[0]


@dataclass
class SweptWorld:
    """Folds and projector as threads, and somebody who does what policies do, or does not."""

    settings: Settings
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.commands = CommandSender(self.settings, actor="test")
        self._producer = new_producer(self.settings)
        self.nodes = NodeEventSender(self.settings)
        self.sweep = Sweep(self.settings)
        self.look()  # the first one only notes how far the log goes

    def settle_down(self) -> None:
        """Wait until the tables hold all that the log holds."""
        mark = note_mark(self.settings, now=clock.now())
        with postgres.connect(self.settings, role="projector", autocommit=True) as connection:
            wait_until(lambda: is_reached(connection, mark), what="the log is projected")

    def look(self, by: Sweep | None = None) -> int:
        """Sweep when the tables are up to date, an hour from now, so that nothing is too young."""
        self.settle_down()
        sent = (by or self.sweep).look(now=clock.now() + timedelta(hours=1))
        self.settle_down()
        return sent

    def log_ends(self) -> int:
        """How many records the sources hold."""
        mark = note_mark(self.settings, now=clock.now())
        return sum(end for ends in mark.ends.values() for end in ends.values())

    def report(self, project: str, *tiers: str, customer: str = "", node: str = "a") -> None:
        """Report a node that reaches these tiers."""
        data = node_data(*tiers, customer=customer)
        now_ms = clock.now_ms() + next(self.numbers)
        report = NodeReport(TENANT, project, f"d{now_ms}", now_ms, "node-update", data)
        partition = partition_of_project(TENANT, project, partitions=PARTITIONS)
        value = to_wire_node_updated(report, node=node)
        self._producer.produce(NODE_EVENTS.name, value, TENANT.encode(), partition=partition)
        assert self._producer.flush(30) == 0

    def customer(self) -> str:
        """Sign a customer up, who starts with 100 credits."""
        name = f"customer-{next(self.numbers)}"
        self.command("CreateCustomer", customer=name, currency="PHP")
        return name

    def command(self, kind: str, **body: Any) -> None:
        """Send a command."""
        number = f"{kind} {next(self.numbers)}"
        self.commands.send(tenant=TENANT, command_id=number, kind=kind, body=body)

    def events(self, project: str) -> list[EmergenceEvent]:
        """What the fold found for a project, as a policy would read it."""
        self.settle_down()
        return [
            event
            for number in range(PARTITIONS)
            for message in read_partition(self.settings, EMERGENCE_FACTS_TOPIC, number)
            for event in from_wire_emergence_facts(message.value()).events
            if event.key.project == project
        ]

    def follow(self, events: Sequence[EmergenceEvent]) -> None:
        """Do what the policy would."""
        self.commands.send_all(wishes.commands_of(EmergenceFacts(0, 1, 0, events=tuple(events))))

    def offered(self, project: str, *tiers: str) -> tuple[str, Detected]:
        """A customer and a project of theirs that is offered something nobody asked them for."""
        customer = self.customer()
        self.report(project, *tiers, customer=customer)
        (event,) = self.events(project)
        assert isinstance(event, Detected)
        return customer, event

    def captured(self, project: str, *tiers: str) -> Detected:
        """An offer that was asked for and paid, of which the fold has not heard."""
        _, event = self.offered(project, *tiers)
        self.follow([event])
        self.command("ApproveCharge", charge=event.detection)
        self.settle_down()
        assert self.charge(event.detection) == ["captured"]
        return event

    def rows(self, query: LiteralString, *parameters: object) -> list[Any]:
        """Rows of a query."""
        return rows(self.settings, query, parameters)

    @contextmanager
    def charges_unwritten(self) -> Iterator[None]:
        """Let the projector write no charge for the length of a block: who looks sees none."""
        with postgres.connect(self.settings, role="owner") as connection:
            connection.execute("LOCK TABLE charge IN SHARE MODE")
            yield

    def charge(self, charge: str) -> list[str]:
        """The status of a charge."""
        found = self.rows("SELECT status FROM charge WHERE charge = %s", charge)
        return [status for (status,) in found]

    def tier(self, project: str, code: str = BLUEPRINT) -> tuple[str, str]:
        """Status of a tier, and what the fold has heard of it."""
        ((status, settled),) = self.rows(
            "SELECT status, settled FROM emergence_tier WHERE project = %s AND code = %s",
            *(project, code),
        )
        return status, settled

    def answers(self, charge: str) -> list[tuple[str, str, bool]]:
        """Kind, code and whether it was a repeat, of every answer about a charge's request."""
        command = wishes.request(self.detection(charge)).command_id
        return self.rows(
            "SELECT kind, code, repeat FROM command_outcome WHERE command_id = %s"
            " ORDER BY source_offset",
            command,
        )

    def detection(self, detection: str) -> Detected:
        """A detection as the log has it."""
        ((project,),) = self.rows(
            "SELECT project FROM emergence_detection WHERE detection = %s", detection
        )
        return next(
            event
            for event in self.events(project)
            if isinstance(event, Detected) and event.detection == detection
        )


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SweptWorld]:
    """The pipeline without policies, S0's catalogue published."""
    drop_database(database_admin_url, NAME)
    settings = Settings(
        kafka=kafka_bootstrap,
        database_url=SecretStr(create_migrated(database_admin_url, NAME)),
        partitions=PARTITIONS,
        state_dir=tmp_path_factory.mktemp("state"),
        kafka_session_timeout_ms=6_000,
        fold_linger_ms=20,
    )
    fresh_topics(settings)
    shutdown = Shutdown()
    threads = [
        threading.Thread(target=FoldEngine(settings, EmergenceBinding(settings), shutdown).run),
        threading.Thread(target=FoldEngine(settings, BooksBinding(settings), shutdown).run),
        threading.Thread(
            target=run_projector, args=(settings, shutdown, ("account", "emergence"))
        ),
    ]
    for thread in threads:
        thread.start()
    content = to_canonical_json(s0())
    sender = CommandSender(settings, actor="test")
    sender.publish_catalogue(tenant=TENANT, version=1, content=content)
    sender.send(
        tenant=TENANT, command_id="catalogue", kind="PublishCatalogue", body={"content": content}
    )
    try:
        yield SweptWorld(settings)
    finally:
        shutdown.request()
        for thread in threads:
            thread.join(20)
        drop_database(database_admin_url, NAME)


@pytest.fixture(autouse=True)
def _leaves_nothing(world: SweptWorld) -> Iterator[None]:
    """After each test a sweep that begins anew finds nothing: all that was sent was answered."""
    yield
    other = Sweep(world.settings)
    assert [world.look(other), world.look(other)] == [0, 0]


class TestRequests:
    def test_are_sent_once_for_an_offer_nobody_was_asked_about(self, world: SweptWorld) -> None:
        """And are what the policy sends: when it comes after all, it is a repeat."""
        _, event = world.offered("unasked", BLUEPRINT)
        assert [world.look(), world.look()] == [1, 0]
        assert world.charge(event.detection) == ["requested"]
        world.follow([event])
        assert world.look() == 0
        assert world.answers(event.detection) == [
            ("RequestCharge", "", False),
            ("RequestCharge", "", True),
        ]

    def test_of_two_machines_lead_to_one_charge(self, world: SweptWorld) -> None:
        """Each sends; the books answer the second one with the first one's answer."""
        other = Sweep(world.settings)
        world.look(other)
        _, event = world.offered("two", BLUEPRINT)
        later = clock.now() + timedelta(hours=1)
        with world.charges_unwritten():
            assert [each.look(now=later) for each in (world.sweep, other)] == [1, 1]
        assert [world.look(), world.look(other)] == [0, 0]
        assert [repeat for *_, repeat in world.answers(event.detection)] == [False, True]
        assert world.charge(event.detection) == ["requested"]

    def test_are_not_sent_for_an_offer_that_has_ended(self, world: SweptWorld) -> None:
        """With auto-approval it would be charged after its end."""
        customer, event = world.offered("over", BLUEPRINT)
        world.report("over", customer=customer)
        assert world.look() == 0
        assert world.charge(event.detection) == []

    def test_wait_for_the_policy_and_for_the_tables(self, world: SweptWorld) -> None:
        """What is young comes by itself; what the tables do not show yet may be there."""
        _, event = world.offered("young", BLUEPRINT)
        world.settle_down()
        now = clock.now()
        young = Sweep(world.settings)
        assert [young.look(now=now), young.look(now=now)] == [0, 0]
        behind = Sweep(world.settings)
        behind.look(now=now + timedelta(hours=1))
        assert behind._mark is not None
        ends = {
            topic: {number: end + 1 for number, end in by_number.items()}
            for topic, by_number in behind._mark.ends.items()
        }
        behind._mark = Mark(behind._mark.noted_at, ends)
        assert behind.look(now=now + timedelta(hours=1)) == 0
        assert world.charge(event.detection) == []
        assert world.look() == 1

    def test_are_limited_and_all_come_in_turn(
        self, world: SweptWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However few rows a look takes, and however many of them need nothing."""
        monkeypatch.setattr(sweep, "ROWS_MAX", 2)
        monkeypatch.setattr(sweep, "FOUND_MAX", 1)
        events = [world.offered(f"limited-{number}", BLUEPRINT)[1] for number in range(3)]
        looks: list[int] = []
        while sum(looks) < len(events):
            looks.append(world.look())
            assert looks[-1] <= 1
            assert len(looks) < 30
        assert {*itertools.chain(*(world.charge(event.detection) for event in events))} == {
            "requested"
        }
        while any(walk.cursor for walk in world.sweep._walks):
            assert world.look() == 0  # all round, for the tests that follow


class TestWithdrawals:
    def test_are_sent_once_for_a_charge_whose_detection_ended(self, world: SweptWorld) -> None:
        """Nobody can approve what no longer holds."""
        customer, event = world.offered("fallen", BLUEPRINT)
        world.follow([event])
        world.report("fallen", customer=customer)
        assert [world.look(), world.look()] == [1, 0]
        assert world.charge(event.detection) == ["withdrawn"]

    def test_are_sent_again_when_the_first_came_before_its_request(
        self, world: SweptWorld
    ) -> None:
        """Its refusal is for good; the second has an id of its own."""
        customer, event = world.offered("crossed", BLUEPRINT)
        world.report("crossed", customer=customer)
        _, ended = world.events("crossed")
        assert isinstance(ended, Ended)
        world.follow([ended, event])
        world.settle_down()
        assert world.charge(event.detection) == ["requested"]
        assert [world.look(), world.look()] == [1, 0]
        assert world.charge(event.detection) == ["withdrawn"]

    def test_give_a_reversed_charge_back(self, world: SweptWorld) -> None:
        """Paid and told, then reversed: the refund, and its news, are both caught up on."""
        event = world.captured("returned", BLUEPRINT)
        assert world.look() == 1
        world.report("returned", customer=event.customer)
        assert [world.look(), world.look(), world.look()] == [1, 1, 0]
        assert world.charge(event.detection) == ["refunded"]
        assert world.tier("returned") == ("idle", "refunded")
        assert world.rows(
            "SELECT available, held FROM wallet WHERE customer = %s", event.customer
        ) == [(100, 0)]


class TestSettlements:
    def test_tell_once_that_a_tier_is_paid_and_then_that_it_is_refunded(
        self, world: SweptWorld
    ) -> None:
        """Each in its look, and together when both were missed."""
        event = world.captured("paid", BLUEPRINT)
        assert [world.look(), world.look()] == [1, 0]
        assert world.tier("paid") == ("charged", "charged")
        world.command("RefundCharge", charge=event.detection, reason="goodwill")
        fresh = Sweep(world.settings)  # remembers nothing: what was told is seen in the tables
        assert [world.look(fresh) for _ in range(3)] == [0, 1, 0]
        assert world.tier("paid") == ("refunded", "refunded")

        event = world.captured("both", BLUEPRINT)
        world.command("RefundCharge", charge=event.detection, reason="goodwill")
        assert [world.look(), world.look()] == [2, 0]
        assert world.tier("both") == ("refunded", "refunded")

    def test_leave_a_partial_refund_alone(self, world: SweptWorld) -> None:
        """The tier stays paid."""
        event = world.captured("part", BLUEPRINT)
        world.command("RefundCharge", charge=event.detection, credits=1, reason="goodwill")
        assert [world.look(), world.look()] == [1, 0]
        assert world.tier("part") == ("charged", "charged")

    def test_tell_of_a_decline(self, world: SweptWorld) -> None:
        """The tier then waits for a fall and a rise; here it is one of a lone node."""
        _, event = world.offered("", BLUEPRINT)
        world.follow([event])
        world.command("DeclineCharge", charge=event.detection)
        assert [world.look(), world.look()] == [1, 0]
        assert world.tier("") == ("declined", "declined")

    def test_tell_of_a_request_the_books_refused(self, world: SweptWorld) -> None:
        """The tier can be offered again with the next report."""
        world.report("unknown", BLUEPRINT, customer="nobody")
        assert [world.look(), world.look(), world.look()] == [1, 1, 0]
        assert world.tier("unknown") == ("unbilled", "unbilled")

    def test_tell_of_an_earlier_detection_that_was_paid(self, world: SweptWorld) -> None:
        """Paid before it was superseded: the bundle that took its place gives way."""
        event = world.captured("raced", BLUEPRINT)
        world.report("raced", *SINGLES, customer=event.customer)
        world.settle_down()
        assert world.tier("raced") == ("superseded", "")
        assert world.look() == 2  # the news, and the request for the bundle, which is refused
        assert world.tier("raced") == ("charged", "charged")
        assert world.tier("raced", BUNDLE)[0] == "superseded"
        # The other tiers are offered one by one now, and nobody was asked for them.
        assert [world.look(), world.look()] == [3, 0]

    def test_tell_of_one_that_was_followed_by_another(self, world: SweptWorld) -> None:
        """Paid, superseded by a bundle that ran out of time, and then offered again."""
        first = world.captured("followed", BLUEPRINT)
        world.report("followed", *SINGLES, customer=first.customer)
        *_, bundle = world.events("followed")
        assert isinstance(bundle, Detected)
        expired = DetectionSettled(*bundle.key, bundle.detection, "expired", clock.now_ms())
        world.nodes.send_all([settlement_event(expired)])
        world.report("followed", BLUEPRINT, customer=first.customer)
        world.settle_down()
        assert world.tier("followed") == ("detected", "")
        assert world.look() == 2  # the news, and a request that the books refuse
        assert world.tier("followed") == ("charged", "charged")
        assert world.look() == 0

    def test_that_the_fold_ignores_are_sent_once(self, world: SweptWorld) -> None:
        """A row that waits for news no fold will take must not be told it every 30 seconds."""
        event = world.captured("ghostly", BLUEPRINT)
        assert world.look() == 1
        with postgres.connect(world.settings, role="projector", autocommit=True) as connection:
            change = "UPDATE emergence_tier SET settled = %s WHERE detection = %s"
            connection.execute(change, ("", event.detection))
            fresh = Sweep(world.settings)
            before = world.log_ends()
            assert [world.look(fresh) for _ in range(4)] == [0, 1, 0, 0]
            assert world.log_ends() == before + 1
            connection.execute(change, ("charged", event.detection))


class TestSending:
    def test_that_fails_is_done_again(
        self, world: SweptWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No walk goes on before what it found is with the broker."""
        monkeypatch.setattr(sweep, "ROWS_MAX", 1)
        fresh = Sweep(world.settings)
        world.look(fresh)
        _, event = world.offered("retried", BLUEPRINT)
        commands = fresh._commands

        class Away:
            """A sender without a broker."""

            def send_all(self, _: object) -> None:
                raise Retryable(Code.BROKER_AWAY, "away", retry_after_ms=1)

        for _ in range(50):  # walks come to the offer one row at a time
            fresh._commands = Away()  # type: ignore[assignment]
            stood = [walk.cursor for walk in fresh._walks]
            try:
                assert world.look(fresh) == 0
            except Retryable:
                assert stood == [walk.cursor for walk in fresh._walks]
                break
        fresh._commands = commands
        assert world.look(fresh) == 1
        assert world.charge(event.detection) == ["requested"]

    def test_is_counted(self, world: SweptWorld) -> None:
        """Operators see that a policy missed something, and what."""

        def count() -> float | None:
            name = "tidegauge_sweep_sent_total"
            return REGISTRY.get_sample_value(name, {"kind": "RequestCharge"})

        before = count() or 0
        world.offered("counted", BLUEPRINT)
        assert world.look() == 1
        assert count() == before + 1


class TestQueries:
    def test_walk_through_indexes(self, world: SweptWorld) -> None:
        """Pages are read in the order of an index: nothing is sorted, no table is read whole."""
        stretch = Stretch(BEGINNING, clock.now(), 100, 10)
        expected = (
            "emergence_tier_detected_at_tenant_detection_idx",
            "emergence_detection_ended_at_tenant_detection_idx",
            "charge_coalesce_tenant_charge_idx",
        )
        with postgres.connect(world.settings, role="projector") as connection:
            limit_queries(connection)
            connection.execute("SET enable_bitmapscan = off")  # of small tables only
            for query, index in zip(overlooked.WALKS, expected, strict=True):
                plan = connection.execute("EXPLAIN " + query, parameters_of(stretch)).fetchall()
                text = "\n".join(line for (line,) in plan)
                assert index in text, text
                assert "Seq Scan" not in text, text

    def test_build_the_policy_s_own_command(self, world: SweptWorld) -> None:
        """Byte for byte, from the tables, whatever the names are."""
        customer = world.customer()
        world.report("Türme & \u2028", BLUEPRINT, customer=customer, node="Knoten \U0001f3e0")
        world.settle_down()
        (event,) = [
            event for event in world.events("Türme & \u2028") if isinstance(event, Detected)
        ]
        with postgres.connect(world.settings, role="projector") as connection:
            found = overlooked.unasked_offers(
                connection, Stretch(BEGINNING, clock.now() + timedelta(hours=1), 1_000, 100)
            )
        assert [wishes.request(row) for row in found.rows] == [wishes.request(event)]
        assert world.look() == 1
