"""Account credit by its two parts, promotions and money; skipped periods that can be corrected."""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what of a balance is promotions, and what a skipped period was made from."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    op.execute("ALTER TABLE account_credit ADD COLUMN promotion_minor bigint NOT NULL DEFAULT 0")
    # As of an invoice: usage that comes late is found by partition and offset.
    op.execute(
        f"""
        ALTER TABLE skipped_invoice
            ADD COLUMN invoice {TEXT} DEFAULT '',
            ADD COLUMN kind {TEXT} DEFAULT '',
            ADD COLUMN usage_partition integer NOT NULL DEFAULT 0,
            ADD COLUMN pinned_offset bigint NOT NULL DEFAULT 0,
            ADD COLUMN content text NOT NULL DEFAULT ''
        """
    )
    op.execute("CREATE INDEX ON skipped_invoice (tenant, invoice)")
