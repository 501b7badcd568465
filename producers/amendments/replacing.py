"""What counts instead of an event: the original with some of its values changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected
from domain.quantity import SCALE
from domain.usage.amendments import EventPayload
from tidegauge import InvalidEvent
from tidegauge.intake import canonical_dimensions, canonical_properties, milliseconds
from tidegauge.quantity import billionths
from tidegauge.wire import identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """What a replacement has other than its original; what is left out stays.

    Args:
        type: Event type; empty to keep it.
        quantity: Decimal text; empty to keep it.
        occurred_at: Aware; None to keep it.
        dimensions: By name; an empty value takes the dimension away.
        properties: Likewise.
    """

    type: str = ""
    quantity: str = ""
    occurred_at: datetime | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


def replaced(original: EventPayload, changes: Changes, *, customer: str) -> EventPayload:
    """This function will make what counts instead of an event, checked as the SDK checks events.

    Raises:
        Rejected: event_invalid, with the field; invalid_request when nothing would change.
    """
    try:
        nanos = (
            billionths(changes.quantity)
            if changes.quantity
            else original.quantity * 10 ** (SCALE - original.scale)
        )
        occurred_at_ms = (
            milliseconds(changes.occurred_at) if changes.occurred_at else original.occurred_at_ms
        )
        dimensions = canonical_dimensions(_changed(original.dimensions, changes.dimensions))
        properties = canonical_properties(_changed(original.properties, changes.properties))
    except InvalidEvent as error:
        raise Rejected(Code.EVENT_INVALID, f"{error.field}: {error.code}") from error
    event_type = changes.type or original.type
    canonical = identity.payload(
        customer, event_type, occurred_at_ms, nanos, dimensions, properties
    )
    quantity, scale = _on_the_wire(nanos)
    made = EventPayload(
        fingerprint=identity.fingerprint(canonical),
        type=event_type,
        occurred_at_ms=occurred_at_ms,
        quantity=quantity,
        scale=scale,
        dimensions=identity.pairs_of(dimensions),
        properties=identity.pairs_of(properties),
    )
    if made.document == original.document:
        raise Rejected(
            Code.INVALID_REQUEST,
            "the replacement says what the original says",
            next_step="Give what differs, or void the event",
        )
    return made


def _changed(pairs: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in {**pairs, **changes}.items() if value}


def _on_the_wire(nanos: int) -> tuple[int, int]:
    """Return quantity and scale without needless zeros: large quantities then fit 64 bits."""
    scale = SCALE
    while scale and nanos % 10 == 0:
        nanos, scale = nanos // 10, scale - 1
    return nanos, scale
