"""Projects, their nodes and tiers, and what was detected: as the emergence fold left them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy

from domain.emergence.facts import (
    NO_TIME,
    Cover,
    Earlier,
    NodeRow,
    ProjectKey,
    ProjectRow,
    PulseStamp,
    TierRow,
    TierStatus,
)
from domain.emergence.project import Project
from domain.period import to_ms
from projections.queries.paging import Page, conditions, page_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.canonical import Json

_KEY = "project = :project AND lone_node = :lone_node"
_PROJECT = f"""
    SELECT customer, customer_occurred_ms, customer_offset FROM emergence_project WHERE {_KEY}
"""  # noqa: S608 -- fixed texts only
_NODES = f"""
    SELECT node, data, data_sha256, values, version, occurred_at, received_at, partition,
        source_offset, pulses
    FROM emergence_node WHERE {_KEY} ORDER BY node
"""  # noqa: S608 -- likewise
_TIERS = f"SELECT * FROM emergence_tier WHERE {_KEY} ORDER BY code"  # noqa: S608 -- likewise
_LIST_PROJECTS = """
    SELECT k.*, t.reached, t.open, t.charged
    FROM (
        SELECT n.tenant, n.project, n.lone_node, coalesce(min(p.customer), '') AS customer,
            count(*) AS nodes, max(n.received_at) AS last_received_at
        FROM emergence_node n
        LEFT JOIN emergence_project p USING (tenant, project, lone_node)
        {where}
        GROUP BY n.tenant, n.project, n.lone_node
        ORDER BY n.project, n.lone_node LIMIT :row_count
    ) AS k
    CROSS JOIN LATERAL (
        SELECT
            coalesce(array_agg(code ORDER BY code) FILTER (WHERE is_reached), '{{}}') AS reached,
            coalesce(array_agg(code ORDER BY code) FILTER (WHERE status = 'detected'), '{{}}')
                AS open,
            coalesce(array_agg(code ORDER BY code) FILTER (WHERE status = 'charged'), '{{}}')
                AS charged
        FROM emergence_tier e
        WHERE (e.tenant, e.project, e.lone_node) = (k.tenant, k.project, k.lone_node)
    ) AS t
    ORDER BY k.project, k.lone_node
"""
_DETECTION_COLUMNS = (
    "detection, project, lone_node, customer, code, name, generation, covers, credits,"
    " price_minor, currency, delivers, evidence, rule_version, rule_sha256, partition,"
    " source_offset, detected_at, ended_how, ended_by, ended_reason, ended_at"
)


@dataclass(frozen=True, slots=True)
class Detection:
    """One detection.

    Args:
        detection: Its id, which is the charge's too.
        project, lone_node: Its project.
        customer: Who was asked.
        code, name: The tier or bundle.
        generation: Counts its detections in the project, from 1.
        covers: [code, claim] of what it stands for.
        credits, price_minor, currency, delivers: What it costs and gives, by the rules then.
        evidence: One object per covered tier: tier, node, partition, offset, data_sha256, values
            and pulses.
        rule_version, rule_sha256: The catalogue that it was judged by.
        partition, source_offset: Record of node.events that made it.
        detected_at: Append time of that, UTC.
        ended_how: "reversed" or "superseded" when the fold ended it; else None, as the next three.
        ended_by: Detection that supersedes it, or empty.
        ended_reason: For people.
        ended_at: When, UTC.
    """

    detection: str
    project: str
    lone_node: str
    customer: str
    code: str
    name: str
    generation: int
    covers: list[tuple[str, int]]
    credits: int
    price_minor: int
    currency: str
    delivers: list[str]
    evidence: list[dict[str, Any]]
    rule_version: int
    rule_sha256: str
    partition: int
    source_offset: int
    detected_at: datetime
    ended_how: str | None
    ended_by: str | None
    ended_reason: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a project.

    Args:
        node: Its id.
        data: Its newest report as it came, a JSON object as text; empty when only a pulse has
            named it.
        data_sha256: SHA-256 of that text.
        values: Declared fields in force as text, by the rules when the node changed last.
        version: `node_version` of the report; -1 for none.
        occurred_at, received_at: Of the report, UTC; None for none.
        partition, source_offset: Its record of node.events; offset -1 for none.
        pulses: Fields that a pulse set.
    """

    node: str
    data: str
    data_sha256: str
    values: Mapping[str, str]
    version: int
    occurred_at: datetime | None
    received_at: datetime | None
    partition: int
    source_offset: int
    pulses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """One project in a list.

    Args:
        project, lone_node: Its key.
        customer: Who is charged; empty while nobody was named.
        nodes: How many nodes it has.
        last_received_at: When the last report came, UTC; None when only pulses have.
        reached, open, charged: Codes of tiers and bundles that are reached, offered, charged.
    """

    project: str
    lone_node: str
    customer: str
    nodes: int
    last_received_at: datetime | None
    reached: tuple[str, ...]
    open: tuple[str, ...]
    charged: tuple[str, ...]


def find_project(
    connection: sqlalchemy.Connection, *, tenant: str, project: str, lone_node: str = ""
) -> Project | None:
    """This function will make a project as the fold has it; None when nothing is known of it.

    Args:
        connection: Connection of one tenant.
        tenant: That tenant, for the project's key.
        project: The project; empty for a lone node.
        lone_node: That node.
    """
    where = {"project": project, "lone_node": lone_node}
    nodes = connection.execute(sqlalchemy.text(_NODES), where).all()
    tiers = connection.execute(sqlalchemy.text(_TIERS), where).all()
    named = connection.execute(sqlalchemy.text(_PROJECT), where).one_or_none()
    if not nodes and not tiers and named is None:
        return None
    key = ProjectKey(tenant, project, lone_node)
    found = Project(key)
    if named is not None:
        found.named = ProjectRow(
            key, named.customer, named.customer_occurred_ms, named.customer_offset
        )
    for row in nodes:
        found.put_node(_from_row_node(key, row))
    for row in tiers:
        found.put_tier(_from_row_tier(key, row))
    return found


def project_of(connection: sqlalchemy.Connection, *, key: ProjectKey) -> Project:
    """This function will make a project as the fold has it, a new one where it has none.

    Args:
        connection: Connection of the key's tenant.
        key: The project.
    """
    found = find_project(
        connection, tenant=key.tenant, project=key.project, lone_node=key.lone_node
    )
    return Project(key) if found is None else found


def list_nodes(
    connection: sqlalchemy.Connection, *, project: str, lone_node: str = ""
) -> tuple[Node, ...]:
    """This function will return a project's nodes by id; there are at most NODES_MAX."""
    rows = connection.execute(
        sqlalchemy.text(_NODES), {"project": project, "lone_node": lone_node}
    )
    return tuple(
        Node(**{**row._mapping, "pulses": tuple(sorted(row.pulses))})  # noqa: SLF001 -- its public name
        for row in rows
    )


def list_projects(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: tuple[str, str] | None,
    customer: str | None = None,
) -> Page[ProjectSummary]:
    """This function will return projects by name, lone nodes first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (project, lone_node) of the last one of the page before; None for the first page.
        customer: Only those of this customer; None for all.
    """
    where = conditions(
        "(n.project, n.lone_node) > (:project, :lone_node)" if after is not None else "",
        "p.customer = :customer" if customer is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(_LIST_PROJECTS.format(where=where)),
        {
            "project": after[0] if after else None,
            "lone_node": after[1] if after else None,
            "customer": customer,
            "row_count": limit + 1,
        },
    )
    found = [
        ProjectSummary(
            row.project,
            row.lone_node,
            row.customer,
            row.nodes,
            row.last_received_at,
            *(tuple(codes) for codes in (row.reached, row.open, row.charged)),
        )
        for row in rows
    ]
    return page_of(found, limit=limit)


def list_detections(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: tuple[datetime, str] | None,
    project: tuple[str, str] | None = None,
    customer: str | None = None,
) -> Page[Detection]:
    """This function will return detections, newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (detected_at, detection) of the last one of the page before; None for the first.
        project: Only those of this (project, lone_node); None for all.
        customer: Only those of this customer; None for all.
    """
    where = conditions(
        "(detected_at, detection) < (:detected_at, :detection)" if after is not None else "",
        _KEY if project is not None else "",
        "customer = :customer" if customer is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_DETECTION_COLUMNS} FROM emergence_detection {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY detected_at DESC, detection DESC LIMIT :row_count"
        ),
        {
            "detected_at": after[0] if after else None,
            "detection": after[1] if after else None,
            "project": project[0] if project else None,
            "lone_node": project[1] if project else None,
            "customer": customer,
            "row_count": limit + 1,
        },
    )
    return page_of([_from_row_detection(row) for row in rows], limit=limit)


def find_detection(connection: sqlalchemy.Connection, *, detection: str) -> Detection | None:
    """This function will return one detection, or None when the tenant has no such one."""
    row = connection.execute(
        sqlalchemy.text(
            f"SELECT {_DETECTION_COLUMNS} FROM emergence_detection WHERE detection = :detection"  # noqa: S608 -- fixed texts only
        ),
        {"detection": detection},
    ).one_or_none()
    return None if row is None else _from_row_detection(row)


def _from_row_detection(row: sqlalchemy.Row[Any]) -> Detection:
    found = dict(row._mapping)  # noqa: SLF001 -- its public name
    covers = [(code, claim) for code, claim in row.covers]
    return Detection(**{**found, "covers": covers})


def _from_row_node(key: ProjectKey, row: sqlalchemy.Row[Any]) -> NodeRow:
    return NodeRow(
        key=key,
        node=row.node,
        data=row.data,
        data_sha256=row.data_sha256,
        version=row.version,
        occurred_at_ms=_ms(row.occurred_at),
        received_at_ms=_ms(row.received_at),
        offset=row.source_offset,
        pulses={name: PulseStamp(*stamp) for name, stamp in row.pulses.items()},
        values=row._mapping["values"],  # noqa: SLF001 -- a row has a method of this name
    )


def _from_row_tier(key: ProjectKey, row: sqlalchemy.Row[Any]) -> TierRow:
    return TierRow(
        key=key,
        code=row.code,
        is_reached=row.is_reached,
        has_fallen=row.has_fallen,
        claim=row.claim,
        generation=row.generation,
        status=TierStatus(row.status),
        detection=row.detection,
        detected_at_ms=_ms(row.detected_at),
        covers=_covers(row.covers),
        is_refundable=row.is_refundable,
        is_reversed=row.is_reversed,
        settled=row.settled,
        settled_at_ms=_ms(row.settled_at),
        earlier=tuple(
            Earlier(detection, detected_at_ms, _covers(covers))
            for detection, detected_at_ms, covers in row.earlier
        ),
    )


def _covers(items: list[Json]) -> tuple[Cover, ...]:
    return tuple(Cover(*item) for item in items)  # type: ignore[misc]


def _ms(moment: datetime | None) -> int:
    return NO_TIME if moment is None else to_ms(moment)
