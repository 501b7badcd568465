"""The mapping file: which column, or which constant, is which part of an event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

import yaml

from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from producers.importers.times import TimeForm, TimeFormat, zone_of

MAPPING_BYTES_MAX = 64 * 1024
"""A mapping is written by hand; more is another file by mistake."""
LABELS_MAX = 32
"""Dimensions of one event, and properties: the SDK's limit."""
NAME_CHARACTERS_MAX = 100
"""Of an import's name: it is part of a file's name."""

_EVENT_PARTS = ("customer", "type", "quantity", "time", "id", "dimensions", "properties")
_SAMPLE_PARTS = ("customer", "type", "dimensions", "properties")


class FileFormat(StrEnum):
    """What an import can read."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class Subject(StrEnum):
    """What a mapping is for: a file has quantities and times, a counter brings its own."""

    FILE = "file"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Part:
    """Where one part of an event comes from; exactly one of the two is set.

    Args:
        column: Name of a column; of a label, for a counter.
        constant: The same text for every row.
    """

    column: str = ""
    constant: str | None = None


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a CSV file is written.

    Args:
        delimiter: Between two fields, one character.
        quote: Around a field, one character; empty where none is special.
        header: Names of the columns where the file has no header row.
    """

    delimiter: str = ","
    quote: str = '"'
    header: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportMapping:
    """A checked mapping.

    Args:
        name: Names the import; generated ids are unique in it.
        source: What ids that are no UUIDs are unique in, as in the SDK.
        format: How the file is written; None to go by its ending.
        csv: More, for CSV.
        customer, type: Parts of the event.
        quantity: Likewise; None for a counter.
        is_float_exact: Take a binary float column by its shortest decimal text.
        time: When it occurred; None for a counter.
        time_form: How the time is written.
        id: The event's id; None to make one of the file's content and the row.
        dimensions, properties: Names and where their values come from.
        sha256: Hash of the mapping's meaning, hex.
    """

    name: str
    source: str
    format: FileFormat | None
    csv: CsvForm
    customer: Part
    type: Part
    quantity: Part | None
    is_float_exact: bool
    time: Part | None
    time_form: TimeForm
    id: Part | None
    dimensions: tuple[tuple[str, Part], ...]
    properties: tuple[tuple[str, Part], ...]
    sha256: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Return every column that is named, each once, in the order of the mapping."""
        parts = [self.customer, self.type, self.quantity, self.time, self.id]
        parts += [part for _, part in (*self.dimensions, *self.properties)]
        return tuple(dict.fromkeys(part.column for part in parts if part and part.column))


def read_mapping(path: Path, subject: Subject = Subject.FILE) -> ImportMapping:
    """This function will read and check a mapping file.

    Args:
        path: A YAML document. Every scalar of it is text, so no decimal is bent.
        subject: What it is for.

    Raises:
        Rejected: import_mapping_invalid, with the place of what is wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAPPING_BYTES_MAX + 1)
        if len(content) > MAPPING_BYTES_MAX:
            _refuse(str(path), f"is larger than {MAPPING_BYTES_MAX} bytes")
        document = yaml.load(content.decode("utf-8-sig"), Loader=yaml.BaseLoader)  # noqa: S506 -- BaseLoader makes text only
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        _refuse(str(path), str(error))
    return parse_mapping(document, subject)


def parse_mapping(document: object, subject: Subject = Subject.FILE) -> ImportMapping:
    """This function will check a mapping document whose scalars are all text.

    Raises:
        Rejected: import_mapping_invalid, with the place of what is wrong.
    """
    is_file = subject is Subject.FILE
    known = ("name", "source", "columns", *(("format", "csv") if is_file else ()))
    top = _mapping(document, "the mapping", known)
    parts = _EVENT_PARTS if is_file else _SAMPLE_PARTS
    columns = _mapping(top.get("columns"), "columns", parts)
    for needed in ("customer", "type", *(("quantity", "time") if is_file else ())):
        if needed not in columns:
            _refuse("columns", f"has no {needed}")
    name = _name(top.get("name"))
    quantity, is_float_exact = _quantity(columns.get("quantity"))
    time, time_form = _time(columns.get("time"))
    return ImportMapping(
        name=name,
        source=_text(top.get("source", f"import/{name}"), "source", minimum=0),
        format=_format(top.get("format")),
        csv=_csv(top.get("csv", {})),
        customer=_part(columns["customer"], "columns.customer"),
        type=_part(columns["type"], "columns.type"),
        quantity=quantity,
        is_float_exact=is_float_exact,
        time=time,
        time_form=time_form,
        id=_part(columns["id"], "columns.id") if "id" in columns else None,
        dimensions=_labels(columns.get("dimensions", {}), "columns.dimensions"),
        properties=_labels(columns.get("properties", {}), "columns.properties"),
        sha256=hashlib.sha256(to_canonical_json(document).encode()).hexdigest(),  # type: ignore[arg-type]  # checked above: mappings, lists and texts
    )


def _refuse(place: str, reason: str) -> NoReturn:
    raise Rejected(
        Code.IMPORT_MAPPING_INVALID,
        f"{place}: {reason}",
        next_step="docs/import.md lists everything that a mapping may say",
    )


def _mapping(value: object, place: str, known: tuple[str, ...]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        _refuse(place, "is no mapping of names to values")
    unknown = sorted(str(name) for name in value if name not in known)
    if unknown:
        _refuse(place, f"does not know {', '.join(unknown)}; it knows {', '.join(known)}")
    return value


def _text(value: object, place: str, *, minimum: int = 1, maximum: int = 200) -> str:
    if not isinstance(value, str):
        _refuse(place, "is no text")
    if not minimum <= len(value) <= maximum:
        _refuse(place, f"has {len(value)} characters, {minimum} to {maximum} are taken")
    if not value.isprintable():
        _refuse(place, "has a character that cannot be printed")
    return value


def _name(value: object) -> str:
    name = _text(value, "name", maximum=NAME_CHARACTERS_MAX)
    if not all(character.isalnum() or character in "-_." for character in name):
        _refuse("name", "takes letters, digits, dots, dashes and underscores only")
    return name


def _part(value: object, place: str, *more: str) -> Part:
    fields = _mapping(value, place, ("column", "constant", *more))
    if ("column" in fields) == ("constant" in fields):
        _refuse(place, "needs either a column or a constant")
    if "column" in fields:
        return Part(column=_text(fields["column"], f"{place}.column"))
    return Part(constant=_text(fields["constant"], f"{place}.constant", maximum=1_024))


def _quantity(value: object) -> tuple[Part | None, bool]:
    if value is None:
        return None, False
    part = _part(value, "columns.quantity", "float")
    choice = value.get("float", "refuse") if isinstance(value, dict) else "refuse"
    if choice not in ("refuse", "exact-repr"):
        _refuse("columns.quantity.float", "is refuse or exact-repr")
    return part, choice == "exact-repr"


def _time(value: object) -> tuple[Part | None, TimeForm]:
    if value is None:
        return None, TimeForm(TimeFormat.ISO, "", None)
    part = _part(value, "columns.time", "format", "zone")
    fields = value if isinstance(value, dict) else {}
    written = _text(fields.get("format", "iso"), "columns.time.format")
    zone_name = _text(fields.get("zone", ""), "columns.time.zone", minimum=0)
    zone = None
    if zone_name:
        zone = zone_of(zone_name)
        if zone is None:
            _refuse("columns.time.zone", f"{zone_name} is not known on this machine")
    if "%" in written:
        return part, TimeForm(TimeFormat.PATTERN, written, zone)
    if written not in set(TimeFormat) - {TimeFormat.PATTERN}:
        names = ", ".join(sorted(set(TimeFormat) - {TimeFormat.PATTERN}))
        _refuse("columns.time.format", f"is one of {names}, or a pattern with %")
    return part, TimeForm(TimeFormat(written), "", zone)


def _labels(value: object, place: str) -> tuple[tuple[str, Part], ...]:
    if not isinstance(value, dict):
        _refuse(place, "is no mapping of names to columns")
    if len(value) > LABELS_MAX:
        _refuse(place, f"has {len(value)} names, {LABELS_MAX} are taken")
    return tuple(
        (_text(name, place, maximum=64), _part(part, f"{place}.{name}"))
        for name, part in value.items()
    )


def _format(value: object) -> FileFormat | None:
    if value is None:
        return None
    if value not in set(FileFormat):
        _refuse("format", f"is one of {', '.join(FileFormat)}")
    return FileFormat(str(value))


def _csv(value: object) -> CsvForm:
    fields = _mapping(value, "csv", ("delimiter", "quote", "header"))
    delimiter = {"tab": "\t"}.get(str(fields.get("delimiter", ",")))
    delimiter = delimiter or _text(fields.get("delimiter", ","), "csv.delimiter", maximum=1)
    quote = fields.get("quote", '"')
    quote = "" if quote == "none" else _text(quote, "csv.quote", maximum=1)
    if delimiter == quote or not (delimiter + quote).isascii():
        _refuse("csv", "delimiter and quote are two different ASCII characters")
    header = fields.get("header", [])
    if not isinstance(header, list):
        _refuse("csv.header", "is no list of names")
    return CsvForm(delimiter, quote, tuple(_text(name, "csv.header") for name in header))
