"""What an amendment reads of the facts, and that what it noted of them is enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.errors import Fatal
from projections.counted_events import CountedEvent
from projections.window_states import states_before
from tests.support.amendable_log import AmendableLog
from tests.support.usage_truth import HOUR_MS, Event

NOW_MS = 1_773_000_000_000
CATALOGUE: dict[str, Any] = {
    "version": 1,
    "meters": [
        {"key": "peak", "event_type": "llm", "aggregation": "max", "unit": "u",
         "group_by": ["model"]},
    ],
    "plans": [],
}  # fmt: skip
LOW = Event(key=1, occurred_ms=NOW_MS, quantity=3, fingerprint=11, dimensions=(("model", "a"),))
HIGH = replace(LOW, key=2, quantity=90, fingerprint=12)
LAST = replace(LOW, key=3, quantity=5, fingerprint=13)
RECORDS_ELSEWHERE = 30


def log_of(*events: Event) -> AmendableLog:
    """Each event in a facts record of its own, between many of another hour and of bob."""
    log = AmendableLog(CATALOGUE, now_ms=NOW_MS)
    for number, event in enumerate(events):
        send(log, event)
        elsewhere(log, first_key=1_000 * (number + 1))
    return log


def send(log: AmendableLog, event: Event) -> None:
    log.send(event)
    log.cut()


def elsewhere(log: AmendableLog, *, first_key: int) -> None:
    for key in range(first_key, first_key + RECORDS_ELSEWHERE):
        log.send(replace(LOW, key=key, customer="bob"))
        send(log, replace(LOW, key=key, occurred_ms=NOW_MS - HOUR_MS))


def found(log: AmendableLog, event: Event) -> CountedEvent:
    counted = log.find(event)
    assert counted is not None
    return counted


def peaks(log: AmendableLog) -> set[int]:
    """The largest values of ann's last hour, in units."""
    return {
        row.max_nanos // 10**9
        for (customer, _, _, hour), row in log.rows().items()
        if (customer, hour) == ("ann", NOW_MS // HOUR_MS)
    }


class TestAnAmendment:
    def test_reads_each_record_once_and_those_of_the_hour_again(self) -> None:
        """However long the log is: the tool finds, announces, and states."""
        log = log_of(LOW, HIGH, LAST)
        before = len(log.facts)
        log.void(HIGH)
        assert {5} == peaks(log)
        read, again = log.looked_at[: before + 1], log.looked_at[before + 1 :]
        assert list(range(before + 1)) == read, "the announcement's facts are the last"
        assert [1, 2 + RECORDS_ELSEWHERE, 3 + 2 * RECORDS_ELSEWHERE] == again

    def test_that_another_one_outdated_reads_on_where_it_stopped(self) -> None:
        """The next announcement comes behind the first one, and so does what is new to read."""
        log = log_of(LOW, HIGH, LAST)
        counted = found(log, LAST)
        outdated = log.announce(LAST)
        log.void(HIGH)
        log.amend(LAST, outdated, found=counted)
        assert ["amendment_outdated"] == log.codes()

        at = log.announce(LAST)
        known = len(log.facts)
        log.looked_at.clear()
        log.amend(LAST, at, found=counted)

        assert ["amendment_outdated"] == log.codes()
        assert {3} == peaks(log)
        read_from = log.looked_at[0]
        assert outdated == log.facts[read_from].from_offset
        assert list(range(read_from, known)) == log.looked_at[: known - read_from]
        assert len(log.looked_at) < 10

    @pytest.mark.parametrize("is_counted", [True, False], ids=["counted", "late writer's"])
    def test_takes_what_was_folded_since_the_event_was_found(self, *, is_counted: bool) -> None:
        """Facts of others, and records that do not count, come between finding and announcing."""
        log = log_of(LOW, HIGH)
        counted = found(log, HIGH)
        if is_counted:
            send(log, replace(LAST, quantity=40))
        else:
            log.facts.append(log.facts[1])
        log.amend(HIGH, log.announce(HIGH), found=counted)
        assert [] == log.codes()
        assert {40 if is_counted else 3} == peaks(log)

    def test_keeps_other_tenants_and_customers_out(self) -> None:
        """They share the partition: another catalogue, and the same id voided by somebody else."""
        log = log_of(LOW)
        log.publish({**CATALOGUE, "version": 9, "meters": []}, tenant="other")
        bobs = replace(LAST, customer="bob", quantity=80)
        for event in (LAST, HIGH, bobs):
            send(log, event)
        log.void(bobs)
        log.void(HIGH)
        assert [] == log.codes()
        assert {5} == peaks(log)

    def test_does_not_state_before_what_it_has_read(self) -> None:
        """What came behind the announcement would be counted twice: the fold gathers it."""
        log = log_of(LOW, HIGH)
        at = log.announce(HIGH)
        send(log, LAST)
        with pytest.raises(Fatal, match="behind the announcement"):
            states_before(found(log, HIGH), announced_at=at)

    def test_stops_when_a_record_has_become_another(self) -> None:
        """A log that was put back from somewhere else while it was read."""
        log = log_of(LOW, HIGH)
        at = log.announce(HIGH)
        log.facts[1] = replace(log.facts[1], to_offset=log.facts[1].to_offset + 1)
        with pytest.raises(Fatal, match="another one than was read"):
            log.amend(HIGH, at)
