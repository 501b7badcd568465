"""Rows of a Parquet file, read by DuckDB in bounded pieces, every value as its exact text."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from domain.codes import Code
from domain.errors import Rejected
from producers.importers.content import Content, unreadable
from producers.importers.mapping import ImportMapping
from producers.importers.rows import Place, Row

PIECE_ROWS = 5_000
"""Rows fetched at a time; a few MiB of Python values."""
MEMORY = "512MB"
"""What DuckDB may take; one row group of the usual size, decoded."""
_ROW_NUMBER = "file_row_number"
_FLOATS = ("DOUBLE", "FLOAT")
_NESTED = ("STRUCT", "MAP", "UNION")


class ParquetReader:
    """Reads one Parquet file; see RowReader. A row's line is its number, from 1.

    Args:
        content: The file.
        mapping: Says which columns are needed.

    Raises:
        Rejected: import_columns_missing, import_float_column or import_file_unreadable.
    """

    header = b""

    def __init__(self, content: Content, mapping: ImportMapping) -> None:
        self._content = content
        self._path = str(content.path)
        if any(sign in self._path for sign in "*?["):
            raise unreadable(content.path, "*, ? and [ stand for other names", "Rename the file")
        types = self._types()
        missing = [name for name in mapping.columns if name not in types]
        if missing:
            raise Rejected(
                Code.IMPORT_COLUMNS_MISSING,
                f"{content.path}: it has no column {', '.join(missing)}; it has "
                f"{', '.join(list(types)[:50])}",
                next_step="Correct columns of the mapping",
            )
        quantity = mapping.quantity.column if mapping.quantity else ""
        if types.get(quantity) in _FLOATS and not mapping.is_float_exact:
            raise Rejected(
                Code.IMPORT_FLOAT_COLUMN,
                f"{content.path}: {quantity} is {types[quantity]}, which holds no decimal exactly",
                next_step="Write it as DECIMAL, or set float: exact-repr in columns.quantity to "
                "take each value by its shortest decimal text",
            )
        self._names = mapping.columns
        self._texts = [_text_of(name, types[name]) for name in self._names]

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "memory_limit": MEMORY,
                "threads": 1,  # rows come in order, and the pipeline beside us keeps its cores
            }
        )

    def _types(self) -> dict[str, str]:
        try:
            with self._connect() as connection:
                described = connection.execute(
                    "DESCRIBE SELECT * FROM read_parquet(?)", [self._path]
                ).fetchall()
                count = connection.execute(
                    "SELECT count(*) FROM read_parquet(?)", [self._path]
                ).fetchone()
        except duckdb.Error as error:
            raise unreadable(self._content.path, str(error), "Fetch the file again") from error
        self.size = int(count[0]) if count else 0
        return {str(name): str(kind) for name, kind, *_ in described}

    def rows(self, start: Place) -> Iterator[Row]:
        """Read the rows; see RowReader."""
        columns = ", ".join(self._texts)
        query = (
            f"SELECT {columns + ', ' if columns else ''}{_ROW_NUMBER} "  # noqa: S608 -- column names are quoted below
            f"FROM read_parquet(?, {_ROW_NUMBER}=true) WHERE {_ROW_NUMBER} >= ?"
        )
        expected = start.at
        try:
            with self._connect() as connection:
                result = connection.execute(query, [self._path, start.at])
                while piece := result.fetchmany(PIECE_ROWS):
                    for *fields, number in piece:
                        if number != expected:
                            raise unreadable(
                                self._content.path,
                                f"row {expected} came as {number}",
                                "Report this as a defect",
                            )
                        expected += 1
                        values = dict(zip(self._names, fields, strict=True))
                        yield Row(expected, b"", values, None, Place(expected, expected + 1))
        except duckdb.Error as error:
            raise unreadable(self._content.path, str(error), "Fetch the file again") from error


def _text_of(name: str, kind: str) -> str:
    """Return the SQL that makes a column exact text; a nested value becomes a list, to be refused.

    A time with a zone becomes its UTC form, written as such.
    """
    quoted = '"' + name.replace('"', '""') + '"'
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"CAST(make_timestamp(epoch_us({quoted})) AS VARCHAR) || '+00:00'"
    if kind.endswith("[]") or kind.startswith(_NESTED) or kind == "BLOB":
        return f"CASE WHEN {quoted} IS NULL THEN NULL ELSE ['nested'] END"
    return f"CAST({quoted} AS VARCHAR)"
