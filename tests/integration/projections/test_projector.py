"""Projector processes on a real broker: kills, rivals, pauses, and a database that goes away."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from projections.rebuild import dump_hash, rebuild
from runtime.kafka import new_producer
from runtime.settings import Settings
from tests.support.processes import TIDEGAUGE, Child, environment_of
from tests.support.tables import (
    await_log,
    intake_of,
    next_offsets,
    rows,
    truth_of,
    wait_until,
    windows_of,
)
from tests.support.usage_log import UsageLog

StartProjector = Callable[..., Child]
EXIT_WAIT_S = 40


@pytest.fixture
def log() -> UsageLog:
    log = UsageLog(partitions=2)
    log.grow(records=15)
    return log


@pytest.fixture
def start(piped_settings: Settings, tmp_path: Path) -> Iterator[StartProjector]:
    """Starts `tidegauge project`; what still runs at the end of the test is killed."""
    children: list[Child] = []

    def start(**more: str) -> Child:
        settings = {
            "kafka": piped_settings.kafka,
            "kafka_session_timeout_ms": str(piped_settings.kafka_session_timeout_ms),
            "partitions": str(piped_settings.partitions),
            "database_url": piped_settings.database_url.get_secret_value(),
            **more,
        }
        child = Child(
            name=f"projector-{len(children)}",
            command=[str(TIDEGAUGE), "project"],
            environment=environment_of(settings),
            log=tmp_path / f"projector-{len(children)}.log",
            cwd=tmp_path,
        )
        child.start()
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()


def _assert_right(settings: Settings, log: UsageLog) -> None:
    assert windows_of(settings) == truth_of(log)
    assert intake_of(settings) == log.intake


class TestProjector:
    def test_keeps_up_and_ends_when_asked(
        self, piped_settings: Settings, log: UsageLog, start: StartProjector
    ) -> None:
        projector = start()
        log.send(piped_settings)
        await_log(piped_settings, log)
        sent = len(log.facts[0])
        log.grow(records=5)
        log.send(piped_settings, start=sent)
        await_log(piped_settings, log)
        assert projector.stop(timeout_s=10) == 0, projector.tail()
        _assert_right(piped_settings, log)

    def test_counts_once_what_comes_often_to_rivals(
        self, piped_settings: Settings, log: UsageLog, start: StartProjector
    ) -> None:
        """Every facts record three times, two projectors, one of them joining in the middle."""
        first = start(projector_rows_max="200")
        log.send(piped_settings, times=3)
        wait_until(lambda: bool(next_offsets(piped_settings, "usage.facts")), what="begun")
        second = start(projector_rows_max="500")
        wait_until(lambda: "projector.placed" in second.output(), what="joined")
        await_log(piped_settings, log)
        assert [first.stop(), second.stop()] == [0, 0]
        _assert_right(piped_settings, log)

    @pytest.mark.parametrize("failpoint", ["projector.before_commit", "projector.after_commit"])
    def test_survives_a_kill_at(
        self, piped_settings: Settings, log: UsageLog, start: StartProjector, failpoint: str
    ) -> None:
        log.send(piped_settings)
        killed = start(failpoint=f"{failpoint}:3", projector_rows_max="300")
        assert killed.wait(EXIT_WAIT_S) == -signal.SIGKILL, killed.tail()
        start()
        await_log(piped_settings, log)
        _assert_right(piped_settings, log)

    def test_that_was_frozen_does_no_harm_when_it_wakes(
        self, piped_settings: Settings, log: UsageLog, start: StartProjector
    ) -> None:
        zombie = start()
        log.send(piped_settings)
        await_log(piped_settings, log)
        zombie.pause()
        successor = start()
        sent = len(log.facts[0])
        log.grow(records=5)
        log.send(piped_settings, start=sent)
        await_log(piped_settings, log)
        zombie.go_on()
        sent = len(log.facts[0])
        log.grow(records=5)
        log.send(piped_settings, start=sent)
        await_log(piped_settings, log)
        assert [zombie.stop(), successor.stop()] == [0, 0], zombie.tail()
        _assert_right(piped_settings, log)


class TestDatabaseAway:
    def test_waits_and_goes_on(
        self,
        piped_settings: Settings,
        log: UsageLog,
        start: StartProjector,
        database_admin_url: str,
    ) -> None:
        projector = start()
        log.send(piped_settings)
        await_log(piped_settings, log)
        name = rows(piped_settings, "SELECT current_database()")[0][0]
        with psycopg.connect(database_admin_url, autocommit=True) as server:
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            sent = len(log.facts[0])
            log.grow(records=5)
            log.send(piped_settings, start=sent)
            wait_until(lambda: projector.output().count("projector.waits") >= 3, what="noticed it")
            assert projector.is_running
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await_log(piped_settings, log)
        _assert_right(piped_settings, log)

    def test_ends_in_time_without_a_broker_either(self, start: StartProjector) -> None:
        projector = start(kafka="127.0.0.1:1")
        wait_until(lambda: "projector.started" in projector.output(), what="started")
        assert projector.stop(timeout_s=10) == 0, projector.tail()

    def test_ends_in_time_when_asked_meanwhile(
        self, piped_settings: Settings, start: StartProjector
    ) -> None:
        projector = start(database_url="postgresql://nobody@127.0.0.1:1/none")
        wait_until(lambda: "projector.waits" in projector.output(), what="noticed it")
        assert projector.stop(timeout_s=10) == 0, projector.tail()


class TestFatal:
    def test_a_gap_in_the_facts_stops_it(
        self, piped_settings: Settings, log: UsageLog, start: StartProjector
    ) -> None:
        del log.facts[1][4]
        log.send(piped_settings)
        projector = start()
        assert projector.wait(EXIT_WAIT_S) == 1, projector.tail()
        assert "facts_gap" in projector.output()
        assert "restore the facts topic" in projector.output()

    def test_a_foreign_record_stops_it(
        self, piped_settings: Settings, start: StartProjector
    ) -> None:
        producer = new_producer(piped_settings)
        producer.produce("usage.facts", b"garbage", partition=0)
        assert producer.flush(10) == 0
        projector = start()
        assert projector.wait(EXIT_WAIT_S) == 1, projector.tail()
        assert "state_corrupt" in projector.output()

    def test_a_log_shorter_than_the_position_stops_it(
        self, piped_settings: Settings, start: StartProjector
    ) -> None:
        """The topic was made anew under a database that has more."""
        with psycopg.connect(piped_settings.database_url.get_secret_value()) as connection:
            connection.execute(
                "INSERT INTO tidegauge.position VALUES ('usage.facts', 0, 900, 90, NULL)"
            )
        projector = start()
        assert projector.wait(EXIT_WAIT_S) == 1, projector.tail()
        assert "log_truncated" in projector.output()

    def test_another_partition_count_stops_it(self, start: StartProjector) -> None:
        projector = start(partitions="3")
        assert projector.wait(EXIT_WAIT_S) == 1, projector.tail()
        assert "topic_mismatch" in projector.output()


class TestRebuild:
    def test_gives_the_same_bytes(
        self, piped_settings: Settings, log: UsageLog, start: StartProjector
    ) -> None:
        """Into another schema with other batches, then over itself."""
        projector = start()
        log.send(piped_settings, times=2)
        await_log(piped_settings, log)
        assert projector.stop() == 0
        live = dump_hash(piped_settings)
        other = piped_settings.model_copy(
            update={"database_schema": "again", "projector_rows_max": 300}
        )
        counts = rebuild(other)
        assert counts["usage.facts"] == next_offsets(piped_settings, "usage.facts")
        assert dump_hash(other) == live
        rebuild(piped_settings)
        assert dump_hash(piped_settings, "tidegauge") == live
        _assert_right(piped_settings, log)

    def test_may_happen_under_a_running_projector(
        self, piped_settings: Settings, log: UsageLog, start: StartProjector
    ) -> None:
        projector = start(projector_rows_max="200")
        log.send(piped_settings)
        wait_until(lambda: bool(next_offsets(piped_settings, "usage.facts")), what="begun")
        rebuild(piped_settings)
        sent = len(log.facts[0])
        log.grow(records=5)
        log.send(piped_settings, start=sent)
        await_log(piped_settings, log)
        assert projector.stop() == 0, projector.tail()
        _assert_right(piped_settings, log)

    def test_notices_one_changed_row(
        self, piped_settings: Settings, log: UsageLog, owner: psycopg.Connection
    ) -> None:
        log.send(piped_settings)
        rebuild(piped_settings)
        before = dump_hash(piped_settings)
        owner.execute(
            "UPDATE usage_window SET sum = sum + 0.000000001 WHERE (tenant, series, hour) = "
            "(SELECT tenant, series, hour FROM usage_window LIMIT 1)"
        )
        after = dump_hash(piped_settings)
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {"usage_window", "total"}, json.dumps(after)
