"""Rows of a JSON lines file, each with its line number and with numbers as they are written.

DuckDB reads JSON too, and still this is our own reader: DuckDB turns a number into a binary double
first, so 12345678901234.123456789 would arrive as 12345678901234.123.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NoReturn

from domain.codes import Code
from producers.importers.content import Content, Lines
from producers.importers.rows import BadRow, Place, Row


def _names_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise BadRow(Code.JSON_NAME_TWICE)
    return values


def _no_json(name: str) -> NoReturn:
    raise BadRow(Code.JSON_MALFORMED, name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_names_once,
    parse_int=str,  # numbers stay the text that they are
    parse_float=str,
    parse_constant=_no_json,
)


class JsonReader:
    """Reads one JSON lines file; see RowReader.

    Args:
        content: The file.
    """

    header = b""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.size = content.size

    def rows(self, start: Place) -> Iterator[Row]:
        """Read the rows; see RowReader."""
        with self._content.open() as file:
            lines = Lines(file, start)
            while (line := lines.take()) is not None:
                if line.is_cut:
                    yield Row(line.number, b"", None, Code.ROW_TOO_LONG, line.after)
                elif raw := line.data.strip():
                    yield _row(line.number, raw, line.after)


def _row(number: int, raw: bytes, after: Place) -> Row:
    try:
        values = _DECODER.decode(raw.decode())
    except BadRow as bad:
        return Row(number, raw, None, Code(bad.code), after)
    except UnicodeDecodeError:
        return Row(number, raw, None, Code.ROW_NOT_UTF8, after)
    except (ValueError, RecursionError):
        return Row(number, raw, None, Code.JSON_MALFORMED, after)
    if not isinstance(values, dict):
        return Row(number, raw, None, Code.JSON_NOT_OBJECT, after)
    return Row(number, raw, values, None, after)
