"""Subscriptions, customers and test clocks as the books keep them.

document is the entity as the books hold it (domain.books.subscription, domain.books.customer); the
columns beside it are extracted from it, so that rows can be found without opening it. A document
that is empty belongs to a row from before this version, which a rebuild fills.
"""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS: dict[str, tuple[str, ...]] = {
    "customer": (
        "document text NOT NULL DEFAULT ''",
        "seller text NOT NULL DEFAULT ''",
        "changed_at timestamptz",
    ),
    # status is as of the last change (changed_at): the document says what time has made of it
    # since. next_invoice_at is the first moment of an invoice, grace included; NULL when none is
    # to come. Plan, seats and catalogue version are those that held at the last change, or hold
    # with the open period where that begins later.
    "subscription": (
        "document text NOT NULL DEFAULT ''",
        "interval text NOT NULL DEFAULT 'month'",
        "cycle text NOT NULL DEFAULT 'anniversary'",
        "fees text NOT NULL DEFAULT 'in_arrears'",
        "seats integer NOT NULL DEFAULT 1",
        "status text NOT NULL DEFAULT 'active'",
        "starts_at timestamptz",
        "trial_ends_at timestamptz",
        "ends_at timestamptz",
        "opening_due boolean NOT NULL DEFAULT false",
        "parked_reason text NOT NULL DEFAULT ''",
        "next_invoice_at timestamptz",
        "changed_at timestamptz",
    ),
}

TABLES: dict[str, str] = {
    # Each change of a subscription, in words and figures; a subscription's history for people.
    "subscription_change": f"""
        tenant {TEXT},
        subscription {TEXT},
        source_offset bigint NOT NULL,
        fact_index integer NOT NULL,
        kind {TEXT},
        change jsonb NOT NULL,
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, subscription, source_offset, fact_index)
    """,
    # A tenant with a row here is a test tenant: its time moves by AdvanceClock alone.
    "tenant_clock": f"""
        tenant {TEXT},
        started_at timestamptz NOT NULL,
        now_at timestamptz NOT NULL,
        PRIMARY KEY (tenant)
    """,
}

INDEXES: tuple[str, ...] = (
    "subscription (tenant, next_invoice_at, subscription) WHERE next_invoice_at IS NOT NULL",
    "subscription (next_invoice_at) WHERE next_invoice_at IS NOT NULL",
)


def upgrade() -> None:
    """Add the columns and tables."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for table, columns in COLUMNS.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    # The hash belongs to a version, and a subscription may have parts by several.
    op.execute("ALTER TABLE subscription DROP COLUMN catalogue_sha256")
    for table, columns_text in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns_text})")
    for index in INDEXES:
        op.execute(f"CREATE INDEX ON {index}")
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        protect(table)
