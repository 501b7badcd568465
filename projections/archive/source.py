"""Raw records of usage.events from wherever they are: the archive first, then the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.archive.archiver import raw_record
from projections.archive.identity import require_same_log
from projections.archive.reading import read_archive
from runtime.kafka import new_consumer, partition_ends, read_partition
from schemas.topics import USAGE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.archive.writing import RawRecord
    from runtime.settings import Settings


def raw_records(
    settings: Settings, *, partition: int, start: int, end: int
) -> Iterator[RawRecord]:
    """This function will yield records [start, end) of a partition, in order.

    What the log still has is read from the log; what is older comes from the archive, if there is
    one.

    Raises:
        Fatal: log_truncated without an archive; archive_gap, archive_corrupt, archive_foreign.
        Retryable: broker_away.
    """
    kept_from = _first_kept(settings, partition) if settings.has_archive else start
    if kept_from > start:
        require_same_log(settings.archive_folder, settings)
        turn = min(kept_from, end)
        yield from read_archive(
            settings.archive_folder, partition=partition, start=start, end=turn
        )
        start = turn
    if start < end:
        for message in read_partition(settings, USAGE_EVENTS, partition, start=start, end=end):
            yield raw_record(message)


def _first_kept(settings: Settings, partition: int) -> int:
    consumer = new_consumer(settings, group="tidegauge.reader")
    try:
        return partition_ends(consumer, USAGE_EVENTS.name, partition)[0]
    finally:
        consumer.close()
