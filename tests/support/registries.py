"""The schema registry behind two doors: the pure fold, and HTTP with Confluent's own client.

Both speak the same few questions, so that one suite of cases judges them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import fastavro
from confluent_kafka.schema_registry import Schema as TheirSchema
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError

from domain.codes import Code
from domain.errors import Rejected
from schemas import avro_parser
from schemas.subjects import Proposal, Registry, Version, found_conflicts, to_wire_proposal

USAGE_EVENT_SUBJECT = "usage.events-value"
REFUSED_BY_CODE = {409: "incompatible", 42201: "invalid", 42205: "closed"}


class RefusedError(Exception):
    """The registry says no: invalid, incompatible, closed or unknown."""

    def __init__(self, why: str, message: str) -> None:
        self.why = why
        super().__init__(f"{why}: {message}")


@dataclass(frozen=True)
class Found:
    """A version as its asker sees it."""

    subject: str
    version: int
    schema_id: int
    schema: Any


class RegistryDoor(Protocol):
    """What the cases ask."""

    def register(self, subject: str, schema: str) -> int: ...
    def look_up(self, subject: str, schema: str) -> Found: ...
    def subjects(self) -> list[str]: ...
    def versions(self, subject: str) -> list[int]: ...
    def version(self, subject: str, number: int | None = None) -> Found: ...
    def schema(self, schema_id: int) -> Any: ...
    def places(self, schema_id: int) -> set[tuple[str, int]]: ...
    def fits(self, subject: str, schema: str) -> bool: ...


@dataclass
class PureDoor:
    """The fold alone: a list is the log, and a number the clock."""

    log: list[tuple[bytes, int]] = field(default_factory=list)
    now_ms: int = 1_000_000

    def append(self, value: bytes) -> None:
        self.now_ms += 1_000
        self.log.append((value, self.now_ms))

    def folded(self) -> Registry:
        registry = Registry()
        for offset, (value, at) in enumerate(self.log):
            registry.apply(value, offset=offset, received_at_ms=at)
        return registry

    def register(self, subject: str, schema: str) -> int:
        with _translated():
            known = self.folded().decide(Proposal(subject, schema))
            if known is None:
                self.append(to_wire_proposal(Proposal(subject, schema)))
                known = self.folded().find(subject, schema)
        assert known is not None
        return known.schema_id

    def look_up(self, subject: str, schema: str) -> Found:
        with _translated():
            found = self.folded().find(subject, schema)
        return self._one([found] if found is not None else [])

    def subjects(self) -> list[str]:
        return self.folded().subjects()

    def versions(self, subject: str) -> list[int]:
        found = self.folded().versions(subject)
        if not found:
            raise RefusedError("unknown", subject)
        return [version.number for version in found]

    def version(self, subject: str, number: int | None = None) -> Found:
        versions = self.folded().versions(subject)
        return self._one([each for each in versions if number in {None, each.number}][-1:])

    def schema(self, schema_id: int) -> Any:
        return self._one(self.folded().with_id(schema_id)[:1]).schema

    def places(self, schema_id: int) -> set[tuple[str, int]]:
        return {(item.subject, item.number) for item in self.folded().with_id(schema_id)}

    def fits(self, subject: str, schema: str) -> bool:
        with _translated():
            type_ = avro_parser.parse(schema)
            return not found_conflicts(subject, type_, self.folded().versions(subject))

    def _one(self, versions: list[Version]) -> Found:
        if not versions:
            raise RefusedError("unknown", "nothing")
        (found,) = versions
        return Found(found.subject, found.number, found.schema_id, json.loads(found.text))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Rejected as error:
        whys = {
            Code.SCHEMA_INVALID: "invalid",
            Code.SCHEMA_INCOMPATIBLE: "incompatible",
            Code.SUBJECT_CLOSED: "closed",
        }
        raise RefusedError(whys[error.code], error.reason) from error


class HttpDoor:
    """A server by Confluent's own client; nothing of what it has heard is remembered.

    Args:
        url: Where the registry is.
        key: API key, sent as the password.
    """

    def __init__(self, url: str, key: str) -> None:
        self.conf = {"url": url, "basic.auth.user.info": f"any:{key}", "max.retries": 0}
        self.client = SchemaRegistryClient({**self.conf, "timeout": 30})

    def register(self, subject: str, schema: str) -> int:
        with self._asked() as client:
            return client.register_schema(subject, TheirSchema(schema, "AVRO"))

    def look_up(self, subject: str, schema: str) -> Found:
        with self._asked() as client:
            return _found(client.lookup_schema(subject, TheirSchema(schema, "AVRO")))

    def subjects(self) -> list[str]:
        with self._asked() as client:
            return client.get_subjects()

    def versions(self, subject: str) -> list[int]:
        with self._asked() as client:
            return client.get_versions(subject)

    def version(self, subject: str, number: int | None = None) -> Found:
        with self._asked() as client:
            if number is None:
                return _found(client.get_latest_version(subject))
            return _found(client.get_version(subject, number))

    def schema(self, schema_id: int) -> Any:
        with self._asked() as client:
            return json.loads(client.get_schema(schema_id).schema_str or "")

    def places(self, schema_id: int) -> set[tuple[str, int]]:
        with self._asked() as client:
            found = client.get_schema_versions(schema_id)
        return {(item.subject or "", item.version or 0) for item in found}

    def fits(self, subject: str, schema: str) -> bool:
        with self._asked() as client:
            return client.test_compatibility_all_versions(subject, TheirSchema(schema, "AVRO"))

    @contextmanager
    def _asked(self) -> Iterator[SchemaRegistryClient]:
        self.client.clear_caches()  # type: ignore[no-untyped-call]
        try:
            yield self.client
        except SchemaRegistryError as error:
            why = REFUSED_BY_CODE.get(error.error_code) or (
                "unknown" if error.http_status_code == 404 else str(error.error_code)
            )
            raise RefusedError(why, error.error_message) from error


def _found(theirs: Any) -> Found:
    return Found(
        theirs.subject, theirs.version, theirs.schema_id, json.loads(theirs.schema.schema_str)
    )


def record(name: str, *fields: dict[str, Any], **more: Any) -> str:
    """The text of a record schema."""
    return json.dumps({"type": "record", "name": name, "fields": list(fields), **more})


def a_field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    """A field; default=… gives it one."""
    return {"name": name, "type": type_, **more}


def extended(schema: Any, *fields: dict[str, Any]) -> str:
    """A schema of ours with more fields."""
    return json.dumps({**schema, "fields": [*schema["fields"], *fields]})


def framed(schema_id: int, text: str, fields: dict[str, Any]) -> bytes:
    """A record as a foreign serializer writes it."""
    out = io.BytesIO(b"\x00" + schema_id.to_bytes(4, "big"))
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(text)), fields)
    return out.getvalue()
