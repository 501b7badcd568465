"""What may come in: bytes that are held at once, and requests and events of one key in time."""

from __future__ import annotations

import time
from typing import Self

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from domain.codes import Code
from domain.errors import Retryable
from runtime.metrics import GATEWAY_BYTES
from runtime.settings import Settings
from runtime.web.problems import Problem, ProblemError

BYTES_MAX = 32 * 1024 * 1024
"""Bytes of bodies, as sent and as inflated, that are read or wait for the broker at once. What
Python makes of JSON takes about eight times as much: so the process stays below about 300 MB."""
OVERLOADED_RETRY_MS = 1_000
"""What a sender is told to wait when there is no room, ms: a batch takes far less."""


class Budget:
    """Counts the bytes of requests at work; used by the event loop alone."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._taken = 0

    def open(self) -> Share:
        """Return the share of one request, which must be closed."""
        return Share(self)

    def take(self, count: int) -> None:
        """Take room for so many bytes.

        Raises:
            Retryable: overloaded, when there is not so much; nothing is taken then.
        """
        if self._taken + count > self._bytes_max:
            raise Retryable(
                Code.OVERLOADED,
                "The gateway holds as much as it may; nothing was taken",
                retry_after_ms=OVERLOADED_RETRY_MS,
            )
        self._taken += count
        GATEWAY_BYTES.set(self._taken)

    def give(self, count: int) -> None:
        """Give room back."""
        self._taken -= count
        GATEWAY_BYTES.set(self._taken)


class Share:
    """The bytes of one request; gives them back when its block ends.

    Args:
        budget: Of which it is a share.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def take(self, count: int) -> None:
        """Take room for more bytes (Retryable overloaded when there is none)."""
        self._budget.take(count)
        self._taken += count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give(self._taken)
        self._taken = 0


class Limits:
    """How much one API key may send within a minute.

    Two counters per key, this minute's and the one before by its remaining share (`limits`'
    sliding window): a moving window without an entry for each of a million events.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(settings.gateway_requests_per_minute)
        self._events = RateLimitItemPerMinute(settings.gateway_events_per_minute)

    def take_request(self, key_id: str) -> None:
        """Count a request.

        Raises:
            ProblemError: rate_limited, with the seconds to wait.
        """
        self._take(self._requests, "requests", key_id, 1)

    def take_events(self, key_id: str, count: int) -> None:
        """Count events, before they are sent.

        Raises:
            ProblemError: rate_limited, with the seconds to wait; none of them is counted then.
        """
        if count:
            self._take(self._events, "events", key_id, count)

    def _take(self, item: RateLimitItemPerMinute, what: str, key_id: str, cost: int) -> None:
        if self._window.hit(item, what, key_id, cost=cost):
            return
        reset_s = self._window.get_window_stats(item, what, key_id).reset_time - time.time()  # noqa: TID251 -- the library's own clock
        raise ProblemError(
            Problem(
                429,
                Code.RATE_LIMITED,
                f"This key may send {item.amount} {what} a minute",
                headers=(("Retry-After", str(min(60, max(1, round(reset_s))))),),
            )
        )
