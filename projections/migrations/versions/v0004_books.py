"""Wallets, charges and what they leave behind: postings, transactions, receipts, notices.

Every row is a function of account.facts. S0-04: one walks from a transaction to its charge to its
customer by foreign keys, so none of them can name what does not exist.
"""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES: dict[str, str] = {
    "wallet": f"""
        tenant {TEXT},
        customer {TEXT},
        currency {TEXT},
        available bigint NOT NULL CHECK (available >= 0),
        held bigint NOT NULL CHECK (held >= 0),
        total_spent_minor bigint NOT NULL,
        auto_approval_credits bigint NOT NULL,
        opened_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, customer),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer)
    """,
    # age counts the grants of a wallet; of two that burn alike the smaller goes first.
    "wallet_grant": f"""
        tenant {TEXT},
        grant_id {TEXT},
        customer {TEXT},
        kind {TEXT},
        priority integer NOT NULL,
        expires_at timestamptz,
        age bigint NOT NULL,
        credits bigint NOT NULL,
        available bigint NOT NULL CHECK (available >= 0),
        held bigint NOT NULL CHECK (held >= 0),
        opened_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, grant_id),
        FOREIGN KEY (tenant, customer) REFERENCES wallet (tenant, customer)
    """,
    # One row per leg; the legs of a posting add up to 0. The place of the command in
    # account.commands and the posting's number within it order the postings of a wallet.
    "wallet_posting": f"""
        tenant {TEXT},
        posting {TEXT},
        leg integer NOT NULL,
        kind {TEXT},
        customer {TEXT},
        account {TEXT},
        grant_id {TEXT},
        credits bigint NOT NULL,
        reference {TEXT},
        available_after bigint NOT NULL,
        held_after bigint NOT NULL,
        booked_at timestamptz NOT NULL,
        booked_offset bigint NOT NULL,
        booked_index integer NOT NULL,
        PRIMARY KEY (tenant, posting, leg),
        FOREIGN KEY (tenant, customer) REFERENCES wallet (tenant, customer)
    """,
    "charge": f"""
        tenant {TEXT},
        charge {TEXT},
        customer {TEXT},
        project {TEXT},
        lone_node {TEXT},
        tier {TEXT},
        name text NOT NULL,
        generation bigint NOT NULL,
        covers jsonb NOT NULL,
        credits bigint NOT NULL,
        price_minor bigint NOT NULL,
        currency {TEXT},
        delivers text[] NOT NULL,
        evidence jsonb NOT NULL,
        rule_version bigint NOT NULL,
        rule_sha256 {TEXT},
        status {TEXT},
        requested_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        approved_at timestamptz,
        approved_by {TEXT},
        captured_at timestamptz,
        delivered_at timestamptz,
        ended_at timestamptz,
        end_reason text NOT NULL,
        refunded_credits bigint NOT NULL,
        refunded_minor bigint NOT NULL,
        transaction {TEXT},
        receipt {TEXT},
        PRIMARY KEY (tenant, charge),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer)
    """,
    # An empty receipt or payment_reference means that there is none.
    "wallet_transaction": f"""
        tenant {TEXT},
        transaction {TEXT},
        kind {TEXT},
        customer {TEXT},
        charge text COLLATE "C",
        reference {TEXT},
        credits bigint NOT NULL,
        amount_minor bigint NOT NULL,
        currency {TEXT},
        status {TEXT},
        receipt {TEXT},
        payment_reference text NOT NULL,
        code {TEXT},
        reason text NOT NULL,
        actor text NOT NULL,
        recorded_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, transaction),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer),
        FOREIGN KEY (tenant, charge) REFERENCES charge (tenant, charge)
    """,
    "receipt": f"""
        tenant {TEXT},
        receipt {TEXT},
        kind {TEXT},
        customer {TEXT},
        transaction {TEXT},
        content text NOT NULL,
        content_sha256 {TEXT},
        issued_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, receipt),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer)
    """,
    "deliverable": f"""
        tenant {TEXT},
        charge {TEXT},
        name {TEXT},
        kind {TEXT},
        uri text NOT NULL,
        sha256 {TEXT},
        bytes bigint NOT NULL,
        registered_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, charge, name),
        FOREIGN KEY (tenant, charge) REFERENCES charge (tenant, charge)
    """,
    "notification": f"""
        tenant {TEXT},
        notification {TEXT},
        customer {TEXT},
        kind {TEXT},
        charge {TEXT},
        title text NOT NULL,
        body text NOT NULL,
        booked_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, notification),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer)
    """,
    "suspicion": f"""
        tenant {TEXT},
        suspicion {TEXT},
        customer {TEXT},
        rule {TEXT},
        detail text NOT NULL,
        raised_at timestamptz NOT NULL,
        is_open boolean NOT NULL,
        closed_at timestamptz,
        closed_by text NOT NULL,
        note text NOT NULL,
        PRIMARY KEY (tenant, suspicion),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer)
    """,
}

INDEXES: tuple[str, ...] = (
    "wallet_grant (tenant, customer)",
    "wallet_grant (tenant, expires_at) WHERE expires_at IS NOT NULL AND available > 0",
    "wallet_posting (tenant, customer, booked_offset, booked_index) WHERE leg = 0",
    "charge (tenant, requested_at, charge)",
    "charge (tenant, customer, requested_at)",
    "charge (tenant, project, lone_node)",
    "charge (tenant, expires_at) WHERE status IN ('requested', 'approved')",
    # The sweep's walk over what is settled, of all tenants by time.
    (
        "charge ((coalesce(ended_at, captured_at)), tenant, charge)"
        " WHERE status IN ('captured', 'delivered', 'declined', 'expired', 'refunded')"
    ),
    "wallet_transaction (tenant, recorded_at, transaction)",
    "wallet_transaction (tenant, customer, recorded_at)",
    "wallet_transaction (tenant, charge)",
    "notification (tenant, customer, booked_at, notification)",
    "notification (tenant, booked_at, notification)",
    "suspicion (tenant, raised_at, suspicion)",
)

UPDATED_IN_PLACE: dict[str, int] = {"wallet": 70, "wallet_grant": 80, "charge": 80}
"""Table → fill factor: a wallet changes with every posting, a charge a few times in its life."""


def upgrade() -> None:
    """Make the tables of the wallet, and give customers room for the hash of their address."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    op.execute('ALTER TABLE customer ADD COLUMN email_digest text COLLATE "C"')
    op.execute("CREATE UNIQUE INDEX ON customer (tenant, email_digest)")
    for table, columns in TABLES.items():
        fill = UPDATED_IN_PLACE.get(table)
        op.execute(
            f"CREATE TABLE {table} ({columns})" + (f" WITH (fillfactor={fill})" if fill else "")
        )
    for index in INDEXES:
        op.execute(f"CREATE INDEX ON {index}")
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        protect(table)
