"""Finding one counted event on the log: what an amendment of it has to say.

1. The facts of its partition say which of them accepted the key, and so between which source
   offsets the event lies, and which catalogue was in force there.
2. The source records of that stretch hold the event itself.

Cost: one reading of the partition's facts, noted for who amends it (projections.facts_notes), and
one micro-batch of events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from domain.catalogue import parse_catalogue
from domain.routing import partition_of
from domain.usage.amendments import (
    ADDITIVE,
    EventAmended,
    EventPayload,
    meters_hash,
    replacement_key,
)
from domain.usage.records import EventBatch
from domain.usage.rows import replacement_row, row_of
from projections.facts_notes import FactsNotes
from projections.partition_log import KafkaPartitionLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.catalogue import Catalogue
    from domain.usage.facts import CatalogueApplied, UsageFacts
    from domain.usage.records import EventRow, SourceRecord
    from projections.partition_log import PartitionLog
    from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class CountedEvent:
    """An event that a usage fold has counted.

    Args:
        tenant: Whose tenant's.
        customer: Whose.
        key: Its 16 bytes.
        partition: Where it lies.
        offset: Its source offset.
        received_at_ms: Append time of that record, milliseconds since 1970 UTC.
        payload: What it says.
        meters_sha256: Hash of the meters that counted it, 32 bytes.
        is_additive: Whether all of them are additive; otherwise its windows are stated anew.
        notes: The reading that found it; it goes on when its windows are stated anew.
    """

    tenant: str
    customer: str
    key: bytes
    partition: int
    offset: int
    received_at_ms: int
    payload: EventPayload
    meters_sha256: bytes
    is_additive: bool
    notes: FactsNotes = field(compare=False, repr=False)

    def amended(
        self, *, event_id: str, replacement: EventPayload | None, reason: str, actor: str
    ) -> EventAmended:
        """Return the control record that takes it away."""
        return EventAmended(
            tenant=self.tenant,
            customer=self.customer,
            key=self.key,
            event_id=event_id,
            original=self.payload,
            original_offset=self.offset,
            original_received_at_ms=self.received_at_ms,
            meters_sha256=self.meters_sha256,
            replacement=replacement,
            reason=reason,
            actor=actor,
        )


def find_counted(
    settings: Settings, *, tenant: str, customer: str, key: bytes
) -> CountedEvent | None:
    """This function will find an event that was counted; None when there is no such one.

    Raises:
        Fatal: log_truncated, when the event is older than the log and its archive.
        Retryable: broker_away.
    """
    partition = partition_of(tenant, customer, partitions=settings.partitions)
    return find_in_log(
        KafkaPartitionLog(settings, partition), tenant=tenant, customer=customer, key=key
    )


def find_in_log(
    log: PartitionLog, *, tenant: str, customer: str, key: bytes
) -> CountedEvent | None:
    """This function will do the same in the customer's partition."""
    notes = FactsNotes(log, tenant=tenant, customer=customer)
    accepted: tuple[int, int, bytes] | None = None
    for facts in notes.read_on():
        # The newest place counts, for keys come again after 35 days.
        fingerprint = accepted_fingerprint(facts, owner=notes.owner, key=key)
        if fingerprint is not None:
            accepted = facts.from_offset, facts.to_offset, fingerprint
    if accepted is None:
        return None
    first, end, fingerprint = accepted
    for record in log.records(first, end):
        for payload in payloads(record, tenant=tenant, customer=customer, key=key):
            if payload.fingerprint != fingerprint:
                continue
            catalogue = _in_force(notes.catalogues, record.offset)
            meters = () if catalogue is None else catalogue.meters_of(payload.type)
            return CountedEvent(
                tenant=tenant,
                customer=customer,
                key=key,
                partition=log.partition,
                offset=record.offset,
                received_at_ms=record.received_at_ms,
                payload=payload,
                meters_sha256=meters_hash(meters),
                is_additive=all(meter.aggregation in ADDITIVE for meter in meters),
                notes=notes,
            )
    return None


def payloads(
    record: SourceRecord, *, tenant: str, customer: str, key: bytes
) -> Iterator[EventPayload]:
    """This function will yield what a record says under one key, in the order of its events."""
    body = record.body
    if isinstance(body, dict):
        if (body["tenant"], body["customer"], body["key"]) == (tenant, customer, key):
            yield _of_row(body)
    elif isinstance(body, EventBatch):
        if body.tenant == tenant:
            yield from _of_batch(body, customer=customer, key=key)
    elif isinstance(body, EventAmended) and body.replacement is not None:
        whose = (body.tenant, body.customer, replacement_key(body.key))
        if whose == (tenant, customer, key):
            yield body.replacement


def _of_row(row: EventRow) -> EventPayload:
    return EventPayload(
        fingerprint=row["fingerprint"],
        type=row["type"],
        occurred_at_ms=row["occurred_at_ms"],
        quantity=row["quantity"],
        scale=row["scale"],
        dimensions=row["dimensions"],
        properties=row["properties"],
    )


def _of_batch(batch: EventBatch, *, customer: str, key: bytes) -> Iterator[EventPayload]:
    at = -1
    while (at := batch.keys.find(key, at + 1)) >= 0:
        index, rest = divmod(at, len(key))
        if rest or batch.strings[batch.customer[index]] != customer:
            continue
        own = {name: value for place, name, value in batch.properties if place == index}
        yield _payload_at(batch, index, properties=own)


def _payload_at(batch: EventBatch, index: int, *, properties: Mapping[str, str]) -> EventPayload:
    number = batch.dimension_set[index]
    return EventPayload(
        fingerprint=batch.fingerprints[8 * index : 8 * index + 8],
        type=batch.strings[batch.type_[index]],
        occurred_at_ms=int(batch.occurred_at_ms[index]),
        quantity=int(batch.quantity[index]),
        scale=int(batch.scales[index if len(batch.scales) > 1 else 0]),
        dimensions=batch.dimension_sets[number - 1] if number else {},
        properties=properties,
    )


def accepted_fingerprint(facts: UsageFacts, *, owner: tuple[str, str], key: bytes) -> bytes | None:
    """This function will return the fingerprint under which a record accepted a key, if it did."""
    if owner not in facts.series.owners:
        return None
    accepted = facts.accepted
    number = facts.series.owners.index(owner)
    at = np.flatnonzero(
        (accepted.low == np.uint64(int.from_bytes(key[8:], "big")))
        & (accepted.high == np.uint64(int.from_bytes(key[:8], "big")))
        & (accepted.owner == number)
    )
    return int(accepted.fingerprint[at[0]]).to_bytes(8, "big") if at.size else None


def accepted_keys(facts: UsageFacts, *, owner: tuple[str, str]) -> dict[bytes, bytes]:
    """This function will return the keys of an owner that a record accepted, with fingerprints."""
    accepted = facts.accepted
    at = accepted.owner == facts.series.owners.index(owner)
    keys = np.column_stack((accepted.high[at], accepted.low[at])).astype(">u8").tobytes()
    fingerprints = accepted.fingerprint[at].astype(">u8").tobytes()
    return {
        keys[16 * index : 16 * index + 16]: fingerprints[8 * index : 8 * index + 8]
        for index in range(int(at.sum()))
    }


def rows_of_customer(record: SourceRecord, *, tenant: str, customer: str) -> Iterator[EventRow]:
    """This function will yield a customer's events of a record, in order, to be counted again."""
    body = record.body
    if isinstance(body, EventAmended):
        row = replacement_row(body)
    else:
        row = body if isinstance(body, dict) else None
    if row is not None and (row["tenant"], row["customer"]) == (tenant, customer):
        yield {**row, "backfill": True}
    if isinstance(body, EventBatch) and body.tenant == tenant:
        own: dict[int, dict[str, str]] = {}
        for place, name, value in body.properties:
            own.setdefault(place, {})[name] = value
        for index, number in enumerate(body.customer):
            if body.strings[number] == customer:
                key = body.keys[16 * index : 16 * index + 16]
                payload = _payload_at(body, index, properties=own.get(index, {}))
                yield row_of(payload, tenant, customer, key=key)


def _in_force(catalogues: Iterable[CatalogueApplied], offset: int) -> Catalogue | None:
    """Return the catalogue that was in force at a source offset."""
    before = [item.content for item in catalogues if item.offset < offset]
    return parse_catalogue(before[-1]) if before else None
