"""Whether one Avro schema reads what another wrote: Avro 1.12, "Schema Resolution".

Decided from the schemas alone, for every record that can be written: where resolution would depend
on the value (a union of which the reader knows one branch), the answer is no.
"""

from __future__ import annotations

from schemas.avro_types import (
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    name_of,
)

CONFLICTS_MAX = 20
"""Conflicts that are told; more of them say nothing new."""

_PROMOTIONS = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}
"""(written, read): the reader takes the value as its own type."""


def conflicts(*, reader: Type, writer: Type) -> list[str]:
    """This function will say why a reader cannot read what a writer wrote.

    Args:
        reader: Schema that the reading program knows.
        writer: Schema of the bytes.

    Returns:
        At most CONFLICTS_MAX sentences, each with its place; empty when every record can be read.
    """
    return _conflicts(reader, writer, place="")[:CONFLICTS_MAX]


def _conflicts(  # noqa: C901, PLR0911 -- one case for each kind of type
    reader: Type, writer: Type, *, place: str
) -> list[str]:
    if isinstance(writer, Union):
        return [
            found
            for branch in writer.branches
            for found in _conflicts(reader, branch, place=place)[:CONFLICTS_MAX]
        ]
    if isinstance(reader, Union):
        if any(not _conflicts(branch, writer, place=place) for branch in reader.branches):
            return []
        return [_sentence(place, f"no branch of the union reads {_told(writer)}")]
    match reader, writer:
        case Record(), Record():
            return _conflicts_of_records(reader, writer, place=place)
        case Array(), Array():
            return _conflicts(reader.items, writer.items, place=_below(place, "items"))
        case Map(), Map():
            return _conflicts(reader.values, writer.values, place=_below(place, "values"))
        case Enum(), Enum():
            return _conflicts_of_enums(reader, writer, place=place)
        case Fixed(), Fixed():
            is_same = (reader.name, reader.size) == (writer.name, writer.size)
            return [] if is_same else [_differs(reader, writer, place)]
        case Primitive(), Primitive():
            is_read = reader.name == writer.name or (writer.name, reader.name) in _PROMOTIONS
            return [] if is_read else [_differs(reader, writer, place)]
        case _:
            return [_differs(reader, writer, place)]


def _conflicts_of_records(reader: Record, writer: Record, *, place: str) -> list[str]:
    if reader.name != writer.name:
        return [_sentence(place, f"the record {writer.name} is not {reader.name}")]
    written = {field.name: field for field in writer.fields}
    found: list[str] = []
    for field in reader.fields:
        found += _conflicts_of_field(field, written.get(field.name), _below(place, field.name))
    return found


def _conflicts_of_field(field: Field, written: Field | None, place: str) -> list[str]:
    if written is not None:
        return _conflicts(field.type_, written.type_, place=place)
    if field.default:
        return []
    return [_sentence(place, "the field was not written and has no default")]


def _conflicts_of_enums(reader: Enum, writer: Enum, *, place: str) -> list[str]:
    if reader.name != writer.name:
        return [_differs(reader, writer, place)]
    unknown = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
    if not unknown or reader.default:
        return []
    return [_sentence(place, f"the symbols {', '.join(unknown[:5])} are unknown to the reader")]


def _differs(reader: Type, writer: Type, place: str) -> str:
    return _sentence(place, f"{_told(writer)} is not read as {_told(reader)}")


def _told(type_: Type) -> str:
    if isinstance(type_, Primitive):
        return type_.name
    name = name_of(type_)
    kind = type(type_).__name__.lower()
    if isinstance(type_, Fixed):
        return f"{kind} {name} of {type_.size} bytes"
    return f"{kind} {name}" if name else f"an {kind}" if kind == "array" else f"a {kind}"


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _sentence(place: str, what: str) -> str:
    return f"{place}: {what}" if place else what
