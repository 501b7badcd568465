"""Stating windows anew: what an announced amendment puts in the place of maxima and sketches.

Sums, numbers and keys of such a window change by the amendment's delta like all others. Its
smallest, largest and latest value and its sketch are stated: what the window held before the
announcement without the event, merged with what came since, and with the replacement. Whoever adds
facts up drops what they knew of these before, and of these alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from domain.aggregation.sketches import is_sketch_of
from domain.quantity import NANOS_PER_UNIT
from domain.usage.amendments import ADDITIVE, WindowState
from domain.usage.customer_windows import merged_rows, row_of, with_state
from domain.usage.facts import Sketches
from domain.usage.windows import NEUTRAL, WindowDeltas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.aggregation.window_row import WindowRow
    from domain.meter import Meter
    from domain.usage.facts import UsageFacts
    from domain.usage.watches import Place

_STATED = ("min", "max", "latest")


def places_of(facts: UsageFacts) -> dict[Place, int]:
    """This function will return the windows of a record that has one customer, by index."""
    series = facts.series
    places = {}
    for index, (number, hour) in enumerate(
        zip(facts.windows.series.tolist(), facts.windows.hour.tolist(), strict=True)
    ):
        dimensions = series.dimension_sets[int(series.dimensions[number])]
        meter = series.meters[int(series.meter[number])]
        places[meter, tuple(sorted(dimensions.items())), hour] = index
    return places


def stated_places(facts: UsageFacts, meters: Iterable[Meter]) -> frozenset[Place]:
    """This function will return the windows of one event that have to be stated anew.

    Args:
        facts: What counting the event alone comes to.
        meters: The meters that it feeds.
    """
    stated = {meter.key for meter in meters if meter.aggregation not in ADDITIVE}
    return frozenset(place for place in places_of(facts) if place[0] in stated)


def are_states_of(
    states: Iterable[WindowState], places: Iterable[Place], meters: Iterable[Meter]
) -> bool:
    """This function will say whether there is one state for each window, of its own kind.

    Args:
        states: What an amendment states.
        places: The windows.
        meters: The meters that the event feeds.
    """
    aggregations = {meter.key: meter.aggregation for meter in meters}
    return sorted(state.meter for state in states) == sorted(place[0] for place in places) and all(
        is_sketch_of(aggregations[state.meter], state.sketch) for state in states
    )


def state_of(row: WindowRow) -> WindowState:
    """This function will return what a window keeps beyond sums."""
    return WindowState(
        meter=row.meter,
        min_nanos=row.min_nanos,
        max_nanos=row.max_nanos,
        latest_nanos=row.latest_nanos,
        latest_occurred_ms=row.latest_occurred_ms,
        latest_offset=row.latest_offset,
        sketch=row.sketch,
    )


def restated(
    facts: UsageFacts, states: Iterable[WindowState], gathered: Mapping[Place, WindowRow | None]
) -> UsageFacts:
    """This function will put stated windows into the record of an amendment.

    Args:
        facts: The record, which holds nothing but the amendment.
        states: The windows before the announcement, without the event.
        gathered: What came into each of them since.
    """
    by_meter = {state.meter: state for state in states}
    sketches = dict(zip(facts.sketches.window.tolist(), facts.sketches.states, strict=True))
    columns = {name: column.copy() for name, column in facts.windows.columns.items()}
    indexes = []
    for place, index in places_of(facts).items():
        if place not in gathered:
            continue
        meter, dimensions, _ = place
        sketch = sketches.pop(index, b"")
        row = row_of(facts, index, meter=meter, dimensions=dimensions, sketch=sketch)
        stated = merged_rows(with_state(row, by_meter[meter]), row)
        since = gathered[place]
        if since is not None:
            stated = merged_rows(stated, since)
        for name in _STATED:
            units, nanos = divmod(getattr(stated, f"{name}_nanos"), NANOS_PER_UNIT)
            columns[f"{name}_units"][index], columns[f"{name}_nanos"][index] = units, nanos
        columns["latest_occurred_ms"][index] = stated.latest_occurred_ms
        columns["latest_offset"][index] = stated.latest_offset
        if stated.sketch:
            sketches[index] = stated.sketch
        indexes.append(index)
    return replace(
        facts,
        windows=WindowDeltas(**columns),
        sketches=Sketches(
            window=np.array(sorted(sketches), dtype=np.int32),
            states=tuple(sketches[index] for index in sorted(sketches)),
        ),
        restated=frozenset(indexes),
    )


def forget_before(deltas: WindowDeltas, rows: np.ndarray) -> None:
    """This function will make rows have no smallest, largest and latest value, in place.

    Args:
        deltas: Deltas; their columns are written to.
        rows: Which rows: those that came before their window was stated anew.
    """
    for name, value in NEUTRAL.items():
        getattr(deltas, name)[rows] = value
