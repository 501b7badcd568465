"""Logs are facts: an event name such as fold.restored, and fields."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from runtime.settings import Settings

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
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, force=True)


def logger() -> structlog.typing.FilteringBoundLogger:
    """This function will return the logger; events are dotted names, facts are fields."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return bound
