"""Whom a request speaks for: the tenant of its API key, and of nothing else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool

from projections.queries.api_keys import ApiKey
from runtime import clock
from runtime.web import keys
from runtime.web.problems import unauthenticated

CACHE_MS = 30_000
"""How long a key found in the database is believed, ms; so long a revoked one may still work."""
CACHE_KEYS_MAX = 10_000
"""Keys remembered; about 3 MB."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request speaks for.

    Args:
        tenant: Tenant of the key; the only source of a tenant in this room.
        key_id: Public part of the key, for logs.
    """

    tenant: str
    key_id: str


class Authenticator:
    """Finds the caller of a key; remembers the keys it found for a short time.

    Args:
        find: Looks a hash up; blocks, so it runs in a thread.
        now_ms: A clock that never goes back, ms.
    """

    def __init__(
        self,
        find: Callable[[str], ApiKey | None],
        *,
        now_ms: Callable[[], int] = clock.monotonic_ms,
    ) -> None:
        self._find = find
        self._now_ms = now_ms
        self._known: OrderedDict[str, tuple[int, Caller]] = OrderedDict()

    async def caller(self, key: str) -> Caller:
        """Return whom a key speaks for.

        Raises:
            ProblemError: unauthenticated, when there is no such key in force.
        """
        if not keys.is_key_text(key):
            raise unauthenticated()
        digest = keys.secret_sha256(key)
        known = self._known.get(digest)
        if known is not None and known[0] > self._now_ms():
            return known[1]
        self._known.pop(digest, None)
        found = await run_in_threadpool(self._find, digest)
        if found is None:
            raise unauthenticated()
        caller = Caller(tenant=found.tenant, key_id=found.key_id)
        self._known[digest] = (self._now_ms() + CACHE_MS, caller)
        if len(self._known) > CACHE_KEYS_MAX:
            self._known.popitem(last=False)
        return caller
