"""Sketches and the limit of dimension sets: no cut of the partition and no restart changes them.

The truth is a plain loop over the events in source order.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.aggregation.measure import Span
from domain.aggregation.measures import measure_of, measured
from domain.catalogue import parse_catalogue
from domain.meter import Meter
from domain.period import HOUR_MS
from domain.quantity import NANOS_PER_UNIT
from domain.usage.customer_windows import CustomerWindows
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from runtime.settings import Settings
from schemas.usage_wire import (
    from_wire_usage_facts,
    from_wire_usage_source,
    to_wire_catalogue,
    to_wire_usage_facts,
)
from streams.usage import UsageBinding
from tests.support.usage_truth import Event, batch_record

START_MS = 1_773_000_000_000
START_MS -= START_MS % HOUR_MS
LIMIT = 2
_METER = {"event_type": "seen", "unit": "unit", "group_by": ["page"]}
METERS: list[dict[str, Any]] = [
    {**_METER, "key": "views", "aggregation": "sum", "dimension_sets_max": LIMIT},
    {
        **_METER,
        "key": "visitors",
        "aggregation": "unique",
        "value": "property:user",
        "dimension_sets_max": LIMIT + 1,
    },
    {**_METER, "key": "load", "aggregation": "time_weighted"},
    {**_METER, "key": "p90", "aggregation": "percentile", "percentile": "90", "group_by": []},
    {**_METER, "key": "mean", "aggregation": "average", "group_by": []},
]
CONTENT = json.dumps({"version": 1, "meters": METERS, "plans": []})
CATALOGUE = parse_catalogue(CONTENT)
SPAN = Span(START_MS - 2 * HOUR_MS, START_MS + 2 * HOUR_MS)


@dataclass(frozen=True)
class Cut:
    """Events in source order, and where micro-batches and restarts fall."""

    records: list[list[Event]]
    sizes: list[int]
    restart_after: int


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    key = 0
    records = []
    for _ in range(draw(st.integers(1, 10))):
        record = []
        for _ in range(draw(st.integers(1, 6))):
            key += 1
            page = draw(st.sampled_from(["", "a", "b", "c", "d", "__other__"]))
            event = Event(
                key=key,
                type="seen",
                occurred_ms=START_MS + draw(st.integers(-HOUR_MS, HOUR_MS)),
                quantity=draw(st.integers(0, 10**12)),
                dimensions=(("page", page),) if page else (),
                properties=(("user", draw(st.sampled_from(["u", "v", "w"]))),),
                fingerprint=1,
            )
            record.append(event)
        records.append(record)
    sizes = draw(st.lists(st.integers(1, 4), min_size=len(records) + 1))
    return Cut(records, sizes, draw(st.integers(0, 12)))


def folded(cut: Cut) -> list[UsageFacts]:
    """Fold through the wire both ways, with one restart from full or compact facts."""
    binding = UsageBinding(Settings())
    values = [to_wire_catalogue(tenant="acme", version=1, content=CONTENT)]
    values += [batch_record(record) for record in cut.records]
    fold = UsageFold(partition=0, partitions=1)
    facts: list[UsageFacts] = []
    start = 0
    for number, size in enumerate(cut.sizes):
        if start >= len(values):
            break
        end = min(start + size, len(values))
        made = fold.step(
            [
                from_wire_usage_source(
                    value, offset=start + place, received_at_ms=START_MS + HOUR_MS
                )
                for place, value in enumerate(values[start:end])
            ],
            from_offset=start,
            to_offset=end,
        )
        facts.append(from_wire_usage_facts(to_wire_usage_facts(made, writer="w")))
        start = end
        if number == cut.restart_after:
            fold = UsageFold(partition=0, partitions=1)
            for place, each in enumerate(facts):
                fold.restore(binding.from_wire(binding.compact(each)) if place % 2 else each)
    return facts


def page_of(event: Event, admitted: dict[str, None], limit: int) -> str:
    """The page an event counts for, by the words of the guide."""
    page = dict(event.dimensions).get("page", "")
    if page in {"", "__other__"} or page in admitted:
        return page
    if len(admitted) < limit:
        admitted[page] = None
        return page
    return "__other__"


def limit_of(meter: Meter) -> int:
    """Gauges have none: put together they would be one gauge."""
    return 99 if meter.key == "load" else meter.dimension_sets_max


class TestFold:
    @given(cuts())
    @settings(deadline=None)
    def test_counts_what_a_plain_loop_counts(self, cut: Cut) -> None:
        """Sums, different values and areas by page; the first two pages are kept apart."""
        facts = folded(cut)
        windows = CustomerWindows(tenant="acme", customer="ann")
        for each in facts:
            windows.add(each)
        rows = windows.rows(SPAN, carried=())
        events = [event for record in cut.records for event in record]
        for meter in CATALOGUE.meters:
            admitted: dict[str, None] = {}
            limit = limit_of(meter)
            groups: dict[str, list[tuple[int, Event]]] = defaultdict(list)
            for offset, record in enumerate(cut.records, start=1):
                for event in record:
                    page = page_of(event, admitted, limit) if meter.group_by else ""
                    groups[page].append((offset, event))
            found = {
                page: measured(
                    measure_of(meter.aggregation, percentile=meter.percentile),
                    windows=[
                        row
                        for row in rows
                        if row.meter == meter.key
                        and row.dimensions == ((("page", page),) if page else ())
                    ],
                    span=SPAN,
                ).nanos
                for page in groups
            }
            for page, members in groups.items():
                check = getattr(self, f"_{meter.aggregation}")
                check(members, Fraction(found[page], NANOS_PER_UNIT))
            counted = sum(row.events for row in rows if row.meter == meter.key)
            assert len(events) == counted

    def _sum(self, members: list[tuple[int, Event]], found: Fraction) -> None:
        assert sum(event.quantity for _, event in members) == found

    def _average(self, members: list[tuple[int, Event]], found: Fraction) -> None:
        exact = Fraction(sum(event.quantity for _, event in members), len(members))
        assert abs(exact - found) <= Fraction(1, 2 * NANOS_PER_UNIT)

    def _unique(self, members: list[tuple[int, Event]], found: Fraction) -> None:
        assert len({dict(event.properties)["user"] for _, event in members}) == found

    def _percentile(self, members: list[tuple[int, Event]], found: Fraction) -> None:
        values = sorted(event.quantity for _, event in members)
        exact = values[-(-len(values) * 90 // 100) - 1]
        assert abs(found - exact) * 100 <= exact

    def _time_weighted(self, members: list[tuple[int, Event]], found: Fraction) -> None:
        seconds: dict[int, tuple[int, int, int]] = {}
        for offset, event in members:
            step = event.occurred_ms, offset, event.quantity
            second = event.occurred_ms // 1_000
            seconds[second] = max(seconds.get(second, step), step)
        steps = sorted(seconds.values())
        ends = [at for at, _, _ in steps[1:]] + [SPAN.end_ms]
        area = sum(value * (until - at) for (at, _, value), until in zip(steps, ends, strict=True))
        assert abs(Fraction(area, HOUR_MS) - found) <= Fraction(1, NANOS_PER_UNIT)

    @given(cuts())
    @settings(deadline=None)
    def test_notes_how_many_events_went_to_the_others(self, cut: Cut) -> None:
        """Every event beyond the limit is in one note; notes refuse nothing."""
        facts = folded(cut)
        beyond = 0
        for meter in CATALOGUE.meters:
            admitted: dict[str, None] = {}
            for record in cut.records:
                for event in record:
                    page = dict(event.dimensions).get("page", "")
                    counted = page_of(event, admitted, limit_of(meter))
                    beyond += bool(meter.group_by) and counted != page
        notes = [reject for each in facts for reject in each.rejects]
        assert {"dimension_limit"} >= {note.code.value for note in notes}
        assert beyond == sum(note.events for note in notes)
        assert 0 == sum(count.rejected for each in facts for count in each.counts)
