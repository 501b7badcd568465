"""Amendments of events between wire and domain: from_wire_ and to_wire_, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.quantity import NANOS_PER_UNIT, UNITS_MAX
from domain.usage.amendments import (
    ACTOR_LENGTH_MAX,
    AMENDMENT_REASON_LENGTH_MAX,
    Amendment,
    EventAmended,
    EventPayload,
    WindowState,
)
from schemas.codec import encode
from schemas.registry import EVENT_AMENDED

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_ID_LENGTH_MAX = 200
"""Characters of an event's id, as the SDK takes them."""
_TEXTS = {
    "event_id": EVENT_ID_LENGTH_MAX,
    "reason": AMENDMENT_REASON_LENGTH_MAX,
    "actor": ACTOR_LENGTH_MAX,
}
_VALUES = ("min", "max", "latest")


def to_wire_event_amended(amended: EventAmended) -> bytes:
    """This function will write a control record of usage.events."""
    fields = {name: getattr(amended, name) for name in EventAmended.__slots__}
    replacement = amended.replacement
    fields["original"] = _payload_fields(amended.original)
    fields["replacement"] = None if replacement is None else _payload_fields(replacement)
    fields["states"] = [_state_fields(state) for state in amended.states]
    return encode(EVENT_AMENDED, fields)


def from_wire_event_amended(fields: Mapping[str, Any]) -> EventAmended:
    """This function will read a control record's decoded fields.

    Raises:
        Rejected: undecodable, when a text is empty, too long or not printable, or a state is of no
            value that a window may have.
    """
    for name, length_max in _TEXTS.items():
        if not is_clean_text(fields[name], length_max=length_max):
            raise Rejected(
                Code.UNDECODABLE, f"{name} is not text of 1 to {length_max} printable characters"
            )
    replacement = fields["replacement"]
    return EventAmended(
        **{
            **fields,
            "original": EventPayload(**fields["original"]),
            "replacement": None if replacement is None else EventPayload(**replacement),
            "states": tuple(_from_state_fields(state) for state in fields["states"]),
        }
    )


def to_wire_amendment(amendment: Amendment) -> dict[str, Any]:
    """This function will write an amendment as fields of a facts record."""
    return {name: getattr(amendment, name) for name in Amendment.__slots__}


def from_wire_amendment(fields: Mapping[str, Any]) -> Amendment:
    """This function will read an amendment from fields of a facts record."""
    return Amendment(**fields)


def _state_fields(state: WindowState) -> dict[str, Any]:
    fields = {
        "meter": state.meter,
        "latest_occurred_ms": state.latest_occurred_ms,
        "latest_offset": state.latest_offset,
        "sketch": state.sketch,
    }
    for name in _VALUES:
        units, nanos = divmod(getattr(state, f"{name}_nanos"), NANOS_PER_UNIT)
        fields |= {f"{name}_units": units, f"{name}_nanos": nanos}
    return fields


def _from_state_fields(fields: Mapping[str, Any]) -> WindowState:
    values = {}
    for name in _VALUES:
        units, nanos = fields[f"{name}_units"], fields[f"{name}_nanos"]
        # UNITS_MAX itself is the smallest value of no event.
        if not (0 <= units <= UNITS_MAX and 0 <= nanos < NANOS_PER_UNIT):
            raise Rejected(Code.UNDECODABLE, f"{name} of a window is not within its range")
        values[f"{name}_nanos"] = units * NANOS_PER_UNIT + nanos
    return WindowState(
        meter=fields["meter"],
        **values,
        latest_occurred_ms=fields["latest_occurred_ms"],
        latest_offset=fields["latest_offset"],
        sketch=fields["sketch"],
    )


def _payload_fields(payload: EventPayload) -> dict[str, Any]:
    return {name: getattr(payload, name) for name in EventPayload.__slots__}
