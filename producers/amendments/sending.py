"""Appending a control record that amends an event, to the event's own partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.routing import partition_of
from domain.usage.amendments import ACTOR_LENGTH_MAX, AMENDMENT_REASON_LENGTH_MAX
from runtime.appending import Append, Appender
from schemas.amendment_wire import to_wire_event_amended
from schemas.topics import USAGE_EVENTS

if TYPE_CHECKING:
    from domain.usage.amendments import EventAmended
    from runtime.settings import Settings


def send_amendment(settings: Settings, amended: EventAmended) -> tuple[int, int]:
    """This function will append a control record and wait until the broker has it.

    Sending it again does no harm: an event is amended once. Success does not mean that it was
    taken: the fold judges it, and the projections show what it said.

    Returns:
        Partition and source offset.

    Raises:
        Rejected: invalid_request, when reason or actor are no short texts.
        Retryable: broker_away; send it again.
    """
    for name, text, length_max in (
        ("reason", amended.reason, AMENDMENT_REASON_LENGTH_MAX),
        ("actor", amended.actor, ACTOR_LENGTH_MAX),
    ):
        if not is_clean_text(text, length_max=length_max):
            raise Rejected(
                Code.INVALID_REQUEST,
                f"{name} must be text of 1 to {length_max} printable characters",
            )
    partition = partition_of(amended.tenant, amended.customer, partitions=settings.partitions)
    record = Append(partition, amended.tenant.encode(), to_wire_event_amended(amended))
    (offset,) = Appender(settings).append(USAGE_EVENTS.name, [record])
    return partition, offset
