"""Whom a request speaks for: the tenant of its API key, and of nothing else."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from domain.codes import Code
from domain.errors import Retryable
from runtime import clock
from runtime.web import keys, open_tenant
from runtime.web.key_store import StoredKey
from runtime.web.problems import Problem, ProblemError, unauthenticated
from runtime.web.scopes import Scope, allows

CACHE_MS = 60_000
"""How long a key found in the database is believed, ms; so long a revoked one may still work, and
so long intake goes on without a database. It is what we promise, and no process may exceed it."""
CACHE_KEYS_MAX = 10_000
"""Keys remembered; about 4 MB."""
LOOKUPS_MAX = 64
"""Look-ups that run or wait at once; who guesses keys must not fill the queue of the pool."""

OPEN_KEY_ID = "open"
"""Stands for the missing key in logs, limits and the books."""
OPEN_SCOPES = frozenset(
    {Scope.USAGE_WRITE, Scope.BILLING_READ, Scope.BILLING_WRITE, Scope.BILLING_ADMIN}
)
"""What the open tenant's requests may do: all that its owner may, on the owner's own machine.
Schemas are there for all tenants, so they want a key all the same."""

_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request speaks for.

    Args:
        tenant: Tenant of the key; the only source of a tenant in API and gateway.
        key_id: Public part of the key, for logs, limits and the books.
        scopes: What it may do, as runtime.web.scopes reads it.
    """

    tenant: str
    key_id: str
    scopes: frozenset[str] = frozenset()

    def require(self, scope: Scope) -> None:
        """Refuse what the key may not do (ProblemError scope_missing)."""
        if not allows(self.scopes, scope):
            raise ProblemError(
                Problem(403, Code.SCOPE_MISSING, f"The API key needs the scope {scope}")
            )


class Authenticator:
    """Finds the caller of a key; remembers the keys it found for a short time.

    Args:
        find: Looks a hash up; blocks, so it runs in a thread.
        cache_ms: How long a key is believed, at most CACHE_MS.
        now_ms: A clock that never goes back, ms.
        open_tenant: Tenant of requests without credentials (runtime.web.open_tenant); empty: none.
    """

    def __init__(
        self,
        find: Callable[[str], StoredKey | None],
        *,
        cache_ms: int = CACHE_MS,
        now_ms: Callable[[], int] = clock.monotonic_ms,
        open_tenant: str = "",
    ) -> None:
        self._open_tenant = open_tenant
        self._find = find
        self._cache_ms = min(cache_ms, CACHE_MS)
        self._now_ms = now_ms
        self._known: OrderedDict[str, tuple[int, Caller]] = OrderedDict()
        self._looking: dict[str, asyncio.Task[Caller]] = {}

    async def caller_of(self, request: Request) -> Caller:
        """Return whom a request speaks for, and name the key in its log lines.

        Raises:
            ProblemError: unauthenticated, when there is no such key in force; origin_refused, for
                a request without a key that may come from a strange page.
            Retryable: database_away, when the key is not remembered and nobody can be asked.
        """
        header = request.headers.get("authorization", "")
        if not header:
            return self.without_key(request)
        key = header[len(_SCHEME) :].strip()
        if header[: len(_SCHEME)].lower() != _SCHEME:
            raise unauthenticated()
        caller = await self.caller(key)
        structlog.contextvars.bind_contextvars(key_id=caller.key_id)
        return caller

    def without_key(self, request: Request) -> Caller:
        """Return whom a request without a key speaks for: the open tenant, where there is one.

        Raises:
            ProblemError: unauthenticated, or origin_refused.
        """
        if not self._open_tenant:
            raise unauthenticated()
        open_tenant.require_home(request)
        structlog.contextvars.bind_contextvars(key_id=OPEN_KEY_ID)
        return Caller(tenant=self._open_tenant, key_id=OPEN_KEY_ID, scopes=OPEN_SCOPES)

    async def caller(self, key: str) -> Caller:
        """Return whom a key speaks for; raises as caller_of."""
        if not keys.is_key_text(key):
            raise unauthenticated()
        digest = keys.secret_sha256(key)
        known = self._known.get(digest)
        if known is None or known[0] <= self._now_ms():
            return await self._looked_up(digest)
        return known[1]

    async def _looked_up(self, digest: str) -> Caller:
        """Ask once for all requests that wait for the same key."""
        task = self._looking.get(digest)
        if task is None:
            if len(self._looking) >= LOOKUPS_MAX:
                raise Retryable(
                    Code.OVERLOADED, "too many unknown keys at once", retry_after_ms=1_000
                )
            task = asyncio.ensure_future(self._ask(digest))
            self._looking[digest] = task
            task.add_done_callback(lambda _: self._looking.pop(digest, None))
        return await asyncio.shield(task)

    async def _ask(self, digest: str) -> Caller:
        self._known.pop(digest, None)
        # The bound counts from before the question: a key revoked during it is old enough then.
        asked_ms = self._now_ms()
        found = await run_in_threadpool(self._find, digest)
        if found is None:
            raise unauthenticated()
        caller = Caller(tenant=found.tenant, key_id=found.key_id, scopes=found.scopes)
        self._known[digest] = (asked_ms + self._cache_ms, caller)
        if len(self._known) > CACHE_KEYS_MAX:
            self._known.popitem(last=False)
        return caller
