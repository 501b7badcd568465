"""Laws of amendments: what is left is what would have been counted without what was taken away."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from domain.usage.amendments import replacement_key
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from domain.usage.records import SourceRecord
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue
from tests.support.amending import amendment_record
from tests.support.usage_facts import keys_of, totals_of, windows_of
from tests.support.usage_truth import CATALOGUE, HOUR_MS, Event, WindowKey, event_record

NOW_MS = 1_773_000_000_000
PUBLISHED = to_wire_catalogue(tenant="acme", version=1, content=json.dumps(CATALOGUE))
Sums = dict[WindowKey, tuple[int, int, int, int]]


@dataclass(frozen=True)
class Step:
    """One record: an event that arrives, or an amendment of one that may have arrived."""

    event: Event
    is_amendment: bool = False
    replacement: Event | None = None

    def value(self) -> bytes:
        if not self.is_amendment:
            return event_record(self.event)
        return amendment_record(self.event, replacement=self.replacement, received_ms=NOW_MS)


@st.composite
def events(draw: st.DrawFn, key: int, customer: str = "") -> Event:
    event = Event(
        key=key,
        customer=customer or draw(st.sampled_from(["ann", "bob"])),
        type=draw(st.sampled_from(["llm", "disk"])),
        occurred_ms=NOW_MS - draw(st.integers(0, 5)) * HOUR_MS,
        quantity=draw(st.one_of(st.integers(0, 20), st.just(10**14 - 1))),
        scale=0,
        dimensions=tuple(
            sorted(draw(st.dictionaries(st.just("model"), st.sampled_from("ab"))).items())
        ),
    )
    payload = repr(replace(event, key=0)).encode()  # a fingerprint is the payload's, as the SDK's
    return replace(event, fingerprint=crc32(payload))


@st.composite
def logs(draw: st.DrawFn) -> list[Step]:
    """Draw events and amendments in any order: of what came, comes later, or never comes."""
    keys = draw(
        st.lists(
            st.one_of(st.integers(0, 3), st.integers(2**128 - 4, 2**128 - 1)),
            min_size=1, max_size=5, unique=True,
        )
    )  # fmt: skip
    pool = [draw(events(key)) for key in keys]
    steps = []
    for _ in range(draw(st.integers(1, 14))):
        event = draw(st.sampled_from(pool))
        kind = draw(st.sampled_from(["event", "event", "void", "replace", "void a replacement"]))
        other = draw(events(0, customer=event.customer))
        if kind == "void a replacement":
            made = int.from_bytes(replacement_key(event.key.to_bytes(16, "big")), "big")
            steps.append(Step(replace(other, key=made), is_amendment=True))
        else:
            steps.append(Step(event, kind != "event", other if kind == "replace" else None))
    return steps


def fold(steps: list[Step], cuts: list[int]) -> list[UsageFacts]:
    """Fold the records, cut into micro-batches at these places."""
    values = [PUBLISHED, *(step.value() for step in steps)]
    records: list[SourceRecord] = [
        from_wire_usage_source(value, offset=place, received_at_ms=NOW_MS)
        for place, value in enumerate(values)
    ]
    one = UsageFold(partition=0, partitions=1)
    ends = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    return [
        one.step(records[start:end], from_offset=start, to_offset=end)
        for start, end in pairwise(ends)
    ]


def sums_of(facts: list[UsageFacts]) -> Sums:
    return {
        key: (window.events, window.late, window.sum, window.digest)
        for key, window in windows_of(facts).items()
        if window.events
    }


def left_over(steps: list[Step]) -> list[Step]:
    """Say in plain words which events are left: the slow way."""
    counted: dict[tuple[str, int], Event] = {}
    known: dict[tuple[str, int], int] = {}
    amended: set[tuple[str, int]] = set()
    for step in steps:
        event = step.event
        place = event.customer, event.key
        if not step.is_amendment:
            if place not in known:
                known[place], counted[place] = event.fingerprint, event
            continue
        if known.get(place) != event.fingerprint or place in amended:
            continue
        amended.add(place)
        counted.pop(place)
        if step.replacement is not None:
            key = int.from_bytes(replacement_key(event.key.to_bytes(16, "big")), "big")
            made = replace(step.replacement, key=key)
            known[made.customer, key] = made.fingerprint
            counted[made.customer, key] = made
    return [Step(event) for event in counted.values()]


class TestAmendments:
    @given(logs())
    def test_leave_what_would_have_been_counted_without_them(self, steps: list[Step]) -> None:
        """Events, sums, key digests and lateness of every window, to the last billionth."""
        assert sums_of(fold(left_over(steps), [])) == sums_of(fold(steps, []))

    @given(logs(), st.lists(st.integers(0, 15), max_size=6))
    def test_do_not_depend_on_the_micro_batches(self, steps: list[Step], cuts: list[int]) -> None:
        """Facts come to the same however the partition is cut."""
        whole, parts = fold(steps, []), fold(steps, cuts)
        assert sums_of(whole) == sums_of(parts)
        assert sorted(keys_of(whole)) == sorted(keys_of(parts))
        assert totals_of(whole) == totals_of(parts)
        for name in ("amendments", "rejects"):
            assert [item for facts in whole for item in getattr(facts, name)] == [
                item for facts in parts for item in getattr(facts, name)
            ]

    @given(logs(), st.integers(0, 15))
    def test_are_the_same_after_a_restart(self, steps: list[Step], cut: int) -> None:
        """A fold restored from its facts goes on as if it had never stopped."""
        facts = fold(steps, [cut])
        restored = UsageFold(partition=0, partitions=1)
        restored.restore(facts[0])
        start = facts[0].to_offset
        values = [PUBLISHED, *(step.value() for step in steps)][start:]
        records = [
            from_wire_usage_source(value, offset=start + place, received_at_ms=NOW_MS)
            for place, value in enumerate(values)
        ]
        if records:
            again = restored.step(records, from_offset=start, to_offset=start + len(records))
            assert sums_of(facts) == sums_of([facts[0], again])
