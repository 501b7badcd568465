"""Amendments as the operator's tool makes them, in tests that have no log to look events up in."""

from __future__ import annotations

import json
from typing import Any

from domain.catalogue import parse_catalogue
from domain.usage.amendments import EventAmended, EventPayload, meters_hash
from schemas.amendment_wire import to_wire_event_amended
from tests.support.usage_truth import CATALOGUE, Event


def payload_of(event: Event) -> EventPayload:
    return EventPayload(
        fingerprint=event.fingerprint.to_bytes(8, "big"),
        type=event.type,
        occurred_at_ms=event.occurred_ms,
        quantity=event.quantity,
        scale=event.scale,
        dimensions=dict(event.dimensions),
        properties=dict(event.properties),
    )


def amended(
    event: Event,
    *,
    replacement: Event | None = None,
    received_ms: int = 0,
    offset: int = 1,
    catalogue: dict[str, Any] | None = None,
    **changes: Any,
) -> EventAmended:
    """An amendment of an event; the catalogue is the one that it was counted by."""
    meters = parse_catalogue(json.dumps(catalogue or CATALOGUE)).meters_of(event.type)
    fields: dict[str, Any] = {
        "tenant": "acme",
        "customer": event.customer,
        "key": event.key.to_bytes(16, "big"),
        "event_id": f"{event.key:032x}",
        "original": payload_of(event),
        "original_offset": offset,
        "original_received_at_ms": received_ms or event.occurred_ms,
        "meters_sha256": meters_hash(meters),
        "replacement": None if replacement is None else payload_of(replacement),
        "reason": "measured twice",
        "actor": "op_1",
    }
    return EventAmended(**{**fields, **changes})


def amendment_record(event: Event, **options: Any) -> bytes:
    """The same as a record of usage.events."""
    return to_wire_event_amended(amended(event, **options))
