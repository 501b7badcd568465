"""Names of archive files, and the chain they make; what a name says is checked, never trusted.

    records/partition=3/00000000000000000000-00000000000000050000-SHA256.parquet
    events/partition=3/…

A name says which source offsets a file covers, [from, to), and the SHA-256 of its bytes. So a
folder of them needs no index that could differ from it: the position of a partition is where the
chain of its files ends, and a changed byte is found by whoever reads the file.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from domain.codes import Code
from domain.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Kind = Literal["records", "events"]
"""Records are the archive: what Kafka held, byte for byte. Events are made of them for people."""
KINDS: tuple[Kind, ...] = ("records", "events")
HASH_BLOCK_BYTES = 1024 * 1024
_NAME = re.compile(r"([0-9]{20})-([0-9]{20})-([0-9a-f]{64})\.parquet", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class ArchiveFile:
    """One finished file.

    Args:
        from_offset: First source offset covered.
        to_offset: One past the last one.
        sha256: Hash of its bytes, hex, as its name says.
        path: Where it lies.
    """

    from_offset: int
    to_offset: int
    sha256: str
    path: Path


def folder_of(root: Path, kind: Kind, partition: int) -> Path:
    """This function will return the folder of one partition's files."""
    return root / kind / f"partition={partition}"


def name_of(*, from_offset: int, to_offset: int, sha256: str) -> str:
    """This function will return the name of a file."""
    return f"{from_offset:020}-{to_offset:020}-{sha256}.parquet"


def files_of(root: Path, kind: Kind, partition: int) -> tuple[ArchiveFile, ...]:
    """This function will list a partition's files by offset; other names are not looked at."""
    folder = folder_of(root, kind, partition)
    found = []
    for path in folder.glob("*.parquet"):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            found.append(ArchiveFile(int(match[1]), int(match[2]), match[3], path))
    return tuple(sorted(found))


def chain(files: Iterable[ArchiveFile], *, start: int = 0) -> Iterator[ArchiveFile]:
    """This function will yield the files that lead on from a source offset without a gap.

    Files may overlap, after somebody has put back what was written again meanwhile: whoever reads
    them passes over the offsets that it has.

    Args:
        files: By offset.
        start: First offset wanted.
    """
    position = start
    for file in files:
        if file.from_offset <= position < file.to_offset:
            yield file
            position = file.to_offset


def end_of_chain(files: Iterable[ArchiveFile], *, start: int) -> int:
    """This function will return up to which source offset the archive reaches from its start.

    Args:
        files: By offset.
        start: Where the archive begins, whether the file that begins there is still here or not.

    Returns:
        One past the last offset; the start when no file begins there.
    """
    last = start
    for file in chain(files, start=start):
        last = file.to_offset
    return last


def hash_of(path: Path) -> str:
    """This function will hash a file's bytes, SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def require_whole(file: ArchiveFile) -> None:
    """This function will compare a file's bytes with its name.

    Raises:
        Fatal: archive_corrupt, with the file.
    """
    found = hash_of(file.path)
    if found != file.sha256:
        raise corrupt(file, f"its bytes have the hash {found}")


def corrupt(file: ArchiveFile, reason: str) -> Fatal:
    """This function will say that a file is not what it was written as."""
    return Fatal(
        Code.ARCHIVE_CORRUPT,
        f"{file.path} is not what was archived: {reason}",
        next_step="Restore the file from a backup; while usage.events still holds its offsets, "
        "deleting it lets `tidegauge archive run` write it again",
    )
