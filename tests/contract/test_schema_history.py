"""Released schemas: frozen for good, and every record ever written stays readable."""

from __future__ import annotations

import io
import json
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_one

from schemas.registry import SCHEMAS, SUPERSEDED, Schema
from tests.support import checkout

HISTORY = checkout.ROOT / "schemas" / "history"
RELEASED = {
    "books_facts.v1": "0c3e687b04f7ca4b5613385cfe6c0d65ea9907c4f62f695ef81366232e00f139",
    "catalog_published.v1": "6a79f1fc87abbddc0d19b907c66cd03eb7c9aaf26121a505d922c68b27b1734f",
    "command.v1": "22051240697a32313393e2e6c5397b432a9f343692cde12f22d72e1870bea5e5",
    "emergence_settled.v1": "794bd906e27139bbef7a0df3096335dfae4b85921ebab9df7889f2447fe0eced",
    "emergence_facts.v1": "6bdf2aee4a20e300a281b95c61036fe0aeb859674287f05ad8c3f8776f3f6465",
    "event_amended.v1": "1f00789fa2040dc986134c12f5a527457c3b709c9aa33f72f44d1714e23d7fa8",
    "event_amended.v2": "1161196a3608a0e965a47b83c5e2bf78eacff46050ab694acbdecab7f999dae0",
    "node_updated.v1": "eb930e02e5778bf442f4a476083380a413213273d3c14484cbe9ca7de403612a",
    "pulse_received.v1": "69a5448463c69611748278f8d246ff2c4b027b9dc569d9114af038e6788e5c74",
    "usage_batch.v1": "42d1493a8dcfd2ae7fdd514ee06191343d31eb3dcb7eab86b375bd4f5b9e3f2c",
    "usage_event.v1": "5a083eb0df1a225daf00cf95b9a93e893d31f0fffd0d16d52826b28fb7185a25",
    "usage_facts.v1": "54eb584adc250b4865faf6f8f6ee2fb50361469605c8e30cb2cac0d0aad74b82",
    "usage_facts.v2": "b9a26c321e28d6b85fbd0266321dee4caf9ecadb5187b9c415fe216af8796465",
    "usage_facts.v3": "17b511ecff1dd65cceab0caeee54d3da358f25c3fdc5ae8a0141b5d171bea2b8",
    "usage_facts.v4": "2ea9cdcbb249cbe447064dca39b79a122a672e2f539f32359cfbcf4457462ff3",
}
"""File → SHA-256. A release adds a line; a line never changes."""
EXAMPLES = 20


def versions_of(schema: Schema) -> list[Path]:
    return sorted(
        HISTORY.glob(f"{schema.name}.v*.avsc"),
        key=lambda path: int(path.name.removesuffix(".avsc").rpartition(".v")[2]),
    )


def definition(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def written(path: Path, seed: int) -> tuple[dict[str, Any], bytes]:
    """A random record of a released version, and its bytes."""
    random.seed(seed)  # fastavro draws from the module's own generator
    parsed = fastavro.parse_schema(definition(path))
    record: Any = generate_one(parsed)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, record)
    return record, out.getvalue()


def fields_of(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in schema["fields"]}


PAIRS = [(schema, path) for schema in SCHEMAS for path in versions_of(schema)]
IDS = [path.stem for _, path in PAIRS]


class TestHistory:
    def test_is_frozen(self) -> None:
        """A byte of a released file never changes, and none disappears."""
        found = {
            path.stem: sha256(path.read_bytes()).hexdigest() for path in HISTORY.glob("*.avsc")
        }
        assert RELEASED == found

    @pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
    def test_ends_with_the_schema_in_force(self, schema: Schema) -> None:
        """What we write is what was released last, under its version."""
        newest = versions_of(schema)[-1]
        assert f"{schema.name}.v{schema.version}" == newest.stem
        assert definition(newest) == schema.definition

    def test_never_gives_an_id_twice(self) -> None:
        """The id in the frame says how to read the bytes; ids and names are one to one."""
        ids = sorted(schema.schema_id for schema in (*SCHEMAS, *SUPERSEDED))
        assert list(range(1, len(ids) + 1)) == ids
        assert len({schema.name for schema in SCHEMAS}) == len(SCHEMAS)

    def test_knows_every_released_version(self) -> None:
        """A file that no id belongs to could never be read again."""
        known = {f"{schema.name}.v{schema.version}" for schema in (*SCHEMAS, *SUPERSEDED)}
        assert known == RELEASED.keys()


class TestCompatibility:
    @pytest.mark.parametrize(("schema", "path"), PAIRS, ids=IDS)
    def test_every_released_record_is_read_by_the_schema_in_force(
        self, schema: Schema, path: Path
    ) -> None:
        """The log is the book of record: old bytes are read with the new schema for ever."""
        for seed in range(EXAMPLES):
            record, body = written(path, seed)
            reader = io.BytesIO(body)
            found: Any = fastavro.schemaless_reader(
                reader, fastavro.parse_schema(definition(path)), schema.parsed
            )
            assert reader.tell() == len(body)
            assert {**found, **record} == found

    @pytest.mark.parametrize(("schema", "path"), PAIRS, ids=IDS)
    def test_only_fields_with_a_default_were_added(self, schema: Schema, path: Path) -> None:
        """Nothing is renamed, retyped or taken away, so that both directions stay readable."""
        old, new = fields_of(definition(path)), fields_of(schema.definition)
        assert old.keys() <= new.keys()
        assert {name: old[name]["type"] for name in old} == {
            name: new[name]["type"] for name in old
        }
        assert all("default" in new[name] for name in new.keys() - old.keys())


class TestDocumentation:
    @pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
    def test_every_field_has_a_meaning_and_a_unit(self, schema: Schema) -> None:
        """A stranger reads the schema before our code."""
        silent = [
            place
            for place, field in _all_fields(schema.definition, schema.name)
            if "unit:" not in field.get("doc", "")
        ]
        assert silent == []


def _all_fields(record: Any, place: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for field in record.get("fields", []):
        where = f"{place}.{field['name']}"
        found.append((where, field))
        kind = field["type"]
        while isinstance(kind, dict):
            if kind.get("type") == "record":
                found += _all_fields(kind, where)
            kind = kind.get("items") or kind.get("values")
    return found
