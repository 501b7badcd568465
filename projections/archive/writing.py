"""Writing archive files: whole or not at all, whenever the process is killed.

1. The events file is written under a draft name, forced onto the disk and renamed.
2. Then the records file, in the same way; from here on the offsets are archived.
3. The folder is forced onto the disk.

A crash before 2 leaves at most drafts and an events file without its records, which the next start
removes. Nothing is ever changed after its rename.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from projections.archive.decoded import events_table
from projections.archive.files import KINDS, Kind, files_of, folder_of, hash_of, name_of
from runtime import failpoints, metrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from domain.usage.records import SourceRecord

DRAFT_SUFFIX = ".draft"
ROW_GROUP_RECORDS = 5_000
"""Records of one row group: what a reader of a few offsets has to decode, some MiB."""
RECORDS_SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("received_at_ms", pa.int64(), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field(
            "headers",
            pa.list_(pa.struct([pa.field("name", pa.string()), pa.field("value", pa.binary())])),
        ),
    ]
)


class RawRecord(NamedTuple):
    """A record of usage.events, byte for byte.

    Args:
        offset: Source offset.
        received_at_ms: Broker's append time, milliseconds since 1970 UTC.
        key: Record key; None for none.
        value: Record value; None for none.
        headers: Name and value of each header, in order.
    """

    offset: int
    received_at_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def write_files(
    root: Path,
    *,
    partition: int,
    records: Sequence[RawRecord],
    decoded: Sequence[SourceRecord],
) -> None:
    """This function will archive consecutive records of one partition.

    Args:
        root: Folder of the archive.
        partition: Their partition.
        records: At least one, without a gap.
        decoded: The same, decoded.
    """
    span = records[0].offset, records[-1].offset + 1
    failpoints.pass_by("archive.before_events")
    write_events(root, partition=partition, decoded=decoded)
    failpoints.pass_by("archive.before_records")
    _write(root, "records", partition, span, records_table(records))
    failpoints.pass_by("archive.after_records")


def write_events(root: Path, *, partition: int, decoded: Sequence[SourceRecord]) -> None:
    """This function will write the events of decoded records, at least one, without a gap."""
    span = decoded[0].offset, decoded[-1].offset + 1
    _write(root, "events", partition, span, events_table(decoded, partition=partition))


def records_table(records: Sequence[RawRecord]) -> pa.Table:
    """This function will put records into columns."""
    return pa.table(
        [
            pa.array([record.offset for record in records], pa.int64()),
            pa.array([record.received_at_ms for record in records], pa.int64()),
            pa.array([record.key for record in records], pa.binary()),
            pa.array([record.value for record in records], pa.binary()),
            pa.array(
                [
                    [{"name": name, "value": value} for name, value in record.headers]
                    for record in records
                ],
                RECORDS_SCHEMA.field("headers").type,
            ),
        ],
        schema=RECORDS_SCHEMA,
    )


def remove_leftovers(root: Path, *, partition: int) -> None:
    """This function will remove what a kill left: drafts, and events without their records."""
    for kind in KINDS:
        folder = folder_of(root, kind, partition)
        for draft in folder.glob(f"*{DRAFT_SUFFIX}"):
            draft.unlink()
    kept = {(file.from_offset, file.to_offset) for file in files_of(root, "records", partition)}
    for file in files_of(root, "events", partition):
        if (file.from_offset, file.to_offset) not in kept:
            file.path.unlink()


def _write(root: Path, kind: Kind, partition: int, span: tuple[int, int], table: pa.Table) -> None:
    folder = folder_of(root, kind, partition)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{span[0]:020}{DRAFT_SUFFIX}"
    pq.write_table(
        table,
        draft,
        compression="zstd",
        row_group_size=ROW_GROUP_RECORDS if kind == "records" else 10 * ROW_GROUP_RECORDS,
        write_page_checksum=True,
    )
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    name = name_of(from_offset=span[0], to_offset=span[1], sha256=hash_of(draft))
    metrics.ARCHIVE_BYTES.labels(kind).inc(draft.stat().st_size)
    draft.replace(folder / name)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """This function will force the names in a folder onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
