"""Ids that stand in a file more than once, found by a dry run."""

from __future__ import annotations

from hashlib import blake2b

from producers.importers.events import Event

IDS_MAX = 1_000_000
"""Ids that are remembered, about 150 bytes each; behind them repeats are no longer noticed."""
SHOWN_MAX = 20
"""Lines that are kept for the screen."""


class Repeats:
    """Notices ids that come again, and whether the event is still the same."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self.same = 0
        self.different = 0
        self.first: list[tuple[int, bool]] = []

    @property
    def is_complete(self) -> bool:
        """Say whether every id was compared."""
        return len(self._seen) < IDS_MAX

    def look_at(self, line: int, event: Event) -> None:
        """Compare one event with those before it."""
        key = _hash(event.customer, event.id)
        payload = _hash(*(str(part) for part in event[:-1]))
        before = self._seen.get(key)
        if before is None:
            if self.is_complete:
                self._seen[key] = payload
            return
        is_same = before == payload
        self.same += is_same
        self.different += not is_same
        if len(self.first) < SHOWN_MAX:
            self.first.append((line, is_same))


def _hash(*parts: str) -> int:
    text = "\x1f".join(parts).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
