"""Checking a node: what a report would come to, then the report itself onto the log (S0-37).

The answer is worked out with the fold's own rules on the project's state in the tables, so it
comes in one round trip. What counts is what the fold decides when it reads the report: where two
reports cross on the way, the answer may be a detection behind, never a charge ahead.

Steps: 1. read the request; 2. judge, on the state as projected; 3. append the report and wait for
the broker; 4. answer. A request that is refused leaves nothing on the log.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from domain.emergence.check import Check, check
from domain.emergence.reading import key_of
from domain.emergence.records import NodeReported
from domain.fields import TEXT_LENGTH_MAX, is_clean_text
from projections.queries import emergence
from projections.queries.catalogues import catalogue_in_force
from projections.queries.connection import tenant_connection
from runtime import clock
from runtime.node_events import NodeEvent
from runtime.web import exact_json
from runtime.web.authentication import Caller
from runtime.web.exact_json import Exact
from runtime.web.problems import ProblemError, invalid
from schemas.node_wire import NodeReport, to_wire_node_updated

NODE_BYTES_MAX = 256 * 1024
"""Largest report, bytes, as the gateway takes it."""
RECEIVED_VIA = "check"

INCOMPLETE, CHARGED, DECLINED, UNKNOWN_RULES = "incomplete", "charged", "declined", "no_rules"
"""Why nothing is offered although no gate fails: no tier is reached, or each one that is was
charged or declined, or the tenant's catalogue has no tiers."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A check, and what it was about.

    Args:
        check: What the report comes to.
        reason: Why nothing is offered: key of the first gate that fails, or one of the above;
            empty when something is.
    """

    check: Check
    reason: str


def read_report(body: bytes, *, tenant: str) -> NodeReported:
    """This function will read a request that reports a node.

    Args:
        body: JSON object with node_id, and what there is of project_id, customer_id and the
            node's fields.
        tenant: Whose node it is.

    Raises:
        ProblemError: invalid_request, with the field that is wrong.
    """
    if len(body) > NODE_BYTES_MAX:
        raise invalid("body", f"The body has more than {NODE_BYTES_MAX} bytes", status=413)
    data = exact_json.read(body)
    if not isinstance(data, dict):
        raise invalid("body", "The body must be a JSON object")
    node = _text(data, "node_id")
    if not node:
        raise invalid("node_id", "node_id must name the node")
    return NodeReported(
        tenant=tenant,
        project=_text(data, "project_id"),
        node=node,
        occurred_at_ms=clock.now_ms(),
        data=exact_json.write(data),
    )


def _text(data: dict[str, Exact], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not is_clean_text(value):
        raise _wrong_text(name)
    return value


def _wrong_text(name: str) -> ProblemError:
    return invalid(name, f"{name} must be text of 1 to {TEXT_LENGTH_MAX} printable characters")


async def check_node(
    backend: Backend, caller: Caller, report: NodeReported, *, delivery_id: str
) -> Checked:
    """This function will judge a report and put it on the log.

    Args:
        backend: Where tables and log are.
        caller: Whose node it is.
        report: What is reported.
        delivery_id: Id of the request, for people who read the log.

    Raises:
        Rejected: bad_value with the field, or project_limit; nothing is on the log then.
        Retryable: database_away, broker_away or delivery_unknown; the same may be sent again.
    """
    checked = await run_in_threadpool(_judge, backend, caller, report)
    value = to_wire_node_updated(
        NodeReport(
            tenant=report.tenant,
            project=report.project,
            delivery_id=delivery_id,
            occurred_at_ms=report.occurred_at_ms,
            received_via=RECEIVED_VIA,
            data=report.data,
        ),
        node=report.node,
    )
    await backend.nodes.append(NodeEvent(report.tenant, report.project, value))
    return checked


def _judge(backend: Backend, caller: Caller, report: NodeReported) -> Checked:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        catalogue = catalogue_in_force(connection)
        project = emergence.project_of(connection, key=key_of(report))
    found = check(
        project=project, report=report, catalogue=catalogue, now_ms=report.occurred_at_ms
    )
    has_tiers = catalogue is not None and bool(catalogue.emergence.tiers)
    return Checked(
        check=found,
        reason=_reason(found, has_tiers=has_tiers),
    )


def _reason(found: Check, *, has_tiers: bool) -> str:
    if found.offers:
        return ""
    if not has_tiers:
        return UNKNOWN_RULES
    if found.judgement.failed_gates:
        return found.judgement.failed_gates[0]
    if not found.judgement.tiers:
        return INCOMPLETE
    return DECLINED if found.declined else CHARGED
