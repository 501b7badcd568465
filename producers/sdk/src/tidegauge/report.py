"""What a meter tells about its events: the outcome of a batch, and running totals."""

from dataclasses import dataclass

from tidegauge import errors


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of one batch.

    An error does not say that the events were not stored: a broker may have written a batch whose
    answer was lost. So the outcome of a failed batch is unknown, and recording its events again
    with the same ids is safe, because a fold counts each id once.

    Attributes:
        ids: The ids as `record` returned them, in the order of recording.
        partition: The partition the batch was for, or -1 when that was not known yet.
        offset: The record's offset, when the broker acknowledged it with one.
        error: The stable code of what went wrong, or None when acknowledged.
        sequence: Number of the batch within the meter, from 0, or -1 when it was never encoded.
    """

    ids: tuple[str, ...]
    partition: int
    offset: int | None
    error: str | None
    sequence: int

    def raise_for_error(self) -> None:
        """This function will raise when the batch was not acknowledged.

        Raises:
            DeliveryFailed: `error` is not None.
        """
        if self.error is not None:
            detail = f"{len(self.ids)} events for partition {self.partition}"
            raise errors.DeliveryFailed(self.error, detail)


@dataclass(frozen=True, slots=True)
class Drop:
    """Events that the spool let go of without delivering them.

    Attributes:
        reason: `spool_full_oldest` or `spool_full_newest` by the policy, or `spool_damaged` for
            events on disk that could not be read any more.
        events: How many, as far as that can be told; a torn tail counts as one.
        file: The segment it happened in, for `spool_damaged`; else empty.
    """

    reason: str
    events: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals of one meter since it was made.

    recorded + recovered = acknowledged + failed + dropped + pending, at every moment.

    Attributes:
        recorded: Events that `record` took and returned an id for.
        acknowledged: Events in batches that the broker acknowledged to all in-sync replicas.
        failed: Events in batches that were not acknowledged; their outcome is unknown. With a
            spool, only those whose batch can never be taken.
        refused: Calls of `record` that took no event: it raised, or in safe mode logged.
        pending: Events that were recorded and have no outcome yet.
        batches: Batches handed to the transport.
        bytes: Encoded bytes of these batches, before compression.
        callback_errors: Exceptions that `on_delivery` or `on_drop` raised.
        recovered: Events found in the spool at start.
        dropped: Events that a full spool let go of, or that were damaged on disk.
        resent: Batches with a spool that failed and were sent again.
        torn: Torn tails that were cut, and frames that were damaged.
        unspooled: Events that a full spool keeps in memory only; they are sent all the same.
        spool_errors: Times that the disk refused to write, to sync or to read.
        spool_bytes: Bytes on disk now.
    """

    recorded: int
    acknowledged: int
    failed: int
    refused: int
    pending: int
    batches: int
    bytes: int
    callback_errors: int
    recovered: int = 0
    dropped: int = 0
    resent: int = 0
    torn: int = 0
    unspooled: int = 0
    spool_errors: int = 0
    spool_bytes: int = 0
