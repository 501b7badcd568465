"""What the usage fold reads, one value per source record, already decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from domain.usage.amendments import EventAmended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.codes import Code

EVENTS_PER_BATCH_MAX = 5_000
"""Events of one UsageBatch; bounds the work of one source record."""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """A UsageBatch, or several UsageEvents put together; column i describes event i.

    Args:
        tenant: Tenant of every event.
        backfill: Whether events may be older than the horizon.
        strings: Dictionary of customers and event types.
        dimension_sets: Dictionary of dimension maps.
        keys: 16 bytes per event.
        fingerprints: 8 bytes per event.
        customer: Index into strings.
        type_: Index into strings.
        dimension_set: 1 + index into dimension_sets, 0 for none.
        occurred_at_ms: Milliseconds since 1970 UTC.
        scales: Decimal places of the quantities, 0 to 9: one for all, or one per event.
        quantity: Quantity times 10^scale.
        properties: (event index, name, value) for each property.
    """

    tenant: str
    backfill: bool
    strings: Sequence[str]
    dimension_sets: Sequence[Mapping[str, str]]
    keys: bytes
    fingerprints: bytes
    customer: Sequence[int]
    type_: Sequence[int]
    dimension_set: Sequence[int]
    occurred_at_ms: Sequence[int]
    scales: Sequence[int]
    quantity: Sequence[int]
    properties: Sequence[tuple[int, str, str]]


class EventRow(TypedDict):
    """A UsageEvent: the fields of one event, as its schema names them."""

    tenant: str
    backfill: bool
    key: bytes
    fingerprint: bytes
    customer: str
    type: str
    occurred_at_ms: int
    quantity: int
    scale: int
    dimensions: Mapping[str, str]
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CataloguePublished:
    """A catalogue version that arrived in band; content is unchecked JSON text."""

    tenant: str
    version: int
    content: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A source record that is no valid record.

    Args:
        code: Why.
        reason: What was wrong, for people.
        tenant: Who sent it, by the record's key; empty when that is unreadable too. It makes the
            reject visible to its tenant and has no other use.
    """

    code: Code
    reason: str
    tenant: str = ""


class SourceRecord(NamedTuple):
    """One record of usage.events; a tuple, because one is made for every single event.

    Args:
        offset: Source offset.
        received_at_ms: Broker's append time, milliseconds since 1970 UTC.
        body: What it holds.
    """

    offset: int
    received_at_ms: int
    body: EventBatch | EventRow | CataloguePublished | EventAmended | Unreadable


def stands_alone(record: SourceRecord) -> bool:
    """This function will say whether a record has to be a micro-batch of its own."""
    body = record.body
    return isinstance(body, EventAmended) and body.stands_alone
