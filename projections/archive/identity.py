"""Which log an archive belongs to, where it begins, and that one process writes it at a time.

Where each partition begins is noted before its first file is written: the files that are there
cannot say that the one before them is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from domain.codes import Code
from domain.errors import Fatal
from projections.archive.writing import sync_folder
from runtime.kafka import ADMIN_TIMEOUT_S, broker_away, client_config
from schemas.topics import USAGE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from projections.archive.files import ArchiveFile
    from runtime.settings import Settings

IDENTITY_FILE = "archive.json"
LOCK_FILE = "archive.lock"
_BEGINS = "begins"
"""Key in the identity file: first source offset by partition."""


def require_same_log(root: Path, settings: Settings, *, may_begin: bool = False) -> None:
    """This function will compare an archive's log with the one that the settings name.

    Offsets of another topic, or of one that was made anew, mean other events.

    Args:
        root: Folder of the archive.
        settings: Where the broker is.
        may_begin: Whether an empty folder becomes an archive of this log.

    Raises:
        Fatal: archive_foreign, or archive_corrupt when nobody knows whose archive it is.
        Retryable: broker_away.
    """
    mine = {
        "topic": USAGE_EVENTS.name,
        "topic_id": _topic_id(settings),
        "partitions": settings.partitions,
    }
    path = root / IDENTITY_FILE
    if may_begin and not path.exists():
        _write(path, mine)
        return
    noted = read_identity(root)
    noted.pop(_BEGINS, None)
    if noted != mine:
        raise Fatal(
            Code.ARCHIVE_FOREIGN,
            f"{root} holds {noted}, the log is {mine}",
            next_step="Point TIDEGAUGE_ARCHIVE_DIR at this log's archive, or at an empty folder "
            "for a new log",
        )


def read_identity(root: Path) -> dict[str, object]:
    """This function will read which log an archive belongs to (Fatal archive_corrupt)."""
    path = root / IDENTITY_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise Fatal(
            Code.ARCHIVE_CORRUPT,
            f"{path} does not say which log the archive belongs to: {error}",
            next_step="Restore the file from a backup; is TIDEGAUGE_ARCHIVE_DIR the archive?",
        ) from error
    return dict(found)


def begins_of(root: Path) -> dict[int, int]:
    """This function will read where partitions begin, as far as it is noted.

    Returns:
        First source offset by partition; archives of earlier versions have none until they are
        written again.

    Raises:
        Fatal: archive_corrupt.
    """
    noted = read_identity(root).get(_BEGINS, {})
    try:
        return {int(number): int(offset) for number, offset in noted.items()}  # type: ignore[attr-defined]  # what is no mapping of numbers is refused below
    except (AttributeError, TypeError, ValueError) as error:
        raise Fatal(
            Code.ARCHIVE_CORRUPT,
            f"{root / IDENTITY_FILE} does not say where the archive begins: {error}",
            next_step="Restore the file from a backup",
        ) from error


def note_begins(root: Path, begins: Mapping[int, int]) -> None:
    """This function will note where each partition begins; only the archiver calls it."""
    if begins != begins_of(root):
        offsets = {str(number): offset for number, offset in sorted(begins.items())}
        _write(root / IDENTITY_FILE, {**read_identity(root), _BEGINS: offsets})


def begin_of(noted: int | None, files: Sequence[ArchiveFile], *, low: int) -> int:
    """This function will say where a partition's archive begins.

    Args:
        noted: What the archive says; None when it says nothing.
        files: The partition's records files, by offset.
        low: First offset that the log still has. With nothing noted what lies between it and the
            first file counts as lost, so it is written again.
    """
    begin = low if noted is None else noted
    return min(begin, files[0].from_offset) if files else begin


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """This function will keep other archivers out; the kernel lets go when the process ends.

    Raises:
        Fatal: archive_locked.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Fatal(
                Code.ARCHIVE_LOCKED,
                f"another process writes {root}",
                next_step="One archiver takes all partitions; end the other one first",
            ) from error
        yield


def _write(path: Path, identity: Mapping[str, object]) -> None:
    """Write it whole or not at all: without it the folder is nobody's archive."""
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(json.dumps(identity, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def _topic_id(settings: Settings) -> str:
    admin = AdminClient(client_config(settings))
    try:
        futures = admin.describe_topics(TopicCollection([USAGE_EVENTS.name]))
        return str(futures[USAGE_EVENTS.name].result(timeout=ADMIN_TIMEOUT_S).topic_id)
    except KafkaException as error:
        raise broker_away(error) from error
