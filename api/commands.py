"""Sending a command and waiting for its answer (C-35): writes append to the log, then read back.

Steps: 1. append, in one of a few threads; 2. look for the outcome of that offset in the
projections, in growing steps; 3. give up at the deadline, with the command id. The id is derived
from the Idempotency-Key, so the same request sent again finds the first answer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from fastapi.concurrency import run_in_threadpool

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Retryable
from projections.queries.outcomes import CommandOutcome
from runtime import clock
from runtime.kafka import broker_away
from runtime.logs import logger
from runtime.web.problems import Problem, ProblemError, refusal

SENDERS_MAX = 8
"""Commands on their way to the broker at once. An absent broker holds each for up to 35 s, so more
would only be threads that wait; one command more is answered 503 at once."""
POLL_MS_MIN = 20
POLL_MS_MAX = 100
"""Time between two looks for an outcome, ms: it grows from the first to the second."""


FindOutcome = Callable[[str, int], CommandOutcome | None]


class Sender(Protocol):
    """Appends commands to the log (runtime.commands.CommandSender)."""

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        """Append one command and return its offset; blocks until the broker has it.

        Raises:
            Retryable: broker_away, when the outcome is unknown; safe to repeat with the same id.
        """


@dataclass(frozen=True, slots=True)
class Command:
    """One wish to change the books.

    Args:
        tenant: Whose books.
        command_id: Idempotency id within the tenant.
        kind: Command name.
        body: Command fields.
        actor: Who asks, api:<key id>; for people who read the log.
    """

    tenant: str
    command_id: str
    kind: str
    body: Mapping[str, Json]
    actor: str = "api"


class CommandGate:
    """Sends commands and waits for their outcomes.

    Args:
        sender: Appends to the log.
        find: Looks in the projections for the outcome of a tenant's command at an offset; None
            when it is not visible yet. Blocks, so it runs in a thread.
        timeout_ms: How long one command may take in all, ms.
    """

    def __init__(self, *, sender: Sender, find: FindOutcome, timeout_ms: int) -> None:
        self._sender = sender
        self._find = find
        self._timeout_ms = timeout_ms
        self._places = threading.BoundedSemaphore(SENDERS_MAX)

    async def execute(self, command: Command) -> None:
        """Send a command; return when it is accepted and its effects are visible.

        Raises:
            ProblemError: The code of the books' refusal, or command_timeout.
            Retryable: broker_away or database_away; the same request may be sent again.
        """
        deadline_ms = clock.monotonic_ms() + self._timeout_ms
        offset = await self._append(command)
        outcome = await self._wait(command, offset, deadline_ms=deadline_ms)
        if outcome.code:
            raise ProblemError(refusal(outcome.code, outcome.reason, asked=command.body))

    async def _append(self, command: Command) -> int:
        if not self._places.acquire(blocking=False):
            raise _busy()
        sending: Future[int] = Future()
        # A daemon, so that a process that is told to end need not wait for an absent broker: its
        # caller was told to repeat the request, and a repeat takes effect once.
        threading.Thread(
            target=self._send, args=(command, sending), name="command", daemon=True
        ).start()
        try:
            return await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(sending)), self._timeout_ms / 1000
            )
        except TimeoutError as error:
            raise broker_away("no acknowledgement in time") from error
        except BufferError as error:
            raise broker_away("the producer's queue is full") from error

    def _send(self, command: Command, sending: Future[int]) -> None:
        try:
            offset = self._sender.send(
                tenant=command.tenant,
                command_id=command.command_id,
                kind=command.kind,
                body=command.body,
                actor=command.actor,
            )
        except Exception as error:  # noqa: BLE001 -- whatever it is, the waiting request raises it
            sending.set_exception(error)
        else:
            sending.set_result(offset)
        finally:
            # A place is free when its thread is, not when the caller has stopped waiting.
            self._places.release()

    async def _wait(self, command: Command, offset: int, *, deadline_ms: int) -> CommandOutcome:
        pause_ms = POLL_MS_MIN
        while True:
            outcome = await run_in_threadpool(self._find, command.tenant, offset)
            if outcome is not None:
                return outcome
            if clock.monotonic_ms() + pause_ms > deadline_ms:
                logger().warning("api.command_timeout", command_id=command.command_id)
                raise ProblemError(_timeout(command))
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(POLL_MS_MAX, pause_ms * 3 // 2)


def _timeout(command: Command) -> Problem:
    return Problem(
        504,
        Code.COMMAND_TIMEOUT,
        "The command is in the log, its outcome is not visible yet. Repeat the request with the "
        "same Idempotency-Key to learn it",
        headers=(("Retry-After", "1"),),
        members=(("command_id", command.command_id),),
    )


def _busy() -> Retryable:
    return Retryable(Code.NOT_READY, "too many commands wait for the log", retry_after_ms=1_000)
