"""The connection of a query: read only, bounded in time, and clear about what is missing."""

from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import exc

from domain.codes import Code
from domain.errors import Retryable
from projections.queries import connection as connections
from projections.queries import health
from projections.queries.connection import tenant_connection
from runtime import postgres
from runtime.settings import Settings
from runtime.web.key_store import secret_connection
from tests.support.api_world import ReachableLog, api_client, settings_on


@pytest.fixture
def engine(settings: Settings) -> Iterator[sqlalchemy.Engine]:
    engine = postgres.new_engine(settings, role="app")
    yield engine
    engine.dispose()


def _driver_of(connection: sqlalchemy.Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


class TestTenantConnection:
    def test_never_writes(self, engine: sqlalchemy.Engine) -> None:
        with (
            pytest.raises(exc.InternalError, match="read-only transaction"),
            tenant_connection(engine, tenant="t") as connection,
        ):
            connection.execute(sqlalchemy.text("CREATE TEMP TABLE x (y int)"))

    def test_ends_a_statement_that_takes_too_long(
        self, engine: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "STATEMENT_TIMEOUT_MS", 50)
        with (
            pytest.raises(Retryable) as raised,
            tenant_connection(engine, tenant="t") as connection,
        ):
            connection.execute(sqlalchemy.text("SELECT pg_sleep(5)"))
        assert raised.value.code is Code.NOT_READY

    def test_ends_a_statement_of_the_driver_that_takes_too_long(
        self, engine: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Windows are read beside the engine: what the driver says is translated as well."""
        monkeypatch.setattr(connections, "STATEMENT_TIMEOUT_MS", 50)
        with (
            pytest.raises(Retryable) as raised,
            tenant_connection(engine, tenant="t") as connection,
        ):
            _driver_of(connection).execute("SELECT pg_sleep(5)")
        assert raised.value.code is Code.NOT_READY

    def test_leaves_no_tenant_behind(self, engine: sqlalchemy.Engine) -> None:
        """A pooled connection forgets its tenant with its transaction."""
        with tenant_connection(engine, tenant="t"):
            pass
        with engine.connect() as connection:
            left = connection.execute(
                sqlalchemy.text("SELECT current_setting('tidegauge.tenant', true)")
            ).scalar_one()
        assert not left

    def test_sees_every_table_it_needs(self, engine: sqlalchemy.Engine) -> None:
        with tenant_connection(engine, tenant="t") as connection:
            assert health.missing_tables(connection) == ()

    def test_speaks_as_a_role_that_owns_nothing(self, engine: sqlalchemy.Engine) -> None:
        with tenant_connection(engine, tenant="t") as connection:
            role, owned = connection.execute(
                sqlalchemy.text(
                    "SELECT current_user, (SELECT count(*) FROM pg_class"
                    " WHERE relowner = current_user::regrole)"
                )
            ).one()
        assert (role, owned) == ("tidegauge_app", 0)


class TestSecretConnection:
    def test_sees_no_tenants_rows(self, engine: sqlalchemy.Engine) -> None:
        with secret_connection(engine, secret_sha256="0" * 64) as connection:
            for table in ("customer", "invoice", "api_key", "usage_window"):
                count = connection.execute(sqlalchemy.text(f"SELECT count(*) FROM {table}"))
                assert count.scalar_one() == 0


class TestReadiness:
    def test_names_the_tables_that_a_migration_would_make(self, fresh_database: str) -> None:
        """Before the first migration the process is up, and not ready."""
        with api_client(settings_on(fresh_database), ReachableLog()) as client:
            answer = client.get("/readyz")
            alive = client.get("/healthz")

        assert alive.status_code == 200
        assert answer.status_code == 503
        assert answer.json()["status"] == "not_ready"
        assert answer.json()["parts"]["migrations"] != "ok"

    def test_is_given_when_all_parts_answer(self, settings: Settings) -> None:
        with api_client(settings, ReachableLog()) as client:
            answer = client.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ok",
            "parts": {"database": "ok", "migrations": "ok", "kafka": "ok"},
        }
