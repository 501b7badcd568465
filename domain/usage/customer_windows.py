"""One customer's windows, collected from facts: what replay and trace rate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from domain.aggregation.sketches import merged_sketch
from domain.aggregation.window_row import WindowRow
from domain.quantity import NANOS_PER_UNIT
from domain.usage.amendments import no_state

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.aggregation.measure import Span
    from domain.usage.amendments import WindowState
    from domain.usage.facts import UsageFacts

_2_128 = 2**128


class CustomerWindows:
    """Adds up the window deltas of one customer.

    Args:
        tenant: Tenant of the customer.
        customer: Whose windows are kept; all others are passed over.
    """

    def __init__(self, *, tenant: str, customer: str) -> None:
        self._owner = (tenant, customer)
        self._rows: dict[tuple[str, tuple[tuple[str, str], ...], int], WindowRow] = {}

    def add(self, facts: UsageFacts) -> None:
        """Add the deltas of one facts record."""
        series = facts.series
        if self._owner not in series.owners:
            return
        mine = np.flatnonzero(series.owner == series.owners.index(self._owner))
        sketches = dict(zip(facts.sketches.window.tolist(), facts.sketches.states, strict=True))
        for index in np.flatnonzero(np.isin(facts.windows.series, mine)).tolist():
            self.take(facts, index, sketch=sketches.get(index, b""))

    def take(self, facts: UsageFacts, index: int, *, sketch: bytes) -> None:
        """Add one delta of a facts record; it is this customer's.

        Args:
            facts: The record.
            index: Which delta of it.
            sketch: Its sketch, or empty bytes.
        """
        series = facts.series
        number = int(facts.windows.series[index])
        dimensions = series.dimension_sets[int(series.dimensions[number])]
        self._merge(
            row_of(
                facts,
                index,
                meter=series.meters[int(series.meter[number])],
                dimensions=tuple(sorted(dimensions.items())),
                sketch=sketch,
            ),
            is_restated=index in facts.restated,
        )

    def _merge(self, row: WindowRow, *, is_restated: bool) -> None:
        key = (row.meter, row.dimensions, row.hour)
        held = self._rows.get(key)
        if held is not None and is_restated:
            held = with_state(held, no_state(row.meter))
        self._rows[key] = row if held is None else merged_rows(held, row)

    def every(self) -> tuple[WindowRow, ...]:
        """Return all windows, in no order."""
        return tuple(self._rows.values())

    def rows(self, span: Span, *, carried: Collection[str]) -> tuple[WindowRow, ...]:
        """Return the windows of some hours.

        Args:
            span: The hours.
            carried: Meters of which each series' last window with events before the span comes
                along.
        """
        before: dict[tuple[str, tuple[tuple[str, str], ...]], WindowRow] = {}
        for row in self._rows.values():
            if row.meter in carried and row.events and span.is_after_hour(row.hour):
                series = row.meter, row.dimensions
                before[series] = max(before.get(series, row), row, key=_hour)
        within = (row for row in self._rows.values() if span.holds_hour(row.hour))
        return (*before.values(), *within)


def _hour(row: WindowRow) -> int:
    return row.hour


class WindowsByCustomer:
    """Adds up the window deltas of many customers of one tenant in one pass.

    Args:
        tenant: Their tenant.
        customers: Whose windows are kept; all others are passed over.
    """

    def __init__(self, *, tenant: str, customers: Collection[str]) -> None:
        self._tenant = tenant
        self._windows = {
            customer: CustomerWindows(tenant=tenant, customer=customer) for customer in customers
        }

    def add(self, facts: UsageFacts) -> None:
        """Add the deltas of one facts record."""
        mine = [
            self._windows.get(customer) if tenant == self._tenant else None
            for tenant, customer in facts.series.owners
        ]
        owners = facts.series.owner[facts.windows.series].tolist()
        sketches = dict(zip(facts.sketches.window.tolist(), facts.sketches.states, strict=True))
        for index, owner in enumerate(owners):
            windows = mine[owner]
            if windows is not None:
                windows.take(facts, index, sketch=sketches.get(index, b""))

    def of(self, customer: str) -> tuple[WindowRow, ...]:
        """Return all windows of a customer so far, in no order."""
        return self._windows[customer].every()


def row_of(
    facts: UsageFacts,
    index: int,
    *,
    meter: str,
    dimensions: tuple[tuple[str, str], ...],
    sketch: bytes,
) -> WindowRow:
    """This function will return one window delta as a row.

    Args:
        facts: The facts record.
        index: Which delta of it.
        meter: Meter of its series.
        dimensions: Dimensions of its series, sorted by name.
        sketch: Its sketch, or empty bytes.
    """
    column = {name: int(values[index]) for name, values in facts.windows.columns.items()}
    return WindowRow(
        meter=meter,
        dimensions=dimensions,
        hour=column["hour"],
        events=column["events"],
        sum_nanos=column["sum_units"] * NANOS_PER_UNIT + column["sum_nanos"],
        min_nanos=column["min_units"] * NANOS_PER_UNIT + column["min_nanos"],
        max_nanos=column["max_units"] * NANOS_PER_UNIT + column["max_nanos"],
        latest_nanos=column["latest_units"] * NANOS_PER_UNIT + column["latest_nanos"],
        latest_occurred_ms=column["latest_occurred_ms"],
        latest_offset=column["latest_offset"],
        first_offset=column["first_offset"],
        last_offset=column["last_offset"],
        key_digest=(column["digest_high"] << 64) | column["digest_low"],
        late=column["late"],
        sketch=sketch,
    )


def with_state(row: WindowRow, state: WindowState) -> WindowRow:
    """This function will return a row with another state of what it keeps beyond sums."""
    return replace(
        row,
        min_nanos=state.min_nanos,
        max_nanos=state.max_nanos,
        latest_nanos=state.latest_nanos,
        latest_occurred_ms=state.latest_occurred_ms,
        latest_offset=state.latest_offset,
        sketch=state.sketch,
    )


def merged_rows(one: WindowRow, other: WindowRow) -> WindowRow:
    """This function will merge two deltas of the same window; the order does not matter."""
    latest = max(one, other, key=lambda row: (row.latest_occurred_ms, row.latest_offset))
    return replace(
        latest,
        events=one.events + other.events,
        sum_nanos=one.sum_nanos + other.sum_nanos,
        min_nanos=min(one.min_nanos, other.min_nanos),
        max_nanos=max(one.max_nanos, other.max_nanos),
        first_offset=min(one.first_offset, other.first_offset),
        last_offset=max(one.last_offset, other.last_offset),
        key_digest=(one.key_digest + other.key_digest) % _2_128,
        late=one.late + other.late,
        sketch=merged_sketch([row.sketch for row in (one, other) if row.sketch]),
    )
