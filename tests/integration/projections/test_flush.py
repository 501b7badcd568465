"""Flushes: whatever the batches, the repeats and the rivals, the tables say what happened once."""

import random
import threading

import numpy as np
import psycopg
import pytest

from domain.errors import Retryable
from projections import copy_binary, usage_windows
from projections import migrate as migration
from projections.dump import dump_hash
from projections.flush import Database
from projections.position import Position
from projections.span import Intake
from projections.usage_binding import UsageBinding
from runtime.postgres import NOTIFY_CHANNEL
from runtime.settings import Settings
from tests.support.tables import intake_of, rows, truth_of, windows_of
from tests.support.usage_log import UsageLog


@pytest.fixture
def log() -> UsageLog:
    log = UsageLog(partitions=2)
    log.grow(records=12)
    return log


def _project(
    settings: Settings,
    log: UsageLog,
    *,
    per_flush: int,
    repeats: int = 1,
    knows_new: bool = True,
    may_copy: bool = True,
) -> None:
    """Project a log, so many records of each partition in one flush."""
    binding = UsageBinding()
    binding._windows._knows_new = knows_new
    database = Database(settings, binding)
    positions = database.place(tuple(log.facts))
    assert binding._windows._may_copy  # the role of the tests may do everything
    binding._windows._may_copy = may_copy
    intakes = {
        number: Intake(binding, partition=number, position=at) for number, at in positions.items()
    }
    streams = [(number, list(log.wires(number))) for number in log.facts]
    for start in range(0, max(len(wires) for _, wires in streams), per_flush):
        for number, wires in streams:
            for offset in range(start, min(start + per_flush, len(wires))):
                for _ in range(repeats):
                    intakes[number].take(wires[offset], facts_offset=offset)
        spans = {number: span for number, each in intakes.items() if (span := each.drain())}
        assert not database.flush(spans).stale
    database.close()


class TestWindows:
    @pytest.mark.parametrize("per_flush", [1, 5, 100])
    def test_are_what_a_plain_count_gives(
        self, settings: Settings, log: UsageLog, per_flush: int
    ) -> None:
        _project(settings, log, per_flush=per_flush)
        assert windows_of(settings) == truth_of(log)
        assert intake_of(settings) == log.intake
        assert rows(settings, "SELECT sum(events)::bigint FROM reject") == [(log.refused,)]

    def test_are_the_same_without_timescaledb(
        self, fresh_database: str, log: UsageLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(migration, "_HYPERTABLES_READY", "SELECT false")
        settings = Settings.model_validate({"database_url": fresh_database, "partitions": 2})
        migration.migrate(settings)
        _project(settings, log, per_flush=3)
        assert windows_of(settings) == truth_of(log)

    def test_do_not_depend_on_batches_repeats_or_shortcuts(
        self, settings: Settings, log: UsageLog
    ) -> None:
        hashes = set()
        for number, how in enumerate(
            (
                {"per_flush": 1},
                {"per_flush": 4, "repeats": 3},
                {"per_flush": 100},
                {"per_flush": 2, "knows_new": False},
                {"per_flush": 3, "may_copy": False},
            )
        ):
            own = settings.model_copy(update={"database_schema": f"variant_{number}"})
            migration.migrate(own)
            _project(own, log, **how)  # type: ignore[arg-type]
            hashes.add(tuple(sorted(dump_hash(own).items())))
        assert len(hashes) == 1

    def test_never_add_up_beyond_what_int64_holds(
        self, settings: Settings, log: UsageLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Records whose sums might overflow together are merged in parts."""
        monkeypatch.setattr(usage_windows, "UNITS_PER_PART_MAX", 10**14)
        _project(settings, log, per_flush=100)
        assert windows_of(settings) == truth_of(log)

    def test_go_on_after_a_window_held_to_be_new_was_not(
        self, settings: Settings, log: UsageLog, owner: psycopg.Connection
    ) -> None:
        """A shortcut that was wrong costs one try, never a figure."""
        _project(settings, log, per_flush=100)
        log.grow(records=1)
        owner.execute("UPDATE position SET hour_high = NULL")
        binding = UsageBinding()
        database = Database(settings, binding)
        for expected_failure in (True, False):
            intakes = {
                number: Intake(binding, partition=number, position=at)
                for number, at in database.place((0, 1)).items()
            }
            if expected_failure:
                binding._windows._fresh._slots[:] = False
            for number, intake in intakes.items():
                *_, last = log.wires(number)
                intake.take(last, facts_offset=99)
            spans = {number: span for number, each in intakes.items() if (span := each.drain())}
            if expected_failure:
                with pytest.raises(Retryable, match="held to be new"):
                    database.flush(spans)
            else:
                database.flush(spans)
        database.close()
        assert windows_of(settings) == truth_of(log)


class TestRivals:
    def test_count_nothing_twice(self, settings: Settings, log: UsageLog) -> None:
        """Projectors of the same partitions race record by record; each flush has one winner."""
        errors: list[BaseException] = []
        threads = [
            threading.Thread(target=self._race, args=(settings, log, seed, errors))
            for seed in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert windows_of(settings) == truth_of(log)
        assert intake_of(settings) == log.intake

    @staticmethod
    def _race(settings: Settings, log: UsageLog, seed: int, errors: list[BaseException]) -> None:
        draw = random.Random(seed)
        binding = UsageBinding()
        database = Database(settings, binding)
        wires = {number: list(log.wires(number)) for number in log.facts}
        try:
            behind = set(wires)
            while behind:
                intakes = {
                    number: Intake(binding, partition=number, position=at)
                    for number, at in database.place(tuple(behind)).items()
                }
                behind = set()
                for number, intake in intakes.items():
                    start = intake.position.facts_offset + 1
                    for offset in range(
                        start, min(start + draw.randint(1, 3), len(wires[number]))
                    ):
                        intake.take(wires[number][offset], facts_offset=offset)
                        behind.add(number)
                spans = {
                    number: span for number, each in intakes.items() if (span := each.drain())
                }
                if spans:
                    database.flush(spans)
        except Exception as error:  # noqa: BLE001 -- the test's thread reports it
            errors.append(error)
        finally:
            database.close()


class TestFlush:
    def test_writes_nothing_for_a_partition_somebody_else_moved(
        self, settings: Settings, log: UsageLog, owner: psycopg.Connection
    ) -> None:
        binding = UsageBinding()
        database = Database(settings, binding)
        intake = Intake(binding, partition=0, position=database.place((0,))[0])
        intake.take(next(log.wires(0)), facts_offset=0)
        owner.execute("INSERT INTO position VALUES ('usage.facts', 0, 77, 5, NULL)")
        span = intake.drain()
        assert span is not None
        assert database.flush({0: span}).stale == (0,)
        assert database.place((0,)) == {0: Position(77, 5)}
        assert rows(settings, "SELECT count(*) FROM intake_count") == [(0,)]
        database.close()

    def test_tells_listeners(
        self, settings: Settings, log: UsageLog, owner: psycopg.Connection
    ) -> None:
        owner.execute(f"LISTEN {NOTIFY_CHANNEL}".encode())
        _project(settings, log, per_flush=100)
        payloads = [notice.payload for notice in owner.notifies(timeout=5, stop_after=1)]
        assert payloads == ["tidegauge usage.facts"]

    def test_says_when_the_database_is_away(self, log: UsageLog) -> None:
        nobody = Settings.model_validate(
            {"database_url": "postgresql://nobody@127.0.0.1:1/none", "partitions": 2}
        )
        with pytest.raises(Retryable, match="database_away"):
            Database(nobody, UsageBinding()).place((0,))

    def test_says_when_the_schema_is_away(self, settings: Settings) -> None:
        migration.drop_schema(settings)
        with pytest.raises(Retryable, match="tidegauge migrate"):
            Database(settings, UsageBinding()).place((0,))

    def test_reads_numerics_as_the_server_writes_them(self, owner: psycopg.Connection) -> None:
        """What we send is stored in the canonical form: equal values have equal bytes."""
        owner.execute("CREATE TEMP TABLE sent (value numeric(38, 9))")
        units = np.array([0, 1, 10_000, 2**63 - 1, -1], dtype=np.int64)
        nanos = np.array([0, 500_000_000, 0, 999_999_999, 999_999_999], dtype=np.int32)
        made = copy_binary.RowFormat({"value": copy_binary.Kind.QUANTITY}).rows(5)
        copy_binary.put_quantities(made["value"], units, nanos)
        with owner.cursor().copy("COPY sent FROM STDIN (FORMAT BINARY)") as copy:
            for block in copy_binary.payload(made):
                copy.write(block)
        texts = [text for (text,) in owner.execute("SELECT value::text FROM sent")]
        assert texts == [
            "0.000000000",
            "1.500000000",
            "10000.000000000",
            "9223372036854775807.999999999",
            "-0.000000001",
        ]
        same = "numeric_send(value) = numeric_send(value::text::numeric(38, 9))"
        query = f"SELECT bool_and({same}) FROM sent".encode()
        assert owner.execute(query).fetchone() == (True,)
