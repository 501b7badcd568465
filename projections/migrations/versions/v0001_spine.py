"""Positions, usage windows, intake, rejects, books; row level security on all that has a tenant.

Every row is a function of the facts topics: no clock, no sequence, no default that the database
would make up. Texts compare by code point, so an ordered dump is the same on every machine.
"""

from __future__ import annotations

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = 'text COLLATE "C" NOT NULL'

TABLES: dict[str, str] = {
    # How far each facts partition is projected. hour_high is the newest hour of any window of the
    # partition: a window of a later hour cannot exist yet.
    "position": f"""
        topic {TEXT},
        partition integer NOT NULL,
        next_offset bigint NOT NULL,
        facts_offset bigint NOT NULL,
        hour_high timestamptz,
        PRIMARY KEY (topic, partition)
    """,
    # What a window's series stands for.
    "usage_series": f"""
        tenant {TEXT},
        series uuid NOT NULL,
        customer {TEXT},
        meter {TEXT},
        dimensions jsonb NOT NULL,
        partition integer NOT NULL,
        PRIMARY KEY (tenant, series)
    """,
    "usage_window": f"""
        tenant {TEXT},
        series uuid NOT NULL,
        hour timestamptz NOT NULL,
        events bigint NOT NULL,
        late bigint NOT NULL,
        sum numeric(38, 9) NOT NULL,
        min numeric(38, 9) NOT NULL,
        max numeric(38, 9) NOT NULL,
        latest numeric(38, 9) NOT NULL,
        latest_occurred_ms bigint NOT NULL,
        latest_offset bigint NOT NULL,
        first_offset bigint NOT NULL,
        last_offset bigint NOT NULL,
        key_digest numeric(39, 0) NOT NULL,
        PRIMARY KEY (tenant, series, hour)
    """,
    "intake_count": f"""
        tenant {TEXT},
        partition integer NOT NULL,
        received_hour timestamptz NOT NULL,
        received bigint NOT NULL,
        accepted bigint NOT NULL,
        duplicates bigint NOT NULL,
        conflicts bigint NOT NULL,
        rejected bigint NOT NULL,
        PRIMARY KEY (tenant, partition, received_hour)
    """,
    # The tenant is empty when the record was unreadable; no tenant sees such a row.
    "reject": f"""
        tenant {TEXT},
        topic {TEXT},
        partition integer NOT NULL,
        source_offset bigint NOT NULL,
        event_index integer NOT NULL,
        code {TEXT},
        events integer NOT NULL,
        customer {TEXT},
        reason text NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, topic, partition, source_offset, event_index, code)
    """,
    "customer": f"""
        tenant {TEXT},
        customer {TEXT},
        currency {TEXT},
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, customer)
    """,
    "catalogue": f"""
        tenant {TEXT},
        version bigint NOT NULL,
        content text NOT NULL,
        content_sha256 {TEXT},
        published_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, version)
    """,
    "subscription": f"""
        tenant {TEXT},
        subscription {TEXT},
        customer {TEXT},
        plan {TEXT},
        currency {TEXT},
        anchor timestamptz NOT NULL,
        period_index integer NOT NULL,
        period_start timestamptz NOT NULL,
        period_end timestamptz NOT NULL,
        catalogue_version bigint NOT NULL,
        catalogue_sha256 {TEXT},
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, subscription)
    """,
    "invoice": f"""
        tenant {TEXT},
        invoice {TEXT},
        number {TEXT},
        subscription {TEXT},
        customer {TEXT},
        currency {TEXT},
        total_minor bigint NOT NULL,
        period_index integer NOT NULL,
        period_start timestamptz NOT NULL,
        period_end timestamptz NOT NULL,
        issued_at timestamptz NOT NULL,
        content text NOT NULL,
        content_sha256 {TEXT},
        finalized_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, invoice),
        UNIQUE (tenant, number)
    """,
    "invoice_line": f"""
        tenant {TEXT},
        invoice {TEXT},
        line integer NOT NULL,
        price {TEXT},
        form {TEXT},
        meter {TEXT},
        unit {TEXT},
        quantity numeric NOT NULL,
        amount_unrounded numeric NOT NULL,
        amount_minor bigint NOT NULL,
        steps jsonb NOT NULL,
        PRIMARY KEY (tenant, invoice, line)
    """,
    "api_key": f"""
        tenant {TEXT},
        key_id {TEXT},
        secret_sha256 {TEXT},
        label text NOT NULL,
        scopes text[] NOT NULL,
        created_at timestamptz NOT NULL,
        revoked_at timestamptz,
        PRIMARY KEY (tenant, key_id)
    """,
    # Every answer, repeats too: the row with the lowest offset of an id is the first one.
    "command_outcome": f"""
        tenant {TEXT},
        source_offset bigint NOT NULL,
        partition integer NOT NULL,
        command_id {TEXT},
        kind {TEXT},
        code {TEXT},
        reason text NOT NULL,
        repeat boolean NOT NULL,
        facts jsonb NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, source_offset)
    """,
}
"""Table → columns. `tenant` comes first in every unique key: it is how databases will be split."""

INDEXES: tuple[str, ...] = (
    "usage_series (tenant, customer, meter)",
    "reject (tenant, received_at, topic, partition, source_offset, event_index, code)",
    "subscription (tenant, customer)",
    "invoice (tenant, customer)",
    "invoice (tenant, issued_at, invoice)",
    "invoice (tenant, subscription, period_start)",
    "api_key (secret_sha256)",
    "command_outcome (tenant, command_id)",
)

UPDATED_IN_PLACE: dict[str, int] = {"usage_window": 70, "intake_count": 70, "position": 50}
"""Table → fill factor: the space that lets an update stay on its page and touch no index
(measured: 100 costs 13.0 µs per updated window, 75 costs 9.1, 60 costs 7.0)."""

TENANT_IS_SET = "tenant = (SELECT NULLIF(current_setting('tidegauge.tenant', true), ''))"
"""As a sub-select the setting is read once per statement, not once per row (measured on 528,000
rows: 387 ms without, 232 ms with it)."""
KEY_IS_ASKED_FOR = "secret_sha256 = NULLIF(current_setting('tidegauge.secret_sha256', true), '')"


def upgrade() -> None:
    """Make everything, inside the schema that the settings name."""
    schema = context.config.attributes["schema"]
    op.execute(f"SET LOCAL search_path = {schema}, public")
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO tidegauge_projector, tidegauge_app")
    for table, columns in TABLES.items():
        fill = UPDATED_IN_PLACE.get(table)
        op.execute(
            f"CREATE TABLE {table} ({columns})" + (f" WITH (fillfactor={fill})" if fill else "")
        )
    for index in INDEXES:
        op.execute(f"CREATE INDEX ON {index}")
    if context.config.attributes["has_timescaledb"]:
        _make_hypertable(schema)
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        if table != "position":
            protect(table)
    # Authentication looks a key up before it knows the tenant.
    op.execute(
        "CREATE POLICY app_reads_its_key ON api_key FOR SELECT TO tidegauge_app "
        f"USING ({KEY_IS_ASKED_FOR})"
    )


def _make_hypertable(schema: str) -> None:
    """Cut the windows into weeks.

    The chunks get a schema of their own where only the owner may look: they have the table's
    grants but not its policies, and TimescaleDB's default schema is open to everybody.
    """
    chunks = f"{schema}_chunks"
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {chunks}")
    op.execute(
        f"SELECT public.create_hypertable('{schema}.usage_window', 'hour', "
        "chunk_time_interval => interval '7 days', create_default_indexes => false, "
        f"associated_schema_name => '{chunks}')"
    )


def protect(table: str) -> None:
    """Show a table's rows to their tenant alone; later versions use it for theirs."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY projector_writes_all ON {table} TO tidegauge_projector "
        "USING (true) WITH CHECK (true)"
    )
    op.execute(
        f"CREATE POLICY app_reads_its_tenant ON {table} FOR SELECT TO tidegauge_app "
        f"USING ({TENANT_IS_SET})"
    )
