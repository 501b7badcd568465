"""The intake applies the acceptance rule to each record and gathers what counts."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
import pytest

from domain.codes import Code
from domain.errors import Fatal, Rejected
from projections.position import NO_HOUR, START, Position
from projections.span import Intake, Span
from schemas.topics import USAGE_FACTS_TOPIC


@dataclass(frozen=True)
class Facts:
    from_offset: int
    to_offset: int


class Binding:
    """Reads "from to" as facts."""

    topic = USAGE_FACTS_TOPIC
    is_eager = False

    def decode(self, value: bytes | None) -> Facts:
        if not value:
            raise Rejected(Code.UNDECODABLE, "the record has no value")
        start, end = value.split()
        return Facts(int(start), int(end))

    def load_of(self, facts: Facts) -> int:
        return facts.to_offset - facts.from_offset

    def hour_high_of(self, facts: Facts) -> int:
        return facts.to_offset

    def prepare(self, connection: psycopg.Connection) -> None: ...

    def forget(self, positions: Mapping[int, Position]) -> None: ...

    def write(
        self, connection: psycopg.Connection, spans: Mapping[int, Span[Facts]]
    ) -> dict[str, int]:
        return {}


def _intake() -> Intake[Facts]:
    return Intake(Binding(), partition=0, position=START)


class TestIntake:
    def test_gathers_what_continues_the_chain(self) -> None:
        intake = _intake()
        intake.take(b"0 3", facts_offset=0)
        intake.take(b"3 5", facts_offset=1)
        span = intake.drain()
        assert span == Span(START, Position(5, 1, 5), [Facts(0, 3), Facts(3, 5)], load=5)
        assert intake.is_empty

    @pytest.mark.parametrize("replay", [b"0 3", b"0 9", b"2 4"])
    def test_ignores_what_starts_before_the_position(self, replay: bytes) -> None:
        intake = _intake()
        intake.take(b"0 3", facts_offset=0)
        intake.take(replay, facts_offset=1)
        assert intake.position == Position(3, 0, 3)

    def test_goes_on_from_where_it_was_drained(self) -> None:
        intake = _intake()
        intake.take(b"0 3", facts_offset=0)
        intake.drain()
        intake.take(b"3 4", facts_offset=1)
        span = intake.drain()
        assert span is not None
        assert (span.start, span.end) == (Position(3, 0, 3), Position(4, 1, 4))

    def test_stops_at_a_gap(self) -> None:
        with pytest.raises(Fatal, match="facts_gap") as failure:
            _intake().take(b"1 2", facts_offset=0)
        assert failure.value.code is Code.FACTS_GAP

    def test_stops_at_a_record_that_cannot_be_read(self) -> None:
        with pytest.raises(Fatal, match="offset 7 is no facts record"):
            _intake().take(None, facts_offset=7)

    def test_keeps_no_hour_where_there_was_none(self) -> None:
        assert START.hour_high == NO_HOUR
