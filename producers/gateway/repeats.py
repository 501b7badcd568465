"""Idempotency-Key: a request that is sent again gets the answer of the first one.

This is a convenience for senders, bounded in number, size and time. What makes a repeat harmless
is the events' ids, for 35 days and across processes (docs/gateway.md).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b

from domain.codes import Code
from runtime import clock
from runtime.web.problems import Problem, ProblemError

REMEMBERED_MS = 600_000
"""How long an answer is kept, ms: ten minutes, longer than a sender's retries."""
ANSWERS_MAX = 20_000
"""Answers kept; the oldest goes first."""
ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of answers kept; 300 answers of full batches, or all 20,000 of framed ones."""
ACCEPTED_STATUS = 202

Place = tuple[str, str, str]
"""Tenant, operation and Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without its request's own headers.

    Args:
        status: HTTP status.
        body: JSON.
    """

    status: int
    body: bytes


@dataclass(slots=True)
class _First:
    digest: bytes
    expires_ms: int
    answer: asyncio.Future[Answer]


class Repeats:
    """Remembers answers by key; used by the event loop alone.

    Args:
        now_ms: A clock that never goes back, ms.
    """

    def __init__(self, *, now_ms: Callable[[], int] = clock.monotonic_ms) -> None:
        self._now_ms = now_ms
        self._known: OrderedDict[Place, _First] = OrderedDict()
        self._bytes = 0

    async def once(
        self, place: Place, body: bytes, work: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Do the work, or wait for and return the answer of the same request before.

        Only acceptances are remembered: what was refused or failed is judged again.

        Args:
            place: Whose key for what.
            body: What must be the same.
            work: Answers the request.

        Raises:
            ProblemError: idempotency_conflict, when the key came with another body.
        """
        self._expire()
        digest = blake2b(body, digest_size=16).digest()
        first = self._known.get(place)
        if first is None:
            return await self._first(place, digest, work)
        if first.digest != digest:
            raise _conflict()
        return await asyncio.shield(first.answer)

    async def _first(
        self, place: Place, digest: bytes, work: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        first = _First(digest, self._now_ms() + REMEMBERED_MS, future)
        self._known[place] = first
        try:
            answer = await work()
        except Exception as error:
            future.set_exception(error)
            future.exception()  # asked for, or asyncio would complain when nobody waits
            self._forget(place)
            raise
        except BaseException:
            future.set_exception(_interrupted())
            future.exception()
            self._forget(place)
            raise
        future.set_result(answer)
        self._bytes += len(answer.body)
        if answer.status != ACCEPTED_STATUS:
            self._forget(place)
        return answer

    def _expire(self) -> None:
        now_ms = self._now_ms()
        while self._known:
            place, oldest = next(iter(self._known.items()))
            is_over = len(self._known) > ANSWERS_MAX or self._bytes > ANSWER_BYTES_MAX
            if not oldest.answer.done() or not (is_over or oldest.expires_ms <= now_ms):
                return
            self._forget(place)

    def _forget(self, place: Place) -> None:
        first = self._known.pop(place)
        if first.answer.done() and first.answer.exception() is None:
            self._bytes -= len(first.answer.result().body)


def _interrupted() -> ProblemError:
    return ProblemError(
        Problem(
            503,
            Code.DELIVERY_UNKNOWN,
            "The first request with this Idempotency-Key was interrupted; send it again",
            headers=(("Retry-After", "1"),),
        )
    )


def _conflict() -> ProblemError:
    return ProblemError(
        Problem(
            409,
            Code.IDEMPOTENCY_CONFLICT,
            "This Idempotency-Key came with another body",
            param="Idempotency-Key",
        )
    )
