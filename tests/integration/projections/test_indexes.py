"""Indexes that demands ask for: foreign keys, and the newest of a tenant and of a customer."""

import json

import psycopg

from runtime import postgres
from runtime.settings import Settings

FOREIGN_KEYS = """
    SELECT c.conrelid::regclass::text, array(
        SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = key.number ORDER BY place)
    FROM pg_constraint c
    WHERE c.contype = 'f' AND c.connamespace = 'tidegauge'::regnamespace
"""
INDEXES = """
    SELECT i.indrelid::regclass::text, coalesce(pg_get_expr(i.indpred, i.indrelid), ''), array(
        SELECT a.attname::text
        FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.number ORDER BY place)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'tidegauge'::regnamespace
"""
EVERY_POSTING = "(leg = 0)"
"""A part of wallet_posting that has each posting once: its first leg."""
NEWEST = {
    "invoices": ("invoice", "issued_at"),
    "subscriptions": ("subscription", "created_at"),
    "payment": ("payment", "recorded_at"),
    "credit_note": ("credit_note", "issued_at"),
    "receipt": ("receipt", "issued_at"),
    "notification": ("notification", "booked_at"),
}
"""S4's tables, and others that lists show the newest of → the table below, and its time."""
VIEWS = frozenset({"invoices", "subscriptions"})


def plan_of(app: psycopg.Connection, query: str) -> str:
    """The plan of a query as a table of any size would have it, as JSON text."""
    app.execute("SET enable_seqscan = off")
    app.execute("SET enable_bitmapscan = off")
    app.execute("SELECT set_config('tidegauge.tenant', 'acme', false)")
    rows = app.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchone()
    assert rows is not None
    return json.dumps(rows[0])


def indexes_of(owner: psycopg.Connection) -> dict[str, list[list[str]]]:
    """The columns of each table's indexes; of part of a table only where that part is enough."""
    found: dict[str, list[list[str]]] = {}
    for table, condition, columns in owner.execute(INDEXES):
        if condition in {"", EVERY_POSTING}:
            found.setdefault(table, []).append(columns)
    return found


class TestForeignKeys:
    def test_s4_13_are_each_the_beginning_of_an_index(self, owner: psycopg.Connection) -> None:
        """A key that references is looked for from both sides."""
        indexes = indexes_of(owner)
        keys = owner.execute(FOREIGN_KEYS).fetchall()
        assert len(keys) > 10
        assert [] == [
            (table, columns)
            for table, columns in keys
            if not any(index[: len(columns)] == columns for index in indexes.get(table, []))
        ]


class TestNewest:
    def test_s4_13_have_an_index_by_tenant_customer_and_time(
        self, owner: psycopg.Connection
    ) -> None:
        """S4's tenant is our customer: its (tenant_id, created_at) is three columns here."""
        indexes = indexes_of(owner)
        assert [] == [
            table
            for table, time in NEWEST.values()
            if not any(index[:3] == ["tenant", "customer", time] for index in indexes[table])
        ]

    def test_s4_13_of_a_customer_come_in_the_order_of_an_index(self, settings: Settings) -> None:
        """Nothing is sorted, so the tenth page costs what the first does."""
        with postgres.connect(settings, role="app", autocommit=True) as app:
            for name, (_, time) in NEWEST.items():
                whose = "tenant_id" if name in VIEWS else "customer"
                order = "created_at" if name in VIEWS else time
                plan = plan_of(
                    app,
                    f"SELECT * FROM {name} WHERE {whose} = 'ann' ORDER BY {order} DESC LIMIT 20",
                )
                assert "Index Scan" in plan, name
                assert '"Sort"' not in plan, name

    def test_s4_13_usage_of_a_customer_and_time_comes_from_indexes(self, filled: Settings) -> None:
        """By series and hour; the hours bound the weeks that are looked at."""
        with postgres.connect(filled, role="app", autocommit=True) as app:
            plan = plan_of(
                app,
                "SELECT * FROM usage_logs WHERE tenant_id = 'ann'"
                " AND created_at >= '2020-01-01T00:00:00Z'",
            )
        assert "usage_series_tenant_customer_meter_idx" in plan
        assert "usage_window_pkey" in plan
        assert '"Seq Scan"' not in plan
