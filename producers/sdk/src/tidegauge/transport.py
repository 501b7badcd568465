"""The port of the way out: what the flush thread needs of Kafka, HTTP or memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Parcel:
    """One encoded batch on its way out.

    Attributes:
        partition: The partition that all its customers belong to.
        key: The record key: the tenant in UTF-8.
        value: The framed UsageBatch; a transport sends it again only as the very same bytes.
        events: Events in it.
        producer_id: The meter's random id, 16 bytes.
        sequence: Number of the batch within the meter, from 0.
        traceparents: Distinct W3C traceparents of its events, at most `TRACES_PER_BATCH_MAX`.
    """

    partition: int
    key: bytes
    value: bytes
    events: int
    producer_id: bytes
    sequence: int
    traceparents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one parcel.

    Attributes:
        offset: The record's offset when it was told.
        error: A stable code, or None when the parcel was acknowledged.
        is_final: The error lies in the parcel itself, so that sending it again is of no use.
    """

    offset: int | None
    error: str | None
    is_final: bool = False


class TopicUnavailable(Exception):
    """The partition count is not known now; ask again later."""


class Transport(Protocol):
    """What the flush thread needs; it alone calls these, one at a time, except `leak`."""

    def partition_count(self, timeout_s: float) -> int:
        """This function will say how many partitions the topic has; it may block for the time.

        Args:
            timeout_s: How long it may block, in seconds.

        Returns:
            The count, at least 1.

        Raises:
            TopicUnavailable: There is no answer, or no such topic.
        """

    def send(self, parcel: Parcel, done: Callable[[Outcome], None]) -> bool:
        """This function will queue one parcel without blocking; True promises one outcome.

        True does not promise that the value was sent, let alone stored: only the outcome tells.

        Args:
            parcel: What goes out.
            done: Called once with what became of it, from `poll` or `abandon`, or at once.

        Returns:
            False when there is no room now; then poll and try again.

        Raises:
            MeterStopped: The transport cannot go on.
        """

    def poll(self, timeout_s: float) -> None:
        """This function will report outcomes; it blocks until there is one, or for the time.

        Args:
            timeout_s: How long it may block, in seconds.
        """

    def abandon(self, timeout_s: float) -> None:
        """This function will give up everything queued and report the outcomes it still gets.

        Args:
            timeout_s: How long it may block, in seconds.
        """

    def close(self) -> None:
        """This function will let go of connections; nothing is called after it."""

    def leak(self) -> None:
        """This function will keep a forked child from ever cleaning up what the parent owns."""
