"""Amendments: an event that was counted is voided, or replaced by another one, in band.

The original stays on the log. A control record on the same partition names it and carries what
must be taken away: the fold keeps keys and windows, never events. So the fold stays a function of
its partition, and every replay takes the same away at the same offset.

1. The key must be remembered, with the fingerprint that the amendment says: 35 days, as long as
   the event itself could still come. Otherwise amendment_unknown.
2. The meters that the type feeds must be those that counted it: amendments carry their hash.
   Otherwise amendment_refused: what was counted by other rules cannot be taken away by these.
3. From a sum a part can be taken, from a maximum or a sketch not. An event that feeds such a
   meter is amended in two steps: the amendment is announced, and then says what the event's
   windows held before its announcement without the event (domain.usage.watches). A window that
   somebody else has stated anew in between, and an announcement that is too old, is
   amendment_outdated; an amendment that was not announced is amendment_refused.
4. The key of its marker is remembered from then on, so a second amendment of the event does
   nothing.
5. A replacement is an event of its own, with a key derived from the original's: it is counted
   once too, and may be amended in turn.

Smallest, largest and latest value of a window of an additive meter stay as they were: no such
meter is billed by them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.aggregation.kinds import Aggregation
from domain.canonical import Json, to_canonical_json
from domain.quantity import NANOS_PER_UNIT, SCALE, nanos_text
from domain.usage.windows import NEUTRAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.meter import Meter

ADDITIVE = frozenset({Aggregation.SUM, Aggregation.COUNT, Aggregation.AVERAGE})
"""Aggregations whose quantity follows from a window's sum and number of events."""
KEY_BYTES = 16
ACTOR_LENGTH_MAX = 100
"""Characters of who amended: an id of an account or a program, never a person's name."""
AMENDMENT_REASON_LENGTH_MAX = 300
"""Characters of the reason."""


@dataclass(frozen=True, slots=True)
class EventPayload:
    """What one event says, without whose it is.

    Args:
        fingerprint: 8 bytes, as its sender made them.
        type: Event type.
        occurred_at_ms: When it happened, milliseconds since 1970 UTC.
        quantity: Quantity times 10^scale.
        scale: Decimal places, 0 to 9.
        dimensions, properties: Names and values.
    """

    fingerprint: bytes
    type: str
    occurred_at_ms: int
    quantity: int
    scale: int
    dimensions: Mapping[str, str]
    properties: Mapping[str, str]

    @property
    def document(self) -> str:
        """Return it as canonical JSON, for people; quantity as exact text."""
        nanos = self.quantity * 10 ** (SCALE - self.scale) if 0 <= self.scale <= SCALE else 0
        return to_canonical_json(
            {
                "type": self.type,
                "occurred_at_ms": self.occurred_at_ms,
                "quantity": nanos_text(nanos),
                "dimensions": dict(self.dimensions),
                "properties": dict(self.properties),
            }
        )


@dataclass(frozen=True, slots=True)
class WindowState:
    """What one window keeps beyond sums: of its events before an offset, without one of them.

    Args:
        meter: Meter of the window.
        min_nanos, max_nanos, latest_nanos: Smallest, largest and latest value, in billionths.
        latest_occurred_ms: When the latest one occurred, milliseconds since 1970 UTC.
        latest_offset: Its source offset.
        sketch: Sketch of a meter that has one; empty for none.
    """

    meter: str
    min_nanos: int
    max_nanos: int
    latest_nanos: int
    latest_occurred_ms: int
    latest_offset: int
    sketch: bytes


@dataclass(frozen=True, slots=True)
class EventAmended:
    """A control record: a counted event is taken away, and perhaps another one put in its place.

    Args:
        tenant, customer: Whose event it is.
        key: Its 16 bytes.
        event_id: Its id as people gave it; for the record alone.
        original: The event, as it was counted.
        original_offset: Source offset at which it was counted.
        original_received_at_ms: Append time of that record: whether it was late then.
        meters_sha256: meters_hash of what its type fed then, 32 bytes.
        replacement: What counts instead; None for nothing.
        reason: Why, for people.
        actor: Who; an id.
        announces: Whether it is the announcement of one that follows; it changes no usage.
        announced_at: Source offset of the announcement; None where none is needed.
        states: The event's windows of meters that are not additive, as they were before the
            announcement without the event; one per meter.
    """

    tenant: str
    customer: str
    key: bytes
    event_id: str
    original: EventPayload
    original_offset: int
    original_received_at_ms: int
    meters_sha256: bytes
    replacement: EventPayload | None
    reason: str
    actor: str
    announces: bool = False
    announced_at: int | None = None
    states: tuple[WindowState, ...] = ()

    @property
    def stands_alone(self) -> bool:
        """Say whether it is a micro-batch of its own: what came before it is told apart."""
        return self.announces or self.announced_at is not None


@dataclass(frozen=True, slots=True)
class Amendment:
    """The fact that an event was amended.

    Args:
        offset: Source offset of the control record.
        tenant, customer: Whose event it was.
        key: Its 16 bytes.
        event_id: Its id as people gave it.
        original_offset: Source offset at which it had been counted.
        original: Its payload as canonical JSON.
        replacement_key: Key of what counts instead, 16 bytes; empty for a void.
        replacement: Its payload as canonical JSON; empty for a void.
        reason: Why.
        actor: Who.
        received_at_ms: Append time of the control record, milliseconds since 1970 UTC.
    """

    offset: int
    tenant: str
    customer: str
    key: bytes
    event_id: str
    original_offset: int
    original: str
    replacement_key: bytes
    replacement: str
    reason: str
    actor: str
    received_at_ms: int


def no_state(meter: str) -> WindowState:
    """This function will return what a window of no event keeps beyond sums."""
    return WindowState(
        meter=meter,
        min_nanos=NEUTRAL["min_units"] * NANOS_PER_UNIT,
        max_nanos=0,
        latest_nanos=0,
        latest_occurred_ms=NEUTRAL["latest_occurred_ms"],
        latest_offset=NEUTRAL["latest_offset"],
        sketch=b"",
    )


def marker_key(key: bytes) -> bytes:
    """This function will return the key that is remembered when an event has been amended."""
    return _derived(b"tidegauge amended", key)


def replacement_key(key: bytes) -> bytes:
    """This function will return the key of what replaces an event; there is one at most."""
    return _derived(b"tidegauge replacement", key)


def _derived(purpose: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=KEY_BYTES, key=purpose).digest()


def meters_hash(meters: Iterable[Meter]) -> bytes:
    """This function will hash what decides how meters count an event, SHA-256.

    Names and units for people are left out: a change of those changes no window.
    """
    document: list[Json] = [
        {
            "key": meter.key,
            "value": meter.value_property,
            "aggregation": meter.aggregation.value,
            "group_by": list(meter.group_by),
            "dimension_sets_max": meter.dimension_sets_max,
            "value_bands": list(meter.value_bands),
        }
        for meter in sorted(meters, key=lambda meter: meter.key)
    ]
    return hashlib.sha256(to_canonical_json(document).encode()).digest()


def why_not(meters: Iterable[Meter], *, meters_sha256: bytes, is_announced: bool) -> str:
    """This function will say why an event that these meters count cannot be taken away.

    Args:
        meters: What its type feeds now.
        meters_sha256: Hash of what counted it.
        is_announced: Whether the amendment states windows anew, or is going to.

    Returns:
        A sentence; empty when it can.
    """
    meters = tuple(meters)
    if meters_hash(meters) != meters_sha256:
        return "the catalogue has changed what this event type feeds since the event was counted"
    for meter in meters:
        if meter.aggregation not in ADDITIVE and not is_announced:
            return (
                f"meter {meter.key} has aggregation {meter.aggregation.value}, from which one "
                "event cannot be taken away"
            )
    return ""


def fact_of(amended: EventAmended, *, offset: int, received_at_ms: int) -> Amendment:
    """This function will write down an amendment that took effect."""
    replacement = amended.replacement
    return Amendment(
        offset=offset,
        tenant=amended.tenant,
        customer=amended.customer,
        key=amended.key,
        event_id=amended.event_id,
        original_offset=amended.original_offset,
        original=amended.original.document,
        replacement_key=b"" if replacement is None else replacement_key(amended.key),
        replacement="" if replacement is None else replacement.document,
        reason=amended.reason,
        actor=amended.actor,
        received_at_ms=received_at_ms,
    )
