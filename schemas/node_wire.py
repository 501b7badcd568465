"""Node events to the wire; reading them back comes with the fold that judges emergence."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.codec import encode
from schemas.registry import NODE_UPDATED, PULSE_RECEIVED


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What all node events have in common.

    Args:
        tenant: Tenant that owns the project.
        project: Project of the node; empty when the sender named none.
        delivery_id: Id of the webhook delivery, the same when it is sent again.
        occurred_at_ms: When it happened, milliseconds since 1970 UTC.
        received_via: Webhook that took it: node-update, pulse or emergence.
        data: All that was reported, a JSON object as text, numbers exactly as written.
    """

    tenant: str
    project: str
    delivery_id: str
    occurred_at_ms: int
    received_via: str
    data: str


def to_wire_node_updated(report: NodeReport, *, node: str) -> bytes:
    """This function will write a record of node.events: a node reported its state."""
    return encode(NODE_UPDATED, {**_common(report), "node": node})


def to_wire_pulse_received(report: NodeReport, *, pulse: str, target_node: str) -> bytes:
    """This function will write a record of node.events: a pulse came.

    Args:
        report: What all node events have in common.
        pulse: Its id; empty when the sender named none.
        target_node: The node it is about; empty for none.
    """
    return encode(PULSE_RECEIVED, {**_common(report), "pulse": pulse, "target_node": target_node})


def _common(report: NodeReport) -> dict[str, str | int]:
    return {name: getattr(report, name) for name in NodeReport.__slots__}
