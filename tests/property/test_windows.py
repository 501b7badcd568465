"""Window deltas are a commutative monoid, and equal a slow count in Python's own integers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.usage.windows import (
    COLUMN_TYPES,
    WindowDeltas,
    concatenated,
    deltas_of_events,
    merged,
    no_deltas,
)

NANO = 10**9
Row = tuple[int, int, int, int, Fraction, int, int, int]
"""Series, hour, late, place in the log, value, occurred_ms, offset, key."""

VALUES = st.one_of(
    st.integers(0, 3 * NANO),
    st.integers(10**14 * NANO - 3, 10**14 * NANO - 1),
    st.sampled_from([0, NANO - 1, NANO, 7 * NANO + 1, 7 * NANO]),
)
KEYS = st.one_of(
    st.integers(0, 3), st.sampled_from([2**64 - 1, 2**64, 2**128 - 1, 2**96, (2**32 - 1) << 32])
)


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Events in source order; several may share an offset, as in one UsageBatch."""
    offset, result = draw(st.integers(0, 2**40)), []
    for place in range(draw(st.integers(0, 25))):
        offset += draw(st.integers(0, 2))
        result.append(
            (
                draw(st.integers(0, 2)),
                draw(st.sampled_from([0, 1, 490_000])),
                draw(st.integers(0, 1)),
                place,
                Fraction(draw(VALUES), NANO),
                draw(st.integers(0, 3)),
                offset,
                draw(KEYS),
            )
        )
    return result


def deltas(events: list[Row]) -> WindowDeltas:
    def column(values: list[int], kind: type) -> np.ndarray:
        return np.array(values, dtype=kind)

    nanos = [int(row[4] * NANO) for row in events]
    return deltas_of_events(
        series=column([row[0] for row in events], np.int32),
        hour=column([row[1] for row in events], np.int32),
        late=column([row[2] for row in events], np.int32),
        units=column([value // NANO for value in nanos], np.int64),
        nanos=column([value % NANO for value in nanos], np.int32),
        occurred_ms=column([row[5] for row in events], np.int64),
        offset=column([row[6] for row in events], np.int64),
        key_high=column([row[7] >> 64 for row in events], np.uint64),
        key_low=column([row[7] % 2**64 for row in events], np.uint64),
    )


def plain(events: list[Row]) -> dict[tuple[int, int], tuple[object, ...]]:
    """Count window by window with Fractions."""
    windows: dict[tuple[int, int], list[Row]] = {}
    for row in events:
        windows.setdefault(row[:2], []).append(row)
    return {
        window: (
            len(inside),
            sum(row[2] for row in inside),
            sum((row[4] for row in inside), Fraction(0)),
            min(row[4] for row in inside),
            max(row[4] for row in inside),
            *_latest(inside),
            min(row[6] for row in inside),
            max(row[6] for row in inside),
            sum(row[7] for row in inside) % 2**128,
        )
        for window, inside in windows.items()
    }


def _latest(inside: list[Row]) -> tuple[Fraction, int, int]:
    row = max(inside, key=lambda each: (each[5], each[6], each[3]))
    return row[4], row[5], row[6]


def shown(found: WindowDeltas) -> dict[tuple[int, int], tuple[object, ...]]:
    columns = {name: column.tolist() for name, column in found.columns.items()}
    result: dict[tuple[int, int], tuple[object, ...]] = {}
    for index in range(len(found)):
        cell = {name: column[index] for name, column in columns.items()}
        value = {
            name: Fraction(cell[f"{name}_units"]) + Fraction(cell[f"{name}_nanos"], NANO)
            for name in ("sum", "min", "max", "latest")
        }
        assert all(0 <= cell[f"{name}_nanos"] < NANO for name in value)
        result[cell["series"], cell["hour"]] = (
            cell["events"],
            cell["late"],
            value["sum"],
            value["min"],
            value["max"],
            value["latest"],
            cell["latest_occurred_ms"],
            cell["latest_offset"],
            cell["first_offset"],
            cell["last_offset"],
            (cell["digest_high"] << 64) | cell["digest_low"],
        )
    assert len(result) == len(found), "a window appears twice"
    return result


def same_kinds(found: WindowDeltas) -> bool:
    return {name: column.dtype for name, column in found.columns.items()} == COLUMN_TYPES


class TestMerging:
    @given(events=rows())
    @settings(max_examples=400)
    def test_equals_a_slow_count(self, events: list[Row]) -> None:
        """Sums with their carry, least, most, latest with its ties, offsets and the set digest."""
        found = deltas(events)
        assert plain(events) == shown(found)
        assert same_kinds(found)

    @given(events=rows(), cuts=st.lists(st.integers(0, 25), max_size=4), shuffled=st.randoms())
    @settings(max_examples=200)
    def test_gives_the_same_for_any_cut_and_order_of_the_parts(
        self, events: list[Row], cuts: list[int], shuffled: object
    ) -> None:
        """Commutative and associative, as long as no record is cut in two."""
        whole = [at for at in sorted(cuts) if 0 < at < len(events)]
        whole = [at for at in whole if events[at - 1][6] != events[at][6]]
        edges = [0, *whole, len(events)]
        parts = [deltas(events[start:end]) for start, end in pairwise(edges)]
        shuffled.shuffle(parts)  # type: ignore[attr-defined]
        one_by_one = no_deltas()
        for part in parts:
            one_by_one = merged(concatenated([one_by_one, part]))
        at_once = merged(concatenated(parts))
        assert shown(deltas(events)) == shown(at_once) == shown(one_by_one)

    @given(events=rows())
    def test_has_a_neutral_element_and_changes_nothing_twice(self, events: list[Row]) -> None:
        """Merging nothing in, or merging again, gives the same deltas in the same order."""
        found = deltas(events)
        for again in (
            merged(found),
            merged(concatenated([no_deltas(), found])),
            merged(concatenated([found, no_deltas()])),
        ):
            for name, column in found.columns.items():
                assert column.tolist() == again.columns[name].tolist()

    @given(events=rows())
    def test_is_sorted_by_series_and_hour(self, events: list[Row]) -> None:
        """So that equal deltas have equal bytes."""
        found = deltas(events)
        windows = list(zip(found.series.tolist(), found.hour.tolist(), strict=True))
        assert sorted(windows) == windows

    def test_adds_a_full_micro_batch_of_the_largest_values(self) -> None:
        """20,000 events of one billionth below the limit stay within 64 bits."""
        largest = Fraction(10**14 * NANO - 1, NANO)
        one = deltas([(0, 0, 0, 0, largest, 0, 0, 2**128 - 1)])
        many = WindowDeltas(
            **{name: np.repeat(column, 20_000) for name, column in one.columns.items()}
        )
        events, _, total, *_, digest = shown(merged(many))[0, 0]
        assert (20_000, 20_000 * largest, -20_000 % 2**128) == (events, total, digest)

    def test_concatenates_nothing_to_nothing(self) -> None:
        """The empty list is the neutral element, with every column of its kind."""
        assert len(concatenated([])) == 0
        assert same_kinds(merged(concatenated([])))

    def test_takes_the_later_place_of_two_equal_times_in_one_record(self) -> None:
        """Inside one source record events are in order."""
        rows_of_one: list[Row] = [
            (0, 0, 0, 0, Fraction(9), 5, 3, 1),
            (0, 0, 0, 1, Fraction(4), 5, 3, 2),
        ]
        found = deltas(rows_of_one)
        assert [4] == replace(found).latest_units.tolist()
