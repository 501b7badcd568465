"""Amendments of meters that are not additive: announced, stated anew, or refused with a code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.aggregation.measure import Measured, Span
from domain.aggregation.measures import measured
from domain.aggregation.time_weighted import TimeWeighted
from domain.errors import Fatal
from domain.usage.amendments import WindowState, no_state
from domain.usage.customer_windows import CustomerWindows
from domain.usage.segment_rows import Part, segment_rows
from domain.usage.watches import WATCH_MS_MAX, WATCHES_MAX, Watches
from tests.support.amendable_log import AmendableLog
from tests.support.usage_truth import HOUR_MS, Event

NOW_MS = 1_773_000_000_000
METER: dict[str, Any] = {
    "key": "peak", "event_type": "llm", "aggregation": "max", "unit": "u", "group_by": ["model"],
}  # fmt: skip
CATALOGUE: dict[str, Any] = {"version": 1, "meters": [METER], "plans": []}
LOW = Event(key=1, occurred_ms=NOW_MS, quantity=3, fingerprint=11)
HIGH = Event(key=2, occurred_ms=NOW_MS, quantity=90, fingerprint=12)
LAST = Event(key=3, occurred_ms=NOW_MS, quantity=5, fingerprint=13)


def log_of(*events: Event, meter: dict[str, Any] | None = None) -> AmendableLog:
    catalogue = CATALOGUE if meter is None else {**CATALOGUE, "meters": [{**METER, **meter}]}
    log = AmendableLog(catalogue, now_ms=NOW_MS)
    for event in events:
        log.send(event)
    log.cut()
    return log


def peaks(log: AmendableLog) -> list[int]:
    """The largest values of all windows with events, in units."""
    return sorted(row.max_nanos // 10**9 for row in log.rows().values())


class TestVoid:
    def test_leaves_the_second_largest(self) -> None:
        """What came before the announcement, and what came after it."""
        log = log_of(LOW, HIGH)
        at = log.announce(HIGH)
        log.send(LAST)
        log.amend(HIGH, at)
        assert [] == log.codes()
        assert [5] == peaks(log)

    def test_of_the_only_event_leaves_no_value(self) -> None:
        """The next one counts as if it were the first, however small."""
        log = log_of(HIGH)
        log.void(HIGH)
        assert {} == log.rows()
        log.send(LOW)
        log.cut()
        assert [3] == peaks(log)

    def test_twice_takes_away_once(self) -> None:
        """The second one says and changes nothing."""
        log = log_of(LOW, HIGH)
        log.void(HIGH)
        log.void(HIGH)
        assert [] == log.codes()
        assert [3] == peaks(log)
        assert 1 == sum(len(facts.amendments) for facts in log.facts)

    def test_of_an_event_that_counts_as_others_finds_its_window(self) -> None:
        """Beyond the limit of sets it lies among the others, and they stay."""
        sets = [(("model", name),) for name in "abc"]
        first, second, third = (
            replace(event, dimensions=dimensions)
            for event, dimensions in zip((LOW, HIGH, LAST), sets, strict=True)
        )
        log = log_of(first, second, third, meter={"dimension_sets_max": 1})
        log.void(second)
        assert [3, 5] == peaks(log)

    def test_writes_nothing_of_a_watch_that_gathers_nothing(self) -> None:
        """Watches go into the facts that change them, and into no others."""
        log = log_of(LOW, HIGH)
        at = log.announce(HIGH)
        log.send(replace(LAST, occurred_ms=NOW_MS - HOUR_MS))
        log.cut()
        log.amend(HIGH, at)
        *_, announced, elsewhere, amended = [facts.watches for facts in log.facts]
        assert announced not in {None, "[]"}
        assert (None, "[]") == (elsewhere, amended)

    def test_of_a_value_that_holds_on_lets_the_one_before_hold_on(self) -> None:
        """An empty window has no last value for the next period."""
        early = replace(LOW, occurred_ms=NOW_MS - 2 * HOUR_MS)
        log = log_of(early, HIGH, meter={"aggregation": "time_weighted"})
        log.void(HIGH)
        windows = CustomerWindows(tenant="acme", customer="ann")
        for facts in log.facts:
            windows.add(facts)
        after = Span((NOW_MS // HOUR_MS + 1) * HOUR_MS, (NOW_MS // HOUR_MS + 3) * HOUR_MS)
        part = Part(after, *[frozenset({"peak"})] * 3)
        rows = segment_rows(windows.every(), parts=[part])
        assert [early.occurred_ms // HOUR_MS] == [row.hour for _, row in rows]
        assert [row for _, row in rows] == list(windows.rows(after, carried={"peak"}))
        assert Measured(6 * 10**9) == measured(
            TimeWeighted(), windows=[*windows.every(), rows[0][1]], span=after
        )

    @pytest.mark.parametrize("aggregation", ["min", "max", "latest"])
    def test_of_the_only_event_leaves_a_quantity_of_zero(self, aggregation: str) -> None:
        """As if there were no window, whatever the aggregation (G-08)."""
        log = log_of(HIGH, meter={"aggregation": aggregation})
        log.void(HIGH)
        windows = CustomerWindows(tenant="acme", customer="ann")
        for facts in log.facts:
            windows.add(facts)
        (row,) = windows.every()
        assert 0 == row.events  # which no invoice reads as usage


class TestRefusals:
    def test_of_what_was_not_announced(self) -> None:
        """A record of another program: a maximum does not know the value before it."""
        log = log_of(LOW, HIGH)
        log.amend(HIGH, log.announce(HIGH), announced_at=None)
        assert ["amendment_refused"] == log.codes()
        assert [90] == peaks(log)

    @pytest.mark.parametrize(
        "event",
        [replace(HIGH, key=9), replace(HIGH, customer="bob"), replace(HIGH, fingerprint=1)],
        ids=["never sent", "another customer's", "another payload"],
    )
    def test_of_an_unknown_event_begin_with_its_announcement(self, event: Event) -> None:
        """Nothing is watched for what was never counted."""
        log = log_of(LOW, HIGH)
        log.announce(event)
        assert ["amendment_unknown"] == log.codes()
        assert log.facts[-1].watches is None

    def test_of_another_tenants_event(self) -> None:
        """Its meters are not ours."""
        log = log_of(LOW, HIGH)
        log.announce(HIGH, tenant="other")
        assert ["amendment_refused"] == log.codes()

    def test_of_what_rests_on_an_outdated_reading(self) -> None:
        """Of two that read the same window at once one wins, and the other one starts again."""
        log = log_of(LOW, HIGH, LAST)
        first, second = log.announce(HIGH), log.announce(LAST)
        log.amend(HIGH, first)
        log.amend(LAST, second)
        assert ["amendment_outdated"] == log.codes()
        assert [5] == peaks(log)
        log.void(LAST)
        assert [3] == peaks(log)

    def test_of_one_whose_announcement_is_too_old(self) -> None:
        """To the millisecond, by the broker's clock."""
        log = log_of(LOW, HIGH)
        at = log.announce(HIGH)
        log.now_ms += WATCH_MS_MAX + 1
        log.amend(HIGH, at, original_received_at_ms=NOW_MS)
        assert ["amendment_outdated"] == log.codes()
        log.now_ms -= 1
        in_time = log_of(LOW, HIGH)
        at = in_time.announce(HIGH)
        in_time.now_ms += WATCH_MS_MAX
        in_time.amend(HIGH, at, original_received_at_ms=NOW_MS)
        assert [] == in_time.codes()

    def test_of_the_oldest_when_too_many_are_announced(self) -> None:
        """Nobody can fill the fold with announcements."""
        log = log_of(LOW, HIGH)
        first, *_, last = [log.announce(HIGH) for _ in range(WATCHES_MAX + 1)]
        states = (no_state("peak"),)
        log.amend(HIGH, last - 1, announced_at=first, states=states)
        assert ["amendment_outdated"] == log.codes()
        log.amend(HIGH, last)
        assert [3] == peaks(log)

    def test_of_another_event_than_the_announced_one(self) -> None:
        """A watch belongs to its event."""
        log = log_of(LOW, HIGH)
        found = log.find(LOW)
        log.amend(LOW, log.announce(HIGH), found=found)
        assert ["amendment_outdated"] == log.codes()

    @pytest.mark.parametrize(
        "states",
        [(), (no_state("other"),), (no_state("peak"), no_state("peak")),
         (replace(no_state("peak"), sketch=b"\x01\x01junk"),)],
        ids=["none", "of another meter", "twice", "with a sketch"],
    )  # fmt: skip
    def test_of_states_that_do_not_fit(self, states: tuple[WindowState, ...]) -> None:
        """No bytes of an amendment may stop whoever reads the facts."""
        log = log_of(LOW, HIGH)
        log.amend(HIGH, log.announce(HIGH), states=states)
        assert ["amendment_outdated"] == log.codes()
        assert [90] == peaks(log)

    def test_of_a_value_out_of_range_are_undecodable(self) -> None:
        """A negative value would be billed as one."""
        log = log_of(LOW, HIGH)
        bad = replace(no_state("peak"), max_nanos=-1)
        log.amend(HIGH, log.announce(HIGH), states=(bad,))
        assert ["undecodable"] == log.codes()

    def test_is_fatal_where_one_shares_its_micro_batch(self) -> None:
        """Then before and after the announcement could not be told apart."""
        log = log_of(LOW, HIGH)
        at = log.announce(HIGH)
        log.send(LAST)
        records = log.records(at, len(log.values))
        with pytest.raises(Fatal, match="shares its micro-batch"):
            log.fold.step(records, from_offset=records[0].offset, to_offset=len(log.values))


class TestWatches:
    def test_come_back_from_their_text(self) -> None:
        """Facts and checkpoints keep them so, with what they have gathered."""
        log = log_of(LOW, HIGH)
        log.announce(HIGH)
        log.send(LAST)
        log.cut()
        text = log.facts[-1].watches
        assert text is not None
        again = Watches()
        again.put(text)
        assert text == again.text
        assert again.changed() is None
