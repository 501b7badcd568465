"""A file's content: its hash, its lines with their numbers, and gzip where the name says so."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from domain.codes import Code
from domain.errors import Rejected
from producers.importers.mapping import FileFormat
from producers.importers.rows import HEAD_BYTES, ROW_BYTES_MAX, Place

_PIECE_BYTES = 1024 * 1024
_ENDINGS = {
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".parquet": FileFormat.PARQUET,
}
_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
UTF8_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Content:
    """A file that was read once from end to end.

    Args:
        path: The file.
        format: How it is written.
        is_gzip: Whether it is packed.
        size: Bytes of the content, unpacked.
        sha256: Hash of the content, unpacked, hex: packing a file anew makes no new events.
        stamp: Length and time of the last change, before it was read.
    """

    path: Path
    format: FileFormat
    is_gzip: bool
    size: int
    sha256: str
    stamp: tuple[int, int]

    def require_unchanged(self) -> None:
        """This function will see that nobody wrote to the file since it was hashed.

        Raises:
            Rejected: import_file_unreadable.
        """
        if _stamp(self.path) != self.stamp:
            raise unreadable(
                self.path, "it changed while it was read", "Import a copy that nobody writes to"
            )

    def open(self) -> BinaryIO:
        """Open the content, unpacked."""
        return open_file(self.path, is_gzip=self.is_gzip)


def open_file(path: Path, *, is_gzip: bool) -> BinaryIO:
    """This function will open a file for reading its unpacked bytes."""
    return cast("BinaryIO", gzip.open(path, "rb")) if is_gzip else path.open("rb")


def read_content(path: Path, format_: FileFormat | None) -> Content:
    """This function will read a file to its end, before anything of it is sent.

    So a damaged archive is refused as a whole, and ids can be made of the hash.

    Args:
        path: The file.
        format_: The mapping's format; None to go by the ending.

    Raises:
        Rejected: import_file_unreadable.
    """
    is_gzip = path.suffix == ".gz"
    ending = Path(path.stem).suffix if is_gzip else path.suffix
    known = format_ or _ENDINGS.get(ending.lower())
    if known is None:
        reason = f"the ending {ending!r} says no format"
        raise unreadable(path, reason, "Set format in the mapping")
    if is_gzip and known is FileFormat.PARQUET:
        raise unreadable(path, "a Parquet file is packed inside", "Unpack it with gzip -d")
    digest, size, head = hashlib.sha256(), 0, b""
    try:
        stamp = _stamp(path)
        with open_file(path, is_gzip=is_gzip) as file:
            while piece := file.read(_PIECE_BYTES):
                head = head or piece[:2]
                size += len(piece)
                digest.update(piece)
    except FileNotFoundError as error:
        raise unreadable(path, "there is no such file", "Name another one") from error
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, str(error), "Fetch the file again") from error
    if head in _BOMS and known is not FileFormat.PARQUET:
        raise unreadable(path, f"it is {_BOMS[head]}", "Convert it with iconv -t UTF-8")
    return Content(path, known, is_gzip, size, digest.hexdigest(), stamp)


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def unreadable(path: Path, reason: str, next_step: str) -> Rejected:
    """This function will say why a file cannot be imported at all."""
    return Rejected(Code.IMPORT_FILE_UNREADABLE, f"{path}: {reason}", next_step=next_step)


class Line(NamedTuple):
    """One line.

    Args:
        number: From 1.
        data: Its bytes with the line's end; the head of them when it is too long.
        after: Where the next line begins.
        is_cut: Whether it is longer than is taken.
    """

    number: int
    data: bytes
    after: Place
    is_cut: bool


class Lines:
    """Lines of a content in order; lines that were taken may be given back.

    Args:
        file: Opened, at any place.
        start: Where to begin.
    """

    def __init__(self, file: BinaryIO, start: Place) -> None:
        file.seek(start.at)
        self._file = file
        self._place = start
        self._returned: deque[Line] = deque()

    def take(self) -> Line | None:
        """Return the next line, or None at the end."""
        if self._returned:
            return self._returned.popleft()
        at, number = self._place
        data = self._file.readline(ROW_BYTES_MAX)
        if not data:
            return None
        length, is_cut = len(data), False
        if at == 0 and data.startswith(UTF8_BOM):
            data = data[len(UTF8_BOM) :]
        if length == ROW_BYTES_MAX and not data.endswith(b"\n"):
            data, is_cut = data[:HEAD_BYTES], True
            while piece := self._file.readline(_PIECE_BYTES):
                length += len(piece)
                if piece.endswith(b"\n"):
                    break
        self._place = Place(at + length, number + 1)
        return Line(number, data, self._place, is_cut)

    def give_back(self, lines: list[Line]) -> None:
        """Take these lines back: they come next, in the same order."""
        self._returned.extendleft(reversed(lines))
