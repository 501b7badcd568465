"""What libraries say arrives in our form, and a flood of it does not."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from runtime import logs
from runtime.logs import REPEAT_AFTER_MS, LibraryLogs
from runtime.settings import Settings


@pytest.fixture
def library() -> Iterator[logging.Logger]:
    """A library's logger; afterwards the process logs as before."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield logging.getLogger("some.library")
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()  # it would go on writing to a stream that is closed by then
    structlog.contextvars.clear_contextvars()


def _configure() -> None:
    """Send logs to the error stream of now, which a test's own capture has just replaced."""
    logs.configure(Settings(log_format="json"), process="test")


def _lines(captured: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.readouterr().err.splitlines()]


class TestLibraryLogs:
    def test_are_lines_like_ours(
        self, library: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _configure()
        library.error("node %d is away", 7)
        (line,) = _lines(capsys)
        assert line["event"] == "library.says"
        assert (line["library"], line["level"]) == ("some.library", "error")
        assert line["text"] == "node 7 is away"
        assert line["process"] == "test"

    def test_say_the_same_only_now_and_then(
        self, library: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _configure()
        now_ms = 0
        handler = LibraryLogs(now_ms=lambda: now_ms)
        logging.getLogger().handlers[:] = [handler]
        for attempt in range(500):
            library.warning("try %d failed", attempt)
        library.warning("something else")
        now_ms = REPEAT_AFTER_MS
        library.warning("try %d failed", 500)
        found = [(line["text"], line.get("left_out")) for line in _lines(capsys)]
        assert found == [
            ("try 0 failed", None),
            ("something else", None),
            ("try 500 failed", 499),
        ]

    def test_say_two_causes_twice(
        self, library: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _configure()
        for number in (1, 2):
            library.error("crashed", exc_info=RuntimeError(number))
        library.log(35, "a level of its own")
        assert [line["text"] for line in _lines(capsys)] == [
            "crashed",
            "crashed",
            "a level of its own",
        ]

    def test_with_wrong_arguments_end_nothing(
        self, library: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _configure()
        library.warning("%d events", "no number")
        library.warning("still here")
        assert "still here" in capsys.readouterr().err
