"""Sketches of windows, and invoice lines that rest on an estimate."""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table beside usage_window: most meters have no sketch, and its rows stay short."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    op.execute(f"""
        CREATE TABLE usage_sketch (
            tenant {TEXT},
            series uuid NOT NULL,
            hour timestamptz NOT NULL,
            sketch bytea NOT NULL,
            PRIMARY KEY (tenant, series, hour)
        )
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON usage_sketch TO tidegauge_projector")
    op.execute("GRANT SELECT ON usage_sketch TO tidegauge_app")
    protect("usage_sketch")
    op.execute("ALTER TABLE invoice_line ADD COLUMN is_estimate boolean NOT NULL DEFAULT false")
