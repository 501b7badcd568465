"""What is sent: every request once, and what goes wrong in life on purpose."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cli.demo.trace import Request, Trace
from domain.codes import Code

EVENT_TYPE = "llm.request"
DUPLICATES_PERCENT = 3
CONFLICTS = 5
DUPLICATE_DELAY = 250
"""A duplicate is sent so many requests after its original, as a client's late retry is."""
_UNKNOWN_SCHEMA_ID = 999


@dataclass(frozen=True, slots=True)
class Send:
    """One event for the SDK.

    Args:
        id: Id of the event.
        customer: Customer.
        type: Event type.
        occurred_at: When, UTC.
        quantity: Context tokens.
        generated_tokens: A property.
        context: A dimension.
    """

    id: str
    customer: str
    type: str
    occurred_at: datetime
    quantity: int
    generated_tokens: int
    context: str


@dataclass(frozen=True, slots=True)
class Sends:
    """Everything that one run sends.

    Args:
        regular: Requests and their duplicates, in the order of sending.
        duplicates: How many of them are duplicates.
        conflicts: Ids that were sent before, with another quantity.
        refused: Events that the SDK takes and the fold refuses, by the code it will give.
        raw: Bytes that come from elsewhere and are no events, by the code they will get.
    """

    regular: tuple[Send, ...]
    duplicates: int
    conflicts: tuple[Send, ...]
    refused: tuple[tuple[Code, Send], ...]
    raw: tuple[tuple[Code, bytes], ...]

    @property
    def total(self) -> int:
        """Return how many events will be received."""
        return len(self.through_the_sdk) + len(self.raw)

    @property
    def through_the_sdk(self) -> tuple[Send, ...]:
        """Return what the SDK sends, in order."""
        return (*self.regular, *self.conflicts, *(send for _, send in self.refused))

    @property
    def codes(self) -> dict[str, int]:
        """Return how many rejects of each code are to be expected."""
        expected = [code for code, _ in self.refused] + [code for code, _ in self.raw]
        return {code.value: expected.count(code) for code in expected}


def plan_sends(trace: Trace, *, now: datetime, new_id: Callable[[], str]) -> Sends:
    """This function will decide what to send; only the broken events depend on the clock.

    Args:
        trace: The trace.
        now: Present moment, UTC; some events are broken by lying too far from it.
        new_id: Makes an id for a broken event.
    """
    count = max(1, (len(trace.requests) * DUPLICATES_PERCENT + 50) // 100)
    by_id = sorted(trace.requests, key=lambda request: request.id)
    repeated = {request.id for request in by_id[:count]}
    unlucky = [by_id[-1 - index % len(by_id)] for index in range(CONFLICTS)]
    sample = _send(by_id[-1])
    return Sends(
        regular=tuple(_with_duplicates(trace, repeated)),
        duplicates=count,
        conflicts=tuple(
            replace(_send(request), quantity=request.context_tokens + 1 + index)
            for index, request in enumerate(unlucky)
        ),
        refused=(
            (Code.UNKNOWN_TYPE, replace(sample, id=new_id(), type="llm.requset")),
            (
                Code.TOO_LATE,
                replace(sample, id=new_id(), occurred_at=now - timedelta(days=40)),
            ),
            (
                Code.FUTURE,
                replace(sample, id=new_id(), occurred_at=now + timedelta(minutes=30)),
            ),
        ),
        raw=(
            (Code.UNDECODABLE, b"\x07 this is no event, only bytes \xff\xfe"),
            (Code.UNKNOWN_SCHEMA, struct.pack(">bi", 0, _UNKNOWN_SCHEMA_ID) + b"of another world"),
        ),
    )


def _with_duplicates(trace: Trace, repeated: set[str]) -> Iterator[Send]:
    """Yield every request, and the repeated ones again DUPLICATE_DELAY requests later."""
    for index, request in enumerate(trace.requests):
        yield _send(request)
        earlier = trace.requests[index - DUPLICATE_DELAY] if index >= DUPLICATE_DELAY else None
        if earlier is not None and earlier.id in repeated:
            yield _send(earlier)
    for request in trace.requests[-DUPLICATE_DELAY:]:
        if request.id in repeated:
            yield _send(request)


def _send(request: Request) -> Send:
    return Send(
        id=request.id,
        customer=request.customer,
        type=EVENT_TYPE,
        occurred_at=request.occurred_at,
        quantity=request.context_tokens,
        generated_tokens=request.generated_tokens,
        context=request.context,
    )
