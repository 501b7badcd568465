"""Late usage, amendments of events, and how many events they took away again."""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES: dict[str, str] = {
    # Which days of a customer got usage after they were over (UTC), and up to which source offset:
    # an invoice whose pin reaches less far may have to be corrected.
    "late_usage": f"""
        tenant {TEXT},
        customer {TEXT},
        day date NOT NULL,
        partition integer NOT NULL,
        last_offset bigint NOT NULL,
        PRIMARY KEY (tenant, customer, day, partition)
    """,
    # An event is amended once; its replacement is an event of its own and may be amended again.
    "event_amendment": f"""
        tenant {TEXT},
        event uuid NOT NULL,
        kind {TEXT},
        customer {TEXT},
        event_id text NOT NULL,
        partition integer NOT NULL,
        source_offset bigint NOT NULL,
        original_offset bigint NOT NULL,
        original text NOT NULL,
        replacement_event uuid,
        replacement text NOT NULL,
        reason text NOT NULL,
        actor text NOT NULL,
        amended_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, customer, event)
    """,
}
"""Table → columns."""

INDEXES: tuple[str, ...] = ("event_amendment (tenant, customer, amended_at)",)


def upgrade() -> None:
    """Make the tables, for the projector to write and for their tenant to read."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
    for index in INDEXES:
        op.execute(f"CREATE INDEX ON {index}")
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        protect(table)
    op.execute("ALTER TABLE intake_count ADD COLUMN voided bigint NOT NULL DEFAULT 0")
