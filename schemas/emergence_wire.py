"""Facts of the emergence fold between wire and domain: from_wire_ and to_wire_, nothing else."""

from __future__ import annotations

from dataclasses import fields as fields_of
from typing import TYPE_CHECKING, Any

from domain.codes import Code
from domain.emergence.facts import (
    ActivityCount,
    Cover,
    Detected,
    Earlier,
    EmergenceEvent,
    EmergenceFacts,
    Ended,
    Evidence,
    How,
    NodeRow,
    ProjectKey,
    ProjectRow,
    PulseStamp,
    Suspected,
    TierRow,
    TierStatus,
)
from domain.errors import Rejected
from domain.usage.facts import CatalogueApplied
from schemas.codec import Decoder, encode
from schemas.registry import EMERGENCE_FACTS
from schemas.topics import EMERGENCE_FACTS_TOPIC
from schemas.usage_wire import from_wire_reject, to_wire_reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_FACTS = Decoder(EMERGENCE_FACTS_TOPIC)
_LISTS: Mapping[str, type[EmergenceEvent]] = {
    "detections": Detected,
    "endings": Ended,
    "suspicions": Suspected,
}
"""List of the record → what it holds."""


def to_wire_emergence_facts(facts: EmergenceFacts, *, writer: str) -> bytes:
    """This function will write a facts record of the emergence fold.

    Args:
        facts: What the fold decided.
        writer: Random id of the writing process, for people who read the log.
    """
    record: dict[str, Any] = {
        "writer": writer,
        "from_offset": facts.from_offset,
        "to_offset": facts.to_offset,
        "received_high_ms": facts.received_high_ms,
        "rejects": [to_wire_reject(reject) for reject in facts.rejects],
    }
    for name, kind in _LISTS.items():
        record[name] = [
            {"order": order, **_to_wire(event)}
            for order, event in enumerate(facts.events)
            if isinstance(event, kind)
        ]
    for name in ("projects", "nodes", "tiers", "activity", "catalogues"):
        record[name] = [_to_wire(item) for item in getattr(facts, name)]
    return encode(EMERGENCE_FACTS, record)


def _to_wire(item: Any) -> dict[str, Any]:  # noqa: ANN401 -- any dataclass of the facts
    """Return a value's fields; its key is spread out, what lies inside becomes records."""
    found: dict[str, Any] = {}
    for field in fields_of(item):
        value = getattr(item, field.name)
        if isinstance(value, ProjectKey):
            found |= value._asdict()
        else:
            found[field.name] = _inner(value)
    return found


def _inner(value: Any) -> Any:  # noqa: ANN401 -- whatever a fact holds
    if isinstance(value, Cover | PulseStamp | Earlier):
        return {name: _inner(item) for name, item in value._asdict().items()}
    if isinstance(value, Evidence):
        return _to_wire(value)
    if isinstance(value, tuple):
        return [_inner(item) for item in value]
    if isinstance(value, How | TierStatus):
        return value.value
    if isinstance(value, dict):
        return {name: _inner(item) for name, item in value.items()}
    return value


def from_wire_emergence_facts(value: bytes | None) -> EmergenceFacts:
    """This function will read a facts record of the emergence fold.

    Raises:
        Rejected: When the bytes are no such record, which in a facts topic means corruption.
    """
    _, fields = _FACTS.decode(value)
    try:
        return EmergenceFacts(
            from_offset=fields["from_offset"],
            to_offset=fields["to_offset"],
            received_high_ms=fields["received_high_ms"],
            events=_events(fields),
            projects=_each(_project, fields["projects"]),
            nodes=_each(_node, fields["nodes"]),
            tiers=_each(_tier, fields["tiers"]),
            activity=_each(lambda item: ActivityCount(**item), fields["activity"]),
            catalogues=_each(lambda item: CatalogueApplied(**item), fields["catalogues"]),
            rejects=_each(from_wire_reject, fields["rejects"]),
        )
    except ValueError as error:
        raise Rejected(Code.UNDECODABLE, f"facts hold an unknown name: {error}") from error


def _events(fields: Mapping[str, Any]) -> tuple[EmergenceEvent, ...]:
    """Put the events of all lists back into their order."""
    readers: Mapping[str, Callable[[dict[str, Any]], EmergenceEvent]] = {
        "detections": _detected,
        "endings": lambda item: Ended(**{**_keyed(item), "how": How(item["how"])}),
        "suspicions": lambda item: Suspected(**_keyed(item)),
    }
    found = {
        item.pop("order"): read(item) for name, read in readers.items() for item in fields[name]
    }
    if sorted(found) != list(range(sum(len(fields[name]) for name in readers))):
        raise Rejected(Code.UNDECODABLE, "events of the facts have no order")
    return tuple(event for _, event in sorted(found.items(), key=lambda item: item[0]))


def _each(read: Callable[[dict[str, Any]], Any], items: Iterable[dict[str, Any]]) -> Any:  # noqa: ANN401 -- as read gives it
    return tuple(read(item) for item in items)


def _keyed(item: dict[str, Any]) -> dict[str, Any]:
    key = ProjectKey(*(item.pop(name) for name in ProjectKey._fields))
    return {**item, "key": key}


def _covers(items: Iterable[dict[str, Any]]) -> tuple[Cover, ...]:
    return tuple(Cover(**item) for item in items)


def _detected(item: dict[str, Any]) -> Detected:
    return Detected(
        **{
            **_keyed(item),
            "covers": _covers(item["covers"]),
            "delivers": tuple(item["delivers"]),
            "evidence": _each(lambda each: Evidence(**each), item["evidence"]),
        }
    )


def _project(item: dict[str, Any]) -> ProjectRow:
    return ProjectRow(**_keyed(item))


def _node(item: dict[str, Any]) -> NodeRow:
    pulses = {name: PulseStamp(**stamp) for name, stamp in item["pulses"].items()}
    return NodeRow(**{**_keyed(item), "pulses": pulses})


def _tier(item: dict[str, Any]) -> TierRow:
    earlier = tuple(
        Earlier(each["detection"], each["detected_at_ms"], _covers(each["covers"]))
        for each in item["earlier"]
    )
    return TierRow(
        **{
            **_keyed(item),
            "status": TierStatus(item["status"]),
            "covers": _covers(item["covers"]),
            "earlier": earlier,
        }
    )
