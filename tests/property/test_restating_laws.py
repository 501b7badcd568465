"""Laws of announced amendments: every meter is left as if what was taken away had never come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from domain.aggregation import time_weighted
from domain.aggregation.window_row import WindowRow
from domain.usage.amendments import replacement_key
from domain.usage.watches import WATCHES_MAX
from tests.support.amendable_log import AmendableLog
from tests.support.usage_truth import HOUR_MS, Event

NOW_MS = 1_773_000_000_000
PROPERTY = "property:who"


def _meter(key: str, event_type: str, aggregation: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "event_type": event_type, "aggregation": aggregation, "unit": "u", **more}


CATALOGUE: dict[str, Any] = {
    "version": 1,
    "meters": [
        _meter("sum", "llm", "sum", group_by=["model"]),
        _meter("min", "llm", "min"),
        _meter("max", "llm", "max", group_by=["model"]),
        _meter("latest", "llm", "latest"),
        _meter("average", "llm", "average"),
        _meter("unique", "llm", "unique", value=PROPERTY),
        _meter("time_weighted", "llm", "time_weighted", group_by=["model"]),
        _meter("percentile", "llm", "percentile", percentile="95"),
        _meter("disk", "disk", "max", group_by=["model"]),
    ],
    "plans": [],
}  # fmt: skip
STATED = {"min", "max", "latest", "unique", "time_weighted", "percentile", "disk"}


@st.composite
def events(draw: st.DrawFn, key: int, customer: str = "") -> Event:
    event = Event(
        key=key,
        customer=customer or draw(st.sampled_from(["ann", "ann", "ann", "bob"])),
        type=draw(st.sampled_from(["llm", "llm", "llm", "disk"])),
        occurred_ms=NOW_MS
        - draw(st.sampled_from([0, 0, 0, 1])) * HOUR_MS
        - draw(st.integers(0, 3)) * 400,
        quantity=draw(st.one_of(st.integers(0, 5), st.just(10**14 - 1))),
        scale=draw(st.sampled_from([0, 0, 9])),
        dimensions=tuple(
            sorted(draw(st.dictionaries(st.just("model"), st.sampled_from("aab"))).items())
        ),
        properties=(("who", draw(st.sampled_from(["x", "y", "z"]))),),
    )
    return replace(event, fingerprint=crc32(repr(replace(event, key=0)).encode()))


@dataclass(frozen=True)
class Step:
    """One thing that happens: what, to which event of the pool, and what replaces it.

    Args:
        kind: "event", "cut", "restart" or "amend".
        place: Which event.
        replacement: What counts instead of an amended one.
        between: What happens between announcement and amendment.
    """

    kind: str
    place: int = 0
    replacement: Event | None = None
    between: tuple[Step, ...] = ()


@st.composite
def steps_of(draw: st.DrawFn, pool: list[Event], depth: int) -> tuple[Step, ...]:
    """Draw what happens; amendments within amendments, two deep at most."""
    kinds = ["event", "event", "event", "cut", "restart", *(["amend"] * 3 if depth else [])]
    steps = []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=4 + 4 * depth)):
        place = draw(st.integers(0, len(pool) - 1))
        if kind == "amend":
            other = draw(st.one_of(st.none(), events(0, customer=pool[place].customer)))
            steps.append(Step(kind, place, other, draw(steps_of(pool, depth - 1))))
        else:
            steps.append(Step(kind, place))
    return tuple(steps)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Event], tuple[Step, ...]]:
    """Draw events, of which the first ones have come, and what happens then."""
    pool = [draw(events(key)) for key in range(1, 1 + draw(st.integers(2, 6)))]
    first = tuple(Step("event", place) for place in range(len(pool) // 2 + 1))
    return pool, (*first, *draw(steps_of(pool, 2)))


class Story:
    """Lets it happen, and knows in plain words which events count.

    Args:
        pool: The events; the replacement of one takes its place.
        steps: What happens.
    """

    def __init__(self, pool: list[Event], steps: tuple[Step, ...]) -> None:
        self.log = AmendableLog(CATALOGUE, now_ms=NOW_MS)
        self.counted: dict[int, Event] = {}
        self._pool = list(pool)
        self._ever: set[int] = set()
        self._amended = self._announced = 0
        for step in steps:
            self.tell(step)
        self.log.cut()

    def tell(self, step: Step) -> None:
        match step.kind:
            case "event":
                self._count(self._pool[step.place])
                self.log.send(self._pool[step.place])
            case "cut":
                self.log.cut()
            case "restart":
                self.log.restart()
            case _:
                self._amend(step)

    def _count(self, event: Event) -> None:
        if event.key not in self._ever:
            self._ever.add(event.key)
            self.counted[event.key] = event

    def _amend(self, step: Step) -> None:
        event = self._pool[step.place]
        was_counted = event.key in self.counted
        at = self.log.announce(event)
        if event.key not in self._ever:
            assert self.log.codes()[-1] == "amendment_unknown"
            return
        self._announced += 1
        amended_before, announced_before = self._amended, self._announced
        for inner in step.between:
            self.tell(inner)
        self.log.amend(event, at, replacement=step.replacement)
        is_taken = bool(self.log.facts[-1].amendments)
        is_watched = self._announced - announced_before < WATCHES_MAX
        if is_watched and self._amended == amended_before:
            assert was_counted == is_taken, "nothing else has changed its windows"
        if is_taken:
            self._amended += 1
            del self.counted[event.key]
            if step.replacement is not None:
                key = int.from_bytes(replacement_key(event.key.to_bytes(16, "big")), "big")
                self._pool[step.place] = replace(step.replacement, key=key)
                self._count(self._pool[step.place])


def never_amended(events_left: list[Event]) -> AmendableLog:
    log = AmendableLog(CATALOGUE, now_ms=NOW_MS)
    for event in events_left:
        log.send(event)
    log.cut()
    return log


def seen_by_people(row: WindowRow) -> tuple[Any, ...]:
    """What a window tells, without the offsets, which differ from log to log."""
    told_sums = row.events, row.sum_nanos, row.key_digest, row.late
    if row.meter not in STATED:
        return told_sums
    values = row.min_nanos, row.max_nanos, row.latest_nanos, row.latest_occurred_ms
    sketch: Any = row.sketch
    if row.meter == "time_weighted":
        steps = np.frombuffer(
            row.sketch, dtype=time_weighted.ENTRY, offset=len(time_weighted.HEADER)
        )
        sketch = [(at, units, nanos) for at, _, units, nanos in steps.tolist()]
    return (*told_sums, *values, sketch)


def shown(log: AmendableLog) -> dict[Any, tuple[Any, ...]]:
    return {place: seen_by_people(row) for place, row in log.rows().items()}


class TestAnnouncedAmendments:
    @given(stories())
    def test_leave_every_meter_as_if_the_event_had_never_come(
        self, drawn: tuple[list[Event], tuple[Step, ...]]
    ) -> None:
        """Whatever came between announcement and amendment, cut and restarted anywhere."""
        story = Story(*drawn)
        assert shown(never_amended(list(story.counted.values()))) == shown(story.log)
