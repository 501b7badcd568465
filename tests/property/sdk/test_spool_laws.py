"""Laws of what stands in a segment: every event comes back, and damage never becomes an event."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidegauge import limits
from tidegauge.intake import Intake
from tidegauge.spool import frames
from tidegauge.wire.batch import EventRow

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], min_codepoint=0x20).filter(lambda c: c != "\x7f"),
    min_size=1,
    max_size=limits.LABEL_CHARACTERS_MAX,
)
PAIRS = st.dictionaries(TEXT, TEXT, max_size=4)


@st.composite
def events(draw: st.DrawFn) -> tuple[EventRow, bytes]:
    intake = Intake(source=draw(TEXT), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    return intake.row_and_payload(
        draw(TEXT),
        draw(TEXT),
        draw(st.decimals(0, 10**9, places=draw(st.integers(0, 9)))),
        draw(st.datetimes(datetime(1970, 1, 2), timezones=st.just(UTC))),  # noqa: DTZ001
        draw(st.none() | PAIRS),
        draw(st.none() | PAIRS),
        draw(st.none() | TEXT | st.uuids().map(str)),
    )


class TestFrames:
    @given(events())
    def test_give_back_the_event_that_was_written(self, event: tuple[EventRow, bytes]) -> None:
        """Key, fingerprint, texts, time, quantity: the row is the same, so the wire is too."""
        row, payload = event
        frame = frames.event(row, payload)

        ((end, body),) = frames.bodies(frame)

        assert end == len(frame)
        assert body is not None
        assert row == frames.row_of(body)
        assert len(body) <= frames.BODY_BYTES_MAX

    @given(st.lists(events(), min_size=1, max_size=5), st.data())
    def test_cut_anywhere_give_back_the_whole_ones(
        self, several: list[tuple[EventRow, bytes]], data: st.DataObject
    ) -> None:
        """Of a file that ends anywhere, exactly the complete frames are found."""
        parts = [frames.event(*event) for event in several]
        whole = b"".join(parts)
        cut = data.draw(st.integers(0, len(whole)))
        complete = [
            event for at, event in enumerate(several) if sum(map(len, parts[: at + 1])) <= cut
        ]

        found = frames.scan(whole[:cut])

        assert len(complete) == found.frames
        assert found.is_torn == (found.end < cut)
        assert not found.is_damaged
        bodies = [body for _, body in frames.bodies(whole[:cut])]
        assert [row for row, _ in complete] == [frames.row_of(body) for body in bodies if body]

    @given(st.lists(events(), min_size=1, max_size=3), st.data())
    def test_damaged_anywhere_never_make_another_event(
        self, several: list[tuple[EventRow, bytes]], data: st.DataObject
    ) -> None:
        """One flipped bit: whatever is still found is one of the events that were written."""
        whole = bytearray(b"".join(frames.event(*event) for event in several))
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
        end = frames.scan(bytes(whole)).end

        found = [frames.row_of(body) for _, body in frames.bodies(bytes(whole[:end])) if body]

        written = [row for row, _ in several]
        assert len(found) < len(written)
        assert all(row in written for row in found)
