"""Two skipped invoices of one period: the opening of it and the period itself."""

from __future__ import annotations

from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the invoice tell them apart, as both may be skipped at one moment of a test clock."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    # Rows of before 0012 have no invoice's id; the columns that told them apart stay in the key.
    op.execute(
        """
        ALTER TABLE skipped_invoice DROP CONSTRAINT skipped_invoice_pkey,
            ADD PRIMARY KEY (tenant, subscription, period_index, skipped_at, invoice)
        """
    )
