"""The shell of a policy: a Faust agent that reads facts and sends what follows from them.

A policy decides nothing: what it sends is a function of the facts record alone, with ids derived
from what it is about. It reads every facts record, also one that the acceptance rule ignores, of a
zombie or of a late retry. That is harmless: folds are deterministic, so such a record holds what
the accepted one holds, and leads to wishes with ids that are sent anyway; a wish sent twice takes
effect once.

At least once: a record is acknowledged when the broker has everything that follows from it, and
not before. A broker that is away is waited for. A record that cannot be read stops the worker:
going on would leave out a charge in silence.

Faust itself may in rare cases commit past a record that no agent worked on, when a rebalance and a
kill -9 meet. What is left out so is found in the tables by the sweep, in projections/effects, and
sent with the same ids; only a suspicion stays lost. A policy is the quick way, not the only one.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from domain.codes import Code
from domain.errors import Fatal, Rejected, Retryable
from runtime import metrics
from runtime.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faust.streams import Stream
    from faust.types import AppT, EventT, StreamT

    from schemas.topics import Topic

RETRY_MS_MIN, RETRY_MS_MAX = 100, 5_000
"""Pause before a send is tried again: doubled each time, up to this."""

Facts = TypeVar("Facts")
Wish = TypeVar("Wish")


@dataclass(frozen=True, slots=True)
class Policy(Generic[Facts, Wish]):
    """What one policy reads and sends.

    Args:
        name: Its name, for logs and metrics.
        topic: Facts topic that it reads.
        decode: Reads a record's value; Rejected when it is none.
        react: Says what follows from a facts record, in the order in which it is to be sent.
        send: Sends all of it and blocks until the broker has it; Retryable when that is unknown.
    """

    name: str
    topic: Topic
    decode: Callable[[bytes | None], Facts]
    react: Callable[[Facts], Sequence[Wish]]
    send: Callable[[Sequence[Wish]], object]


class Policies:
    """The policies of one worker; keeps the error that ended one of them."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def add(self, app: AppT, policy: Policy[Facts, Wish]) -> None:
        """Add one policy to a Faust app.

        Its group is the app's, so it goes on where any worker of its kind has stopped; a group
        that has never read begins at the start of the topic.
        """
        topic = app.topic(
            policy.topic.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

        async def work(stream: StreamT[bytes]) -> None:
            # Faust would acknowledge a record whenever its turn ends, also by an error.
            async for event in cast("Stream[bytes]", stream).noack().events():
                try:
                    await follow(policy, event)
                except Exception as error:  # noqa: BLE001 -- kept; the worker ends with it
                    logger().error("policy.fatal", policy=policy.name, error=str(error))
                    self.error = error
                    await asyncio.Event().wait()  # unacknowledged, until the worker has ended
                event.ack()
                metrics.POLICY_RECORDS.labels(policy.name).inc()

        app.agent(topic, name=policy.name)(work)


async def follow(policy: Policy[Facts, Wish], event: EventT[bytes]) -> None:
    """This function will send what follows from one facts record, however long it takes.

    Raises:
        Fatal: state_corrupt, for a record that cannot be read and for a wish that is too large.
    """
    try:
        wishes = policy.react(policy.decode(event.value))
        if wishes:
            await _send(policy, wishes)
    except Rejected as error:
        raise Fatal(
            Code.STATE_CORRUPT,
            f"{policy.name} cannot follow {policy.topic.name}/{event.message.partition} offset "
            f"{event.message.offset}: {error.reason}",
            next_step="The fold that wrote it is newer, or the log is damaged: update this "
            "worker, or restore the topic; nothing was skipped",
        ) from error


async def _send(policy: Policy[Facts, Wish], wishes: Sequence[Wish]) -> None:
    pause_ms = RETRY_MS_MIN
    while True:
        sending: Future[None] = Future()
        # A daemon, so that a worker that is told to end need not wait for an absent broker; what
        # was not acknowledged is sent again after the next start.
        threading.Thread(
            target=_call, args=(policy, wishes, sending), name=policy.name, daemon=True
        ).start()
        try:
            await asyncio.wrap_future(sending)
        except Retryable as error:
            logger().warning("policy.waits", policy=policy.name, reason=error.reason)
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, RETRY_MS_MAX)
        else:
            return


def _call(policy: Policy[Facts, Wish], wishes: Sequence[Wish], sending: Future[None]) -> None:
    try:
        policy.send(wishes)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the waiting agent raises it
        sending.set_exception(error)
    else:
        sending.set_result(None)
