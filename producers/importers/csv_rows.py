"""Rows of a CSV file, each with the line it begins on.

DuckDB reads CSV fast, and still this is our own reader. Tried with DuckDB 2.0: its rows have no
line numbers, and where a quote is left open it can give up the rest of a file without one reject.
tests/property/importers compares the two on files that both can read.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator

from domain.codes import Code
from domain.errors import Rejected
from producers.importers.content import Content, Line, Lines
from producers.importers.mapping import ImportMapping
from producers.importers.rows import ROW_BYTES_MAX, ROW_LINES_MAX, START, BadRow, Place, Row

_ENDS = b"\r\n"


class CsvReader:
    """Reads one CSV file; see RowReader.

    Args:
        content: The file.
        mapping: Says how it is written and which columns are needed.

    Raises:
        Rejected: import_columns_missing.
    """

    def __init__(self, content: Content, mapping: ImportMapping) -> None:
        self._content = content
        self._form = mapping.csv
        self._quote = mapping.csv.quote.encode()
        self._names = mapping.csv.header
        self._first = START
        self.header = b""
        self.size = content.size
        if not self._names:
            self._read_header()
        self._require(mapping.columns)

    def _read_header(self) -> None:
        with self._content.open() as file:
            lines = Lines(file, START)
            line = lines.take()
            while line is not None and not line.data.strip(_ENDS):
                line = lines.take()
        if line is None:
            self._names = ()
            return
        try:
            self._names = tuple(self._fields(line.data))
        except BadRow as bad:
            raise self._refused(f"its header cannot be read: {bad.code}") from bad
        self.header = line.data.rstrip(_ENDS)
        self._first = line.after

    def _require(self, wanted: tuple[str, ...]) -> None:
        missing = [name for name in wanted if name not in self._names]
        if missing:
            has = ", ".join(self._names[:50]) or "no header at all"
            raise self._refused(f"it has no column {', '.join(missing)}; it has {has}")
        twice = [name for name, count in Counter(self._names).items() if count > 1]
        unclear = sorted(set(twice) & set(wanted))
        if unclear:
            raise self._refused(f"it has the column {', '.join(unclear)} more than once")

    def _refused(self, reason: str) -> Rejected:
        return Rejected(
            Code.IMPORT_COLUMNS_MISSING,
            f"{self._content.path}: {reason}",
            next_step="Correct columns, csv.delimiter or csv.header of the mapping",
        )

    def rows(self, start: Place) -> Iterator[Row]:
        """Read the rows; see RowReader."""
        with self._content.open() as file:
            lines = Lines(file, max(start, self._first))
            while (line := lines.take()) is not None:
                if line.is_cut:
                    yield Row(line.number, b"", None, Code.ROW_TOO_LONG, line.after)
                elif line.data.strip(_ENDS):
                    yield self._row(line, lines)

    def _row(self, first: Line, lines: Lines) -> Row:
        """Read the row that begins on a line; where it does not fit, only that line is refused."""
        taken = [first]
        is_open = bool(self._quote) and self._close(taken, lines)
        data = b"".join(line.data for line in taken) if len(taken) > 1 else first.data
        try:
            values = self._values(data, is_open=is_open)
        except BadRow as bad:
            lines.give_back(taken[1:])
            raw = first.data.rstrip(_ENDS)
            return Row(first.number, raw, None, Code(bad.code), first.after)
        return Row(first.number, data.rstrip(_ENDS), values, None, taken[-1].after)

    def _values(self, data: bytes, *, is_open: bool) -> dict[str, object]:
        if is_open:
            raise BadRow(Code.CSV_QUOTE_OPEN)
        fields = self._fields(data)
        if len(fields) != len(self._names):
            raise BadRow(Code.ROW_COLUMNS_DIFFER)
        return dict(zip(self._names, fields, strict=True))

    def _close(self, taken: list[Line], lines: Lines) -> bool:
        """Take lines until every quote is closed; True when they do not close."""
        quotes, length = taken[0].data.count(self._quote), len(taken[0].data)
        while quotes % 2 == 1 and len(taken) < ROW_LINES_MAX:
            line = lines.take()
            if line is None:
                break
            length += len(line.data)
            if line.is_cut or length > ROW_BYTES_MAX:
                lines.give_back([line])
                break
            taken.append(line)
            quotes += line.data.count(self._quote)
        return quotes % 2 == 1

    def _fields(self, data: bytes) -> list[str]:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise BadRow(Code.ROW_NOT_UTF8) from None
        try:
            return next(
                csv.reader(
                    (text.rstrip("\r\n") if not self._quote else text,),
                    delimiter=self._form.delimiter,
                    quotechar=self._form.quote or None,
                    quoting=csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE,
                    strict=True,
                )
            )
        except csv.Error as error:
            is_long = "field limit" in str(error)
            raise BadRow(Code.ROW_TOO_LONG if is_long else Code.CSV_MALFORMED) from None
