"""`tidegauge usage roll-up`: what is typed, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from typer.testing import CliRunner

from cli.main import app
from domain.codes import Code
from domain.errors import Rejected
from projections import usage_days
from projections.usage_days import RolledDay


class TestRollUp:
    def test_says_what_it_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Days and series of the tenant and the days that were asked for."""
        asked: list[dict[str, object]] = []

        def made(settings: object, **options: object) -> Iterator[RolledDay]:
            asked.append(options)
            yield RolledDay("acme", date(2026, 3, 1), 7)
            yield RolledDay("acme", date(2026, 3, 2), 5)

        monkeypatch.setattr(usage_days, "roll_up", made)
        words = ["usage", "roll-up", "--through", "2026-03-02", "--tenant", "acme"]

        result = CliRunner().invoke(app, words)

        assert result.output == "2 days added up, 12 series in them\n"
        assert asked == [{"first": None, "through": date(2026, 3, 2), "tenant": "acme"}]

    def test_refuses_what_is_no_day(self) -> None:
        """Before anything is asked."""
        result = CliRunner().invoke(app, ["usage", "roll-up", "--through", "march"])
        assert isinstance(result.exception, Rejected)
        assert result.exception.code == Code.INVALID_REQUEST
