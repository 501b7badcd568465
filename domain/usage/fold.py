"""The usage fold: source records of one partition in, one facts record out.

State is what was counted (the seen index), the catalogues in force and the highest append time; it
is a function of the partition's prefix alone, so every reader who replays it reaches the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from domain.catalogue import Catalogue, is_newer, parse_catalogue
from domain.errors import Rejected
from domain.period import HOUR_MS
from domain.quantity import SCALE
from domain.routing import partition_of
from domain.usage.facts import CatalogueApplied, UsageFacts
from domain.usage.microbatch import MicroBatch, TypePlan
from domain.usage.records import (
    EVENTS_PER_BATCH_MAX,
    CataloguePublished,
    EventBatch,
    EventRow,
    SourceRecord,
    Unreadable,
)
from domain.usage.rows import batch_of_rows, row_group
from domain.usage.seen import SeenIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STATE_VERSION = 1
"""Rises when old state would be misread; a checkpoint of another version is thrown away."""
MISROUTED = -1


class UsageFold:
    """Counts usage events once each.

    Args:
        partition: Partition this fold reads.
        partitions: Partition count of usage.events.
        salt: Passed to the seen index.
    """

    def __init__(self, *, partition: int, partitions: int, salt: tuple[int, int] = (0, 0)) -> None:
        self._partition = partition
        self._partitions = partitions
        self._seen = SeenIndex(salt=salt)
        self._owners: list[tuple[str, str]] = []
        self._owner_numbers: dict[str, dict[str, int]] = {}
        self._catalogues: dict[str, Catalogue] = {}
        self._plans: dict[str, dict[str, TypePlan]] = {}
        self._received_high_ms = 0

    @property
    def keys_held(self) -> int:
        """Return how many keys the seen index holds."""
        return len(self._seen)

    @property
    def meters_per_event_max(self) -> int:
        """Return how many windows one event may touch at most, to bound a micro-batch."""
        return max((item.meters_per_type_max for item in self._catalogues.values()), default=1)

    @property
    def catalogues(self) -> tuple[CatalogueApplied, ...]:
        """Return the catalogues in force, for a checkpoint."""
        return tuple(
            CatalogueApplied(tenant, catalogue.version, catalogue.content, 0)
            for tenant, catalogue in sorted(self._catalogues.items())
        )

    def step(
        self, records: Sequence[SourceRecord], *, from_offset: int, to_offset: int
    ) -> UsageFacts:
        """This function will fold a micro-batch and move the state.

        Args:
            records: The records of [from_offset, to_offset), in order.
            from_offset: First source offset covered.
            to_offset: One past the last source offset covered.

        Returns:
            The facts to append; when the append fails the fold is to be dropped.
        """
        work = MicroBatch()
        applied: list[CatalogueApplied] = []
        rows: list[SourceRecord] = []
        group: tuple[str, bool, int] | None = None
        for record in records:
            body = record.body
            own_group = row_group(record, body) if isinstance(body, dict) else None
            if own_group is None or own_group != group or len(rows) == EVENTS_PER_BATCH_MAX:
                # Before the clock moves on: the rows so far arrived in the hour before.
                self._take_rows(work, rows)
                group = own_group
            self._received_high_ms = max(self._received_high_ms, record.received_at_ms)
            if isinstance(body, dict):
                rows.append(record)
            elif isinstance(body, EventBatch):
                self._take_events(work, [record], body)
            elif isinstance(body, Unreadable):
                work.refuse_record(
                    record, tenant=body.tenant, events=1, code=body.code, reason=body.reason
                )
            else:
                applied.extend(self._take_catalogue(work, record, body))
        self._take_rows(work, rows)
        return work.facts(
            seen=self._seen,
            owners=self._owners,
            span=(from_offset, to_offset),
            received_high_ms=self._received_high_ms,
            catalogues=tuple(applied),
        )

    def restore(self, facts: UsageFacts) -> None:
        """This function will apply a facts record that was accepted before."""
        self._received_high_ms = max(self._received_high_ms, facts.received_high_ms)
        for catalogue in facts.catalogues:
            self._put_catalogue(catalogue.tenant, parse_catalogue(catalogue.content))
        numbers = np.array(
            [self._owner_number(*owner) for owner in facts.series.owners], dtype=np.int32
        )
        accepted = facts.accepted
        if accepted.owner.size:
            self._seen.add(
                owner=numbers[accepted.owner],
                high=accepted.high,
                low=accepted.low,
                fingerprint=accepted.fingerprint,
                hour=accepted.hour,
            )

    def _take_rows(self, work: MicroBatch, records: list[SourceRecord]) -> None:
        """Take single events that came one after another, and empty the list."""
        rows: list[EventRow] = [record.body for record in records]  # type: ignore[misc]
        if rows and all(0 <= row["scale"] <= SCALE for row in rows):
            self._take_events(work, records, batch_of_rows(rows))
        else:
            for record, row in zip(records, rows, strict=True):
                self._take_events(work, [record], batch_of_rows([row]))
        records.clear()

    def _take_events(
        self, work: MicroBatch, records: Sequence[SourceRecord], batch: EventBatch
    ) -> None:
        plans = self._plans.get(batch.tenant, {})
        catalogue = self._catalogues.get(batch.tenant)

        def plan_of(event_type: str) -> TypePlan | None:
            plan = plans.get(event_type)
            if plan is None and catalogue is not None:
                meters = catalogue.meters_of(event_type)
                if meters:  # unknown types are not kept: there is no end of them
                    plan = plans[event_type] = TypePlan(meters)
            return plan

        work.take(
            records,
            batch,
            owners_of=lambda customers: self._owner_numbers_of(batch.tenant, customers),
            plan_of=plan_of,
            arrival_hour=self._received_high_ms // HOUR_MS,
        )

    def _take_catalogue(
        self, work: MicroBatch, record: SourceRecord, published: CataloguePublished
    ) -> Iterable[CatalogueApplied]:
        """Put a newer version in force; the same one again changes nothing."""
        try:
            catalogue = parse_catalogue(published.content)
            current = self._catalogues.get(published.tenant)
            if not is_newer(catalogue, current=current, version=published.version):
                return ()
        except Rejected as error:
            work.refuse_record(
                record, tenant=published.tenant, events=0, code=error.code, reason=error.reason
            )
            return ()
        self._put_catalogue(published.tenant, catalogue)
        return (
            CatalogueApplied(
                published.tenant, catalogue.version, catalogue.content, record.offset
            ),
        )

    def _put_catalogue(self, tenant: str, catalogue: Catalogue) -> None:
        self._catalogues[tenant] = catalogue
        self._plans[tenant] = {}

    def _owner_numbers_of(self, tenant: str, customers: Sequence[str]) -> list[int]:
        known = self._owner_numbers.setdefault(tenant, {})
        return [
            known[customer] if customer in known else self._owner_number(tenant, customer)
            for customer in customers
        ]

    def _owner_number(self, tenant: str, customer: str) -> int:
        """Number an owner on first sight; MISROUTED when another partition keeps it."""
        known = self._owner_numbers.setdefault(tenant, {})
        number = known.get(customer)
        if number is None:
            if partition_of(tenant, customer, partitions=self._partitions) != self._partition:
                return MISROUTED
            number = known[customer] = len(self._owners)
            self._owners.append((tenant, customer))
        return number
