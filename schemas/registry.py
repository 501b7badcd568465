"""The schemas we write and read: every Avro schema, its version and its fixed id."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import fastavro


@dataclass(frozen=True)
class Schema:
    """One released schema.

    Args:
        name: Record name in snake case; also the file name in schemas/avro/ and schemas/history/.
        schema_id: Id in the wire frame; never reused.
        version: Version within the name, from 1.
    """

    name: str
    schema_id: int
    version: int

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Return the Avro schema as JSON data."""
        folder = resources.files("schemas").joinpath("history")
        text = folder.joinpath(f"{self.name}.v{self.version}.avsc").read_text("utf-8")
        definition: dict[str, Any] = json.loads(text)
        return definition

    @property
    def text(self) -> str:
        """Return the Avro schema as one line of JSON."""
        return json.dumps(self.definition, separators=(",", ":"))

    @cached_property
    def parsed(self) -> Any:  # noqa: ANN401 -- fastavro's own opaque form
        """Return the schema as fastavro wants it."""
        return fastavro.parse_schema(self.definition)


USAGE_BATCH = Schema("usage_batch", 1, 1)
USAGE_EVENT = Schema("usage_event", 2, 1)
CATALOG_PUBLISHED = Schema("catalog_published", 3, 1)
COMMAND = Schema("command", 4, 1)
EVENT_AMENDED = Schema("event_amended", 14, 2)
USAGE_FACTS = Schema("usage_facts", 15, 4)
BOOKS_FACTS = Schema("books_facts", 6, 1)
NODE_UPDATED = Schema("node_updated", 7, 1)
PULSE_RECEIVED = Schema("pulse_received", 8, 1)
EMERGENCE_SETTLED = Schema("emergence_settled", 10, 1)
EMERGENCE_FACTS = Schema("emergence_facts", 11, 1)

SCHEMAS: tuple[Schema, ...] = (
    USAGE_BATCH,
    USAGE_EVENT,
    CATALOG_PUBLISHED,
    EVENT_AMENDED,
    COMMAND,
    USAGE_FACTS,
    BOOKS_FACTS,
    NODE_UPDATED,
    PULSE_RECEIVED,
    EMERGENCE_SETTLED,
    EMERGENCE_FACTS,
)
"""The version in force of each: what is written."""

SUPERSEDED: tuple[Schema, ...] = (
    Schema("usage_facts", 5, 1),
    Schema("usage_facts", 9, 2),
    Schema("event_amended", 12, 1),
    Schema("usage_facts", 13, 3),
)
"""Earlier versions: nobody writes them any more, and what was written is read for ever."""
