"""Laws of sketches: merging in any order and grouping gives the same bytes, and the right value.

The truths are plain Python: a set, a sorted list, and a loop over milliseconds' steps.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from domain.aggregation import percentile, time_weighted, unique
from domain.aggregation.measure import Measured, Span
from domain.aggregation.percentile import Percentile
from domain.aggregation.sketches import merged_sketch
from domain.aggregation.time_weighted import TimeWeighted
from domain.aggregation.unique import Unique
from domain.period import HOUR_MS
from domain.quantity import NANOS_PER_UNIT, UNITS_MAX
from tests.support import billing

NANOS = NANOS_PER_UNIT
NOWHERE = Span(0, 0)
HOUR = 482_136
values_nanos = st.one_of(
    st.integers(0, 300),
    st.integers(0, 10**12),
    st.integers(0, UNITS_MAX * NANOS - 1),
    st.sampled_from([0, 1, 99, 100, 2**62 - 1, 2**62, 2**62 + 10**9, UNITS_MAX * NANOS - 1]),
)
Event = tuple[int, int, int]
"""Milliseconds within the hour, source offset, value in billionths."""
events = st.lists(
    st.tuples(st.integers(0, HOUR_MS - 1), st.integers(0, 50), values_nanos), min_size=1
)


def split(values: list[int]) -> tuple[np.ndarray, np.ndarray]:
    units, nanos = zip(*(divmod(value, NANOS) for value in values), strict=True)
    return np.array(units, dtype=np.int64), np.array(nanos, dtype=np.int32)


def unique_sketch(texts: list[str]) -> bytes:
    hashes = np.array([unique.hash_of(text) for text in texts], dtype=np.uint64)
    ((_, sketch),) = unique.sketches_of(np.zeros(hashes.size, dtype=np.int64), hashes)
    return sketch


def percentile_sketch(values: list[int]) -> bytes:
    units, nanos = split(values)
    ((_, sketch),) = percentile.sketches_of(np.zeros(units.size, np.int64), units, nanos)
    return sketch


def steps_sketch(found: list[Event]) -> bytes:
    units, nanos = split([value for _, _, value in found])
    at_ms = np.array([HOUR * HOUR_MS + at for at, _, _ in found], dtype=np.int64)
    offset = np.array([offset for _, offset, _ in found], dtype=np.int64)
    window = np.zeros(at_ms.size, dtype=np.int64)
    ((_, sketch),) = time_weighted.sketches_of(window, at_ms, offset, units, nanos)
    return sketch


class TestUnique:
    @given(st.lists(st.lists(st.text(min_size=1, max_size=3), min_size=1), min_size=1))
    def test_merging_is_the_sketch_of_everything(self, parts: list[list[str]]) -> None:
        """However events are cut into micro-batches and hours, the bytes are the same."""
        whole = unique_sketch([text for part in parts for text in part])
        sketches = [unique_sketch(part) for part in parts]
        assert whole == merged_sketch(sketches) == merged_sketch(sketches[::-1])
        assert whole == merged_sketch([merged_sketch(sketches[:1]), *sketches[1:], whole])

    @given(st.lists(st.text(min_size=1, max_size=3), min_size=1))
    def test_is_exact_below_the_bound(self, texts: list[str]) -> None:
        """A set of texts, counted."""
        found = Unique().value(unique_sketch(texts), NOWHERE)
        assert Measured(len(set(texts)) * NANOS) == found

    @given(st.integers(0, 2**32), st.integers(unique.EXACT_MAX - 2, unique.EXACT_MAX + 2))
    def test_says_from_which_number_on_it_is_an_estimate(self, seed: int, count: int) -> None:
        """The bound itself is exact; one more is not, however the hashes came together."""
        hashes = np.random.default_rng(seed).choice(2**62, size=count, replace=False)
        halves = np.array_split(hashes.astype(np.uint64), 2)
        sketches = [
            sketch
            for half in (*halves, halves[0])
            for _, sketch in unique.sketches_of(np.zeros(half.size, np.int64), half)
        ]
        found = Unique().value(merged_sketch(sketches), NOWHERE)
        assert (count > unique.EXACT_MAX) is found.is_estimate
        if not found.is_estimate:
            assert count * NANOS == found.nanos

    def test_estimates_a_million_to_five_standard_errors(self) -> None:
        """Hashes of real texts, in ten parts; the standard error is 1.6 %."""
        parts = [[f"user-{number}" for number in range(start, 200_000, 10)] for start in range(10)]
        found = Unique().value(merged_sketch([unique_sketch(part) for part in parts]), NOWHERE)
        assert found.is_estimate
        assert abs(Fraction(found.nanos, NANOS) - 200_000) < 200_000 * Fraction(8, 100)


class TestPercentile:
    @given(
        st.lists(values_nanos, min_size=1, max_size=200),
        st.decimals("0.000001", 100, places=6).map(str),
    )
    def test_is_within_one_percent_of_the_exact_one(self, values: list[int], percent: str) -> None:
        """Nearest rank on the sorted values is the truth; the bound holds for every value."""
        measure = Percentile(Fraction(percent))
        found = measure.value(percentile_sketch(values), NOWHERE).nanos
        rank = max(1, ceil(Fraction(percent) / 100 * len(values)))
        exact = sorted(values)[rank - 1]
        assert abs(found - exact) * 100 <= exact

    @given(st.lists(st.lists(values_nanos, min_size=1), min_size=1))
    def test_merging_is_the_sketch_of_everything(self, parts: list[list[int]]) -> None:
        """However events are cut, the bytes are the same."""
        whole = percentile_sketch([value for part in parts for value in part])
        sketches = [percentile_sketch(part) for part in parts]
        assert whole == merged_sketch(sketches) == merged_sketch(sketches[::-1])
        assert whole == merged_sketch([merged_sketch(sketches[:1]), *sketches[1:]])

    def test_buckets_rise_and_leave_no_gap(self) -> None:
        """Each border begins a bucket, and the number before it belongs to the one before."""
        lows = [1]
        while lows[-1] < 10**15:
            value = percentile.representative(len(lows))
            assert value - lows[-1] <= Fraction(lows[-1], 100)
            lows.append(value * 100 // 99 + 1)
        units, nanos = split([*lows, *(low - 1 for low in lows)])
        buckets = percentile.buckets_of(units, nanos).tolist()
        assert list(range(1, len(lows) + 1)) + list(range(len(lows))) == buckets


class TestTimeWeighted:
    @given(st.lists(events, min_size=1))
    def test_merging_is_the_sketch_of_everything(self, parts: list[list[Event]]) -> None:
        """However events are cut, the bytes are the same."""
        whole = steps_sketch([event for part in parts for event in part])
        sketches = [steps_sketch(part) for part in parts]
        assert whole == merged_sketch(sketches) == merged_sketch(sketches[::-1])
        assert whole == merged_sketch([merged_sketch(sketches[:1]), *sketches[1:]])

    @given(events, st.integers(-2 * HOUR_MS, 2 * HOUR_MS), st.integers(1, 3 * HOUR_MS))
    def test_is_the_area_under_the_steps(
        self, found: list[Event], start_ms: int, length_ms: int
    ) -> None:
        """The truth walks the steps one after another; a second has one step, its last."""
        steps: dict[int, Event] = {}
        for event in sorted(found):
            second = event[0] // 1_000
            kept = steps.get(second, event)
            steps[second] = max(kept, event)
        start = HOUR * HOUR_MS + start_ms
        end = start + length_ms
        ordered = [(HOUR * HOUR_MS + at, value) for at, _, value in sorted(steps.values())]
        ends = [at for at, _ in ordered[1:]] + [max(end, ordered[-1][0])]
        area = sum(
            value * max(0, min(end, until) - max(start, at))
            for (at, value), until in zip(ordered, ends, strict=True)
        )
        row = billing.window("m", sketch=steps_sketch(found), hour=HOUR)
        value = TimeWeighted().value(TimeWeighted().of(row), Span(start, end))
        assert abs(Fraction(area, HOUR_MS) - value.nanos) <= Fraction(1, 2)

    @given(events, events, st.integers(1, 40))
    def test_hours_add_up_and_a_value_holds_on(
        self, one: list[Event], other: list[Event], gap: int
    ) -> None:
        """Two spans side by side come to what both together come to, up to their roundings."""
        measure = TimeWeighted()
        rows = [
            billing.window("m", sketch=steps_sketch(one), hour=HOUR),
            billing.window("m", sketch=steps_sketch(other), hour=HOUR + gap),
        ]
        state = measure.merged([measure.of(row) for row in rows])
        start, middle, end = (HOUR_MS * (HOUR + hours) for hours in (0, gap, gap + 2))
        parts = [measure.value(state, Span(*span)) for span in ((start, middle), (middle, end))]
        whole = measure.value(state, Span(start, end))
        assert abs(sum(part.nanos for part in parts) - whole.nanos) <= 1

    @given(events)
    def test_series_add_up(self, found: list[Event]) -> None:
        """Two series with the same steps come to twice one."""
        measure = TimeWeighted()
        rows = [
            billing.window("m", dimensions={"disk": disk}, sketch=steps_sketch(found), hour=HOUR)
            for disk in ("a", "b")
        ]
        span = Span(HOUR * HOUR_MS, (HOUR + 5) * HOUR_MS)
        one = measure.value(measure.of(rows[0]), span)
        both = measure.value(measure.merged([measure.of(row) for row in rows]), span)
        assert abs(2 * one.nanos - both.nanos) <= 1
