"""Bands of values: which side a bound belongs to, and that the limit of sets ignores them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import parse_catalogue
from domain.meter import VALUE_BAND
from domain.usage.fold import UsageFold
from domain.usage.value_bands import bands_of, with_band, without_band
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue, to_wire_usage_facts
from tests.support.usage_facts import rejects_of, windows_of
from tests.support.usage_truth import Event, batch_record

NOW_MS = 1_773_000_000_000
NANO = 10**9
CATALOGUE = {
    "version": 1,
    "meters": [
        {
            "key": "paid", "event_type": "payment", "aggregation": "sum", "unit": "USD",
            "group_by": ["card"], "dimension_sets_max": 1, "value_bands": ["10", "20.5"],
        }
    ],
    "plans": [],
}  # fmt: skip
METER = parse_catalogue(json.dumps(CATALOGUE)).meter("paid")


def fold_of(events: list[Event]) -> list[object]:
    content = to_wire_catalogue(tenant="acme", version=1, content=json.dumps(CATALOGUE))
    values = [content, batch_record(events)]
    records = [
        from_wire_usage_source(value, offset=place, received_at_ms=NOW_MS)
        for place, value in enumerate(values)
    ]
    return [UsageFold(partition=0, partitions=1).step(records, from_offset=0, to_offset=2)]


def payment(key: int, quantity: int, *, scale: int = 0, card: str = "visa") -> Event:
    return Event(
        key=key, type="payment", occurred_ms=NOW_MS, quantity=quantity, scale=scale,
        dimensions=(("card", card),),
    )  # fmt: skip


class TestBands:
    @pytest.mark.parametrize(
        ("nanos", "band"),
        [
            (0, "0"),
            (10 * NANO, "0"),
            (10 * NANO + 1, "1"),
            (20 * NANO + NANO // 2, "1"),
            (20 * NANO + NANO // 2 + 1, "2"),
            (10**14 * NANO, "2"),
        ],
    )
    def test_hold_the_values_up_to_their_bound(self, nanos: int, band: str) -> None:
        """A value equal to a bound belongs below it."""
        assert (("card", "x"), (VALUE_BAND, band)) == with_band(
            (("card", "x"),), meter=METER, nanos=nanos
        )

    @given(
        st.lists(st.integers(0, 10**14 * NANO), min_size=1, max_size=20, unique=True),
        st.lists(st.integers(0, 10**14 * NANO - 1), max_size=30),
    )
    def test_of_columns_are_those_of_single_values(
        self, bounds: list[int], values: list[int]
    ) -> None:
        """Both ways of finding a band agree, also at the bounds themselves."""
        rising = sorted(bounds)
        values = [*values, *rising[:3], *(each + 1 for each in rising[:3])]
        units = np.array([value // NANO for value in values], dtype=np.int64)
        nanos = np.array([value % NANO for value in values], dtype=np.int32)
        expected = [sum(bound < value for bound in rising) for value in values]
        assert expected == bands_of(rising, units, nanos).tolist()
        meter = replace(METER, value_bands=tuple(rising))
        assert expected == [
            int(dict(with_band((), meter=meter, nanos=value))[VALUE_BAND]) for value in values
        ]

    def test_have_windows_of_their_own(self) -> None:
        """Sums and numbers of events by band."""
        events = [payment(1, 10), payment(2, 4), payment(3, 205, scale=1), payment(4, 21)]
        found = {
            dict(key[3])[VALUE_BAND]: (window.events, window.sum)
            for key, window in windows_of(fold_of(events)).items()  # type: ignore[arg-type]
        }
        assert {"0": (2, 14 * NANO), "1": (1, 205 * NANO // 10), "2": (1, 21 * NANO)} == found

    def test_take_no_place_of_the_limit_of_sets(self) -> None:
        """One set in three bands is one set; what is beyond the limit keeps its band."""
        events = [payment(1, 1), payment(2, 11), payment(3, 30), payment(4, 30, card="amex")]
        facts = fold_of(events)
        sets = {key[3] for key in windows_of(facts)}  # type: ignore[arg-type]
        assert {
            (("card", "visa"), (VALUE_BAND, "0")),
            (("card", "visa"), (VALUE_BAND, "1")),
            (("card", "visa"), (VALUE_BAND, "2")),
            (("card", "__other__"), (VALUE_BAND, "2")),
        } == sets
        assert 1 == sum(rejects_of(facts).values())  # type: ignore[arg-type]

    def test_are_restored_with_the_sets_that_were_admitted(self) -> None:
        """A fold that restarts keeps the same sets apart, banded or not."""
        facts = fold_of([payment(1, 30)])
        restored = UsageFold(partition=0, partitions=1)
        restored.restore(facts[0])  # type: ignore[arg-type]
        value = batch_record([payment(3, 1, card="amex"), payment(2, 1)])
        record = from_wire_usage_source(value, offset=2, received_at_ms=NOW_MS)
        more = restored.step([record], from_offset=2, to_offset=3)
        assert to_wire_usage_facts(more, writer="w")
        assert {"visa", "__other__"} == {dict(key[3])["card"] for key in windows_of([more])}

    def test_are_taken_off_again(self) -> None:
        """What has a limit are the group-by dimensions."""
        banded = with_band((("card", "x"),), meter=METER, nanos=5)
        assert (("card", "x"),) == without_band(banded)
        assert () == with_band((), meter=replace(METER, value_bands=()), nanos=5)
