"""/emergence/check, /detections and /projects: what has become real, and what it rests on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.backend import Backend
from api.bodies import read_json_bytes
from api.checks import check_node, read_report
from api.cursors import from_cursor, moment_and_text, to_cursor
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep, ReporterDep, get_reporter
from api.parameters import DetectionParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_emergence import (
    CheckRepresentation,
    DetectionRepresentation,
    ProjectRepresentation,
    TierRepresentation,
    to_representation_check,
    to_representation_detection,
    to_representation_node,
)
from api.routes.common import (
    BASE_PATH,
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    READ_RESPONSES,
    Responses,
    new_router,
)
from domain.derived_ids import derived_id
from domain.period import time_text
from projections.queries import emergence
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.openapi import problem_response
from runtime.web.problems import not_found

router = new_router("emergence")
reports = APIRouter(
    prefix=BASE_PATH,
    tags=["emergence"],
    dependencies=[Depends(get_reporter)],
    redirect_slashes=False,
)
"""Of machines that report nodes: they need usage:write, as at the gateway, and no other right."""
_KIND = "detections"
TIMELINE_MAX = 50
"""Detections shown with a project, the newest; the list of detections has them all."""
CHECK_RESPONSES: Responses = {
    **COMMAND_RESPONSES,
    403: problem_response("The key lacks the scope usage:write"),
    422: problem_response(
        "A field of the node is not what the catalogue declares; param names it"
    ),
}
CHECK_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["node_id"],
                    "properties": {
                        "project_id": {
                            "type": "string",
                            "description": "Project; a node without one is a project of its own",
                        },
                        "node_id": {"type": "string", "description": "The node"},
                        "customer_id": {
                            "type": "string",
                            "description": "Who pays; the project keeps the newest naming",
                        },
                        "node_data": {
                            "type": "object",
                            "description": "The node's fields; they may stand beside it too",
                        },
                    },
                    "example": {
                        "project_id": "test-project",
                        "node_id": "test-node",
                        "node_data": {
                            "fit_score": "0.95",
                            "finalized": True,
                            "emergence_status": "ready",
                            "geometry_resolved": True,
                            "specs_complete": True,
                        },
                    },
                }
            }
        },
    }
}


@reports.post(
    "/emergence/check",
    responses=CHECK_RESPONSES,
    summary="Report a node and learn what it comes to",
    dependencies=[Depends(refuse_query)],
    openapi_extra=CHECK_BODY,
)
async def post_check(
    request: Request, backend: BackendDep, caller: ReporterDep, idempotency_key: IdempotencyKeyDep
) -> CheckRepresentation:
    """Judges the project with this report, appends the report, and answers at once.

    It deducts nothing. Sent again it is judged again, on what is known then.
    """
    report = read_report(await read_json_bytes(request), tenant=caller.tenant)
    delivery_id = derived_id("dlv", caller.tenant, idempotency_key)
    checked = await check_node(backend, caller, report, delivery_id=delivery_id)
    return to_representation_check(checked)


@router.get("/detections", responses=READ_RESPONSES, summary="Detections, the newest first")
def list_detections(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[DetectionParameters, Query()]
) -> ListRepresentation[DetectionRepresentation]:
    """What was reached, of all projects, of one, or of one customer."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=moment_and_text)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = emergence.list_detections(
            connection,
            limit=parameters.limit,
            after=after,
            project=None if parameters.project is None else (parameters.project, ""),
            customer=parameters.customer,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_detection(found) for found in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.detected_at), last.detection)
        if last
        else None,
    )


@router.get(
    "/detections/{detection}",
    responses=FIND_RESPONSES,
    summary="One detection",
    dependencies=[Depends(refuse_query)],
)
def get_detection(
    backend: BackendDep, caller: CallerDep, detection: str
) -> DetectionRepresentation:
    """One detection with its evidence."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = emergence.find_detection(connection, detection=read_id(detection))
    if found is None:
        raise not_found()
    return to_representation_detection(found)


@router.get(
    "/projects/{project}",
    responses=FIND_RESPONSES,
    summary="One project",
    dependencies=[Depends(refuse_query)],
)
def get_project(backend: BackendDep, caller: CallerDep, project: str) -> ProjectRepresentation:
    """A project's nodes, what they reach, and its newest detections."""
    return _find(backend, caller, project=read_id(project), lone_node="")


@router.get(
    "/nodes/{node}",
    responses=FIND_RESPONSES,
    summary="One node that is a project of its own",
    dependencies=[Depends(refuse_query)],
)
def get_node(backend: BackendDep, caller: CallerDep, node: str) -> ProjectRepresentation:
    """A node that named no project, as the project that it is."""
    return _find(backend, caller, project="", lone_node=read_id(node))


def _find(
    backend: Backend, caller: Caller, *, project: str, lone_node: str
) -> ProjectRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = emergence.find_project(
            connection, tenant=caller.tenant, project=project, lone_node=lone_node
        )
        if found is None:
            raise not_found()
        nodes = emergence.list_nodes(connection, project=project, lone_node=lone_node)
        page = emergence.list_detections(
            connection, limit=TIMELINE_MAX, after=None, project=(project, lone_node)
        )
    return ProjectRepresentation(
        project=project or None,
        node=lone_node or None,
        customer=found.customer or None,
        nodes=[to_representation_node(node) for node in nodes],
        tiers=[
            TierRepresentation(
                tier=code,
                is_reached=row.is_reached,
                status=row.status.value,
                generation=row.generation,
                detection=row.detection or None,
            )
            for code, row in sorted(found.tiers.items())
        ],
        detections=[to_representation_detection(detection) for detection in page.rows],
    )
