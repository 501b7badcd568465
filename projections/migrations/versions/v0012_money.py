"""Account credit by its two parts: promotions, and money."""

from __future__ import annotations

from alembic import context, op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what of a balance is promotions."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    op.execute("ALTER TABLE account_credit ADD COLUMN promotion_minor bigint NOT NULL DEFAULT 0")
