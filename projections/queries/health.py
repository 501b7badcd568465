"""Whether the projections can answer."""

from __future__ import annotations

import sqlalchemy

TABLES = (
    "position",
    "usage_series",
    "usage_window",
    "usage_sketch",
    "intake_count",
    "reject",
    "customer",
    "catalogue",
    "subscription",
    "invoice",
    "invoice_line",
    "api_key",
    "command_outcome",
    "emergence_project",
    "emergence_node",
    "emergence_tier",
    "emergence_detection",
    "node_activity",
)
"""Tables that the queries of this package read, and the position they are at."""


def missing_tables(connection: sqlalchemy.Connection) -> tuple[str, ...]:
    """This function will name the tables that are not there or not readable: migrations to run."""
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT name FROM unnest(CAST(:tables AS text[])) AS asked (name)"
            " WHERE to_regclass(name) IS NULL"
            " OR NOT has_table_privilege(to_regclass(name), 'SELECT')"
            " ORDER BY name"
        ),
        {"tables": list(TABLES)},
    )
    return tuple(row.name for row in rows)
