"""What the emergence fold knows: projects, their nodes, tiers and detections, and their activity.

With the first three the API makes a fold's project again and judges as it does. Times that order
reports stand beside their offsets: both together say which of two was the newer one.
"""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PROJECT = f"""
        tenant {TEXT},
        project {TEXT},
        lone_node {TEXT},
"""
"""A project's key; lone_node is the node's id where it named no project, else empty."""

TABLES: dict[str, str] = {
    # Who is charged: the newest naming, and where it stood.
    "emergence_project": f"""
        {_PROJECT}
        customer {TEXT},
        customer_occurred_ms bigint NOT NULL,
        customer_offset bigint NOT NULL,
        PRIMARY KEY (tenant, project, lone_node)
    """,
    # Times are null, and the offset is -1, for a node that only a pulse has named so far.
    "emergence_node": f"""
        {_PROJECT}
        node {TEXT},
        data text NOT NULL,
        data_sha256 {TEXT},
        values jsonb NOT NULL,
        version bigint NOT NULL,
        occurred_at timestamptz,
        received_at timestamptz,
        partition integer NOT NULL,
        source_offset bigint NOT NULL,
        pulses jsonb NOT NULL,
        PRIMARY KEY (tenant, project, lone_node, node)
    """,
    "emergence_tier": f"""
        {_PROJECT}
        code {TEXT},
        is_reached boolean NOT NULL,
        has_fallen boolean NOT NULL,
        claim bigint NOT NULL,
        generation bigint NOT NULL,
        status {TEXT},
        detection {TEXT},
        detected_at timestamptz,
        covers jsonb NOT NULL,
        is_refundable boolean NOT NULL,
        is_reversed boolean NOT NULL,
        settled {TEXT},
        settled_at timestamptz,
        earlier jsonb NOT NULL,
        PRIMARY KEY (tenant, project, lone_node, code)
    """,
    "emergence_detection": f"""
        tenant {TEXT},
        detection {TEXT},
        project {TEXT},
        lone_node {TEXT},
        customer {TEXT},
        code {TEXT},
        name {TEXT},
        generation bigint NOT NULL,
        covers jsonb NOT NULL,
        credits bigint NOT NULL,
        price_minor bigint NOT NULL,
        currency {TEXT},
        delivers text[] NOT NULL,
        evidence jsonb NOT NULL,
        rule_version bigint NOT NULL,
        rule_sha256 {TEXT},
        partition integer NOT NULL,
        source_offset bigint NOT NULL,
        detected_at timestamptz NOT NULL,
        ended_how text COLLATE "C",
        ended_by text COLLATE "C",
        ended_reason text,
        ended_at timestamptz,
        PRIMARY KEY (tenant, detection)
    """,
    # The day is that of receipt, in UTC; the customer is empty while nobody had named one.
    "node_activity": f"""
        tenant {TEXT},
        customer {TEXT},
        project {TEXT},
        day date NOT NULL,
        updates bigint NOT NULL,
        pulses bigint NOT NULL,
        first_at timestamptz NOT NULL,
        last_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, customer, project, day)
    """,
}

INDEXES: tuple[str, ...] = (
    "emergence_project (tenant, customer)",
    "emergence_detection (tenant, detected_at, detection)",
    "emergence_detection (tenant, customer, detected_at, detection)",
    "emergence_detection (tenant, project, lone_node, detected_at, detection)",
    # The sweep's walks, of all tenants by time: what is offered, and what has ended.
    "emergence_tier (detected_at, tenant, detection) WHERE status = 'detected'",
    "emergence_detection (ended_at, tenant, detection) WHERE ended_at IS NOT NULL",
)

UPDATED_IN_PLACE: dict[str, int] = {
    "emergence_node": 70,
    "emergence_tier": 70,
    "node_activity": 70,
}
"""Table → fill factor, as in the first version: an update touches an index only where a tier is
newly offered or no longer is."""


def upgrade() -> None:
    """Make the tables."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for table, columns in TABLES.items():
        fill = UPDATED_IN_PLACE.get(table)
        op.execute(
            f"CREATE TABLE {table} ({columns})" + (f" WITH (fillfactor={fill})" if fill else "")
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        protect(table)
    for index in INDEXES:
        op.execute(f"CREATE INDEX ON {index}")
