"""The command line as a whole: how it ends."""

from __future__ import annotations

import pytest

from cli import main as command_line
from domain.codes import Code
from domain.errors import Rejected


def interrupted_in_the_middle() -> None:
    """Ctrl-C, and a library that fails while it tidies up after it."""
    try:
        try:
            raise KeyboardInterrupt
        finally:
            raise ValueError("a connection is busy")
    except ValueError as error:
        raise RuntimeError("wrapped") from error


def refused() -> None:
    raise Rejected(Code.BAD_VALUE, "no such thing")


class TestMain:
    def test_of_an_interrupt_that_another_error_hides_ends_as_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command_line, "app", interrupted_in_the_middle)
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert ended.value.code == 130

    def test_of_a_known_error_prints_it(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(command_line, "app", refused)
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert ended.value.code == 1
        assert "bad_value: no such thing" in capsys.readouterr().err

    def test_of_a_defect_does_not_hide_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(command_line, "app", broken)
        with pytest.raises(ZeroDivisionError):
            command_line.main()
