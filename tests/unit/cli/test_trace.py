"""Reading a trace: strict, line by line, and the same every time."""

import datetime as dt
from collections import Counter
from pathlib import Path

import pytest

from cli import checkout
from cli.demo.trace import CUSTOMERS, read_trace
from cli.failures import CommandFailure

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
TODAY = dt.date(2026, 3, 5)


def _file(folder: Path, *lines: str, line_end: str = "\n") -> Path:
    path = folder / "trace.csv"
    path.write_bytes(line_end.join((HEADER, *lines, "")).encode())
    return path


class TestTheTraceOfTheProject:
    def test_is_whole(self) -> None:
        """All rows and all tokens of the published file are read."""
        trace = read_trace(checkout.TRACE, today=TODAY)
        assert len(trace.requests) == 8_819
        assert sum(request.context_tokens for request in trace.requests) == 18_059_974
        assert sum(request.generated_tokens for request in trace.requests) == 245_896

    def test_lies_yesterday(self) -> None:
        """The day moves, the time of the day does not."""
        trace = read_trace(checkout.TRACE, today=TODAY)
        first = trace.requests[0].occurred_at
        assert first.isoformat() == "2026-03-04T18:17:03.979000+00:00"
        assert {request.occurred_at.date() for request in trace.requests} == {trace.day}

    def test_is_read_the_same_every_time(self) -> None:
        """Ids and customers depend on the file and the day alone."""
        once, again = (read_trace(checkout.TRACE, today=TODAY) for _ in range(2))
        assert once == again
        assert len({request.id for request in once.requests}) == len(once.requests)

    def test_gets_other_ids_on_another_day(self) -> None:
        """An event of another day is another event; its customer stays."""
        one = read_trace(checkout.TRACE, today=TODAY)
        two = read_trace(checkout.TRACE, today=TODAY + dt.timedelta(days=1))
        assert not {item.id for item in one.requests} & {item.id for item in two.requests}
        assert [item.customer for item in one.requests] == [item.customer for item in two.requests]

    def test_is_shared_out_as_announced(self) -> None:
        """Every customer gets about its share."""
        trace = read_trace(checkout.TRACE, today=TODAY)
        found = Counter(request.customer for request in trace.requests)
        for customer, share in CUSTOMERS:
            assert found[customer] * 100 / len(trace.requests) == pytest.approx(share, abs=1.5)


class TestPeriod:
    @pytest.mark.parametrize(
        ("days", "start", "end"),
        [
            (["2023-11-16"], "2026-03-01", "2026-04-01"),
            # Yesterday is the 4th of March, ten days earlier is the 22nd of February.
            (["2023-11-06", "2023-11-16"], "2026-02-22", "2026-03-22"),
        ],
    )
    def test_contains_every_request(
        self, tmp_path: Path, days: list[str], start: str, end: str
    ) -> None:
        """The billed month starts early enough for the first request."""
        trace = read_trace(_file(tmp_path, *(f"{day} 10:00:00,1,2" for day in days)), today=TODAY)
        assert (f"{trace.period.start:%Y-%m-%d}", f"{trace.period.end:%Y-%m-%d}") == (start, end)
        assert all(trace.period.contains(request.occurred_at) for request in trace.requests)


class TestLines:
    @pytest.mark.parametrize("line_end", ["\n", "\r\n"])
    def test_may_end_as_they_like(self, tmp_path: Path, line_end: str) -> None:
        path = _file(tmp_path, "2023-11-16 10:00:00.1234567,3,4", "", line_end=line_end)
        (request,) = read_trace(path, today=TODAY).requests
        assert (request.context_tokens, request.generated_tokens) == (3, 4)
        assert request.occurred_at.microsecond == 123_000

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            ("2023-11-16 10:00:00,x,2", "ContextTokens 'x' is no whole number"),
            ("2023-11-16 10:00:00,1,-2", "GeneratedTokens '-2' is no whole number"),
            ("2023-11-16 10:00:00,1,2.5", "GeneratedTokens '2.5' is no whole number"),
            ("2023-11-16 10:00:00,1,²", "GeneratedTokens '²' is no whole number"),
            ("2023-11-16T10:00:00+02:00,1,2", "is no UTC time"),
            ("yesterday,1,2", "TIMESTAMP 'yesterday' is no UTC time"),
            ("2023-02-30 10:00:00,1,2", "day is out of range"),
            ("2023-11-16 10:00:00,1", "2 fields, the header has 3"),
            ("2023-11-16 10:00:00,1,2,3", "4 fields, the header has 3"),
        ],
    )
    def test_that_are_broken_are_named(self, tmp_path: Path, line: str, complaint: str) -> None:
        """The message says which line, and what is wrong with it."""
        path = _file(tmp_path, "2023-11-16 10:00:00,1,2", line)
        with pytest.raises(CommandFailure) as caught:
            read_trace(path, today=TODAY)
        assert f"{path}, line 3: " in caught.value.reason
        assert complaint in caught.value.reason

    def test_may_be_too_many(self, tmp_path: Path) -> None:
        path = _file(tmp_path, *["2023-11-16 10:00:00,1,2"] * 4)
        with pytest.raises(CommandFailure, match="line 5: more than 3 rows"):
            read_trace(path, today=TODAY, rows_max=3)


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"", "line 1: the header lacks the column TIMESTAMP"),
            (b"a,b,c\n1,2,3\n", "line 1: the header lacks the column TIMESTAMP"),
            (HEADER.encode(), "has no rows"),
            (HEADER.encode() + b"\n\xff\xfe,1,2\n", "line 2: is no UTF-8 text"),
        ],
    )
    def test_that_are_no_trace_are_refused(
        self, tmp_path: Path, content: bytes, complaint: str
    ) -> None:
        path = tmp_path / "trace.csv"
        path.write_bytes(content)
        with pytest.raises(CommandFailure, match=complaint):
            read_trace(path, today=TODAY)

    def test_that_are_missing_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(CommandFailure, match=r"nowhere\.csv cannot be read: No such file"):
            read_trace(tmp_path / "nowhere.csv", today=TODAY)

    def test_that_span_too_long_are_refused(self, tmp_path: Path) -> None:
        path = _file(tmp_path, "2023-10-16 10:00:00,1,2", "2023-11-16 10:00:00,1,2")
        with pytest.raises(CommandFailure, match="spans 32 days"):
            read_trace(path, today=TODAY)
