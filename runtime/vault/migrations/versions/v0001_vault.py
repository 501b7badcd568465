"""Keys, address tokens, erasures, kept buyers; no value lies here that is not wrapped or sealed.

What an erasure deletes is cut into partitions by hash: VACUUM FULL, which alone writes the file
anew, then costs and locks a small part.
"""

from __future__ import annotations

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = 'text COLLATE "C" NOT NULL'
PARTITIONS = 16
"""A million customers are some 200 MB of keys, so a part is 12 MB: rewritten in well below 1 s."""

TABLES: dict[str, str] = {
    # By which a wrong master key is known before anything is wrapped or read.
    "master_key": f"""
        key_id {TEXT} PRIMARY KEY,
        check_value bytea NOT NULL
    """,
    # Of a tenant: the key under which e-mail addresses are looked up.
    "lookup_key": f"""
        tenant {TEXT} PRIMARY KEY,
        master_key {TEXT},
        wrapped bytea NOT NULL
    """,
    # Of a customer: what seals their details. An erasure deletes every version.
    "data_key": f"""
        tenant {TEXT},
        customer {TEXT},
        version integer NOT NULL,
        master_key {TEXT},
        wrapped bytea NOT NULL,
        PRIMARY KEY (tenant, customer, version)
    """,
    # Which token the books know an e-mail address by; one row per customer who named it.
    "address": f"""
        tenant {TEXT},
        lookup bytea NOT NULL,
        customer {TEXT},
        token {TEXT},
        PRIMARY KEY (tenant, lookup, customer)
    """,
    # Customers who were erased: no key is ever made for them again.
    "erasure": f"""
        tenant {TEXT},
        customer {TEXT},
        erased_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, customer)
    """,
    # What the law asks to be kept of an erased customer's invoices, under keys of its own.
    "kept_buyer": f"""
        tenant {TEXT},
        customer {TEXT},
        version integer NOT NULL,
        master_key {TEXT},
        wrapped bytea NOT NULL,
        sealed text NOT NULL,
        keep_until date NOT NULL,
        PRIMARY KEY (tenant, customer, version)
    """,
}
PARTITIONED = {"data_key": "tenant, customer", "address": "tenant, lookup"}
TENANT_IS_SET = "tenant = (SELECT NULLIF(current_setting('tidegauge.tenant', true), ''))"


def upgrade() -> None:
    """Make everything, inside the vault's schema."""
    schema = context.config.attributes["schema"]
    role = context.config.attributes["role"]
    op.execute(f"SET LOCAL search_path = {schema}")
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    for table, columns in TABLES.items():
        key = PARTITIONED.get(table)
        op.execute(
            f"CREATE TABLE {table} ({columns})" + (f" PARTITION BY HASH ({key})" if key else "")
        )
        if key:
            for part in range(PARTITIONS):
                op.execute(
                    f"CREATE TABLE {table}_{part:02} PARTITION OF {table}"
                    f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part})"
                )
                protect(f"{table}_{part:02}", role)
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
        if table != "master_key":
            protect(table, role)
    op.execute("CREATE INDEX ON address (tenant, customer)")
    op.execute("CREATE INDEX ON address (tenant, token)")
    op.execute("CREATE INDEX ON kept_buyer (keep_until)")


def protect(table: str, role: str) -> None:
    """Show a table's rows to their tenant alone; the role that owns it keeps all of them."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY owner_keeps_all ON {table} TO CURRENT_USER USING (true)")
    op.execute(
        f"CREATE POLICY of_its_tenant ON {table} TO {role}"
        f" USING ({TENANT_IS_SET}) WITH CHECK ({TENANT_IS_SET})"
    )
