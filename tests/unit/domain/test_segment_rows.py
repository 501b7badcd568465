"""Windows cut into parts of a period, and the hash that pins them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.aggregation.measure import Span
from domain.aggregation.window_row import WindowRow
from domain.errors import Fatal
from domain.period import HOUR_MS
from domain.usage.segment_rows import Part, segment_rows, usage_digest

CALLS = frozenset({"calls"})
NONE: frozenset[str] = frozenset()


def row(hour: int, *, meter: str = "calls", units: int = 1) -> WindowRow:
    """One window."""
    return WindowRow(
        meter=meter,
        dimensions=(("region", "eu"),),
        hour=hour,
        events=1,
        sum_nanos=units,
        min_nanos=units,
        max_nanos=units,
        latest_nanos=units,
        latest_occurred_ms=hour * HOUR_MS,
        latest_offset=hour,
        first_offset=hour,
        last_offset=hour,
        key_digest=2**127 + hour,
        late=0,
    )


def part(start: int, end: int, *, sketched: frozenset[str] = NONE, **more: frozenset[str]) -> Part:
    """A part of some hours that reads the meter calls."""
    return Part(Span(start * HOUR_MS, end * HOUR_MS), CALLS, sketched, more.get("carried", NONE))


class TestSegmentRows:
    def test_merge_the_hours_of_each_part(self) -> None:
        """Hours 1 and 2 are one row of part 0, hour 3 one of part 1; the digest wraps."""
        found = segment_rows([row(2, units=5), row(3), row(1)], parts=[part(1, 3), part(3, 5)])

        assert [(number, each.hour, each.sum_nanos) for number, each in found] == [
            (0, 1, 6),
            (1, 3, 1),
        ]
        assert found[0][1].key_digest == 3
        assert (found[0][1].min_nanos, found[0][1].max_nanos) == (1, 5)

    def test_leave_out_what_no_part_reads(self) -> None:
        """Other hours and other meters."""
        assert segment_rows([row(0), row(5), row(1, meter="other")], parts=[part(1, 3)]) == ()

    def test_keep_the_hours_of_sketched_meters_and_the_last_one_before(self) -> None:
        """Of two windows before the part the later one holds on."""
        found = segment_rows(
            [row(0), row(1), row(2), row(3)], parts=[part(2, 5, sketched=CALLS, carried=CALLS)]
        )

        assert [each.hour for _, each in found] == [1, 2, 3]

    @given(st.permutations(range(8)))
    def test_do_not_depend_on_the_order_of_windows(self, order: list[int]) -> None:
        """Rows and their hash are the same for every order."""
        parts = [part(0, 4), part(4, 8)]
        rows = segment_rows([row(hour) for hour in order], parts=parts)

        assert rows == segment_rows([row(hour) for hour in range(8)], parts=parts)
        assert usage_digest(rows) == usage_digest(reversed(rows))


class TestDigest:
    @pytest.mark.parametrize(
        "change",
        [
            {"events": 2},
            {"sum_nanos": 2},
            {"first_offset": 0},
            {"last_offset": 9},
            {"key_digest": 1},
            {"late": 1},
            {"hour": 2},
            {"meter": "other"},
            {"dimensions": ()},
            {"sketch": b"x"},
        ],
    )
    def test_shows_every_change(self, change: dict[str, object]) -> None:
        """Each field that is pinned changes the hash, and the number of the part does."""
        one = row(1)

        assert usage_digest([(0, replace(one, **change))]) != usage_digest([(0, one)])  # type: ignore[arg-type]
        assert usage_digest([(1, one)]) != usage_digest([(0, one)])

    def test_refuses_a_window_that_comes_twice(self) -> None:
        """It would be billed twice."""
        with pytest.raises(Fatal, match="twice"):
            usage_digest([(0, row(1)), (0, row(1))])
