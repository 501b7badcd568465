"""Which sets of dimension values each meter keeps apart; beyond its limit they count together.

Without a limit a dimension that is different in every event, a session for example, would grow
series until memory or the database gives up. The first sets to come are kept apart for good and
every later one counts as OTHER, so that a set is on one side up to one source offset and on the
other side from there on: trace can tell them apart.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol, TypeAlias

from domain.aggregation.kinds import Aggregation
from domain.usage.series import series_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.meter import Meter

DimensionSet: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value) pairs, sorted by name."""
KnownSet: TypeAlias = tuple[str, str, bytes]
"""Tenant, meter key, digest of a set: 16 bytes however long its texts are."""
OTHER = "__other__"
"""Value of every group-by dimension of the events beyond the limit."""
SETS_PER_TENANT_MAX = 200_000
"""Sets of all meters of a tenant on one partition, about 120 bytes each."""
_DIGEST_BYTES = 16


def other_set(meter: Meter) -> DimensionSet:
    """This function will return the set that stands for all others of a meter."""
    return tuple((name, OTHER) for name in meter.group_by)


def is_limited(meter: Meter) -> bool:
    """This function will say whether a meter's sets have a limit.

    Gauges have none: the last value of many disks together is the value of one disk.
    """
    return bool(meter.group_by) and meter.aggregation is not Aggregation.TIME_WEIGHTED


def digest_of(dimensions: DimensionSet) -> bytes:
    """This function will return the BLAKE2b-128 that stands for a set."""
    parts = series_parts(*(text for pair in dimensions for text in pair))
    return hashlib.blake2b(parts, digest_size=_DIGEST_BYTES).digest()


def needs_place(dimensions: DimensionSet) -> bool:
    """This function will say whether a set takes one of the places; none and OTHER do not."""
    return any(value != OTHER for _, value in dimensions)


class DimensionSets(Protocol):
    """Says which sets of a partition are kept apart."""

    @property
    def known(self) -> Sequence[KnownSet]:
        """Return the admitted sets in the order in which they were, if anybody notes them."""

    def admits(self, meter: Meter, *, tenant: str, dimensions: DimensionSet) -> bool:
        """Say whether a set is kept apart.

        Asked in the order of the events, once per micro-batch, meter and set.
        """

    def knows(self, meter: Meter, *, tenant: str, dimensions: DimensionSet) -> bool:
        """Say whether a set is kept apart so far; nothing is admitted."""


class AdmittedSets:
    """The sets that one partition has seen first, up to each meter's limit.

    The limit holds for each partition on its own: a fold knows no other one, and customers of
    different partitions mostly use the same sets.
    """

    def __init__(self) -> None:
        self._sets: dict[tuple[str, str], set[bytes]] = {}
        self._counts: dict[str, int] = {}
        self._known: list[KnownSet] = []

    @property
    def known(self) -> Sequence[KnownSet]:
        """Return all sets, in the order in which they were admitted."""
        return self._known

    def admits(self, meter: Meter, *, tenant: str, dimensions: DimensionSet) -> bool:
        """Admit a new set as long as there is room."""
        if not needs_place(dimensions):
            return True
        digest = digest_of(dimensions)
        sets = self._sets.setdefault((tenant, meter.key), set())
        if digest in sets:
            return True
        if (
            len(sets) >= meter.dimension_sets_max
            or self._counts.get(tenant, 0) >= SETS_PER_TENANT_MAX
        ):
            return False
        self.put([(tenant, meter.key, digest)])
        return True

    def knows(self, meter: Meter, *, tenant: str, dimensions: DimensionSet) -> bool:
        """Look it up."""
        sets = self._sets.get((tenant, meter.key), ())
        return not needs_place(dimensions) or digest_of(dimensions) in sets

    def put(self, known: Iterable[KnownSet]) -> None:
        """Take on sets that were admitted before."""
        for tenant, meter, digest in known:
            sets = self._sets.setdefault((tenant, meter), set())
            if digest not in sets:
                sets.add(digest)
                self._counts[tenant] = self._counts.get(tenant, 0) + 1
                self._known.append((tenant, meter, digest))


class EverySet:
    """Keeps every set apart: for events that were sorted out before, as trace does."""

    known: Sequence[KnownSet] = ()

    def admits(self, meter: Meter, *, tenant: str, dimensions: DimensionSet) -> bool:
        """Admit."""
        del meter, tenant, dimensions
        return True

    def knows(self, meter: Meter, *, tenant: str, dimensions: DimensionSet) -> bool:
        """Say yes."""
        return self.admits(meter, tenant=tenant, dimensions=dimensions)


class SettledSets:
    """Other sets, of which no more are admitted: for events that were judged before.

    Args:
        sets: The sets.
    """

    known: Sequence[KnownSet] = ()

    def __init__(self, sets: DimensionSets) -> None:
        self._sets = sets

    def admits(self, meter: Meter, *, tenant: str, dimensions: DimensionSet) -> bool:
        """Look it up."""
        return self.knows(meter, tenant=tenant, dimensions=dimensions)

    def knows(self, meter: Meter, *, tenant: str, dimensions: DimensionSet) -> bool:
        """Look it up."""
        return self._sets.knows(meter, tenant=tenant, dimensions=dimensions)
