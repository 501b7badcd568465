"""Which facts count, read from the middle of a partition, and what a look at a record costs."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from domain.usage.records import EventBatch, SourceRecord
from projections.counted_events import rows_of_customer
from projections.listed_events import chain
from tidegauge.overriding import override

TRUE = [(0, 3), (3, 7), (7, 9), (9, 12)]
"""The records that count."""


def read(*spans: tuple[int, int]) -> list[tuple[int, int]]:
    """What is taken of records that cover these offsets."""
    facts: Any = [SimpleNamespace(from_offset=first, to_offset=end) for first, end in spans]
    return [(each.from_offset, each.to_offset) for each in chain(facts)]


class TestChain:
    @pytest.mark.parametrize("begin", range(len(TRUE)))
    @pytest.mark.parametrize("place", range(len(TRUE) + 1))
    @pytest.mark.parametrize("late", [(0, 2), (0, 3), (3, 4), (3, 8), (7, 9), (7, 100)])
    def test_leaves_a_late_writers_record_out_wherever_it_lies(
        self, begin: int, place: int, late: tuple[int, int]
    ) -> None:
        """It begins where one that counts did, and comes behind that one."""
        if place <= [first for first, _ in TRUE].index(late[0]):
            place = len(TRUE)
        later = [*TRUE[:place], late, *TRUE[place:]][begin:]
        found = read(*later)
        if place == begin and (later[1:] or [(late[1], 0)])[0][0] == late[1]:
            # Nothing tells it from the one that counted, which says the same of its offsets.
            assert late == found.pop(0)
        assert found == [span for number, span in enumerate(later, begin) if number != place]

    def test_of_nothing_is_nothing(self) -> None:
        assert read() == []


class Looked(list[tuple[int, str, str]]):
    """Properties that count how often somebody goes through them."""

    times = 0

    @override
    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        self.times += 1
        return super().__iter__()


def test_the_properties_of_a_batch_are_gone_through_once() -> None:
    """Once for each event would be minutes for a page of large batches."""
    count = 50
    properties = Looked((place, "model", f"m{place}") for place in range(0, count, 2))
    batch = EventBatch(
        tenant="t",
        backfill=False,
        strings=["c", "call"],
        dimension_sets=[],
        keys=b"".join(place.to_bytes(16, "big") for place in range(count)),
        fingerprints=bytes(8 * count),
        customer=[0] * count,
        type_=[1] * count,
        dimension_set=[0] * count,
        occurred_at_ms=[1] * count,
        scales=b"\x00",
        quantity=[1] * count,
        properties=properties,
    )
    record = SourceRecord(offset=1, received_at_ms=1, body=batch)
    rows = list(rows_of_customer(record, tenant="t", customer="c"))
    assert [row["properties"] for row in rows[:3]] == [{"model": "m0"}, {}, {"model": "m2"}]
    assert properties.times == 1
