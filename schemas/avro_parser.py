"""Avro schemas of strangers, read with bounds: what is taken can be read at a bounded cost.

Avro allows schemas that are small and cost everything: records within themselves, types that take
no bytes and repeat a billion times, names that unfold to a thousand times their text. What is
taken here is a tree of primitives, fixed, enums, arrays, maps, records and unions, in which only
a branch of a union takes no byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

from domain.codes import Code
from domain.errors import Rejected
from schemas.avro_types import (
    NULL,
    PRIMITIVES,
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    depth_of,
    kind_of,
    size_of,
    to_text,
)

SCHEMA_BYTES_MAX = 32 * 1024
"""Largest schema, bytes of UTF-8; the largest of ours has 10 KiB with all its docs."""
DEPTH_MAX = 8
"""Types within types; ours have 5."""
TYPES_MAX = 1_000
"""Types of one schema with every name unfolded; ours have at most 80."""
BRANCHES_MAX = 16
"""Branches of a union: reading one tries them in turn."""
FIXED_BYTES_MAX = 1_024
"""Size of a fixed."""
NAME_LENGTH_MAX = 200
"""Characters of a full name."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_INTEGERS = {"int": 31, "long": 63}
_LOGICAL = ("logicalType", "precision", "scale")


def parse(text: str) -> Type:
    """This function will read the text of an Avro schema.

    Args:
        text: JSON, at most SCHEMA_BYTES_MAX.

    Raises:
        Rejected: schema_invalid, with the place and what to write instead.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        _refuse("", "the text holds a lone surrogate")
    if size > SCHEMA_BYTES_MAX:
        _refuse("", f"the text has {size} bytes, at most {SCHEMA_BYTES_MAX} are taken")
    try:
        definition = json.loads(
            text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_members
        )
    except (ValueError, RecursionError, ArithmeticError) as error:
        _refuse("", f"the text is no JSON: {type(error).__name__}")
    return _Parser().type_of(definition, namespace="", place="", depth=1)


class _Parser:
    """Parses one schema: knows the names that were declared and counts what is made."""

    def __init__(self) -> None:
        self._named: dict[str, Type] = {}
        self._open: set[str] = set()
        self._types = 0

    def type_of(  # noqa: RET503 -- a refusal does not return
        self, definition: object, *, namespace: str, place: str, depth: int
    ) -> Type:
        """Parse one type; place is where it stands, depth how deep."""
        self._types += 1
        if depth > DEPTH_MAX:
            _refuse(place, f"types lie within types at most {DEPTH_MAX} deep")
        if self._types > TYPES_MAX:
            _refuse(place, f"a schema unfolds to at most {TYPES_MAX} types")
        if isinstance(definition, str):
            return self._by_name(definition, namespace=namespace, place=place, depth=depth)
        if isinstance(definition, Sequence):
            return self._union(definition, namespace=namespace, place=place, depth=depth)
        if isinstance(definition, Mapping):
            return self._complex(definition, namespace=namespace, place=place, depth=depth)
        _refuse(place, f"{type(definition).__name__} is no type")

    def _by_name(self, name: str, *, namespace: str, place: str, depth: int) -> Type:
        if name in PRIMITIVES:
            return Primitive(name)
        if name == NULL:
            _refuse(place, "null is taken as a branch of a union only: alone it says nothing")
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full in self._open:
            _refuse(place, f"{full} would lie within itself")
        known = self._named.get(full)
        if known is None:
            _refuse(place, f"{full[:NAME_LENGTH_MAX]!r} is no type and was not declared before")
        self._types += size_of(known) - 1
        if depth - 1 + depth_of(known) > DEPTH_MAX:
            _refuse(place, f"types lie within types at most {DEPTH_MAX} deep")
        return known

    def _union(
        self, branches: Sequence[object], *, namespace: str, place: str, depth: int
    ) -> Union:
        if not 1 <= len(branches) <= BRANCHES_MAX:
            _refuse(place, f"a union has 1 to {BRANCHES_MAX} branches")
        found: list[Type] = []
        for number, branch in enumerate(branches):
            if branch in (NULL, {"type": NULL}):
                found.append(Primitive(NULL))
                continue
            type_ = self.type_of(
                branch, namespace=namespace, place=f"{place}[{number}]", depth=depth + 1
            )
            if isinstance(type_, Union):
                _refuse(place, "a union holds no union")
            found.append(type_)
        kinds = [kind_of(branch) for branch in found]
        if len(set(kinds)) != len(kinds):
            _refuse(place, "a union holds a type twice")
        if set(kinds) == {NULL}:
            _refuse(place, "a union has a branch that is not null")
        return Union(tuple(found))

    def _complex(
        self, definition: Mapping[str, Any], *, namespace: str, place: str, depth: int
    ) -> Type:
        kind = definition.get("type")
        if definition.get("aliases"):
            _refuse(place, "aliases are not taken: keep the name, or add a field")
        match kind:
            case str() if kind in PRIMITIVES:
                return Primitive(kind, _logical(definition))
            case "array" | "map":
                key = "items" if kind == "array" else "values"
                if key not in definition:
                    _refuse(place, f"an {kind} needs {key}")
                inner = self.type_of(
                    definition[key],
                    namespace=namespace,
                    place=f"{place}.{key}".lstrip("."),
                    depth=depth + 1,
                )
                return Array(inner) if kind == "array" else Map(inner)
            case "record" | "fixed" | "enum":
                return self._named_type(
                    kind, definition, namespace=namespace, place=place, depth=depth
                )
            case _:
                # {"type": {…}} and {"type": "Name"} say what the inner one says.
                return self.type_of(kind, namespace=namespace, place=place, depth=depth + 1)

    def _named_type(
        self, kind: str, definition: Mapping[str, Any], *, namespace: str, place: str, depth: int
    ) -> Type:
        full = _full_name(definition, namespace=namespace, place=place)
        if full in self._named or full in self._open:
            _refuse(place, f"{full} is declared twice")
        if kind == "fixed":
            found: Type = Fixed(full, _size_of_fixed(definition, place), _logical(definition))
        elif kind == "enum":
            found = _enum(full, definition, place)
        else:
            self._open.add(full)
            found = Record(full, self._fields(definition, full=full, place=place, depth=depth))
            self._open.discard(full)
        self._named[full] = found
        return found

    def _fields(
        self, definition: Mapping[str, Any], *, full: str, place: str, depth: int
    ) -> tuple[Field, ...]:
        listed = definition.get("fields")
        if not isinstance(listed, list) or not listed:
            _refuse(place, f"the record {full} needs a list of fields, at least one")
        namespace = full.rpartition(".")[0]
        fields = [
            self._field(item, namespace=namespace, place=place, depth=depth) for item in listed
        ]
        if len({field.name for field in fields}) != len(fields):
            _refuse(place, f"a field of {full} is there twice")
        return tuple(fields)

    def _field(self, item: object, *, namespace: str, place: str, depth: int) -> Field:
        name = item.get("name") if isinstance(item, Mapping) else None
        if (
            not isinstance(item, Mapping)
            or not isinstance(name, str)
            or "." in name
            or not _is_name(name)
        ):
            _refuse(place, "a field has no proper name: letters, digits and _")
        where = f"{place}.{name}".lstrip(".")
        if item.get("aliases"):
            _refuse(where, "aliases are not taken: keep the name, or add a field")
        if "type" not in item:
            _refuse(where, "the field has no type")
        type_ = self.type_of(item["type"], namespace=namespace, place=where, depth=depth + 1)
        if "default" not in item:
            return Field(name, type_, "")
        if not _fits(type_, item["default"]):
            _refuse(where, "the default is no value of the field's type")
        return Field(name, type_, to_text(item["default"]))


def _full_name(definition: Mapping[str, Any], *, namespace: str, place: str) -> str:
    name, own = definition.get("name"), definition.get("namespace", namespace)
    if not isinstance(name, str) or not isinstance(own, str) or not _is_name(name):
        _refuse(place, "the type has no proper name: letters, digits and _, a dot between parts")
    full = name if "." in name or not own else f"{own}.{name}"
    if not _is_name(full):
        _refuse(place, f"{full[:NAME_LENGTH_MAX]!r} is no proper name")
    if namespace and "." not in full:
        _refuse(place, f"{full} has no namespace within {namespace}: libraries read that apart")
    if full in PRIMITIVES or full == NULL:
        _refuse(place, f"{full} is the name of a primitive type")
    return full


def _is_name(text: str) -> bool:
    return len(text) <= NAME_LENGTH_MAX and _NAME.fullmatch(text) is not None


def _size_of_fixed(definition: Mapping[str, Any], place: str) -> int:
    size = definition.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= FIXED_BYTES_MAX:
        _refuse(place, f"a fixed has 1 to {FIXED_BYTES_MAX} bytes")
    return size


def _enum(full: str, definition: Mapping[str, Any], place: str) -> Enum:
    symbols, default = definition.get("symbols"), definition.get("default", "")
    if not isinstance(symbols, list) or not symbols or len(symbols) > TYPES_MAX:
        _refuse(place, f"an enum needs a list of 1 to {TYPES_MAX} symbols")
    if not all(isinstance(item, str) and "." not in item and _is_name(item) for item in symbols):
        _refuse(place, "a symbol has letters, digits and _")
    if len(set(symbols)) != len(symbols):
        _refuse(place, "a symbol is there twice")
    if default != "" and default not in symbols:
        _refuse(place, "the enum's default is none of its symbols")
    return Enum(full, tuple(symbols), str(default))


def _logical(definition: Mapping[str, Any]) -> str:
    """Return what Avro libraries turn a value into; anything else beside a type is a remark."""
    if not isinstance(definition.get("logicalType"), str):
        return ""
    return to_text({name: definition[name] for name in _LOGICAL if name in definition})


def _fits(type_: Type, value: object) -> bool:  # noqa: PLR0911 -- one case for each kind of type
    """Say whether JSON data is a default of a type; of a union, of its first branch."""
    match type_:
        case Primitive():
            return _fits_primitive(type_.name, value)
        case Fixed():
            return _is_latin(value) and len(str(value)) == type_.size
        case Enum():
            return value in type_.symbols
        case Array():
            return isinstance(value, list) and all(_fits(type_.items, item) for item in value)
        case Map():
            return isinstance(value, dict) and all(
                _fits(type_.values, item) for item in value.values()
            )
        case Union():
            return _fits(type_.branches[0], value)
        case Record():
            return isinstance(value, dict) and all(
                _fits(field.type_, value[field.name]) if field.name in value else field.default
                for field in type_.fields
            )


def _fits_primitive(name: str, value: object) -> bool:
    if name in _INTEGERS:
        limit = 1 << _INTEGERS[name]
        return isinstance(value, int) and _is_number(value) and -limit <= value < limit
    if name == "bytes":
        return _is_latin(value)
    if name == "string":
        return isinstance(value, str)
    if name == "boolean":
        return isinstance(value, bool)
    return value is None if name == NULL else _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_latin(value: object) -> bool:
    """Say whether a text stands for bytes, each character for one."""
    return isinstance(value, str) and all(ord(character) < 256 for character in value)  # noqa: PLR2004 -- values of a byte


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is there twice")
    return members


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _refuse(place: str, reason: str) -> NoReturn:
    where = f"{place}: " if place else ""
    raise Rejected(Code.SCHEMA_INVALID, f"{where}{reason}", place=place)
