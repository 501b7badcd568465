"""A published catalogue as a file that can be edited and published as the next version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import yaml

from domain.canonical import from_json
from domain.catalogue_shape import CATALOGUE
from domain.document_shape import Field, Kind, Shape
from domain.period import time_text

if TYPE_CHECKING:
    from domain.canonical import Json
    from projections.queries.catalogues import PublishedCatalogue

SCHEMA_LINE = "# yaml-language-server: $schema=catalogue.schema.json"
"""What an editor finds the schema by, in the same folder."""
WIDTH_MAX = 100
_BREAKS = frozenset("\x85\u2028\u2029")
"""Line breaks to YAML, letters to everybody else; only between double quotes they survive."""


class _Dumper(yaml.SafeDumper):
    """Writes texts so that reading gives them back."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _BREAKS.intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def to_yaml(published: PublishedCatalogue) -> str:
    """This function will write a catalogue as YAML in the order in which people write it."""
    return "\n".join(
        (
            SCHEMA_LINE,
            f"# Version {published.version}, published {time_text(published.published_at)},",
            f"# sha256 {published.content_sha256}. It never changes; give the next one a higher",
            "# version.",
            document_text(published.content),
        )
    )


def document_text(content: str) -> str:
    """This function will write canonical JSON as YAML; reading it gives the same content."""
    document = _ordered(from_json(content), CATALOGUE)
    return str(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH_MAX)
    )


def _ordered(value: Json, shape: Shape) -> Json:
    """Return an object with its fields in the order of its shape."""
    if not isinstance(value, Mapping):
        return value
    return {
        field.name: _ordered_field(value[field.name], field)
        for field in shape.fields
        if field.name in value
    }


def _ordered_field(value: Json, field: Field) -> Json:
    if field.kind is Kind.OBJECT:
        return _ordered(value, field.items[0])
    if not field.items or not isinstance(value, list | tuple):
        return value
    shapes = {shape.name: shape for shape in field.items}
    return [
        _ordered(
            item,
            shapes.get(str(item.get(field.told_by)), field.items[0])
            if isinstance(item, Mapping)
            else field.items[0],
        )
        for item in value
    ]
