"""Watches: what comes into an event's windows between the announcement of its amendment and it.

From a maximum or a sketch no event can be taken away, so an amendment of such a meter states the
window anew, and only the log knows how: the fold keeps no events. Reading it takes time, in which
the window may grow. So the amendment is announced first, and from that offset on the fold gathers
what the windows of the event take. The amendment then says what they held before that offset
without the event, and the fold adds what it has gathered: nothing is lost and nothing twice.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from domain.aggregation.window_row import WindowRow
from domain.canonical import to_canonical_json
from domain.usage.customer_windows import CustomerWindows, merged_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.canonical import Json
    from domain.usage.dimension_sets import DimensionSet
    from domain.usage.facts import UsageFacts

WATCHES_MAX = 4
"""Amendments that are announced at once, per partition: they go into every facts record that
changes them, 680 KiB each at most (8 meters, 85 KiB of sketch). The oldest one goes first."""
WATCH_MS_MAX = 15 * 60 * 1000
"""Time from the announcement to the amendment, ms: reading the events of an hour takes seconds,
minutes where they lie in many places; whoever needs longer announces it again."""

Place: TypeAlias = "tuple[str, DimensionSet, int]"
"""Meter, dimensions and hour: a window of one customer."""


@dataclass(frozen=True, slots=True)
class Watch:
    """An announced amendment.

    Args:
        offset: Source offset of the announcement.
        received_ms: Its append time, milliseconds since 1970 UTC.
        tenant, customer: Whose event it is.
        key: The event's 16 bytes.
        gathered: Per window of a meter that is not additive, what came into it since; None for
            nothing.
    """

    offset: int
    received_ms: int
    tenant: str
    customer: str
    key: bytes
    gathered: Mapping[Place, WindowRow | None]


class Watches:
    """The announced amendments of one partition; a function of its records alone."""

    def __init__(self) -> None:
        self._open: dict[int, Watch] = {}
        self._is_changed = False

    def open(self, watch: Watch) -> None:
        """Watch from now on; the oldest one gives way when there are too many."""
        while len(self._open) >= WATCHES_MAX:
            del self._open[min(self._open)]
        self._open[watch.offset] = watch
        self._is_changed = True

    def find(self, offset: int | None) -> Watch | None:
        """Return the watch that an announcement began; None when there is none any more."""
        return None if offset is None else self._open.get(offset)

    def close(self, watch: Watch) -> None:
        """End it, and all that watch a window of it: what they read is no longer so."""
        self._keep(
            other
            for other in self._open.values()
            if (other.tenant, other.customer) != (watch.tenant, watch.customer)
            or not other.gathered.keys() & watch.gathered.keys()
        )

    def expire(self, *, high_ms: int) -> None:
        """End those whose amendment did not come in time.

        Args:
            high_ms: Largest append time so far, milliseconds since 1970 UTC.
        """
        self._keep(
            watch for watch in self._open.values() if high_ms - watch.received_ms <= WATCH_MS_MAX
        )

    def _keep(self, watches: Iterable[Watch]) -> None:
        kept = {watch.offset: watch for watch in watches}
        self._is_changed |= len(kept) < len(self._open)
        self._open = kept

    def note(self, facts: UsageFacts) -> None:
        """Gather what a facts record adds to watched windows."""
        for watch in list(self._open.values()):
            new = CustomerWindows(tenant=watch.tenant, customer=watch.customer)
            new.add(facts)
            gathered = dict(watch.gathered)
            for row in new.every():
                place = row.meter, row.dimensions, row.hour
                if place in gathered:
                    held = gathered[place]
                    gathered[place] = row if held is None else merged_rows(held, row)
            if gathered != watch.gathered:
                self._open[watch.offset] = replace(watch, gathered=gathered)
                self._is_changed = True

    def changed(self) -> str | None:
        """Return all watches as text, when they are not what they were at the last call."""
        is_changed, self._is_changed = self._is_changed, False
        return self.text if is_changed else None

    @property
    def text(self) -> str:
        """Return all watches as canonical JSON."""
        return to_canonical_json([_to_json(self._open[offset]) for offset in sorted(self._open)])

    def put(self, text: str) -> None:
        """Take on the watches of a text."""
        watches = [_from_json(*item) for item in json.loads(text)]
        self._open = {watch.offset: watch for watch in watches}
        self._is_changed = False


def _to_json(watch: Watch) -> Json:
    gathered: list[Json] = [
        [meter, dimensions, hour, None if row is None else _row_to_json(row)]
        for (meter, dimensions, hour), row in sorted(watch.gathered.items(), key=_place)
    ]
    names = watch.tenant, watch.customer, watch.key.hex()
    return [watch.offset, watch.received_ms, *names, gathered]


def _place(item: tuple[Place, WindowRow | None]) -> Place:
    return item[0]


def _row_to_json(row: WindowRow) -> Json:
    """Return the numbers of a row in their order, and its sketch."""
    _, _, _, *numbers, sketch = astuple(row)
    return [*numbers, sketch.hex()]


def _from_json(
    offset: int, received_ms: int, tenant: str, customer: str, key: str, gathered: Iterable[Any]
) -> Watch:
    places: dict[Place, WindowRow | None] = {}
    for meter, pairs, hour, numbers in gathered:
        dimensions = tuple((name, value) for name, value in pairs)
        places[meter, dimensions, hour] = (
            None
            if numbers is None
            else WindowRow(meter, dimensions, hour, *[*numbers[:-1], bytes.fromhex(numbers[-1])])
        )
    return Watch(offset, received_ms, tenant, customer, bytes.fromhex(key), places)
