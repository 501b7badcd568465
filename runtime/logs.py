"""Logs are facts: an event name such as fold.restored, and fields."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

from runtime import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.settings import Settings

REPEAT_AFTER_MS = 10_000
"""A library that says the same again is heard again after so long, milliseconds."""
TEMPLATES_MAX = 500
"""Different texts remembered; when full, all are forgotten and heard again."""
TEMPLATE_CHARACTERS_MAX = 200
"""Characters of a text that tell it from others."""

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(settings: Settings, *, process: str) -> None:
    """This function will send all logs to standard error, one JSON object or line each.

    Args:
        settings: Form and level.
        process: Name of the process, on every line.
    """
    level = _LEVELS[settings.log_level]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[LibraryLogs()], force=True)


class LibraryLogs(logging.Handler):
    """Takes what libraries log into our form, and what they say again and again only now and then.

    A Kafka client whose broker is away says so hundreds of times a second.

    Args:
        now_ms: A clock that never goes back, ms.
    """

    def __init__(self, *, now_ms: Callable[[], int] = clock.monotonic_ms) -> None:
        super().__init__()
        self._now_ms = now_ms
        self._said: dict[tuple[str, int, str], tuple[int, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]
        """Log a library's record, unless it said the same less than REPEAT_AFTER_MS ago."""
        try:
            text = record.getMessage()
            # The text as written, before its arguments: those often count the tries.
            cause = "" if not record.exc_info else repr(record.exc_info[1])
            said = (record.name, record.levelno, f"{record.msg} {cause}"[:TEMPLATE_CHARACTERS_MAX])
            quiet_until_ms, left_out = self._said.get(said, (0, 0))
            now_ms = self._now_ms()
            if now_ms < quiet_until_ms:
                self._said[said] = (quiet_until_ms, left_out + 1)
                return
            if len(self._said) >= TEMPLATES_MAX:
                self._said.clear()
            self._said[said] = (now_ms + REPEAT_AFTER_MS, 0)
            fields: dict[str, object] = {"library": record.name, "text": text}
            if left_out:
                fields["left_out"] = left_out
            if record.exc_info:
                fields["exc_info"] = record.exc_info
            level = min(record.levelno // 10 * 10, logging.CRITICAL)  # libraries invent levels
            logger().log(level, "library.says", **fields)
        except Exception:  # noqa: BLE001 -- a log line must never end what it tells of
            self.handleError(record)


def logger() -> structlog.typing.FilteringBoundLogger:
    """This function will return the logger; events are dotted names, facts are fields."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return bound
