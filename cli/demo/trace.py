"""The trace: reading it strictly, moving it to yesterday, giving its rows to customers."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cli.failures import CommandFailure
from domain.period import Period, add_months

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
ROWS_MAX = 1_000_000
"""Rows of a trace; the demo keeps all of them in memory, about 400 bytes each."""
DAYS_MAX = 28
"""Days a trace may span, so that it fits into one billing period and the horizon of 35 days."""

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?", re.ASCII
)
_TOKENS = re.compile(r"\d{1,12}", re.ASCII)

CUSTOMERS = (
    ("blue-harbor", 40),
    ("cedar-clinic", 25),
    ("northwind-labs", 18),
    ("acme-robotics", 12),
    ("little-bakery", 5),
)
"""Who the requests are given to, and how many of a hundred: big and small ones, as in life."""


@dataclass(frozen=True, slots=True)
class Request:
    """One row of the trace as it will be reported.

    Args:
        id: UUID made of the row and its new time: the same every time the same trace is sent.
        customer: Who made it, by a stable hash of the row.
        occurred_at: Its time, moved by whole days, UTC, to the millisecond.
        context_tokens: Tokens brought.
        generated_tokens: Tokens got back.
    """

    id: str
    customer: str
    occurred_at: datetime
    context_tokens: int
    generated_tokens: int

    @property
    def context(self) -> str:
        """Return the class of the context's size, the dimension that usage is split by."""
        if self.context_tokens < 1_000:  # noqa: PLR2004 -- the classes are defined here
            return "short"
        return "medium" if self.context_tokens < 4_000 else "long"  # noqa: PLR2004 -- likewise


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace.

    Args:
        path: Where it was read.
        sha256: Hash of the file, 64 hex digits.
        requests: Its rows in the order of the file.
        shift_days: By how many days they were moved.
        day: Day of the last request after the move: yesterday, UTC.
    """

    path: Path
    sha256: str
    requests: tuple[Request, ...]
    shift_days: int
    day: date

    @property
    def period(self) -> Period:
        """Return the billed month: the calendar one, or a month from an earlier first day."""
        first = min(request.occurred_at for request in self.requests).date()
        month = self.day.replace(day=1)
        start = min(month, first)
        anchor = datetime(start.year, start.month, start.day, tzinfo=UTC)
        return Period(anchor, add_months(anchor, months=1))

    @property
    def tenant(self) -> str:
        """Return a tenant of this day and trace, so that demos on one log never mix."""
        return f"demo-{self.day:%Y%m%d}-{self.sha256[:6]}"


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    time: datetime
    context_tokens: int
    generated_tokens: int


def read_trace(path: Path, *, today: date, rows_max: int = ROWS_MAX) -> Trace:
    """This function will read a trace and move it by whole days, so that it ends yesterday.

    Args:
        path: CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens.
        today: Present day, UTC.
        rows_max: Most rows that can be taken.

    Raises:
        CommandFailure: When the file cannot be read or a line is wrong; names the line.
    """
    content = _content(path)
    rows = tuple(_rows(path, content, rows_max=rows_max))
    if not rows:
        raise CommandFailure(
            f"{path} has no rows", next_step=f"give a CSV with the columns {', '.join(COLUMNS)}"
        )
    first, last = min(row.time for row in rows), max(row.time for row in rows)
    if (last.date() - first.date()).days >= DAYS_MAX:
        raise CommandFailure(
            f"{path} spans {(last.date() - first.date()).days + 1} days, "
            f"the demo bills one month and takes {DAYS_MAX}",
            next_step="cut the file",
        )
    day = today - timedelta(days=1)
    shift = day - last.date()
    requests = tuple(_request(number, row, shift=shift) for number, row in enumerate(rows))
    return Trace(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        requests=requests,
        shift_days=shift.days,
        day=day,
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailure(
            f"the trace {path} cannot be read: {error.strerror}",
            next_step="give the path of a CSV file with --trace FILE",
        ) from error


def _rows(path: Path, content: bytes, *, rows_max: int) -> Iterator[_Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _broken(path, line, "is no UTF-8 text") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        yield from _checked(path, reader, rows_max=rows_max)
    except csv.Error as error:
        raise _broken(path, reader.line_num, str(error)) from error


def _checked(path: Path, reader: Reader, *, rows_max: int) -> Iterator[_Row]:
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise _broken(path, 1, f"the header lacks the column {missing[0]}")
    places = [header.index(name) for name in COLUMNS]
    count = 0
    for fields in reader:
        if not any(field.strip() for field in fields):
            continue
        count += 1
        if count > rows_max:
            raise _broken(path, reader.line_num, f"more than {rows_max:,} rows cannot be taken")
        if len(fields) != len(header):
            raise _broken(
                path, reader.line_num, f"{len(fields)} fields, the header has {len(header)}"
            )
        yield _row(path, reader.line_num, [fields[place].strip() for place in places])


def _row(path: Path, line: int, fields: list[str]) -> _Row:
    time_text, context, generated = fields
    match = _TIME.fullmatch(time_text)
    if match is None:
        raise _broken(path, line, f"TIMESTAMP {time_text[:40]!r} is no UTC time")
    milliseconds = (match[3] or "").ljust(3, "0")[:3]
    try:
        time = datetime.fromisoformat(f"{match[1]}T{match[2]}.{milliseconds}+00:00")
    except ValueError as error:
        raise _broken(path, line, f"TIMESTAMP {time_text[:40]!r}: {error}") from error
    for name, text in zip(COLUMNS[1:], (context, generated), strict=True):
        if _TOKENS.fullmatch(text) is None:
            raise _broken(path, line, f"{name} {text[:40]!r} is no whole number")
    return _Row(line, time, int(context), int(generated))


def _broken(path: Path, line: int, what: str) -> CommandFailure:
    return CommandFailure(
        f"{path}, line {line}: {what}", next_step="mend the line, or give another file"
    )


def _request(number: int, row: _Row, *, shift: timedelta) -> Request:
    text = f"{number}\x1f{row.time.isoformat()}\x1f{row.context_tokens}\x1f{row.generated_tokens}"
    occurred_at = row.time + shift
    return Request(
        id=_uuid8(f"{text}\x1f{occurred_at.isoformat()}"),
        customer=_customer(text),
        occurred_at=occurred_at,
        context_tokens=row.context_tokens,
        generated_tokens=row.generated_tokens,
    )


def _customer(text: str) -> str:
    place = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) % 100
    for customer, share in CUSTOMERS:
        if place < share:
            return customer
        place -= share
    raise AssertionError(place)


def _uuid8(text: str) -> str:
    """Return a UUID of version 8 (RFC 9562: by a rule of our own) of a text."""
    value = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())
    value = (value & ~(0xF << 76)) | (8 << 76)
    value = (value & ~(0x3 << 62)) | (2 << 62)
    return str(uuid.UUID(int=value))
