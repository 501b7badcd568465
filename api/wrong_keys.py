"""Wrong keys at the door: counted, so that trying keys out costs the database next to nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from domain.codes import Code
from runtime import clock
from runtime.web.problems import Problem, ProblemError

WRONG_KEYS_PER_MINUTE_MAX = 10
"""Wrong keys of one address; a person who pastes the wrong line needs two or three."""
ADDRESSES_MAX = 10_000
"""Addresses remembered; about 1 MB. The one that was wrong longest ago is forgotten first."""
_WINDOW_MS = 60_000


class WrongKeys:
    """Counts wrong keys by address, in windows of a minute; used by the event loop alone.

    It keeps the cost of guessing down. That guessing never succeeds is due to the keys' 192 random
    bits, so an address that forgets early, or one that many people share, is no hole.

    Args:
        now_ms: A clock that never goes back, ms.
    """

    def __init__(self, now_ms: Callable[[], int] = clock.monotonic_ms) -> None:
        self._now_ms = now_ms
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def require_room(self, address: str) -> None:
        """Refuse an address that was wrong too often.

        Raises:
            ProblemError: rate_limited, with the seconds to wait.
        """
        since_ms, count = self._counts.get(address, (0, 0))
        left_ms = since_ms + _WINDOW_MS - self._now_ms()
        if count >= WRONG_KEYS_PER_MINUTE_MAX and left_ms > 0:
            raise ProblemError(
                Problem(
                    429,
                    Code.RATE_LIMITED,
                    "Too many wrong keys came from your address. Wait a minute and try again",
                    headers=(("Retry-After", str(-(-left_ms // 1000))),),
                )
            )

    def add(self, address: str) -> None:
        """Count one wrong key."""
        now_ms = self._now_ms()
        since_ms, count = self._counts.pop(address, (now_ms, 0))
        if now_ms - since_ms >= _WINDOW_MS:
            since_ms, count = now_ms, 0
        self._counts[address] = (since_ms, count + 1)
        if len(self._counts) > ADDRESSES_MAX:
            self._counts.popitem(last=False)
