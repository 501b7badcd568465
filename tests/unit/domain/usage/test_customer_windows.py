"""One customer's windows, added up for replay and trace."""

from __future__ import annotations

import json
import random

from domain.usage.customer_windows import CustomerWindows
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue
from tests.support import billing
from tests.support.usage_facts import windows_of
from tests.support.usage_truth import CATALOGUE, HOUR_MS, Event, batch_record

NOW_MS = 1_773_000_000_000
HOUR = NOW_MS // HOUR_MS


def facts_of(records: int) -> list[UsageFacts]:
    draw = random.Random(records)
    fold = UsageFold(partition=0, partitions=1)
    values = [to_wire_catalogue(tenant="acme", version=1, content=json.dumps(CATALOGUE))]
    for _ in range(records):
        values.append(
            batch_record(
                [
                    Event(
                        key=draw.getrandbits(128),
                        customer=draw.choice(["ann", "bob"]),
                        occurred_ms=NOW_MS - draw.randrange(3 * HOUR_MS),
                        quantity=draw.randrange(10**6),
                        scale=draw.randrange(9),
                        dimensions=(("model", draw.choice("ab")),),
                    )
                    for _ in range(20)
                ]
            )
        )
    return [
        fold.step(
            [from_wire_usage_source(value, offset=offset, received_at_ms=NOW_MS)],
            from_offset=offset,
            to_offset=offset + 1,
        )
        for offset, value in enumerate(values)
    ]


class TestCustomerWindows:
    def test_adds_up_one_customer_and_passes_over_the_others(self) -> None:
        """Every figure as a plain count of the same facts has it."""
        facts = facts_of(6)
        windows = CustomerWindows(tenant="acme", customer="ann")
        for each in facts:
            windows.add(each)
        found = {
            (row.meter, row.dimensions, row.hour): (
                row.events, row.late, row.sum_nanos, row.min_nanos, row.max_nanos,
                row.latest_nanos, (row.latest_occurred_ms, row.latest_offset),
                row.first_offset, row.last_offset, row.key_digest,
            )
            for row in windows.rows(billing.hours(0, HOUR + 1), carried=())
        }  # fmt: skip
        expected = {
            key[2:]: (
                window.events, window.late, window.sum, window.min, window.max, window.latest,
                window.latest_at, window.first_offset, window.last_offset, window.digest,
            )
            for key, window in windows_of(facts).items()
            if key[1] == "ann"
        }  # fmt: skip
        assert expected == found
        assert len(found) > 3

    def test_gives_the_hours_of_a_half_open_period(self) -> None:
        """The first hour belongs to it, the end does not."""
        windows = CustomerWindows(tenant="acme", customer="ann")
        for each in facts_of(6):
            windows.add(each)
        hours = {row.hour for row in windows.rows(billing.hours(HOUR - 2, HOUR), carried=())}
        assert {HOUR - 2, HOUR - 1} == hours

    def test_of_a_stranger_are_none(self) -> None:
        """The same customer of another tenant is somebody else."""
        windows = CustomerWindows(tenant="globex", customer="ann")
        for each in facts_of(2):
            windows.add(each)
        assert () == windows.rows(billing.hours(0, HOUR + 1), carried=())
