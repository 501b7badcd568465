"""Invoices, items, credits, ledger, payments, credit notes and corrections.

Every row is a function of account.facts. Exact amounts are numeric in major units, as the content
says them; amounts that are paid are whole minor units. invoice and invoice_line are made anew:
what a build before ADR 0025 put there cannot be read from its log either.
"""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES: dict[str, str] = {
    # pinned_offset: usage of the customer's partition below it is in the effective content, which
    # is the invoice's own or that of its last correction. Without a subscription or a period the
    # texts are empty and the times null.
    "invoice": f"""
        tenant {TEXT},
        invoice {TEXT},
        number {TEXT},
        kind {TEXT},
        seller {TEXT},
        status {TEXT},
        subscription {TEXT},
        customer {TEXT},
        currency {TEXT},
        scale integer NOT NULL,
        subtotal_minor bigint NOT NULL,
        discount_minor bigint NOT NULL,
        credit_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        total_minor bigint NOT NULL,
        carry_minor bigint NOT NULL,
        paid_minor bigint NOT NULL,
        credited_minor bigint NOT NULL,
        open_minor bigint NOT NULL,
        period_index integer,
        period_start timestamptz,
        period_end timestamptz,
        issued_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        voided_at timestamptz,
        void_reason text NOT NULL,
        usage_partition integer NOT NULL,
        pinned_offset bigint NOT NULL,
        content text NOT NULL,
        content_sha256 {TEXT},
        finalized_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, invoice),
        UNIQUE (tenant, number)
    """,
    "invoice_line": f"""
        tenant {TEXT},
        invoice {TEXT},
        line integer NOT NULL,
        id {TEXT},
        kind {TEXT},
        label text NOT NULL,
        price {TEXT},
        form {TEXT},
        meter {TEXT},
        unit {TEXT},
        quantity numeric NOT NULL,
        amount_unrounded numeric NOT NULL,
        amount numeric NOT NULL,
        net numeric NOT NULL,
        discounts jsonb NOT NULL,
        tax {TEXT},
        service_start timestamptz,
        service_end timestamptz,
        steps jsonb NOT NULL,
        is_estimate boolean NOT NULL,
        refers_invoice {TEXT},
        refers_line {TEXT},
        PRIMARY KEY (tenant, invoice, line),
        UNIQUE (tenant, invoice, id),
        FOREIGN KEY (tenant, invoice) REFERENCES invoice (tenant, invoice)
    """,
    "invoice_tax": f"""
        tenant {TEXT},
        invoice {TEXT},
        place integer NOT NULL,
        document text NOT NULL,
        PRIMARY KEY (tenant, invoice, place),
        FOREIGN KEY (tenant, invoice) REFERENCES invoice (tenant, invoice)
    """,
    # status: pending, invoiced (then invoice names it) or removed.
    "invoice_item": f"""
        tenant {TEXT},
        item {TEXT},
        kind {TEXT},
        status {TEXT},
        customer {TEXT},
        subscription {TEXT},
        label text NOT NULL,
        amount_minor bigint NOT NULL,
        added_at timestamptz NOT NULL,
        added_offset bigint NOT NULL,
        added_index integer NOT NULL,
        invoice {TEXT},
        document text NOT NULL,
        PRIMARY KEY (tenant, item)
    """,
    # What a customer may still draw: minus what the ledger holds on the account account_credit.
    "account_credit": f"""
        tenant {TEXT},
        customer {TEXT},
        currency {TEXT},
        balance_minor bigint NOT NULL,
        PRIMARY KEY (tenant, customer)
    """,
    # entry: the id of a grant, or of the invoice that drew; amounts above 0 add to the balance.
    "account_credit_entry": f"""
        tenant {TEXT},
        customer {TEXT},
        entry {TEXT},
        kind {TEXT},
        currency {TEXT},
        amount_minor bigint NOT NULL,
        balance_minor bigint NOT NULL,
        reference {TEXT},
        reason text NOT NULL,
        booked_at timestamptz NOT NULL,
        booked_offset bigint NOT NULL,
        PRIMARY KEY (tenant, customer, entry, kind)
    """,
    # One row per leg; the legs of a posting add up to 0, a debit is above 0. The place of the
    # command in account.commands and the posting's number within it order the postings.
    "ledger_leg": f"""
        tenant {TEXT},
        posting {TEXT},
        leg integer NOT NULL,
        kind {TEXT},
        customer {TEXT},
        currency {TEXT},
        account {TEXT},
        amount_minor bigint NOT NULL,
        reference {TEXT},
        booked_at timestamptz NOT NULL,
        booked_offset bigint NOT NULL,
        booked_index integer NOT NULL,
        PRIMARY KEY (tenant, posting, leg)
    """,
    "payment": f"""
        tenant {TEXT},
        payment {TEXT},
        invoice {TEXT},
        customer {TEXT},
        currency {TEXT},
        amount_minor bigint NOT NULL,
        applied_minor bigint NOT NULL,
        refunded_minor bigint NOT NULL,
        method {TEXT},
        reference text NOT NULL,
        paid_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, payment)
    """,
    "refund": f"""
        tenant {TEXT},
        refund {TEXT},
        payment {TEXT},
        invoice {TEXT},
        customer {TEXT},
        currency {TEXT},
        amount_minor bigint NOT NULL,
        from_credit_minor bigint NOT NULL,
        reason text NOT NULL,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, refund)
    """,
    "credit_note": f"""
        tenant {TEXT},
        credit_note {TEXT},
        number {TEXT},
        invoice {TEXT},
        customer {TEXT},
        currency {TEXT},
        seller {TEXT},
        net_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        total_minor bigint NOT NULL,
        to_receivable_minor bigint NOT NULL,
        to_credit_minor bigint NOT NULL,
        reason text NOT NULL,
        paid_to {TEXT},
        issued_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, credit_note),
        UNIQUE (tenant, number)
    """,
    "credit_note_line": f"""
        tenant {TEXT},
        credit_note {TEXT},
        place integer NOT NULL,
        line {TEXT},
        label text NOT NULL,
        amount_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        PRIMARY KEY (tenant, credit_note, place),
        FOREIGN KEY (tenant, credit_note) REFERENCES credit_note (tenant, credit_note)
    """,
    # place counts the corrections of an invoice from 1.
    "correction": f"""
        tenant {TEXT},
        correction {TEXT},
        invoice {TEXT},
        place integer NOT NULL,
        effect {TEXT},
        credit_note {TEXT},
        as_of timestamptz NOT NULL,
        content text NOT NULL,
        content_sha256 {TEXT},
        corrected_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, correction),
        UNIQUE (tenant, invoice, place)
    """,
    "correction_line": f"""
        tenant {TEXT},
        correction {TEXT},
        place integer NOT NULL,
        line {TEXT},
        label text NOT NULL,
        amount_before numeric NOT NULL,
        amount_after numeric NOT NULL,
        difference numeric NOT NULL,
        PRIMARY KEY (tenant, correction, place),
        FOREIGN KEY (tenant, correction) REFERENCES correction (tenant, correction)
    """,
    "parked_invoice": f"""
        tenant {TEXT},
        subscription {TEXT},
        customer {TEXT},
        period_index integer NOT NULL,
        reason text NOT NULL,
        total_minor bigint NOT NULL,
        is_open boolean NOT NULL,
        parked_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, subscription)
    """,
    # A period that came to nothing and by policy has no invoice.
    "skipped_invoice": f"""
        tenant {TEXT},
        subscription {TEXT},
        customer {TEXT},
        period_index integer NOT NULL,
        period_start timestamptz NOT NULL,
        period_end timestamptz NOT NULL,
        reason text NOT NULL,
        skipped_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, subscription, period_index, skipped_at)
    """,
}
"""Table → columns."""

INDEXES: tuple[str, ...] = (
    "invoice (tenant, customer, issued_at, invoice)",
    "invoice (tenant, issued_at, invoice)",
    "invoice (tenant, subscription, period_start)",
    "invoice (tenant, status, due_at)",
    "invoice_item (tenant, customer, status)",
    "invoice_item (tenant, invoice)",
    "ledger_leg (tenant, customer, booked_offset, booked_index, leg)",
    "payment (tenant, invoice)",
    "refund (tenant, payment)",
    "credit_note (tenant, invoice)",
    "account_credit_entry (tenant, customer, booked_offset)",
)


def upgrade() -> None:
    """Make the tables; invoice and invoice_line anew."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    op.execute("DROP TABLE invoice_line, invoice")
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        protect(table)
    for index in INDEXES:
        op.execute(f"CREATE INDEX ON {index}")
