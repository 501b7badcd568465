"""Node updates and pulses as S0's main system reports them, on the way to node.events (S0-R7)."""

from __future__ import annotations

from domain.fields import TEXT_LENGTH_MAX, is_clean_text
from domain.routing import partition_of
from producers.gateway.candidates import RefusedEvent, only_known, read_time
from producers.gateway.log import Record
from runtime import clock
from runtime.web import exact_json
from runtime.web.exact_json import Exact
from schemas.node_wire import NodeReport, to_wire_node_updated, to_wire_pulse_received
from schemas.topics import NODE_EVENTS
from tidegauge import errors, intake

NODE_UPDATE, PULSE = "node_update", "pulse"
KINDS = {"node-update": NODE_UPDATE, "pulse": PULSE, "emergence": ""}
"""Webhook → the event type it means when the envelope does not say; emergence means none."""

_ENVELOPE = frozenset({"event_type", "data", "time"})


def to_record(
    body: Exact, *, tenant: str, delivery_id: str, received_via: str, partitions: int
) -> Record:
    """This function will read the envelope of a webhook.

    Args:
        body: The request's JSON: event_type, data and time.
        tenant: Whose secret signed it.
        delivery_id: Id of the delivery.
        received_via: A key of KINDS.
        partitions: Partitions of node.events.

    Returns:
        The record, on the partition of its project.

    Raises:
        RefusedEvent: With the field that is wrong.
    """
    if not isinstance(body, dict):
        raise RefusedEvent("body", "must be a JSON object")
    only_known(body, _ENVELOPE, place="")
    data = body.get("data")
    if not isinstance(data, dict):
        raise RefusedEvent("data", "must be a JSON object")
    report = NodeReport(
        tenant=tenant,
        project=_text(data, "project_id"),
        delivery_id=delivery_id,
        occurred_at_ms=_occurred_at_ms(body.get("time")),
        received_via=received_via,
        data=exact_json.write(data),
    )
    partition = partition_of(tenant, report.project, partitions=partitions)
    value = _value_of(body.get("event_type", KINDS[received_via]), report, data)
    return Record(NODE_EVENTS.name, partition, tenant.encode(), value)


def _occurred_at_ms(text: Exact) -> int:
    moment = read_time(text, param="time")
    if moment is None:
        return clock.now_ms()
    try:
        return intake.milliseconds(moment)
    except errors.InvalidEvent as error:
        raise RefusedEvent("time", errors.CODES[error.code], error.code) from error


def _value_of(kind: Exact, report: NodeReport, data: dict[str, Exact]) -> bytes:
    if kind == NODE_UPDATE:
        node = _text(data, "node_id")
        if not node:
            raise RefusedEvent("data.node_id", "must name the node")
        return to_wire_node_updated(report, node=node)
    if kind == PULSE:
        return to_wire_pulse_received(
            report, pulse=_text(data, "pulse_id"), target_node=_text(data, "target_node")
        )
    raise RefusedEvent("event_type", f"must be {NODE_UPDATE} or {PULSE}")


def _text(data: dict[str, Exact], name: str) -> str:
    """Return a clean text, or the empty one when it is not there."""
    value = data.get(name, "")
    if not isinstance(value, str) or (value and not is_clean_text(value)):
        raise RefusedEvent(
            f"data.{name}", f"must be text of 1 to {TEXT_LENGTH_MAX} printable characters"
        )
    return value
