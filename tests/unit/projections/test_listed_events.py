"""Which facts count, read from the middle of a partition, and what a look at a record costs."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from domain.usage.records import EventBatch, SourceRecord
from projections import listed_events
from projections.counted_events import rows_of_customer
from projections.listed_events import FACTS_BYTES_PER_LOOK, Place, chain
from tests.support.listed_log import ListedLog
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


class TestPage:
    def test_ends_when_it_has_passed_over_enough_facts_and_the_next_one_goes_on_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sixty micro-batches of somebody else lie within the minute before the one event."""
        records = [[("bob", 100 + number)] for number in range(60)] + [[("ann", 1)]]
        log = ListedLog(records, cuts=range(60))
        log.install(monkeypatch)
        costs = [1 + len(wire) // FACTS_BYTES_PER_LOOK for wire in log.wires]
        looked_max = sum(costs[:10])
        monkeypatch.setattr(listed_events, "LOOKED_MAX", looked_max)
        pages: list[int] = []
        after: Place | None = None
        while True:
            before = len(log.facts_read)
            page = log.page(limit=10, after=after)
            pages.append(len(page.events))
            read = log.facts_read[before:]
            # The last one is looked at twice: what follows on facts shows that they count.
            assert sum(costs[place] for place in read[:-1]) < looked_max + max(costs)
            if page.behind is None:
                break
            after = page.behind
        assert pages[:-1] == [0] * (len(pages) - 1)
        assert pages[-1] == 1
        assert len(log.facts_read) <= len(log.wires) + len(pages)

    def test_goes_on_behind_a_page_that_was_full_without_the_facts_before(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first page passes over sixty, the second over none."""
        records = [[("bob", 100 + number)] for number in range(60)]
        records += [[("ann", number)] for number in range(1, 4)]
        log = ListedLog(records, cuts=range(63))
        log.install(monkeypatch)
        first = log.page(limit=1, after=None)
        log.facts_read.clear()
        second = log.page(limit=2, after=first.behind)
        assert (len(first.events), len(second.events), second.behind) == (1, 2, None)
        assert len(log.facts_read) <= 3
