"""Avro compatibility: what the checker lets through, fastavro reads, whatever was written.

fastavro is the judge and shares no code with the checker. It decides record by record, so a pair
of schemas is tried with several records of the writer.
"""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Rejected
from schemas import avro_parser, avro_types
from schemas.avro_types import (
    NULL,
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    Union,
)
from schemas.compatibility import conflicts

RECORDS_PER_PAIR = 4
NAMES = ("a", "b", "c", "d")
PRIMITIVES = st.sampled_from(avro_types.PRIMITIVES).map(Primitive)
FIXED = st.integers(1, 3).map(lambda size: Fixed(f"n.Fixed{size}", size))
ENUMS = st.builds(
    lambda symbols, has_default: Enum("n.Word", tuple(symbols), symbols[0] if has_default else ""),
    st.lists(st.sampled_from(("x", "y", "z")), min_size=1, unique=True),
    st.booleans(),
)


def composed(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return st.one_of(inner.map(Array), inner.map(Map), unions(inner))


def unions(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    some = st.lists(
        st.just(Primitive(NULL)) | inner.filter(lambda type_: not isinstance(type_, Union)),
        min_size=1,
        max_size=3,
        unique_by=avro_types.kind_of,
    )
    return some.filter(lambda branches: branches != [Primitive(NULL)]).map(
        lambda branches: Union(tuple(branches))
    )


TYPES = st.recursive(PRIMITIVES | FIXED | ENUMS, composed, max_leaves=4)


def is_fair(type_: Type) -> bool:
    """Say whether names in it are declared once: two of one name would be two meanings."""
    names = [name for name in _names(type_) if name]
    return len(names) == len(set(names))


def _names(type_: Type) -> list[str]:
    inner: tuple[Type, ...] = ()
    match type_:
        case Array():
            inner = (type_.items,)
        case Map():
            inner = (type_.values,)
        case Union():
            inner = type_.branches
        case Record():
            inner = tuple(field.type_ for field in type_.fields)
        case _:
            pass
    return [avro_types.name_of(type_), *(name for part in inner for name in _names(part))]


def default_of(type_: Type) -> str:  # noqa: C901, PLR0911 -- one case for each kind of type
    """A default that fits, as the parser keeps it."""
    match type_:
        case Primitive("boolean"):
            return "false"
        case Primitive("int" | "long"):
            return "7"
        case Primitive("float" | "double"):
            return "2"
        case Primitive("null"):
            return "null"
        case Primitive():
            return '"t"'
        case Fixed():
            return json.dumps("t" * type_.size)
        case Enum():
            return json.dumps(type_.symbols[0])
        case Array():
            return "[]"
        case Union():
            return default_of(type_.branches[0])
        case _:
            return "{}"


@st.composite
def records(draw: st.DrawFn) -> Record:
    fields = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        type_ = draw(TYPES)
        fields.append(Field(name, type_, default_of(type_) if draw(st.booleans()) else ""))
    return Record("n.Row", tuple(fields))


def narrowed(type_: Type) -> Type:
    """The same type with one possibility less, where it has several."""
    match type_:
        case Union() if len(type_.branches) > 1:
            return Union(type_.branches[:-1])
        case Enum() if len(type_.symbols) > 1:
            return Enum(type_.name, type_.symbols[:-1], "")
        case Array():
            return Array(narrowed(type_.items))
        case Map():
            return Map(narrowed(type_.values))
        case _:
            return type_


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Record, Record]:
    """A writer and a reader that is mostly the writer, changed a little: such pairs may fit."""
    writer = draw(records().filter(is_fair))
    fields = list(writer.fields)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(fields) - 1))
        kind = draw(st.sampled_from(("retype", "narrow", "drop", "add", "wrap")))
        field = fields[place]
        if kind == "drop" and len(fields) > 1:
            del fields[place]
        elif kind == "add":
            name = draw(st.sampled_from([*NAMES, "e", "f"]))
            if name not in {item.name for item in fields}:
                type_ = draw(TYPES)
                fields.append(Field(name, type_, draw(st.sampled_from(("", default_of(type_))))))
        elif kind == "retype":
            fields[place] = Field(field.name, draw(PRIMITIVES | TYPES), "")
        elif kind == "narrow":
            fields[place] = Field(field.name, narrowed(field.type_), "")
        elif kind == "wrap" and not isinstance(field.type_, Union | Record):
            wrapped = Union((Primitive(NULL), field.type_))
            fields[place] = Field(field.name, wrapped, draw(st.sampled_from(("", "null"))))
    return writer, Record("n.Row", tuple(fields))


@st.composite
def values(draw: st.DrawFn, type_: Type) -> Any:  # noqa: PLR0911 -- one case for each kind of type
    """A value that the type can be written with."""
    match type_:
        case Primitive():
            return draw(_PRIMITIVE_VALUES[type_.name])
        case Fixed():
            return draw(st.binary(min_size=type_.size, max_size=type_.size))
        case Enum():
            return draw(st.sampled_from(type_.symbols))
        case Array():
            return draw(st.lists(values(type_.items), max_size=3))
        case Map():
            return draw(st.dictionaries(st.text(max_size=3), values(type_.values), max_size=3))
        case Union():
            branch = draw(st.sampled_from(type_.branches))
            return draw(values(branch))
        case Record():
            return {field.name: draw(values(field.type_)) for field in type_.fields}


_PRIMITIVE_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    # Text that is also fine as bytes and back: Avro says so of string and bytes.
    "bytes": st.text(max_size=3).map(str.encode),
    "string": st.text(max_size=3),
}


def parsed(type_: Type) -> Any:
    """The schema with its defaults as fastavro reads with it."""
    definition = json.loads(avro_types.canonical(type_))
    for field in definition["fields"]:
        if "default" in field:
            field["default"] = json.loads(field["default"])
    return fastavro.parse_schema(definition)


def reads(reader: Record, writer: Record, value: Any) -> bool:
    """Say whether fastavro reads a value of the writer as the reader's."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed(writer), value)
    out.seek(0)
    try:
        found: Any = fastavro.schemaless_reader(out, parsed(writer), parsed(reader))
    except Exception:  # noqa: BLE001 -- fastavro raises many types
        return False
    return {field.name for field in reader.fields} == set(found)


class TestChecker:
    @settings(max_examples=400)
    @given(data=st.data())
    def test_lets_through_only_what_is_read(self, data: st.DataObject) -> None:
        """Whatever the writer writes: one record that cannot be read is a hole in the log."""
        writer, reader = data.draw(pairs().filter(lambda pair: is_fair(pair[1])))
        if conflicts(reader=reader, writer=writer):
            return
        for _ in range(RECORDS_PER_PAIR):
            assert reads(reader, writer, data.draw(values(writer)))

    @settings(max_examples=200)
    @given(data=st.data())
    def test_refuses_nothing_that_is_read_for_sure(self, data: st.DataObject) -> None:
        """Of fields of plain types fastavro's word is final, so a refusal has a record that fails.

        A union could hide it: the record drawn may hold another branch.
        """
        plain = st.builds(
            lambda kinds: Record(
                "n.Row",
                tuple(
                    Field(name, kind, default_of(kind) if has_default else "")
                    for name, (kind, has_default) in zip(NAMES, kinds, strict=False)
                ),
            ),
            st.lists(st.tuples(PRIMITIVES, st.booleans()), min_size=1, max_size=4),
        )
        writer, reader = data.draw(plain), data.draw(plain)
        is_read = reads(reader, writer, data.draw(values(writer)))
        assert is_read == (not conflicts(reader=reader, writer=writer))

    @given(type_=records().filter(is_fair))
    def test_finds_that_a_schema_reads_itself(self, type_: Record) -> None:
        assert [] == conflicts(reader=type_, writer=type_)


WORDS = st.sampled_from(
    [
        *avro_types.PRIMITIVES,
        *("null", "record", "array", "map", "fixed", "enum", "R", "n.R", "", "a b", "\ud800"),
    ]
)
MEMBERS = st.sampled_from(
    [
        "type",
        "name",
        "namespace",
        "fields",
        "items",
        "values",
        "symbols",
        "size",
        "default",
        "aliases",
    ]
)
DOCUMENTS = st.recursive(
    WORDS | st.integers(-2, 2**70) | st.booleans() | st.none() | st.just(1e300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MEMBERS, inner, max_size=5),
    max_leaves=20,
)


class TestParser:
    @settings(max_examples=500)
    @given(document=DOCUMENTS)
    def test_takes_or_refuses_anything(self, document: Any) -> None:
        """Whatever a stranger sends; and what is taken, fastavro takes too."""
        try:
            type_ = avro_parser.parse(json.dumps(document))
        except Rejected:
            return
        fastavro.parse_schema(avro_types.definition_to_read(type_))

    @given(type_=records().filter(is_fair))
    def test_comes_back_to_what_was_written(self, type_: Record) -> None:
        """The canonical text parses to the same schema, so it names one schema only."""
        definition = json.loads(avro_types.canonical(type_))
        for field in definition["fields"]:
            if "default" in field:
                field["default"] = json.loads(field["default"])
        again = avro_parser.parse(json.dumps(definition))
        assert avro_types.canonical(type_) == avro_types.canonical(again)
        assert type_ == again
