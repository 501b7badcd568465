"""emergence_project, emergence_node and emergence_tier: the newest row of each key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from domain.emergence.facts import NO_TIME
from domain.period import from_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import psycopg

    from domain.emergence.facts import NodeRow, ProjectRow, TierRow

_KEY = ("tenant", "project", "lone_node")


def _upsert(table: str, key: Sequence[str], columns: Sequence[str]) -> str:
    names = (*key, *columns)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608 -- fixed texts only
        f"VALUES ({', '.join(['%s'] * len(names))}) "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in columns)
    )


_PROJECT = _upsert(
    "emergence_project", _KEY, ("customer", "customer_occurred_ms", "customer_offset")
)
_NODE = _upsert(
    "emergence_node",
    (*_KEY, "node"),
    (
        *("data", "data_sha256", "values", "version", "occurred_at", "received_at"),
        *("partition", "source_offset", "pulses"),
    ),
)
_TIER = _upsert(
    "emergence_tier",
    (*_KEY, "code"),
    (
        *("is_reached", "has_fallen", "claim", "generation", "status", "detection"),
        *(
            "detected_at",
            "covers",
            "is_refundable",
            "is_reversed",
            "settled",
            "settled_at",
            "earlier",
        ),
    ),
)


def write_projects(connection: psycopg.Connection, rows: Iterable[ProjectRow]) -> int:
    """This function will put the newest naming of each project."""
    newest = {row.key: row for row in rows}
    return _put(
        connection,
        _PROJECT,
        [(*key, row.customer, row.occurred_at_ms, row.offset) for key, row in newest.items()],
    )


def write_nodes(connection: psycopg.Connection, rows: Iterable[tuple[int, NodeRow]]) -> int:
    """This function will put the newest state of each node, given with its partition."""
    newest = {(row.key, row.node): (partition, row) for partition, row in rows}
    return _put(
        connection,
        _NODE,
        [
            (
                *(*key, node, row.data, row.data_sha256, json.dumps(dict(row.values))),
                *(row.version, _time(row.occurred_at_ms), _time(row.received_at_ms)),
                *(partition, row.offset, json.dumps(dict(row.pulses))),
            )
            for (key, node), (partition, row) in newest.items()
        ],
    )


def write_tiers(connection: psycopg.Connection, rows: Iterable[TierRow]) -> int:
    """This function will put the newest state of each tier."""
    newest = {(row.key, row.code): row for row in rows}
    return _put(
        connection,
        _TIER,
        [
            (
                *(*key, code, row.is_reached, row.has_fallen, row.claim, row.generation),
                *(row.status.value, row.detection, _time(row.detected_at_ms)),
                *(json.dumps(row.covers), row.is_refundable, row.is_reversed, row.settled),
                *(_time(row.settled_at_ms), json.dumps(row.earlier)),
            )
            for (key, code), row in newest.items()
        ],
    )


def _put(connection: psycopg.Connection, statement: str, rows: Sequence[Sequence[object]]) -> int:
    if rows:
        connection.cursor().executemany(statement, rows)
    return len(rows)


def _time(milliseconds: int) -> datetime | None:
    return None if milliseconds == NO_TIME else from_ms(milliseconds)
