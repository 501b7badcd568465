"""Both pins of a correction, and the command that made it: which items are its."""

from __future__ import annotations

from alembic import context, op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; corrections of before have none until the tables are built anew."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    op.execute(
        """
        ALTER TABLE correction
            ADD COLUMN source_offset bigint,
            ADD COLUMN pinned_partition integer,
            ADD COLUMN pinned_before bigint,
            ADD COLUMN pinned_after bigint
        """
    )
