"""Avro schemas as values: a tree of types, with the one text of each.

Every value in an array costs at least a byte on the wire (schemas.avro_parser sees to it), so a
record's bytes bound what reading it makes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PRIMITIVES = ("boolean", "int", "long", "float", "double", "bytes", "string")
NULL = "null"


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive type; null only as a branch of a union.

    Args:
        name: One of PRIMITIVES, or null.
        logical: What it stands for, as canonical JSON; empty for itself.
    """

    name: str
    logical: str = ""


@dataclass(frozen=True, slots=True)
class Fixed:
    """So many bytes.

    Args:
        name: Full name.
        size: Bytes, 1 to FIXED_BYTES_MAX.
        logical: As in Primitive.
    """

    name: str
    size: int
    logical: str = ""


@dataclass(frozen=True, slots=True)
class Enum:
    """One of some words.

    Args:
        name: Full name.
        symbols: The words, in the order of their numbers on the wire.
        default: What a reader takes for a word it does not know; empty when it has none.
    """

    name: str
    symbols: tuple[str, ...]
    default: str


@dataclass(frozen=True, slots=True)
class Array:
    """Many values of one type."""

    items: Type


@dataclass(frozen=True, slots=True)
class Map:
    """Values of one type by text."""

    values: Type


@dataclass(frozen=True, slots=True)
class Union:
    """One of some types."""

    branches: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    Args:
        name: Its name.
        type_: Its type.
        default: What a reader takes when the writer had no such field, as canonical JSON; empty
            when there is none.
    """

    name: str
    type_: Type
    default: str


@dataclass(frozen=True, slots=True)
class Record:
    """Fields in their order on the wire.

    Args:
        name: Full name.
        fields: At least one.
    """

    name: str
    fields: tuple[Field, ...]


Type = Primitive | Fixed | Enum | Array | Map | Union | Record
Definition = str | list[Any] | dict[str, Any]
"""A schema as JSON data."""


def canonical(type_: Type) -> str:
    """This function will return the one text of a schema: the same bytes, the same defaults.

    It goes beyond Avro's parsing canonical form, which forgets defaults and logical types: they
    change what a reader gets, so schemas that differ in them are not the same.
    """
    return to_text(_definition(type_, seen=set(), bare=False))


def definition_to_read(type_: Type) -> Definition:
    """This function will return the schema as fastavro shall read bytes with it.

    Logical types are left out: they would turn integers into times on their way to us.
    """
    return _definition(type_, seen=set(), bare=True)


def name_of(type_: Type) -> str:
    """This function will return the full name of a named type, and nothing for another."""
    return type_.name if isinstance(type_, Record | Fixed | Enum) else ""


def kind_of(type_: Type) -> str:
    """This function will return what must differ between the branches of a union."""
    if isinstance(type_, Primitive):
        return type_.name
    return name_of(type_) or type(type_).__name__


def _inner(type_: Type) -> tuple[Type, ...]:
    match type_:
        case Array():
            return (type_.items,)
        case Map():
            return (type_.values,)
        case Union():
            return type_.branches
        case Record():
            return tuple(field.type_ for field in type_.fields)
        case _:
            return ()


def size_of(type_: Type) -> int:
    """This function will return how many types a type unfolds to."""
    return 1 + sum(size_of(inner) for inner in _inner(type_))


def depth_of(type_: Type) -> int:
    """This function will return how deep types lie within a type; 1 for none within it."""
    return 1 + max((depth_of(inner) for inner in _inner(type_)), default=0)


def _definition(  # noqa: C901, PLR0911 -- one case for each kind of type
    type_: Type, *, seen: set[str], bare: bool
) -> Definition:
    """Write a type as JSON data; a name that was declared before stands for itself."""
    name = name_of(type_)
    if name in seen:
        return name
    seen.update({name} if name else ())
    match type_:
        case Primitive():
            return type_.name if bare or not type_.logical else _with_logical(type_.name, type_)
        case Fixed():
            fixed = {"type": "fixed", "name": name, "size": type_.size}
            return fixed if bare or not type_.logical else fixed | json.loads(type_.logical)
        case Enum():
            enum = {"type": "enum", "name": name, "symbols": list(type_.symbols)}
            return enum | ({"default": type_.default} if type_.default else {})
        case Array():
            return {"type": "array", "items": _definition(type_.items, seen=seen, bare=bare)}
        case Map():
            return {"type": "map", "values": _definition(type_.values, seen=seen, bare=bare)}
        case Union():
            return [_definition(branch, seen=seen, bare=bare) for branch in type_.branches]
        case Record():
            fields = [_field_definition(field, seen=seen, bare=bare) for field in type_.fields]
            return {"type": "record", "name": name, "fields": fields}


def _with_logical(name: str, type_: Primitive) -> dict[str, Any]:
    logical: dict[str, Any] = json.loads(type_.logical)
    return {"type": name} | logical


def _field_definition(field: Field, *, seen: set[str], bare: bool) -> dict[str, Any]:
    written = {"name": field.name, "type": _definition(field.type_, seen=seen, bare=bare)}
    return written if bare or not field.default else written | {"default": field.default}


def to_text(value: object) -> str:
    """This function will write JSON data in one form; a fraction as its decimal digits."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
