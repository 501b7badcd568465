"""The usage fold: source records of one partition in, one facts record out.

State is what was counted (the seen index), the catalogues in force, the sets of dimension values
that are kept apart and the highest append time; it is a function of the partition's prefix alone,
so every reader who replays it reaches the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from domain.catalogue import Catalogue, is_newer, parse_catalogue
from domain.codes import Code
from domain.errors import Rejected, invariant
from domain.period import HOUR_MS
from domain.quantity import SCALE
from domain.routing import partition_of
from domain.usage.amending import halves_of
from domain.usage.amendments import EventAmended, why_not
from domain.usage.cold_tier import FoldBase
from domain.usage.dimension_sets import AdmittedSets, SettledSets
from domain.usage.facts import CatalogueApplied, Reject, UsageFacts
from domain.usage.microbatch import AMENDMENT_REASONS, MicroBatch, Surroundings
from domain.usage.records import (
    EVENTS_PER_BATCH_MAX,
    CataloguePublished,
    EventBatch,
    EventRow,
    SourceRecord,
    Unreadable,
)
from domain.usage.restating import are_states_of, restated, stated_places
from domain.usage.rows import batch_of_rows, row_group, void_row
from domain.usage.seen import rows_of
from domain.usage.seen_index import MEMORY_KEYS, SeenIndex
from domain.usage.taken import TypePlan
from domain.usage.watches import Watch, Watches

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.meter import Meter
    from domain.usage.amendments import WindowState
    from domain.usage.cold_tier import ColdTier
    from domain.usage.dimension_sets import DimensionSets
    from domain.usage.watches import Place

STATE_VERSION = 4
"""Rises when old state would be misread; a checkpoint of another version is thrown away."""
MISROUTED = -1
Restating: TypeAlias = "tuple[Watch, tuple[WindowState, ...]]"
"""What an amendment's announcement has gathered, and what the amendment states."""


class UsageFold:
    """Counts usage events once each.

    Args:
        partition: Partition this fold reads.
        partitions: Partition count of usage.events.
        salt: Passed to the seen index.
        cold: Keeps the keys that leave memory; without it all keys stay there.
        memory_keys: Passed to the seen index.
        dimension_sets: Says which sets of dimension values are kept apart; by default the first
            to come.
    """

    def __init__(
        self,
        *,
        partition: int,
        partitions: int,
        salt: tuple[int, int] = (0, 0),
        cold: ColdTier | None = None,
        memory_keys: int = MEMORY_KEYS,
        dimension_sets: DimensionSets | None = None,
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._cold = cold
        self._seen = SeenIndex(salt=salt, cold=cold, memory_keys=memory_keys)
        self._owners: list[tuple[str, str]] = []
        self._owner_numbers: dict[str, dict[str, int]] = {}
        self._catalogues: dict[str, Catalogue] = {}
        self._plans: dict[str, dict[str, TypePlan]] = {}
        self._admitted = AdmittedSets()
        self._dimension_sets: DimensionSets = dimension_sets or self._admitted
        self._watches = Watches()
        self._received_high_ms = 0

    @property
    def keys_held(self) -> int:
        """Return how many keys are in memory."""
        return len(self._seen)

    @property
    def catalogues(self) -> tuple[CatalogueApplied, ...]:
        """Return the catalogues in force."""
        return tuple(
            CatalogueApplied(tenant, catalogue.version, catalogue.content, 0)
            for tenant, catalogue in sorted(self._catalogues.items())
        )

    @property
    def meters_per_event_max(self) -> int:
        """Return how many windows one event may touch at most, to bound a micro-batch."""
        return max((item.meters_per_type_max for item in self._catalogues.values()), default=1)

    def step(
        self, records: Sequence[SourceRecord], *, from_offset: int, to_offset: int
    ) -> UsageFacts:
        """This function will fold a micro-batch and move the state.

        Args:
            records: The records of [from_offset, to_offset), in order; one that stands alone
                (EventAmended.stands_alone) is the only one.
            from_offset: First source offset covered.
            to_offset: One past the last source offset covered.

        Returns:
            The facts to append; when the append fails the fold is to be dropped.

        Raises:
            Retryable: store_lost, from the cold tier; the fold is to be dropped.
        """
        self._make_room(from_offset)
        work = MicroBatch()
        applied: list[CatalogueApplied] = []
        rows: list[SourceRecord] = []
        group: tuple[str, bool, int] | None = None
        restating: Restating | None = None
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
            elif isinstance(body, EventAmended):
                invariant(
                    not body.stands_alone or len(records) == 1,
                    Code.STATE_CORRUPT,
                    "an announced amendment shares its micro-batch",
                    offset=record.offset,
                )
                restating = self._take_amendment(work, record, body)
            else:
                applied.extend(self._take_catalogue(work, record, body))
        self._take_rows(work, rows)
        facts = work.facts(
            seen=self._seen,
            owners=self._owners,
            dimension_sets=self._dimension_sets,
            span=(from_offset, to_offset),
            received_high_ms=self._received_high_ms,
            catalogues=tuple(applied),
        )
        if restating is not None and facts.amendments:
            watch, states = restating
            facts = restated(facts, states, watch.gathered)
            self._watches.close(watch)
        self._watches.expire(high_ms=self._received_high_ms)
        self._watches.note(facts)
        return replace(facts, watches=self._watches.changed())

    def restore(self, facts: UsageFacts) -> None:
        """This function will apply a facts record that was accepted before.

        Raises:
            Retryable: store_lost, from the cold tier; the fold is to be dropped.
        """
        self._make_room(facts.from_offset)
        if facts.watches is not None:
            self._watches.put(facts.watches)
        series = facts.series
        self.resume(
            FoldBase(
                received_high_ms=facts.received_high_ms,
                catalogues=facts.catalogues,
                dimension_sets=series.known_sets(series.admitted.tolist()),
            )
        )
        numbers = np.array(
            [self._owner_number(*owner) for owner in facts.series.owners], dtype=np.int32
        )
        accepted = facts.accepted
        if accepted.owner.size:
            self._seen.put(
                rows_of(
                    owner=numbers[accepted.owner],
                    high=accepted.high,
                    low=accepted.low,
                    fingerprint=accepted.fingerprint,
                    hour=accepted.hour,
                )
            )

    def resume(self, base: FoldBase) -> None:
        """This function will take on state that a cold tier kept, or a part of it.

        Catalogues may be newer than those of the facts restored next: these end at a state that
        is at least as new. Owners come in the order of their numbers, before any facts.
        """
        self._received_high_ms = max(self._received_high_ms, base.received_high_ms)
        for catalogue in base.catalogues:
            self._put_catalogue(catalogue.tenant, parse_catalogue(catalogue.content))
        for tenant, customer in base.owners:
            self._owner_numbers.setdefault(tenant, {})[customer] = len(self._owners)
            self._owners.append((tenant, customer))
        self._admitted.put(base.dimension_sets)
        if base.watches is not None:
            self._watches.put(base.watches)

    def _make_room(self, position: int) -> None:
        """Let a generation of keys leave memory when it is full, with the state at this position.

        Here and nowhere later: what the micro-batch adds is not acknowledged yet.
        """
        leaving = self._seen.make_room(high_ms=self._received_high_ms, position=position)
        if leaving is not None and self._cold is not None:
            base = FoldBase(
                self._received_high_ms,
                self._owners,
                self.catalogues,
                self._admitted.known,
                self._watches.text,
            )
            self._cold.take(leaving, base=base, position=position)

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
        work.take(records, batch, self._surroundings(batch.tenant))

    def _surroundings(self, tenant: str) -> Surroundings:
        plans = self._plans.get(tenant, {})
        catalogue = self._catalogues.get(tenant)

        def plan_of(event_type: str) -> TypePlan | None:
            plan = plans.get(event_type)
            if plan is None and catalogue is not None:
                meters = catalogue.meters_of(event_type)
                if meters:  # unknown types are not kept: there is no end of them
                    plan = plans[event_type] = TypePlan(tenant, meters)
            return plan

        return Surroundings(
            owners_of=lambda customers: self._owner_numbers_of(tenant, customers),
            plan_of=plan_of,
            arrival_hour=self._received_high_ms // HOUR_MS,
        )

    def _take_amendment(
        self, work: MicroBatch, record: SourceRecord, amended: EventAmended
    ) -> Restating | None:
        """Take an event away, and count another one in its place, if its meters allow it.

        Returns:
            What an announced amendment states, if it may take effect.
        """
        catalogue = self._catalogues.get(amended.tenant)
        meters = () if catalogue is None else catalogue.meters_of(amended.original.type)
        reason = why_not(
            meters, meters_sha256=amended.meters_sha256, is_announced=amended.stands_alone
        )
        if reason:
            work.refuse_amendment(record, amended, code=Code.AMENDMENT_REFUSED, reason=reason)
            return None
        if not amended.stands_alone:
            work.amend(record, amended, self._surroundings(amended.tenant))
            return None
        return self._take_announced(work, record, amended, meters)

    def _take_announced(
        self,
        work: MicroBatch,
        record: SourceRecord,
        amended: EventAmended,
        meters: Sequence[Meter],
    ) -> Restating | None:
        """Watch an event's windows from now on, or state them anew."""
        places = self._stated_places(record, amended, meters)
        if isinstance(places, Reject):
            work.refuse_amendment(record, amended, code=places.code, reason=places.reason)
        elif amended.announces and self._remembers(amended):
            self._watches.open(
                Watch(
                    offset=record.offset,
                    received_ms=record.received_at_ms,
                    tenant=amended.tenant,
                    customer=amended.customer,
                    key=amended.key,
                    gathered=dict.fromkeys(places),
                )
            )
        elif amended.announces:
            code = Code.AMENDMENT_UNKNOWN
            work.refuse_amendment(record, amended, code=code, reason=AMENDMENT_REASONS[code])
        else:
            watch = self._watch_of(amended, places)
            if watch is not None and are_states_of(amended.states, places, meters):
                work.amend(record, amended, self._surroundings(amended.tenant))
                return watch, amended.states
            code = Code.AMENDMENT_OUTDATED
            work.refuse_amendment(record, amended, code=code, reason=AMENDMENT_REASONS[code])
        return None

    def _remembers(self, amended: EventAmended) -> bool:
        """Say whether an event was counted before: what is gathered from now on is without it."""
        high, low = halves_of(amended.key)
        asked = rows_of(
            owner=np.array([self._owner_number(amended.tenant, amended.customer)], np.int32),
            high=np.array([high], dtype=np.uint64),
            low=np.array([low], dtype=np.uint64),
            fingerprint=np.zeros(1, dtype=np.uint64),
            hour=np.array([self._received_high_ms // HOUR_MS], dtype=np.int32),
        )
        (found,) = self._seen.find(asked).tolist()
        fingerprint = int.from_bytes(amended.original.fingerprint, "big")
        return bool(found[3]) and found[2] == fingerprint

    def _watch_of(self, amended: EventAmended, places: frozenset[Place]) -> Watch | None:
        """Return the watch that an amendment's announcement began, if it still tells all."""
        self._watches.expire(high_ms=self._received_high_ms)
        watch = self._watches.find(amended.announced_at)
        if watch is None or watch.gathered.keys() != places:
            return None
        event = amended.tenant, amended.customer, amended.key
        return watch if (watch.tenant, watch.customer, watch.key) == event else None

    def _stated_places(
        self, record: SourceRecord, amended: EventAmended, meters: Sequence[Meter]
    ) -> frozenset[Place] | Reject:
        """Return the windows of an event that must be stated anew: it is counted aside once."""
        gone = record._replace(received_at_ms=amended.original_received_at_ms)
        aside = MicroBatch()
        aside.take([gone], batch_of_rows([void_row(amended)]), self._surroundings(amended.tenant))
        facts = aside.facts(
            seen=SeenIndex(),
            owners=self._owners,
            dimension_sets=SettledSets(self._dimension_sets),
            span=(record.offset, record.offset + 1),
            received_high_ms=self._received_high_ms,
            catalogues=(),
        )
        refused = [item for item in facts.rejects if item.code is not Code.DIMENSION_LIMIT]
        return refused[0] if refused else stated_places(facts, meters)

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
