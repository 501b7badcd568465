"""Days that are over, added up beside their windows; and which of them are.

Both tables are a cache and no projection: made from usage_window at some position, they may be
empty at any time, and no dump hashes them (projections.usage_days, projections.dump).
"""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES: dict[str, str] = {
    # A row per series and UTC day that has windows. Sums have no bound of digits: 24 windows may
    # add up to more than one of them can hold. Days are made one after the other, so the rows of a
    # series lie far apart: the index holds all of a row, and a month of a series is one page of it
    # instead of 31 of the table. A row never changes, so that costs its one insert, no updates.
    "usage_day": f"""
        tenant {TEXT},
        series uuid NOT NULL,
        day date NOT NULL,
        events bigint NOT NULL,
        late bigint NOT NULL,
        sum numeric NOT NULL,
        min numeric(38, 9) NOT NULL,
        max numeric(38, 9) NOT NULL,
        latest numeric(38, 9) NOT NULL,
        latest_occurred_ms bigint NOT NULL,
        latest_offset bigint NOT NULL,
        first_offset bigint NOT NULL,
        last_offset bigint NOT NULL,
        key_digest numeric(39, 0) NOT NULL,
        first_hour timestamptz NOT NULL,
        PRIMARY KEY (tenant, series, day) INCLUDE (events, late, sum, min, max, latest,
            latest_occurred_ms, latest_offset, first_offset, last_offset, key_digest, first_hour)
    """,
    # reached: next source offset of usage.events per partition when the day was added up. What
    # late_usage has at or behind it is not in the day.
    "usage_day_made": f"""
        tenant {TEXT},
        day date NOT NULL,
        reached bigint[] NOT NULL,
        PRIMARY KEY (tenant, day)
    """,
}
"""Table → columns."""
VACUUM_ROWS = 10_000
"""Rows that call for a vacuum: 10 MB of heap and index, which it reads in a tenth of a second."""


def upgrade() -> None:
    """Make both tables, for the billing worker to fill and for their tenant to read."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        op.execute(f"GRANT SELECT, INSERT ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        protect(table)
    # Only pages that a vacuum has seen are read from the index alone. One after each day that was
    # made looks at that day's pages only; by default it would come once in a week.
    op.execute(
        "ALTER TABLE usage_day SET (autovacuum_vacuum_insert_scale_factor = 0,"
        f" autovacuum_vacuum_insert_threshold = {VACUUM_ROWS})"
    )
