"""Late days: which days of a facts record were over when it was made."""

from __future__ import annotations

import json

import pytest

from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from projections.late_usage import late_days
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue
from tests.support.usage_truth import CATALOGUE, DAY_MS, HOUR_MS, Event, batch_record

MIDNIGHT_MS = 20_520 * DAY_MS
"""The first millisecond of a day."""


def facts_of(events: list[Event], *, received_ms: int) -> UsageFacts:
    values = [
        to_wire_catalogue(tenant="acme", version=1, content=json.dumps(CATALOGUE)),
        batch_record(events),
    ]
    records = [
        from_wire_usage_source(value, offset=place, received_at_ms=received_ms)
        for place, value in enumerate(values)
    ]
    return UsageFold(partition=0, partitions=1).step(records, from_offset=0, to_offset=2)


class TestLateDays:
    @pytest.mark.parametrize(
        ("received_ms", "days"),
        [
            (MIDNIGHT_MS - 1, {}),
            (MIDNIGHT_MS, {(0, 20_519): 1}),
            (MIDNIGHT_MS + 30 * HOUR_MS, {(0, 20_519): 1}),
        ],
    )
    def test_are_those_before_the_midnight_of_receipt(
        self, received_ms: int, days: dict[tuple[int, int], int]
    ) -> None:
        """An invoice ends at midnight: from then on its day is over, whatever its grace."""
        event = Event(key=1, occurred_ms=MIDNIGHT_MS - 1)
        assert days == late_days(facts_of([event], received_ms=received_ms))

    def test_are_told_apart_by_customer_and_day(self) -> None:
        """One row each, however many events."""
        events = [
            Event(key=1, customer="ann", occurred_ms=MIDNIGHT_MS - 1),
            Event(key=2, customer="ann", occurred_ms=MIDNIGHT_MS - 5 * HOUR_MS),
            Event(key=3, customer="ann", occurred_ms=MIDNIGHT_MS - 1 - DAY_MS),
            Event(key=4, customer="bob", occurred_ms=MIDNIGHT_MS),
        ]
        facts = facts_of(events, received_ms=MIDNIGHT_MS + HOUR_MS)
        owners = facts.series.owners
        found = {(owners[owner][1], day) for owner, day in late_days(facts)}
        assert {("ann", 20_519), ("ann", 20_518)} == found
