"""Checking an archive: every byte, every offset, and that it and the log leave no gap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.errors import Fatal
from projections.archive.archiver import raw_record
from projections.archive.files import chain, end_of_chain, files_of, require_whole
from projections.archive.identity import begin_of, begins_of, require_same_log
from projections.archive.reading import read_file
from runtime.kafka import new_consumer, partition_ends, read_partition
from schemas.topics import USAGE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from projections.archive.files import ArchiveFile
    from runtime.settings import Settings


@dataclass(slots=True)
class CheckedPartition:
    """What was found of one partition.

    Args:
        partition: Its number.
        begins: First source offset of the archive, whether its file is here or not.
        ends: One past the last archived offset without a gap.
        log_begins: First offset that the log still has.
        files: How many records files.
        bytes: Their bytes.
        problems: What is wrong, one sentence each.
    """

    partition: int
    begins: int = 0
    ends: int = 0
    log_begins: int = 0
    files: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


def check_archive(settings: Settings, *, with_log: bool = False) -> Iterator[CheckedPartition]:
    """This function will check partition after partition, and go on after what is wrong.

    Args:
        settings: Where broker and archive are.
        with_log: Compare with every record that the log still has, byte for byte.

    Raises:
        Fatal: archive_foreign, or archive_corrupt when it is no archive.
        Retryable: broker_away.
    """
    require_same_log(settings.archive_folder, settings)
    noted = begins_of(settings.archive_folder)
    consumer = new_consumer(settings, group="tidegauge.archive")
    try:
        for number in range(settings.partitions):
            checked = CheckedPartition(number)
            checked.log_begins, _ = partition_ends(consumer, USAGE_EVENTS.name, number)
            _check_records(settings.archive_folder, checked, noted=noted.get(number))
            _check_events(settings.archive_folder, checked)
            if with_log:
                _compare(settings, checked)
            yield checked
    finally:
        consumer.close()


def _check_records(root: Path, checked: CheckedPartition, *, noted: int | None) -> None:
    files = files_of(root, "records", checked.partition)
    checked.files = len(files)
    checked.begins = begin_of(noted, files, low=checked.log_begins)
    position = checked.begins
    for file in files:
        checked.bytes += file.path.stat().st_size
        if file.from_offset > position:
            checked.problems.append(f"offsets {position} to {file.from_offset - 1} are missing")
        elif file.from_offset < position:
            checked.problems.append(f"{file.path.name} overlaps the file before it")
        problem = _problem_of(file)
        if problem:
            checked.problems.append(problem)
        position = max(position, file.to_offset)
    checked.ends = end_of_chain(files, start=checked.begins)
    later = (file.from_offset for file in files if file.from_offset > checked.ends)
    lost_to = min((checked.log_begins, *later)) - 1
    if checked.ends <= lost_to:
        checked.problems.append(
            f"offsets {checked.ends} to {lost_to} are neither here nor in the log"
        )


def _check_events(root: Path, checked: CheckedPartition) -> None:
    records = {
        (file.from_offset, file.to_offset) for file in files_of(root, "records", checked.partition)
    }
    found = files_of(root, "events", checked.partition)
    for file in found:
        try:
            require_whole(file)
        except Fatal as error:
            checked.problems.append(error.reason)
    have = {(file.from_offset, file.to_offset) for file in found}
    if have != records:
        checked.problems.append(
            "events and records differ in their files; the next `archive run` makes them even"
        )


def _problem_of(file: ArchiveFile) -> str:
    try:
        for _ in read_file(file):
            pass
    except Fatal as error:
        return error.reason
    return ""


def _compare(settings: Settings, checked: CheckedPartition) -> None:
    """Compare what both have; the first difference says enough."""
    start = max(checked.log_begins, checked.begins)
    if checked.problems or start >= checked.ends:
        return
    messages = read_partition(
        settings, USAGE_EVENTS, checked.partition, start=start, end=checked.ends
    )
    position = start
    for file in chain(
        files_of(settings.archive_folder, "records", checked.partition), start=start
    ):
        for record in read_file(file, start=position):
            position = record.offset + 1
            message = next(messages, None)
            if message is None or raw_record(message) != record:
                checked.problems.append(f"offset {record.offset} differs from the log")
                return
