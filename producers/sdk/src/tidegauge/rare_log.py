"""A log line for what may go wrong with every event, written at most once a minute per code."""

import logging
import threading
import time
from typing import Final

from tidegauge import errors, limits

_log: Final = logging.getLogger("tidegauge")


class RareLog:
    """Remembers when each code was logged last, and how often it was left out since."""

    def __init__(self) -> None:
        """This function will start with no memory."""
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def error(self, error: Exception) -> None:
        """This function will log why an event was not recorded, unless it just did.

        Args:
            error: The reason.
        """
        code = error.code if isinstance(error, errors.TidegaugeError) else type(error).__name__
        now_s = time.monotonic()
        with self._lock:
            next_s, left_out = self._seen.get(code, (0.0, 0))
            if now_s < next_s:
                self._seen[code] = (next_s, left_out + 1)
                return
            if len(self._seen) >= limits.CODE_CACHE_MAX:
                self._seen.clear()
            self._seen[code] = (now_s + limits.SAFE_LOG_S, 0)
        _log.error("tidegauge.event_refused code=%s left_out=%d reason=%s", code, left_out, error)
