"""Which sets of dimension values each meter keeps apart; beyond its limit they count together.

Without a limit a dimension that is different in every event, a session for example, would grow
series until memory or the database gives up. The first sets to come are kept apart for good and
every later one counts as OTHER, so that a set is on one side up to one source offset and on the
other side from there on: trace can tell them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from domain.catalogue import Meter

DimensionSet: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value) pairs, sorted by name."""
KnownSet: TypeAlias = tuple[str, str, DimensionSet]
"""Tenant, meter key, set."""
OTHER = "__other__"
"""Value of every group-by dimension of the events beyond the limit."""


def other_set(meter: Meter) -> DimensionSet:
    """This function will return the set that stands for all others of a meter."""
    return tuple((name, OTHER) for name in meter.group_by)


class DimensionSets(Protocol):
    """Says which sets of a partition are kept apart."""

    @property
    def known(self) -> Sequence[KnownSet]:
        """Return the admitted sets in the order in which they were, if anybody notes them."""

    def admits(self, meter: Meter, *, tenant: str, dimensions: DimensionSet, offset: int) -> bool:
        """Say whether a set is kept apart for the event at this source offset.

        Asked in the order of the events, once per micro-batch, meter and set.
        """


class AdmittedSets:
    """The sets that one partition has seen first, up to each meter's limit.

    The limit holds for each partition on its own: a fold knows no other one, and customers of
    different partitions mostly use the same sets.
    """

    def __init__(self) -> None:
        self._sets: dict[tuple[str, str], set[DimensionSet]] = {}
        self._known: list[KnownSet] = []

    @property
    def known(self) -> Sequence[KnownSet]:
        """Return all sets, in the order in which they were admitted."""
        return self._known

    def admits(self, meter: Meter, *, tenant: str, dimensions: DimensionSet, offset: int) -> bool:
        """Admit a new set as long as there is room."""
        del offset
        if not dimensions or dimensions == other_set(meter):
            return True
        sets = self._sets.setdefault((tenant, meter.key), set())
        if dimensions in sets:
            return True
        if len(sets) >= meter.dimension_sets_max:
            return False
        self.put([(tenant, meter.key, dimensions)])
        return True

    def put(self, known: Iterable[KnownSet]) -> None:
        """Take on sets that were admitted before."""
        for tenant, meter, dimensions in known:
            sets = self._sets.setdefault((tenant, meter), set())
            if dimensions and dimensions not in sets:
                sets.add(dimensions)
                self._known.append((tenant, meter, dimensions))


class TracedSets:
    """The sets of windows that are there, for counting their events once more.

    Args:
        first_offsets: Smallest source offset of each set among the windows.
    """

    def __init__(self, first_offsets: Mapping[DimensionSet, int]) -> None:
        self._first_offsets = first_offsets
        self.known: Sequence[KnownSet] = ()

    def admits(self, meter: Meter, *, tenant: str, dimensions: DimensionSet, offset: int) -> bool:
        """A set is kept apart from its first counted event on, and was not before."""
        del meter, tenant
        first = self._first_offsets.get(dimensions)
        return not dimensions or (first is not None and first <= offset)
