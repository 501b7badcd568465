"""What of a credit note promotions had paid, which comes back as promotions."""

from __future__ import annotations

from alembic import context, op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it to notes and their lines; what is not promotions is money."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    op.execute("ALTER TABLE credit_note ADD COLUMN promotion_minor bigint NOT NULL DEFAULT 0")
    op.execute(
        """
        ALTER TABLE credit_note_line
            ADD COLUMN promotion_minor bigint NOT NULL DEFAULT 0,
            ADD COLUMN promotion_tax_minor bigint NOT NULL DEFAULT 0
        """
    )
