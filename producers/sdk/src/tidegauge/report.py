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
class Counters:
    """Totals of one meter since it was made; recorded = acknowledged + failed + pending.

    Attributes:
        recorded: Events that `record` took and returned an id for.
        acknowledged: Events in batches that the broker acknowledged to all in-sync replicas.
        failed: Events in batches that were not acknowledged; their outcome is unknown.
        refused: Calls of `record` that raised; none of their events was taken.
        pending: Events that were recorded and have no outcome yet.
        batches: Batches handed to the transport.
        bytes: Encoded bytes of these batches, before compression.
        callback_errors: Exceptions that `on_delivery` raised.
    """

    recorded: int
    acknowledged: int
    failed: int
    refused: int
    pending: int
    batches: int
    bytes: int
    callback_errors: int
