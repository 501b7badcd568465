"""The JSON Schema of a catalogue document, for editors; made from domain.catalogue_shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from domain.catalogue_shape import CATALOGUE
from domain.document_shape import Field, Kind, Shape
from domain.emergence_rules.expressions import LENGTH_MAX as CONDITION_LENGTH_MAX
from domain.fields import TEXT_LENGTH_MAX

if TYPE_CHECKING:
    from domain.canonical import Json

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest one that editors' YAML plugins know in full."""
_PRINTABLE = r"^[^\u0000-\u001f\u007f]*$"


def schema_text() -> str:
    """This function will return the schema as a file's text."""
    schema = {"$schema": DIALECT, "title": "Tidegauge catalogue", **_object(CATALOGUE)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _object(shape: Shape) -> dict[str, Json]:
    return {
        "description": shape.meaning,
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in shape.fields if field.is_required],
        "properties": {field.name: _field(field) for field in shape.fields},
    }


def _field(field: Field) -> dict[str, Json]:
    described: dict[str, Json] = {"description": _meaning(field), **_value(field)}
    if field.default:
        described["default"] = _default(field)
    return described


def _default(field: Field) -> Json:
    if field.kind is Kind.WHOLE:
        return int(field.default)
    return field.default == "true" if field.kind is Kind.BOOLEAN else field.default


def _meaning(field: Field) -> str:
    return field.meaning if field.choices else f"{field.meaning} Must be {field.rule}."


def _value(field: Field) -> dict[str, Json]:
    match field.kind:
        case Kind.TEXTS:
            return {"type": "array", "items": _text(""), "uniqueItems": True, **_bounds(field)}
        case Kind.OBJECTS:
            return {"type": "array", "items": _items(field), **_bounds(field)}
        case Kind.PAIRS:
            return {
                "type": "object",
                "propertyNames": _text(""),
                "additionalProperties": _text(""),
                "minProperties": field.count_min,
                "maxProperties": field.count_max,
            }
        case Kind.OBJECT:
            return _object(field.items[0])
        case _:
            return _scalar(field)


def _scalar(field: Field) -> dict[str, Json]:
    match field.kind:
        case Kind.WHOLE:
            return {"type": "integer", "minimum": field.count_min, "maximum": field.count_max}
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.DECIMAL:
            # A number without quotes is read as its text, so `check` takes it; quotes are better.
            return {"type": ["string", "number"], "pattern": f"^{field.pattern}$", "minimum": 0}
        case Kind.CHOICE:
            return {"enum": list(field.choices)}
        case _:
            is_condition = field.kind is Kind.CONDITION
            length_max = CONDITION_LENGTH_MAX if is_condition else TEXT_LENGTH_MAX
            return _text(field.pattern, length_max=length_max)


def _text(pattern: str, *, length_max: int = TEXT_LENGTH_MAX) -> dict[str, Json]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": length_max,
        "pattern": f"^{pattern}$" if pattern else _PRINTABLE,
    }


def _bounds(field: Field) -> dict[str, Json]:
    bounds: dict[str, Json] = {"minItems": field.count_min} if field.count_min else {}
    return bounds | ({"maxItems": field.count_max} if field.count_max else {})


def _items(field: Field) -> Json:
    if len(field.items) == 1:
        return _object(field.items[0])
    # if/then instead of oneOf: an editor then says what is wrong with the form that was meant.
    told = field.told_by
    forms: list[Json] = [shape.name for shape in field.items]
    return {
        "type": "object",
        "required": [told],
        "properties": {told: {"enum": forms}},
        "allOf": [
            {
                "if": {"required": [told], "properties": {told: {"const": shape.name}}},
                "then": _object(shape),
            }
            for shape in field.items
        ],
    }
