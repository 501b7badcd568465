"""Projects: the list, and the emergence timeline of one with its nodes and their gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy
from fastapi import Request, Response

from api.backend import Backend
from api.console.conditions import Finding, find
from api.console.navigation import BASE_PATH
from api.console.pages.approvals import STATES
from api.console.pages.common import ROWS, after_moment, next_moment
from api.console.rendering import render
from api.console.routing import new_router
from api.console.session import ConsoleCallerDep
from api.cursors import CursorPart, from_cursor, text, to_cursor
from api.dependencies import BackendDep
from api.parameters import read_id
from domain.emergence.project import Project
from domain.emergence.rulebook import Rulebook
from projections.queries import catalogues, charges, emergence
from projections.queries.connection import tenant_connection
from projections.queries.emergence import Node
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router()
_KIND = "console-projects"
_TIMELINE = "console-timeline"
NODES_SHOWN_MAX = 100
"""Nodes of one project on a page; a project of more is rather looked at by its detections."""
TIER_STATES = {
    "detected": "wait",
    "charged": "good",
    "declined": "bad",
    "refunded": "bad",
}


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as the rules in force see it.

    Args:
        node: The node.
        gates: Every gate, judged.
        tiers: Every tier, judged by its own condition.
    """

    node: Node
    gates: tuple[Finding, ...]
    tiers: tuple[Finding, ...]

    @property
    def is_open(self) -> bool:
        """Say whether all gates hold."""
        return all(gate.holds for gate in self.gates)


@router.get(f"{BASE_PATH}/projects")
def get_projects(request: Request, backend: BackendDep, caller: ConsoleCallerDep) -> Response:
    """Projects by name."""
    cursor = request.query_params.get("after")
    after = from_cursor(cursor, kind=_KIND, make=_to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = emergence.list_projects(connection, limit=ROWS, after=after)
    last = page.rows[-1] if page.has_more else None
    return render(
        request,
        "projects.html",
        caller=caller,
        place="projects",
        projects=page.rows,
        after=to_cursor(_KIND, last.project, last.lone_node) if last else None,
    )


@router.get(f"{BASE_PATH}/projects/named")
def get_named(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep, project: str
) -> Response:
    """One project."""
    return _project(request, backend, caller, (read_id(project), ""))


@router.get(f"{BASE_PATH}/projects/lone")
def get_lone(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep, node: str
) -> Response:
    """One node that named no project."""
    return _project(request, backend, caller, ("", read_id(node)))


def _project(request: Request, backend: Backend, caller: Caller, key: tuple[str, str]) -> Response:
    project, lone_node = key
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = emergence.find_project(
            connection, tenant=caller.tenant, project=project, lone_node=lone_node
        )
        if found is None:
            raise not_found()
        nodes = emergence.list_nodes(connection, project=project, lone_node=lone_node)
        detections = emergence.list_detections(
            connection, limit=ROWS, after=after_moment(request, _TIMELINE), project=key
        )
        charged = {
            detection.detection: charges.find_charge(connection, charge=detection.detection)
            for detection in detections.rows
        }
        book = _rulebook(connection)
    found.use(book)
    return render(
        request,
        "project.html",
        caller=caller,
        place="projects",
        project=found,
        name=project or lone_node,
        nodes=[_view(node, found, book) for node in nodes[:NODES_SHOWN_MAX]],
        node_count=len(nodes),
        tiers=[
            (book.terms[code], found.tier(code), found.is_reached(code, book))
            for code in book.terms
        ],
        detections=detections.rows,
        charges=charged,
        rule_version=book.version,
        after=next_moment(detections, _TIMELINE, lambda row: (row.detected_at, row.detection)),
        states=STATES,
        tier_states=TIER_STATES,
    )


def _rulebook(connection: sqlalchemy.Connection) -> Rulebook:
    return Rulebook.of(catalogues.catalogue_in_force(connection))


def _view(node: Node, project: Project, book: Rulebook) -> NodeView:
    values = project.values(node.node)
    return NodeView(
        node=node,
        gates=tuple(find(gate.key, gate.when, values) for gate in book.rules.gates),
        tiers=tuple(find(tier.terms.name, tier.when, values) for tier in book.rules.tiers),
    )


def _to_key(parts: Sequence[CursorPart]) -> tuple[str, str]:
    project, lone_node = parts
    return text(project), text(lone_node)
