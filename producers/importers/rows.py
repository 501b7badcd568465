"""One row of a source, as every reader gives it, and the limits that all readers keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from domain.codes import Code

ROW_BYTES_MAX = 1024 * 1024
"""Bytes of one row. An event has 16 KiB of text at most; this leaves room for columns that are
not mapped, and bounds what one bad row can cost."""
ROW_LINES_MAX = 100
"""Lines that one quoted CSV row may go over; behind that a quote was left open."""
HEAD_BYTES = 1024
"""What is kept of a row that is too long."""


class BadRow(Exception):
    """A row cannot become an event.

    Args:
        code: Why: of domain.codes, or a code of the SDK.
        field: Which part of the event is at fault; empty for the row itself.
    """

    def __init__(self, code: str, field: str = "") -> None:
        self.code = code
        self.field = field
        super().__init__(f"{code}: {field}" if field else code)


class Place(NamedTuple):
    """Where a reader goes on.

    Args:
        at: Bytes of the content before this place; rows, in a Parquet file.
        line: Number of the next line from 1; of the next row, in a Parquet file.
    """

    at: int
    line: int


START = Place(0, 1)


class Row(NamedTuple):
    """One row.

    Args:
        line: Line it begins on, from 1; the row's number, in a Parquet file.
        raw: Its bytes without the line's end; empty where the source has none or too many.
        values: Value by column; None when the row could not be read.
        fault: Why it could not be read.
        after: Where the next row begins.
    """

    line: int
    raw: bytes
    values: Mapping[str, object] | None
    fault: Code | None
    after: Place


class RowReader(Protocol):
    """Reads a source from a place to its end, in order, in bounded memory."""

    @property
    def size(self) -> int:
        """Return the last place's `at`, for a progress bar."""

    @property
    def header(self) -> bytes:
        """Return what stands before the rows of a file of rejects; empty for none."""

    def rows(self, start: Place) -> Iterator[Row]:
        """This function will read the rows that begin at a place, blank lines left out.

        Args:
            start: START, or the `after` of a row of the same content.

        Raises:
            Rejected: import_columns_missing or import_file_unreadable.
        """
