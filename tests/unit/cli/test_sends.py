"""What the demo sends on purpose: duplicates, conflicts and broken events, counted in advance."""

import datetime as dt
import itertools
from collections import Counter
from pathlib import Path

import pytest

from cli import checkout
from cli.demo.sends import CONFLICTS, Sends, plan_sends
from cli.demo.trace import Trace, read_trace

NOW = dt.datetime(2026, 3, 5, 12, tzinfo=dt.UTC)


def _plan(trace: Trace) -> Sends:
    numbers = itertools.count()
    return plan_sends(trace, now=NOW, new_id=lambda: f"broken-{next(numbers)}")


@pytest.fixture(scope="module")
def trace() -> Trace:
    return read_trace(checkout.TRACE, today=NOW.date())


class TestPlan:
    def test_sends_every_request(self, trace: Trace) -> None:
        sent = {send.id for send in _plan(trace).regular}
        assert {request.id for request in trace.requests} == sent

    def test_repeats_three_percent_unchanged(self, trace: Trace) -> None:
        """A duplicate is the same event, payload and all, sent later."""
        sends = _plan(trace)
        copies = Counter(sends.regular)
        assert sends.duplicates == 265
        assert Counter(copies.values()) == {1: 8_819 - 265, 2: 265}

    def test_changes_the_quantity_of_conflicts(self, trace: Trace) -> None:
        """A conflict has an id that was sent before, and another quantity."""
        sends = _plan(trace)
        by_id = {send.id: send for send in sends.regular}
        assert len(sends.conflicts) == CONFLICTS
        for send in sends.conflicts:
            assert send.quantity != by_id[send.id].quantity

    def test_breaks_five_events_in_five_ways(self, trace: Trace) -> None:
        assert _plan(trace).codes == {
            "unknown_type": 1,
            "too_late": 1,
            "future": 1,
            "undecodable": 1,
            "unknown_schema": 1,
        }

    def test_adds_up(self, trace: Trace) -> None:
        assert _plan(trace).total == 8_819 + 265 + 5 + 5

    def test_works_on_a_single_request(self, tmp_path: Path) -> None:
        """Even then there is a duplicate, and the conflicts differ from each other."""
        path = tmp_path / "one.csv"
        path.write_text(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 10:00:00,7,8\n", "utf-8"
        )
        sends = _plan(read_trace(path, today=NOW.date()))
        assert (len(sends.regular), sends.duplicates) == (2, 1)
        assert {send.quantity for send in sends.conflicts} == {8, 9, 10, 11, 12}
