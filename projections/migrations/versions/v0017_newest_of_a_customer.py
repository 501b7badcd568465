"""Indexes for the newest of a tenant and of a customer, and for what references (S4-13)."""

from __future__ import annotations

from alembic import context, op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEXES: tuple[str, ...] = (
    # S4's tenant_id is our customer: (tenant_id, created_at) is (tenant, customer, …) here.
    "subscription (tenant, customer, created_at, subscription)",
    "payment (tenant, customer, recorded_at, payment)",
    "payment (tenant, recorded_at, payment)",
    "credit_note (tenant, customer, issued_at, credit_note)",
    "credit_note (tenant, issued_at, credit_note)",
    "receipt (tenant, customer, issued_at, receipt)",
    "receipt (tenant, issued_at, receipt)",
    "suspicion (tenant, customer, raised_at, suspicion)",
)


def upgrade() -> None:
    """Add the indexes; the one that the first of them makes needless goes."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for index in INDEXES:
        op.execute(f"CREATE INDEX ON {index}")
    op.execute("DROP INDEX subscription_tenant_customer_idx")
