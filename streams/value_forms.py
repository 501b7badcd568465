"""How values of the domain look in a checkpoint, by their types alone: a new field needs no line.

msgspec reads and writes frozen dataclasses and Structs of texts, whole numbers, bytes, times,
decimals, enums and tuples of them, and checks every type while it does. It builds what the types
name and nothing else: unlike those of a pickle, bytes cannot choose what is called.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from domain.books.state import FirstOutcome
from domain.catalogue import Catalogue, parse_catalogue
from domain.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = frozenset({str, int, bool, bytes, datetime, date, Decimal, NoneType})
"""Types that msgspec knows."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the values of one type are kept.

    Args:
        plain: Type that msgspec reads.
        write: Turns a value into what msgspec writes; None when it can write the value.
        read: Turns back what it read; None like write.
    """

    plain: Any
    write: Callable[[Any], Any] | None = None
    read: Callable[[Any], Any] | None = None


def _first_outcome(row: tuple[bytes, str, str]) -> FirstOutcome:
    body_sha256, code, reason = row
    return FirstOutcome(body_sha256, Code(code) if code else "", reason)


BY_HAND = {
    Catalogue: Form(str, attrgetter("content"), parse_catalogue),
    FirstOutcome: Form(
        tuple[bytes, str, str], attrgetter("body_sha256", "code", "reason"), _first_outcome
    ),
}
"""Values that msgspec does not know, or could only know larger."""


@functools.cache
def hints_of(kind: type) -> dict[str, Any]:
    """This function will return the types of a class's fields, with what is said about them.

    Its module imports most of them for the type checker only, so they are imported here.
    """
    module = sys.modules[kind.__module__]
    names = {
        alias.asname or alias.name: getattr(importlib.import_module(node.module), alias.name)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    return get_type_hints(kind, localns=names, include_extras=True)


def row_type(*plains: Any) -> Any:  # noqa: ANN401 -- types as typing has them
    """This function will return the type of a tuple of plain values."""
    return tuple.__class_getitem__(plains)


@functools.cache
def reader_of(plain: Any) -> Callable[[bytes], Any]:  # noqa: ANN401 -- a type as typing has it
    """This function will return what reads plain values of a type (msgspec.MsgspecError)."""
    return msgspec.msgpack.Decoder(plain).decode


def is_frozen(kind: Any) -> bool:  # noqa: ANN401 -- a type as typing has it
    """This function will say whether a type is a record whose values do not change."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind.__struct_config__.frozen
    return is_dataclass(kind) and getattr(kind, "__dataclass_params__").frozen  # noqa: B009 -- of no type


def form_of(hint: Any) -> Form:  # noqa: ANN401 -- a type as typing has it
    """This function will return how values of a type are kept.

    Raises:
        TypeError: It is none that can be kept; most likely its values could change in place.
    """
    if hint in BY_HAND:
        return BY_HAND[hint]
    _prepare(hint)
    return Form(hint)


def _prepare(hint: Any) -> None:  # noqa: ANN401 -- a type as typing has it
    """Let msgspec know a type and those within, or refuse it (TypeError)."""
    origin = get_origin(hint)
    if hint in PLAIN or hint is ... or (isinstance(hint, type) and issubclass(hint, Enum)):
        return
    if origin is Annotated:
        _prepare(get_args(hint)[0])
    elif origin in {tuple, Mapping, Union, UnionType}:
        for each in get_args(hint):
            _prepare(each)
    elif is_frozen(hint):
        # Annotations are texts in our modules, and msgspec wants types.
        hint.__annotations__ = hints_of(hint)
        for each in hint.__annotations__.values():
            _prepare(each)
    else:
        raise TypeError(f"values of {hint} cannot be kept in a checkpoint")
