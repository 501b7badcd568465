"""Records of node.events between wire and domain: from_wire_ and to_wire_, nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.codes import Code
from domain.emergence.records import (
    DetectionSettled,
    NodeEvent,
    NodeRecord,
    NodeReported,
    PulseReceived,
)
from domain.errors import Rejected
from domain.usage.records import CataloguePublished, Unreadable
from schemas.codec import Decoder, encode, tenant_of_key
from schemas.registry import (
    CATALOG_PUBLISHED,
    EMERGENCE_SETTLED,
    NODE_UPDATED,
    PULSE_RECEIVED,
    Schema,
)
from schemas.topics import NODE_EVENTS

if TYPE_CHECKING:
    from schemas.codec import ForeignSchemas

_SOURCE = Decoder(NODE_EVENTS)


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


def to_wire_emergence_settled(settled: DetectionSettled) -> bytes:
    """This function will write a record of node.events: what became of a detection.

    It belongs to the partition of (tenant, project), like the reports of the project's nodes.
    """
    return encode(
        EMERGENCE_SETTLED,
        {name: getattr(settled, name) for name in DetectionSettled.__slots__},
    )


def _common(report: NodeReport) -> dict[str, str | int]:
    return {name: getattr(report, name) for name in NodeReport.__slots__}


def from_wire_node_source(
    value: bytes | None,
    *,
    offset: int,
    received_at_ms: int,
    key: bytes | None = None,
    foreign: ForeignSchemas | None = None,
) -> NodeRecord:
    """This function will decode a record of node.events; a bad one becomes Unreadable.

    Args:
        value: The record's value.
        offset: Its offset.
        received_at_ms: Its append time, milliseconds since 1970 UTC.
        key: The record's key, for the tenant of a bad one.
        foreign: Where schema ids are looked up that are not ours; None knows no others.

    Raises:
        Retryable: Nobody can say now what the schema id means.
    """
    try:
        schema, fields = _SOURCE.decode(value, received_at_ms=received_at_ms, foreign=foreign)
        body = _source_body(schema, fields)
    except Rejected as error:
        return NodeRecord(
            offset, received_at_ms, Unreadable(error.code, error.reason, tenant_of_key(key))
        )
    return NodeRecord(offset, received_at_ms, body)


def _source_body(schema: Schema, fields: dict[str, Any]) -> NodeEvent | CataloguePublished:
    kinds: dict[Schema, type[NodeReported | PulseReceived | DetectionSettled]] = {
        NODE_UPDATED: NodeReported,
        PULSE_RECEIVED: PulseReceived,
        EMERGENCE_SETTLED: DetectionSettled,
    }
    if schema is CATALOG_PUBLISHED:
        if hashlib.sha256(fields["content"].encode()).digest() != fields["content_sha256"]:
            raise Rejected(Code.UNDECODABLE, "the catalogue's hash does not belong to its content")
        return CataloguePublished(fields["tenant"], fields["version"], fields["content"])
    kind = kinds[schema]
    return kind(**{name: fields[name] for name in kind.__slots__})
