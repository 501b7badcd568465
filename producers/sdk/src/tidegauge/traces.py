"""W3C traceparents on their way from `record` to the batch that carries them."""

import re
from collections.abc import Callable
from typing import Final

from tidegauge import limits

_matches: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch


def is_traceparent(text: str) -> bool:
    """This function will tell whether a text is a traceparent (W3C Trace Context, section 3.2)."""
    return _matches(text) is not None


class Traces:
    """Remembers the traceparent of an event until its batch leaves.

    A trace never costs an event: what is no traceparent is ignored, as the recommendation of the
    W3C says, and so is what a provider raises.
    """

    def __init__(self, provider: Callable[[], str | None] | None) -> None:
        """This function will start with none waiting.

        Args:
            provider: Says the current traceparent, or None when there is none.
        """
        self.provider = provider
        self.waiting: dict[bytes, str] = {}
        """By the key of the event; whoever sends the event takes it out."""

    def note(self, key: bytes, traceparent: str | None) -> None:
        """This function will remember the traceparent of an event.

        Args:
            key: The event's key, 16 bytes.
            traceparent: As the caller gave it; None asks the provider.
        """
        if traceparent is None and self.provider is not None:
            try:
                traceparent = self.provider()
            except Exception:  # noqa: BLE001 - the host's code; a trace never costs an event
                return
        if not isinstance(traceparent, str) or not is_traceparent(traceparent):
            return
        if len(self.waiting) < limits.TRACES_WAITING_MAX:
            self.waiting[key] = traceparent

    def forget(self, key: bytes) -> None:
        """This function will forget the traceparent of an event that was not recorded."""
        self.waiting.pop(key, None)
