"""How the shape of a catalogue document is declared: kinds of fields, fields, objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Kind(StrEnum):
    """What a field holds."""

    WHOLE = "whole number"
    TEXT = "text"
    DECIMAL = "decimal"
    CHOICE = "choice"
    TEXTS = "list of texts"
    CONDITION = "condition"
    BOOLEAN = "true or false"
    PAIRS = "object of texts"
    OBJECT = "object"
    OBJECTS = "list of objects"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object.

    Args:
        name: Its name.
        kind: What it holds.
        meaning: What it says, for editors and for the reference.
        is_required: Whether it must be there.
        rule: What the value must be, to follow "must be" in a message.
        pattern: Regular expression of a text or decimal, without anchors; empty for any text.
        choices: Texts of a choice.
        default: What a missing field counts as, for people.
        count_min, count_max: Bounds of a list or an object of texts, or of a whole number; 0 for
            no own bound.
        items: Shapes of a list's objects, or the one of an object.
        told_by: With several shapes, the field that tells which one an object has.
    """

    name: str
    kind: Kind
    meaning: str
    is_required: bool = True
    rule: str = "text of 1 to 200 printable characters"
    pattern: str = ""
    choices: tuple[str, ...] = ()
    default: str = ""
    count_min: int = 0
    count_max: int = 0
    items: tuple[Shape, ...] = ()
    told_by: str = "form"


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of object.

    Args:
        name: Its name; of a price, its form.
        meaning: What it is.
        fields: Its fields, in the order in which people write them.
    """

    name: str
    meaning: str
    fields: tuple[Field, ...]


DECIMAL = r"[0-9]{1,18}(\.[0-9]{1,18})?"
"""How a decimal is written; domain.fields reads it."""
DECIMAL_RULE = 'a decimal written as text, for example "0.0020"'


def decimal_field(name: str, meaning: str, *, default: str = "") -> Field:
    """This function will declare a decimal; with a default it may be absent."""
    return Field(
        name,
        Kind.DECIMAL,
        meaning,
        is_required=not default,
        rule=DECIMAL_RULE,
        pattern=DECIMAL,
        default=default,
    )


def optional_decimal_field(name: str, meaning: str) -> Field:
    """This function will declare a decimal that may be absent, which means nothing else."""
    return replace(decimal_field(name, meaning), is_required=False)


def list_field(name: str, meaning: str, count_max: int, *items: Shape) -> Field:
    """This function will declare a list of objects that may be absent."""
    return Field(
        name,
        Kind.OBJECTS,
        meaning,
        is_required=False,
        rule=f"a list of at most {count_max} objects",
        count_max=count_max,
        items=items,
    )


def whole_field(
    name: str, meaning: str, *, minimum: int, maximum: int, default: str = ""
) -> Field:
    """This function will declare a whole number within bounds; with a default it may be absent."""
    return Field(
        name,
        Kind.WHOLE,
        meaning,
        is_required=not default,
        rule=f"a whole number from {minimum} to {maximum}",
        count_min=minimum,
        count_max=maximum,
        default=default,
    )


def boolean_field(name: str, meaning: str, *, default: bool) -> Field:
    """This function will declare a field that is true or false, and may be absent."""
    return Field(
        name,
        Kind.BOOLEAN,
        meaning,
        is_required=False,
        rule="true or false",
        default="true" if default else "false",
    )


def object_field(name: str, meaning: str, shape: Shape) -> Field:
    """This function will declare one object that may be absent."""
    return Field(name, Kind.OBJECT, meaning, is_required=False, rule="an object", items=(shape,))


def choice_field(
    name: str, meaning: str, choices: Iterable[str], *, default: str = "", is_required: bool = True
) -> Field:
    """This function will declare one of several texts; with a default it may be absent."""
    return Field(
        name,
        Kind.CHOICE,
        meaning,
        is_required=is_required and not default,
        choices=tuple(str(choice) for choice in choices),
        default=default,
    )


def pairs_field(
    name: str, meaning: str, *, count_max: int, rule: str, is_required: bool = False
) -> Field:
    """This function will declare an object whose fields are texts of any name."""
    return Field(
        name,
        Kind.PAIRS,
        meaning,
        is_required=is_required,
        rule=rule,
        count_min=int(is_required),
        count_max=count_max,
    )
