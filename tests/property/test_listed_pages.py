"""Laws of listed events: however pages end, they are what was counted, once each and in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import listed_events
from projections.invoicing import trace
from projections.listed_events import Place
from tests.support.listed_log import ListedLog

EVENTS = st.lists(
    st.tuples(st.sampled_from(["ann", "bob"]), st.integers(1, 12)), min_size=1, max_size=4
)
PLACES = st.integers(0, 11)
LATE = st.tuples(PLACES, st.integers(0, 3), st.integers(0, 2))


@given(
    records=st.lists(EVENTS, min_size=1, max_size=12),
    cuts=st.sets(PLACES),
    late=st.lists(LATE, max_size=3),
    limit=st.integers(1, 5),
    looked=st.integers(1, 60),
    gap=st.integers(0, 3),
)
def test_pages_are_what_was_counted_wherever_they_end(
    records: list[list[tuple[str, int]]],
    cuts: set[int],
    late: list[tuple[int, int, int]],
    limit: int,
    looked: int,
    gap: int,
) -> None:
    """Full, at the bound of what they look at, in the middle of a record or of its facts.

    Facts may cover several stretches of the log, and a stretch many facts.
    """
    log = ListedLog(records, cuts=sorted(cuts), late=late)
    found: list[tuple[int, bytes]] = []
    after: Place | None = None
    with pytest.MonkeyPatch.context() as patch:
        log.install(patch)
        patch.setattr(listed_events, "LOOKED_MAX", looked)
        patch.setattr(trace, "RANGE_GAP_MAX", gap)
        while True:
            page = log.page(limit=limit, after=after)
            assert len(page.events) <= limit
            found += [(each.place.offset, each.row["key"]) for each in page.events]
            if page.behind is None:
                break
            before = (after or Place(0, -1), after.facts_offset if after else 0)
            after = page.behind
            assert (after, after.facts_offset) > before
    assert found == log.counted
