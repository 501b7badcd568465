"""Personal details as the log has them, sealed, and who was erased.

Every version stays, so that an invoice shows its buyer as at its issue; an erasure empties all of
them. The keys are in the vault, a schema that is no projection.
"""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES: dict[str, str] = {
    # A JSON object, sealed text by field; null once the customer is erased.
    "customer_details": f"""
        tenant {TEXT},
        customer {TEXT},
        version integer NOT NULL,
        sealed text,
        set_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, customer, version)
    """,
    "customer_erasure": f"""
        tenant {TEXT},
        customer {TEXT},
        erased_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, customer)
    """,
}


def upgrade() -> None:
    """Make both tables."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        protect(table)
