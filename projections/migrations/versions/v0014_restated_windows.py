"""A window that was stated anew may have no sketch any more."""

from __future__ import annotations

from alembic import context, op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the projector drop sketches."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    op.execute("GRANT DELETE ON usage_sketch TO tidegauge_projector")
