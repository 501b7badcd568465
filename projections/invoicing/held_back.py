"""What the books refused waits an hour before the billing worker asks for it again.

A refusal lasts until somebody changes something: a plan, a customer, a limit. Asked at each look
it would put a command and its answer on the log for ever, every few seconds.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

HOLD = timedelta(hours=1)
"""How long it waits: 24 commands a day of one that is never mended, and what was mended is billed
within the hour."""
KEYS_MAX = 100_000
"""Keys that wait at once, about 20 MB; beyond it the oldest is asked for again before its time."""


class HeldBack:
    """What is held back, in memory: another worker, or this one started again, asks once more."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], datetime] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._until)

    def add(self, tenant: str, key: str, *, now: datetime) -> None:
        """Hold back a tenant's key from now on."""
        self._until.pop((tenant, key), None)  # so that the order is that of their ends
        if len(self._until) >= KEYS_MAX:
            del self._until[next(iter(self._until))]
        self._until[tenant, key] = now + HOLD

    def by_tenant(self, *, now: datetime) -> Mapping[str, frozenset[str]]:
        """Return the keys that wait, and forget those whose time is over."""
        self._until = {place: until for place, until in self._until.items() if until > now}
        found: defaultdict[str, set[str]] = defaultdict(set)
        for tenant, key in self._until:
            found[tenant].add(key)
        return {tenant: frozenset(keys) for tenant, keys in found.items()}
