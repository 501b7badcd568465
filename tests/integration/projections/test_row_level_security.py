"""The app's role sees one tenant's rows, and only when it says which; it writes nothing."""

from collections.abc import Iterator

import psycopg
import pytest

from runtime import postgres
from runtime.settings import Settings
from tests.support.usage_log import TENANTS

WITH_TENANT = """
    SELECT c.relname, CASE c.relkind
        WHEN 'v' THEN coalesce('security_invoker=true' = ANY (c.reloptions), false)
        ELSE c.relrowsecurity AND c.relforcerowsecurity END
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
    WHERE c.relnamespace = 'tidegauge'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
"""
UNIQUE_KEYS = """
    SELECT c.relname, a.attname FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'tidegauge'::regnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE i.indisunique AND c.relname NOT IN ('alembic_version', 'position')
"""


@pytest.fixture
def app(filled: Settings) -> Iterator[psycopg.Connection]:
    with postgres.connect(filled, role="app", autocommit=True) as connection:
        yield connection


def _tenants(connection: psycopg.Connection, table: str) -> set[str]:
    return {tenant for (tenant,) in connection.execute(f"SELECT tenant FROM {table}".encode())}


class TestCatalog:
    def test_forces_security_on_every_table_with_a_tenant(self, owner: psycopg.Connection) -> None:
        found: dict[str, bool] = dict(owner.execute(WITH_TENANT).fetchall())
        assert len(found) == 78
        assert [table for table, is_forced in found.items() if not is_forced] == []

    def test_leaves_the_apps_role_no_way_around(self, owner: psycopg.Connection) -> None:
        found = owner.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcanlogin, "
            "(SELECT count(*) FROM pg_class WHERE relowner = r.oid) "
            "FROM pg_roles r WHERE rolname = 'tidegauge_app'"
        ).fetchall()
        assert found == [(False, False, False, False, 0)]

    def test_puts_the_tenant_first_in_every_unique_key(self, owner: psycopg.Connection) -> None:
        wrong = [row for row in owner.execute(UNIQUE_KEYS).fetchall() if row[1] != "tenant"]
        assert wrong == []


class TestApp:
    @pytest.mark.parametrize("table", ["usage_window", "usage_series", "intake_count", "reject"])
    def test_sees_nothing_before_it_names_a_tenant(
        self, app: psycopg.Connection, table: str
    ) -> None:
        assert _tenants(app, table) == set()
        app.execute("SET tidegauge.tenant = ''")
        assert _tenants(app, table) == set()

    @pytest.mark.parametrize("table", ["usage_window", "usage_series", "intake_count", "reject"])
    @pytest.mark.parametrize("tenant", TENANTS)
    def test_sees_the_tenant_it_names(
        self, app: psycopg.Connection, table: str, tenant: str
    ) -> None:
        app.execute("SELECT set_config('tidegauge.tenant', %s, false)", (tenant,))
        assert _tenants(app, table) == {tenant}

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO customer VALUES ('acme', 'x', 'EUR', now())",
            "UPDATE usage_window SET sum = 0",
            "DELETE FROM reject",
            "TRUNCATE intake_count",
            "UPDATE position SET next_offset = 0",
        ],
    )
    def test_writes_nothing(self, app: psycopg.Connection, statement: str) -> None:
        app.execute("SET tidegauge.tenant = 'acme'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement.encode())

    def test_cannot_go_round_by_the_chunks(
        self, app: psycopg.Connection, owner: psycopg.Connection
    ) -> None:
        """A chunk has the table's grants but not its policies, so its schema is closed."""
        chunk = owner.execute("SELECT show_chunks('usage_window')::regclass::text").fetchone()
        assert chunk is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="schema"):
            app.execute(f"SELECT * FROM {chunk[0]}".encode())

    def test_finds_a_key_by_its_secret_before_it_knows_the_tenant(
        self, app: psycopg.Connection, owner: psycopg.Connection
    ) -> None:
        for tenant, secret in (("acme", "a" * 64), ("globex", "b" * 64)):
            owner.execute(
                "INSERT INTO api_key VALUES (%s, 'key_1', %s, 'label', '{}', now())",
                (tenant, secret),
            )
        assert _tenants(app, "api_key") == set()
        app.execute("SELECT set_config('tidegauge.secret_sha256', %s, false)", ("b" * 64,))
        assert _tenants(app, "api_key") == {"globex"}
        assert _tenants(app, "usage_window") == set()


class TestProjector:
    def test_cannot_delete(self, settings: Settings) -> None:
        with (
            postgres.connect(settings, role="projector") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("DELETE FROM usage_window")
