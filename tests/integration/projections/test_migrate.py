"""Migrations: on TimescaleDB and without it, from several processes, over again."""

import threading

import psycopg
import pytest

from domain.errors import Retryable
from projections import migrate as migration
from runtime.settings import Settings
from tests.support.tables import rows

HYPERTABLES = "SELECT hypertable_name, num_chunks FROM timescaledb_information.hypertables"


@pytest.fixture
def empty(fresh_database: str) -> Settings:
    return Settings.model_validate({"database_url": fresh_database, "partitions": 1})


class TestMigrate:
    def test_makes_the_windows_a_hypertable_in_weeks(self, empty: Settings) -> None:
        migration.migrate(empty)
        assert rows(empty, HYPERTABLES) == [("usage_window", 0)]
        interval = "SELECT time_interval::text FROM timescaledb_information.dimensions"
        assert rows(empty, interval) == [("7 days",)]

    def test_makes_a_plain_table_without_timescaledb(
        self, empty: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(migration, "_HYPERTABLES_READY", "SELECT false")
        migration.migrate(empty)
        assert rows(empty, "SELECT count(*) FROM usage_window") == [(0,)]
        extension = "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"
        assert rows(empty, extension) == [(0,)]

    def test_may_run_again(self, empty: Settings) -> None:
        migration.migrate(empty)
        migration.migrate(empty)
        assert rows(empty, "SELECT version_num FROM alembic_version") == [("0018",)]

    def test_may_run_in_many_processes_at_once(self, empty: Settings) -> None:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                migration.migrate(empty)
            except Exception as error:  # noqa: BLE001 -- the test's thread reports it
                errors.append(error)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []

    def test_keeps_two_schemas_of_a_database_apart(self, empty: Settings) -> None:
        other = empty.model_copy(update={"database_schema": "other"})
        migration.migrate(empty)
        migration.migrate(other)
        migration.drop_schema(other)
        assert rows(empty, "SELECT to_regnamespace('other')::text") == [(None,)]
        assert rows(empty, HYPERTABLES) == [("usage_window", 0)]

    def test_does_not_queue_up_readers_behind_a_locked_table(
        self, empty: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        migration.migrate(empty)
        monkeypatch.setattr(migration, "LOCK_WAIT_MS", 100)
        with psycopg.connect(empty.database_url.get_secret_value()) as reader:
            reader.execute("SELECT count(*) FROM tidegauge.customer")
            with pytest.raises(Retryable, match="lock timeout"):
                migration.drop_schema(empty)
