"""Reading the archive back: the same records that Kafka held, offset for offset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from domain.codes import Code
from domain.errors import Fatal
from projections.archive.files import ArchiveFile, chain, corrupt, files_of, require_whole
from projections.archive.writing import RawRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_file(file: ArchiveFile, *, start: int = 0, end: int | None = None) -> Iterator[RawRecord]:
    """This function will yield the records of one file within [start, end), in order.

    Raises:
        Fatal: archive_corrupt, when its bytes are not those that were written.
    """
    require_whole(file)
    wanted = range(max(start, file.from_offset), file.to_offset if end is None else end)
    position = file.from_offset
    try:
        parquet = pq.ParquetFile(file.path, page_checksum_verification=True)
        with parquet:
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                if position + rows <= wanted.start or position >= wanted.stop:
                    position += rows
                    continue
                for record in _records(parquet.read_row_group(group)):
                    if record.offset != position:
                        raise corrupt(file, f"offset {record.offset} instead of {position}")
                    position += 1
                    if record.offset in wanted:
                        yield record
    except (pa.ArrowException, OSError) as error:
        raise corrupt(file, str(error)) from error
    if position != file.to_offset:
        raise corrupt(file, f"it ends at {position}")


def read_archive(root: Path, *, partition: int, start: int, end: int) -> Iterator[RawRecord]:
    """This function will yield archived records [start, end) of one partition, in order.

    Raises:
        Fatal: archive_gap, when some of them are not there; archive_corrupt.
    """
    position = start
    for file in chain(files_of(root, "records", partition), start=start):
        if position >= end:
            return
        for record in read_file(file, start=position, end=end):
            position = record.offset + 1
            yield record
    if position < end:
        raise Fatal(
            Code.ARCHIVE_GAP,
            f"{root} has no record {position} of partition {partition}",
            next_step="`tidegauge archive check` lists what is missing",
            partition=partition,
            offset=position,
        )


def _records(table: pa.Table) -> Iterator[RawRecord]:
    columns = (table.column(name).to_pylist() for name in table.column_names)
    for offset, received_at_ms, key, value, headers in zip(*columns, strict=True):
        pairs = tuple((item["name"], item["value"]) for item in headers or ())
        yield RawRecord(offset, received_at_ms, key, value, pairs)
