"""Node events on the real broker: folded, projected into tables, killed, restored and rebuilt."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from domain.acceptance import accepts
from domain.canonical import to_canonical_json
from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.emergence.check import check
from domain.emergence.facts import EmergenceFacts
from domain.emergence.project import Project
from domain.emergence.records import DetectionSettled, NodeReported
from domain.routing import partition_of
from projections import rebuild
from projections.projector import run_projector
from projections.queries import emergence
from projections.queries.connection import tenant_connection
from runtime import clock
from runtime.commands import CommandSender
from runtime.kafka import new_consumer, new_producer, partition_ends, read_partition
from runtime.postgres import new_engine
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from schemas.emergence_wire import from_wire_emergence_facts
from schemas.node_wire import (
    NodeReport,
    to_wire_emergence_settled,
    to_wire_node_updated,
    to_wire_pulse_received,
)
from schemas.topics import EMERGENCE_FACTS_TOPIC, NODE_EVENTS
from streams.emergence import EmergenceBinding
from streams.engine import FoldEngine
from tests.support.emergence_world import (
    BUNDLE,
    CUSTOMER,
    PROJECT,
    SINGLES,
    TENANT,
    node_data,
    s0,
)
from tests.support.tables import next_offsets, rows
from tests.support.topics import fresh_topics

PARTITIONS = 2
TIMEOUT_S = 90
BLUEPRINT, BOM, COMPLIANCE, INVESTMENT = SINGLES


@dataclass
class Pipeline:
    """Topics, a database, and whoever works on them."""

    settings: Settings

    def __post_init__(self) -> None:
        self._producer = new_producer(self.settings)
        self.turn = 0

    def send(self, value: bytes, project: str = PROJECT) -> None:
        """Append one record of node.events and wait for the broker."""
        partition = partition_of(TENANT, project, partitions=PARTITIONS)
        self._producer.produce(NODE_EVENTS.name, value, TENANT.encode(), partition=partition)
        assert self._producer.flush(30) == 0

    def report(self, *tiers: str, project: str = PROJECT, node: str = "a", data: str = "") -> None:
        """Report a node, later than before."""
        self.send(
            to_wire_node_updated(self.envelope(project, data or node_data(*tiers)), node=node),
            project,
        )

    def envelope(self, project: str, data: str) -> NodeReport:
        """What node events have in common."""
        self.turn += 1
        now_ms = clock.now_ms() + self.turn
        return NodeReport(TENANT, project, f"d{self.turn}", now_ms, "node-update", data)

    def fold(self, *, group: str = "", settings: Settings | None = None) -> None:
        """Run one engine until everything that was sent is folded."""
        shutdown = Shutdown()
        timer = threading.Timer(TIMEOUT_S, shutdown.request)
        timer.start()
        engine: FoldEngine[Any, EmergenceFacts] = FoldEngine(
            settings or self.settings,
            EmergenceBinding(self.settings),
            shutdown,
            group=group,
        )
        try:
            engine.run(until=self.ends())
            assert not shutdown.is_requested, "the fold did not come to the end in time"
        finally:
            timer.cancel()

    def ends(self) -> dict[int, int]:
        """The end of every source partition."""
        consumer = new_consumer(self.settings, group="test")
        try:
            return {
                number: partition_ends(consumer, NODE_EVENTS.name, number)[1]
                for number in range(PARTITIONS)
            }
        finally:
            consumer.close()

    @contextmanager
    def projecting(self) -> Iterator[None]:
        """Run a projector meanwhile, and let it come to the end."""
        shutdown = Shutdown()
        thread = threading.Thread(
            target=run_projector, args=(self.settings, shutdown, ("emergence",))
        )
        thread.start()
        try:
            yield
            ends = {number: end for number, end in self.ends().items() if end}
            assert wait_until(
                lambda: next_offsets(self.settings, EMERGENCE_FACTS_TOPIC.name) == ends
            )
        finally:
            shutdown.request()
            thread.join(20)

    def ignored(self) -> int:
        """How many facts records the acceptance rule passes over."""
        ignored = 0
        for number in range(PARTITIONS):
            position = 0
            for message in read_partition(self.settings, EMERGENCE_FACTS_TOPIC, number):
                facts = from_wire_emergence_facts(message.value())
                span = {"from_offset": facts.from_offset, "to_offset": facts.to_offset}
                if accepts(position=position, **span):
                    position = facts.to_offset
                else:
                    ignored += 1
        return ignored

    def project(self, name: str = PROJECT) -> Project:
        """The project as the tables have it."""
        engine = new_engine(self.settings, role="app")
        try:
            with tenant_connection(engine, tenant=TENANT) as connection:
                found = emergence.find_project(connection, tenant=TENANT, project=name)
        finally:
            engine.dispose()
        assert found is not None
        return found


def wait_until(holds: Callable[[], bool]) -> bool:
    """Poll a condition; False when it never held."""
    pause = threading.Event()
    for _ in range(TIMEOUT_S * 20):
        if holds():
            return True
        pause.wait(0.05)
    return False


@pytest.fixture
def pipeline(kafka_bootstrap: str, migrated_database: str, tmp_path: Path) -> Pipeline:
    """Fresh topics and tables, S0's catalogue published."""
    settings = Settings(
        kafka=kafka_bootstrap,
        database_url=SecretStr(migrated_database),
        partitions=PARTITIONS,
        state_dir=tmp_path / "state",
        kafka_session_timeout_ms=6_000,
        fold_linger_ms=20,
        checkpoint_interval_ms=50,
    )
    fresh_topics(settings)
    CommandSender(settings, actor="test").publish_catalogue(
        tenant=TENANT, version=1, content=to_canonical_json(s0())
    )
    return Pipeline(settings)


DETECTIONS = (
    "SELECT project, code, generation, ended_how FROM emergence_detection ORDER BY 1, 2, 3"
)


class TestFolding:
    def test_leads_to_rows_and_a_project_that_judges_alike(self, pipeline: Pipeline) -> None:
        """Reports, a pulse, a refused report and a settlement; then a check on the tables."""
        pipeline.report(BLUEPRINT, BOM, COMPLIANCE)
        half = pipeline.envelope(PROJECT, '{"roi_complete": true}')
        pipeline.send(to_wire_pulse_received(half, pulse="p1", target_node="b"))
        pipeline.report(data='{"fit_score": "0,95"}', node="bad")
        pipeline.report(data=node_data(investment_node_resolved=True), node="b")
        pipeline.report(BLUEPRINT, project="bridge")
        with pipeline.projecting():
            pipeline.fold()
        assert rows(pipeline.settings, DETECTIONS) == [
            ("bridge", BLUEPRINT, 1, None),
            (PROJECT, BLUEPRINT, 1, "superseded"),
            (PROJECT, BOM, 1, "superseded"),
            (PROJECT, COMPLIANCE, 1, "superseded"),
            (PROJECT, BUNDLE, 1, None),
        ]  # fmt: skip
        refused = rows(pipeline.settings, "SELECT topic, code, reason FROM reject")
        assert [(NODE_EVENTS.name, Code.BAD_VALUE)] == [each[:2] for each in refused]
        assert "fit_score" in refused[0][2]
        activity = rows(
            pipeline.settings,
            "SELECT customer, project, sum(updates), sum(pulses) FROM node_activity"
            " GROUP BY 1, 2 ORDER BY 2",
        )
        assert activity == [(CUSTOMER, "bridge", 1, 0), (CUSTOMER, PROJECT, 2, 1)]

        project = pipeline.project()
        bundle = project.tier(BUNDLE).detection
        pipeline.send(
            to_wire_emergence_settled(
                DetectionSettled(TENANT, PROJECT, "", bundle, "charged", clock.now_ms())
            )
        )
        with pipeline.projecting():
            pipeline.fold()
        project = pipeline.project()
        catalogue = parse_catalogue(to_canonical_json(s0()))
        report = NodeReported(TENANT, PROJECT, "c", clock.now_ms(), node_data(BLUEPRINT))
        found = check(project=project, report=report, catalogue=catalogue, now_ms=clock.now_ms())
        assert (BLUEPRINT, BUNDLE) == (found.charged[0], found.charged[-1])
        assert found.offers == ()

    def test_goes_on_after_its_state_was_lost(self, pipeline: Pipeline) -> None:
        """With the checkpoint, without it, and elsewhere: every generation once."""
        state = Path(pipeline.settings.state_dir)
        elsewhere = pipeline.settings.model_copy(update={"state_dir": state / "elsewhere"})
        for number, settings in enumerate((None, None, elsewhere, None)):
            if number == 3:
                shutil.rmtree(state)
            for project in ("tower", "bridge", "dam"):
                pipeline.report(BLUEPRINT, project=project)
                pipeline.report(project=project)
            pipeline.fold(settings=settings)
        with pipeline.projecting():
            pipeline.fold()
        assert rows(pipeline.settings, DETECTIONS) == [
            (project, BLUEPRINT, generation, "reversed")
            for project in ("bridge", "dam", "tower")
            for generation in (1, 2, 3, 4)
        ]

    def test_is_not_disturbed_by_unfenced_others(self, pipeline: Pipeline, tmp_path: Path) -> None:
        """Three engines of different groups on the same partitions: the log arbitrates."""
        for number in range(60):
            pipeline.report(BLUEPRINT, project=f"project-{number % 5}")
            pipeline.report(project=f"project-{number % 5}")
        engines = [
            threading.Thread(
                target=pipeline.fold,
                kwargs={
                    "group": f"unfenced-{number}-{tmp_path.name}",
                    "settings": pipeline.settings.model_copy(
                        update={
                            "state_dir": tmp_path / str(number),
                            "fold_batch_events_max": 32 + 16 * number,
                            "fold_linger_ms": 0,
                        }
                    ),
                },
            )
            for number in range(3)
        ]
        for engine in engines:
            engine.start()
        for engine in engines:
            engine.join()
        with pipeline.projecting():
            pipeline.fold()
        assert pipeline.ignored() > 0, "no engine ever got in another's way: nothing was shown"
        assert rows(pipeline.settings, DETECTIONS) == [
            (f"project-{number}", BLUEPRINT, generation, "reversed")
            for number in range(5)
            for generation in range(1, 13)
        ]

    def test_is_rebuilt_to_the_same_bytes(self, pipeline: Pipeline) -> None:
        """Every table is a function of the facts."""
        pipeline.report(BLUEPRINT, data=node_data(BLUEPRINT, text="ä\0 % {}", deep=[{}]))
        pipeline.report(*SINGLES, node="b")
        pipeline.report(project="")
        with pipeline.projecting():
            pipeline.fold()
        before = rebuild.dump_hash(pipeline.settings)
        counts = rebuild.rebuild(pipeline.settings)
        assert sum(counts[EMERGENCE_FACTS_TOPIC.name].values()) == sum(pipeline.ends().values())
        assert rebuild.dump_hash(pipeline.settings) == before
        kept = rows(
            pipeline.settings, "SELECT data FROM emergence_node WHERE node = 'a' AND project <> ''"
        )
        assert json.loads(kept[0][0])["text"] == "ä\0 % {}"


class TestQueries:
    def test_page_through_projects_and_detections(self, pipeline: Pipeline) -> None:
        """Newest detections first; each page begins where the one before ended."""
        for number in range(5):
            pipeline.report(BLUEPRINT, project=f"p{number}")
        pipeline.report(BLUEPRINT, project="")
        with pipeline.projecting():
            pipeline.fold()
        engine = new_engine(pipeline.settings, role="app")
        with tenant_connection(engine, tenant=TENANT) as connection:
            first = emergence.list_projects(connection, limit=4, after=None)
            last = first.rows[-1]
            second = emergence.list_projects(
                connection, limit=4, after=(last.project, last.lone_node), customer=CUSTOMER
            )
            assert [row.project for row in (*first.rows, *second.rows)] == [
                "",
                *(f"p{n}" for n in range(5)),
            ]
            assert (True, False) == (first.has_more, second.has_more)
            assert {((BLUEPRINT,), (BLUEPRINT,), ())} == {
                (row.reached, row.open, row.charged) for row in first.rows
            }
            page = emergence.list_detections(connection, limit=6, after=None, customer=CUSTOMER)
            times = [(row.detected_at, row.detection) for row in page.rows]
            assert times == sorted(times, reverse=True)
            again = emergence.list_detections(connection, limit=6, after=times[2])
            assert again.rows == page.rows[3:]
            (mine,) = emergence.list_detections(
                connection, limit=6, after=None, project=("p3", "")
            ).rows
            assert emergence.find_detection(connection, detection=mine.detection) == mine
            assert emergence.find_detection(connection, detection="emg_no") is None
            (node,) = emergence.list_nodes(connection, project="p3")
            assert ("a", "0.95") == (node.node, node.values["fit_score"])
        with tenant_connection(engine, tenant="stranger") as connection:
            assert emergence.list_projects(connection, limit=9, after=None).rows == ()
            assert emergence.list_detections(connection, limit=9, after=None).rows == ()
            assert emergence.find_project(connection, tenant="stranger", project="p3") is None
        engine.dispose()
