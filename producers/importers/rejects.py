"""Rows that were refused: one file to correct and import again, one that says why."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO

from producers.importers.rows import BadRow, Row

SHOWN_MAX = 20
"""Rejects that are kept for the screen; the files have all."""


class RejectFiles:
    """Two files that grow together, cut back to what is known when an import goes on.

    `rows` holds the rows as they stood in the source, below the same header, so that it can be
    corrected and imported with the same mapping. A row that was too long is not in it. Rows of
    Parquet are written as JSON lines. `report` holds one JSON object per reject: its line in the
    source, its line in `rows` (0 when it is not there), the code, the part of the event.

    Args:
        rows: Path of the one.
        report: Path of the other.
        header: First line of `rows`; empty for none.
    """

    def __init__(self, rows: Path, report: Path, *, header: bytes) -> None:
        self.rows_path = rows
        self.report_path = report
        self.first: list[tuple[int, str, str]] = []
        self._header = header + b"\n" if header else b""
        self._line = 0
        self._rows: BinaryIO | None = None
        self._report: BinaryIO | None = None

    def begin(self, *, rows_bytes: int, report_bytes: int, line: int) -> None:
        """Open both, as long as they were when the progress was saved.

        Args:
            rows_bytes: Length of `rows` that was saved; 0 to begin anew.
            report_bytes: Likewise of `report`.
            line: Line of `rows` that was written last.
        """
        self._rows = _opened(self.rows_path, rows_bytes)
        self._report = _opened(self.report_path, report_bytes)
        self._line = line if self._rows.tell() == rows_bytes else 0

    def add(self, row: Row, bad: BadRow) -> None:
        """Write down one refused row."""
        if self._rows is None or self._report is None:
            raise RuntimeError("begin was not called")
        raw = row.raw or _written(row)
        line = 0
        if raw:
            if self._line == 0:
                self._rows.write(self._header)
                self._line = self._header.count(b"\n")
            line = self._line + 1
            self._rows.write(raw + b"\n")
            self._line += 1 + raw.count(b"\n")
        entry = {"line": row.line, "rows_line": line, "code": bad.code, "field": bad.field}
        self._report.write(json.dumps(entry).encode() + b"\n")
        if len(self.first) < SHOWN_MAX:
            self.first.append((row.line, bad.code, bad.field))

    def settle(self) -> dict[str, int]:
        """Put everything on the disk and return what `begin` takes."""
        lengths: dict[str, int] = {"line": self._line}
        for name, file in (("rows_bytes", self._rows), ("report_bytes", self._report)):
            if file is not None:
                file.flush()
                os.fsync(file.fileno())
                lengths[name] = file.tell()
        return lengths

    def close(self) -> None:
        """Close both; files in which nothing stands are removed."""
        for path, file in ((self.rows_path, self._rows), (self.report_path, self._report)):
            if file is not None:
                is_empty = file.tell() == 0
                file.close()
                if is_empty:
                    path.unlink(missing_ok=True)


def _opened(path: Path, length: int) -> BinaryIO:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "r+b")
    length = min(length, os.fstat(descriptor).st_size)  # somebody may have taken it away
    file.truncate(length)
    file.seek(length)
    return file


def _written(row: Row) -> bytes:
    return json.dumps(dict(row.values)).encode() if row.values is not None else b""
