"""The archiver: reads usage.events and closes a file per partition when it is large or old enough.

Where it goes on is where the files end: it has no state of its own, and the log keeps whatever is
not in a file yet. It must run more often than the retention of usage.events is long; when it comes
too late it stops and says what is missing, and never goes on behind a hole.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import TopicPartition

from domain.codes import Code
from domain.errors import Fatal, Retryable
from projections.archive.files import end_of_chain, files_of
from projections.archive.identity import (
    begin_of,
    begins_of,
    locked,
    note_begins,
    require_same_log,
)
from projections.archive.reading import read_file
from projections.archive.writing import (
    RawRecord,
    remove_leftovers,
    write_events,
    write_files,
)
from runtime import clock, metrics
from runtime.kafka import (
    OFFSET_LOST,
    new_consumer,
    offset_of,
    partition_ends,
    received_at_ms,
)
from runtime.logs import logger
from runtime.schema_registry import new_foreign_schemas
from schemas.topics import USAGE_EVENTS
from schemas.usage_wire import from_wire_usage_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from confluent_kafka import Consumer, Message

    from domain.usage.records import SourceRecord
    from runtime.settings import Settings
    from runtime.shutdown import Shutdown
    from schemas.codec import ForeignSchemas

FILE_RECORDS_MAX = 50_000
"""Records of one file: single events make so many in minutes."""
FILE_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of values in one file, and in memory per partition; one record may come on top."""
OPEN_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of values in memory of all partitions; beyond, the largest file is closed early."""
POSITION_MAX = 2**63 - 1
READ_MAX = 1_000
"""Records taken from the client at once."""
POLL_S = 0.2


@dataclass(slots=True)
class _Open:
    """Records of one partition that are in no file yet.

    Args:
        position: Next source offset wanted.
        since_ms: When the first record was read, monotonic milliseconds.
        size_bytes: Bytes of the values.
        records: The records.
        next_file: Where the next file begins, when one in the middle was lost: up to there.
    """

    position: int
    since_ms: int = 0
    size_bytes: int = 0
    records: list[RawRecord] = field(default_factory=list)
    next_file: int = POSITION_MAX


class Archiver:
    """Archives all partitions.

    Args:
        settings: Where broker and archive are.
        shutdown: Asks it to end; what it has read goes into files first.
    """

    def __init__(self, settings: Settings, shutdown: Shutdown) -> None:
        self._settings = settings
        self._shutdown = shutdown
        self._root: Path = settings.archive_folder
        self._open: dict[int, _Open] = {}
        self._begins: dict[int, int] = {}
        self._open_bytes = 0

    def run(self, *, until_end: bool = False) -> dict[int, int]:
        """This function will archive until the end is asked for.

        Args:
            until_end: End when everything is archived that the log held at the start.

        Returns:
            Where each partition's archive ends.

        Raises:
            Fatal: archive_gap, archive_foreign or archive_locked.
            Retryable: broker_away.
        """
        with locked(self._root), closing(new_foreign_schemas(self._settings)) as foreign:
            require_same_log(self._root, self._settings, may_begin=True)
            consumer = new_consumer(self._settings, group="tidegauge.archive")
            try:
                ends = self._place(consumer, foreign)
                while not self._shutdown.is_requested:
                    for message in consumer.consume(READ_MAX, timeout=POLL_S):
                        self._take(message, foreign)
                    self._close_old(foreign)
                    if until_end and all(
                        self._open[number].position >= end for number, end in ends.items()
                    ):
                        break
                for number in self._open:
                    self._close(number, foreign)
            finally:
                consumer.close()
        return {number: each.position for number, each in self._open.items()}

    def _place(self, consumer: Consumer, foreign: ForeignSchemas) -> dict[int, int]:
        """Clear away what a killed archiver left, and go on where the files end."""
        ends = {}
        noted = begins_of(self._root)
        for number in range(self._settings.partitions):
            low, ends[number] = partition_ends(consumer, USAGE_EVENTS.name, number)
            remove_leftovers(self._root, partition=number)
            self._restore_events(number, foreign)
            files = files_of(self._root, "records", number)
            begin = begin_of(noted.get(number), files, low=low)
            position = end_of_chain(files, start=begin)
            self._begins[number] = begin
            if position < low:
                raise Fatal(
                    Code.ARCHIVE_GAP,
                    f"the archive of {USAGE_EVENTS.name}/{number} ends at {position}, the log "
                    f"begins at {low}",
                    next_step="The offsets between are in neither: restore the missing files or "
                    "the topic. The archiver must run more often than the topic's retention is "
                    "long",
                )
            if position > ends[number]:
                raise Fatal(
                    Code.ARCHIVE_FOREIGN,
                    f"the archive of {USAGE_EVENTS.name}/{number} ends at {position}, the log "
                    f"at {ends[number]}",
                    next_step="The log lost its end, or this is the archive of another one",
                )
            self._open[number] = self._opened(number, position)
            metrics.ARCHIVE_POSITION.labels(str(number)).set(position)
        note_begins(self._root, self._begins)
        consumer.assign(
            [
                TopicPartition(USAGE_EVENTS.name, number, each.position)
                for number, each in self._open.items()
            ]
        )
        logger().info(
            "archive.placed",
            positions={number: each.position for number, each in self._open.items()},
        )
        return ends

    def _restore_events(self, number: int, foreign: ForeignSchemas) -> None:
        """Make events files again that are missing beside their records."""
        events = {
            (file.from_offset, file.to_offset) for file in files_of(self._root, "events", number)
        }
        for file in files_of(self._root, "records", number):
            if (file.from_offset, file.to_offset) not in events:
                decoded = self._decoded(list(read_file(file)), foreign)
                write_events(self._root, partition=number, decoded=decoded)

    def _take(self, message: Message, foreign: ForeignSchemas) -> None:
        error = message.error()
        if error is not None:
            if error.code() in OFFSET_LOST:
                raise Fatal(
                    Code.ARCHIVE_GAP,
                    f"the log no longer has what the archive needs next: {error}",
                    next_step="`tidegauge archive check` says where the archive ends",
                )
            logger().warning("kafka.read_error", error=str(error))
            return
        number = int(message.partition() or 0)
        opened = self._open[number]
        record = raw_record(message)
        if record.offset < opened.position:
            return  # in a file behind one that was lost, and is written again now
        if record.offset != opened.position:
            raise Fatal(
                Code.ARCHIVE_GAP,
                f"{USAGE_EVENTS.name}/{number} went on at {record.offset} instead of "
                f"{opened.position}",
                next_step="Offsets of this topic follow each other: who has deleted records?",
            )
        if not opened.records:
            opened.since_ms = clock.monotonic_ms()
        opened.records.append(record)
        opened.position += 1
        size_bytes = len(record.value or b"")
        opened.size_bytes += size_bytes
        self._open_bytes += size_bytes
        if (
            len(opened.records) >= FILE_RECORDS_MAX
            or opened.size_bytes >= FILE_BYTES_MAX
            or opened.position == opened.next_file
        ):
            self._close(number, foreign)
        elif self._open_bytes >= OPEN_BYTES_MAX:
            self._close(max(self._open, key=lambda at: self._open[at].size_bytes), foreign)

    def _opened(self, number: int, position: int) -> _Open:
        """Begin the next file of a partition."""
        files = files_of(self._root, "records", number)
        later = (file.from_offset for file in files if file.from_offset > position)
        return _Open(position, next_file=min(later, default=POSITION_MAX))

    def _close_old(self, foreign: ForeignSchemas) -> None:
        oldest_ms = clock.monotonic_ms() - self._settings.archive_interval_ms
        for number, opened in self._open.items():
            if opened.records and opened.since_ms <= oldest_ms:
                self._close(number, foreign)

    def _close(self, number: int, foreign: ForeignSchemas) -> None:
        """Write what is open into files."""
        opened = self._open[number]
        if not opened.records:
            return
        decoded = self._decoded(opened.records, foreign)
        write_files(self._root, partition=number, records=opened.records, decoded=decoded)
        logger().info(
            "archive.file_written",
            partition=number,
            from_offset=opened.records[0].offset,
            to_offset=opened.position,
        )
        metrics.ARCHIVE_RECORDS.labels(str(number)).inc(len(opened.records))
        self._open_bytes -= opened.size_bytes
        files = files_of(self._root, "records", number)
        position = end_of_chain(files, start=self._begins[number])
        metrics.ARCHIVE_POSITION.labels(str(number)).set(position)
        self._open[number] = self._opened(number, position)

    def _decoded(
        self, records: Sequence[RawRecord], foreign: ForeignSchemas
    ) -> list[SourceRecord]:
        """Decode records for people; while nobody knows a schema id, this waits."""
        decoded = []
        for record in records:
            while True:
                try:
                    decoded.append(
                        from_wire_usage_source(
                            record.value,
                            offset=record.offset,
                            received_at_ms=record.received_at_ms,
                            key=record.key,
                            foreign=foreign,
                        )
                    )
                    break
                except Retryable as error:
                    if self._shutdown.wait_ms(error.retry_after_ms):
                        raise
        return decoded


def raw_record(message: Message) -> RawRecord:
    """This function will take a record over from Kafka, byte for byte."""
    headers: Sequence[tuple[str, bytes | None]] = message.headers() or ()  # type: ignore[assignment]  # librdkafka's are pairs of text and bytes
    return RawRecord(
        offset_of(message),
        received_at_ms(message),
        message.key(),
        message.value(),
        tuple(headers),
    )
