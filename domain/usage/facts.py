"""What the usage fold decides for a span of source offsets; the only thing that moves state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domain.usage.dimension_sets import digest_of, needs_place
from domain.usage.value_bands import without_band

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.codes import Code
    from domain.usage.amendments import Amendment
    from domain.usage.dimension_sets import KnownSet
    from domain.usage.seen import Int32s, UInt64s
    from domain.usage.windows import WindowDeltas

REASON_LENGTH_MAX = 300
"""Characters of a reject's reason; it is for people, not a copy of the input."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Input that was not counted.

    Args:
        offset: Source offset of the record.
        index: First event of the record that is meant, -1 for the whole record.
        events: How many events of the record share the code.
        tenant: Tenant, empty when unreadable.
        customer: Customer of the first event, empty when unknown.
        code: Why.
        reason: What was wrong, for people.
        received_at_ms: Broker's append time, milliseconds since 1970 UTC.
    """

    offset: int
    index: int
    events: int
    tenant: str
    customer: str
    code: Code
    reason: str
    received_at_ms: int


@dataclass(slots=True)
class IntakeCount:
    """What arrived for one tenant in one append hour.

    received = accepted + duplicates + conflicts + rejected. Windows count what was accepted, less
    the amendments of the facts: each took one accepted event away.
    """

    tenant: str
    received_hour: int
    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class CatalogueApplied:
    """A catalogue version that applies from its source offset on."""

    tenant: str
    version: int
    content: str
    offset: int


@dataclass(frozen=True, slots=True)
class SeriesColumns:
    """What the windows' series numbers point to: series i belongs to owners[owner[i]] and so on.

    Args:
        owners: (tenant, customer) pairs; the accepted keys point to them too.
        meters: Meter keys.
        dimension_sets: Group-by dimensions that the events had.
        owner, meter, dimensions: Index into each of the three, per series.
        admitted: Series whose set of dimension values is kept apart from this record on.
    """

    owners: tuple[tuple[str, str], ...]
    meters: tuple[str, ...]
    dimension_sets: tuple[Mapping[str, str], ...]
    owner: Int32s
    meter: Int32s
    dimensions: Int32s
    admitted: Int32s

    def __len__(self) -> int:
        """Return the number of series."""
        return int(self.owner.size)

    def admitted_only(self) -> SeriesColumns:
        """Return the owners and the admitted series: what a restore needs."""
        kept = self.admitted
        return SeriesColumns(
            owners=self.owners,
            meters=self.meters if kept.size else (),
            dimension_sets=self.dimension_sets if kept.size else (),
            owner=self.owner[kept],
            meter=self.meter[kept],
            dimensions=self.dimensions[kept],
            admitted=np.arange(kept.size, dtype=np.int32),
        )

    def known_sets(self, series: Iterable[int]) -> list[KnownSet]:
        """Return tenant, meter and set of those of some series whose sets take a place.

        A band of values takes none: a meter's bands are few, and its own catalogue says how many.
        """
        known = []
        for number in series:
            pairs = self.dimension_sets[int(self.dimensions[number])].items()
            dimensions = without_band(tuple(sorted(pairs)))
            if needs_place(dimensions):
                tenant = self.owners[int(self.owner[number])][0]
                meter = self.meters[int(self.meter[number])]
                known.append((tenant, meter, digest_of(dimensions)))
        return known


@dataclass(frozen=True, slots=True)
class Sketches:
    """Sketches of the windows that have one.

    Args:
        window: Index into the window deltas of the record, ascending.
        states: Sketch of each; see domain.aggregation.sketches.
    """

    window: Int32s
    states: tuple[bytes, ...]


def no_sketches() -> Sketches:
    """This function will return that no window has a sketch."""
    return Sketches(np.zeros(0, dtype=np.int32), ())


@dataclass(frozen=True, slots=True)
class Accepted:
    """Keys that were counted, in columns.

    Args:
        owner: Index into the owners of the record, per key.
        high: First 8 bytes of each key, as a big-endian number.
        low: Last 8 bytes of each key.
        fingerprint: Fingerprint of each counted event.
        hour: Append hour of each, hours since 1970 UTC.
    """

    owner: Int32s
    high: UInt64s
    low: UInt64s
    fingerprint: UInt64s
    hour: Int32s


@dataclass(frozen=True, slots=True)
class UsageFacts:
    """One facts record of the usage fold, covering source offsets [from_offset, to_offset).

    Args:
        from_offset: First source offset covered.
        to_offset: One past the last source offset covered.
        received_high_ms: Largest append time seen so far, milliseconds since 1970 UTC.
        series: What the windows' series numbers point to.
        windows: Window deltas.
        sketches: What some of them keep beyond sums.
        accepted: Keys that were counted.
        counts: Intake counts.
        rejects: Rejects and conflicts.
        catalogues: Catalogue versions that took effect.
        amendments: Events that were taken away or replaced.
        restated: Indexes of window deltas whose smallest, largest and latest value and sketch
            replace what the window had so far; all else is added to it.
        watches: What the fold watches from here on, as text; None when nothing has changed.
    """

    from_offset: int
    to_offset: int
    received_high_ms: int
    series: SeriesColumns
    windows: WindowDeltas
    sketches: Sketches
    accepted: Accepted
    counts: tuple[IntakeCount, ...] = ()
    rejects: tuple[Reject, ...] = ()
    catalogues: tuple[CatalogueApplied, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    restated: frozenset[int] = frozenset()
    watches: str | None = None
