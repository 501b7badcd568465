"""Raw events that a trace shows: what does not count among them is marked, so they add up."""

from __future__ import annotations

import uuid

from projections.invoicing.trace import RawEvent, noted


def event(number: int, *, offset: int) -> RawEvent:
    return RawEvent(0, offset, 0, str(uuid.UUID(int=number)), "call", 0, "1")


class TestNoted:
    def test_marks_events_taken_away_and_repeats(self) -> None:
        """Event 2 was voided after it came twice; event 1 came twice and counts once."""
        samples = [event(number, offset=place) for place, number in enumerate((1, 2, 1, 2, 3))]
        found = noted(samples, amended={uuid.UUID(int=2).bytes})
        assert ["", "amended", "repeated", "amended", ""] == [each.note for each in found]
