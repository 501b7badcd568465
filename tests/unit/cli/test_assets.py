"""The nightly job's file: every line is read before anything is sent, and ids follow from it."""

from __future__ import annotations

import io
import sys
from datetime import datetime
from pathlib import Path

import pytest

from cli.assets import LINE_BYTES_MAX, _events, _lines
from domain.errors import Rejected
from tests.support.billing import moment

NIGHT = moment("2026-01-31T02:00:00")
LINE = b'{"customer": "plant", "site_breakdown": {"a": 1, "b": 2}}'


def ids(line: bytes, *, tenant: str = "acme", at: datetime | None = NIGHT) -> list[str]:
    """Return the ids of a line's events."""
    return [each.id for each in _events(line, number=1, tenant=tenant, default=at)]


class TestALine:
    """One customer's snapshot."""

    def test_becomes_the_events_of_the_gateway(self) -> None:
        """The whole, the number of sites, and each site, at one moment."""
        events = _events(LINE, number=1, tenant="acme", default=NIGHT)
        assert [
            ("asset_snapshot", 3, None),
            ("asset_sites", 2, None),
            ("asset_site", 1, {"site": "a"}),
            ("asset_site", 2, {"site": "b"}),
        ] == [(each.type_, each.quantity, each.dimensions) for each in events]
        assert {NIGHT} == {each.occurred_at for each in events}

    def test_has_the_same_ids_when_the_job_runs_again(self) -> None:
        """Of the same night; another night, customer or tenant has others."""
        assert ids(LINE) == ids(LINE)
        other = LINE.replace(b"plant", b"works")
        every = [
            *ids(LINE),
            *ids(other),
            *ids(LINE, tenant="other"),
            *ids(LINE, at=moment("2026-02-01")),
        ]
        assert len(every) == len(set(every))

    def test_that_says_its_own_moment_and_id_keeps_them(self) -> None:
        """The option is for lines that do not say."""
        line = (
            b'{"customer": "p", "asset_count": 1, "id": "n",'
            b' "captured_at": "2026-01-30T01:00:00Z"}'
        )
        (event,) = _events(line, number=1, tenant="acme", default=NIGHT)
        assert (moment("2026-01-30T01:00:00"), "n") == (event.occurred_at, event.id)

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (b"{", "line 7 "),
            (b"[]", "line 7 is no object"),
            (b'{"customer": "p"}', "line 7 asset_count must be there"),
            (b'{"customer": "p", "asset_count": 1.5}', "line 7 asset_count must be a whole"),
            (b'{"customer": "p", "asset_count": 1, "assets": 1}', "line 7 assets "),
        ],
    )
    def test_that_is_malformed_is_refused_with_its_number(self, line: bytes, why: str) -> None:
        """A person finds it in the file."""
        with pytest.raises(Rejected) as refused:
            _events(line, number=7, tenant="acme", default=NIGHT)
        assert refused.value.reason.startswith(why)

    def test_without_any_moment_is_refused(self) -> None:
        """A job that runs twice would count twice if the clock said it."""
        with pytest.raises(Rejected, match="captured_at"):
            ids(LINE, at=None)


class TestAFile:
    """JSON Lines."""

    def test_may_have_empty_lines(self, tmp_path: Path) -> None:
        """They count as lines and hold nothing."""
        file = tmp_path / "assets.jsonl"
        file.write_bytes(LINE + b"\n\n" + LINE)
        assert [1, 3] == [number for number, _ in _lines(file)]

    def test_may_come_from_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A dash is what a pipe is called."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINE)))
        assert [(1, LINE)] == list(_lines(Path("-")))

    def test_has_lines_of_a_bounded_length(self, tmp_path: Path) -> None:
        """A file that is one line must not fill the memory of what reads its values."""
        file = tmp_path / "assets.jsonl"
        file.write_bytes(b" " * (LINE_BYTES_MAX + 1))
        with pytest.raises(Rejected, match="line 1 has more than"):
            list(_lines(file))
