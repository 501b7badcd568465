"""A world for the gateway: a log in memory that tests make fail, and a key that works."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fastavro
from fastapi import FastAPI
from fastapi.testclient import TestClient

from producers.gateway.admission import Budget, Limits
from producers.gateway.app import create_app
from producers.gateway.backend import Backend
from producers.gateway.log import OK, Record
from producers.gateway.webhooks import Verifier, read_secrets
from runtime.settings import Settings
from runtime.web.authentication import Authenticator
from runtime.web.key_store import StoredKey
from runtime.web.keys import NewApiKey, new_api_key
from schemas.topics import topic_of

TENANT = "acme"
SECRET = "a secret of the tests"
PARTITIONS = 4
URL = "/api/v1/events"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
FRAMED = "application/vnd.tidegauge.usage-batch"
TIME = "2026-01-31T12:00:00Z"


@dataclass
class MemoryLog:
    """A log that acknowledges at once, waits, or fails, as its test says.

    Args:
        records: What was appended.
        failure: Raised by the next appends; the records are not kept then.
        gate: Appends wait until it is set; None for not at all.
        ready: What state answers.
    """

    records: list[Record] = field(default_factory=list)
    failure: Exception | None = None
    gate: asyncio.Event | None = None
    ready: str = OK

    @property
    def partitions(self) -> int:
        return PARTITIONS

    def state(self) -> str:
        return self.ready

    async def append(self, records: Sequence[Record]) -> list[int]:
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.records += records
        return list(range(len(self.records) - len(records), len(self.records)))

    def close(self) -> None:
        """Nothing to let go of."""

    def decoded(self) -> list[dict[str, Any]]:
        """Every record's fields, read by fastavro alone with a schema that its topic allows."""
        return [decoded(record) for record in self.records]

    def events(self) -> list[dict[str, Any]]:
        """Every usage event by itself."""
        return [event for fields in self.decoded() for event in events_of(fields)]


def decoded(record: Record) -> dict[str, Any]:
    """A record's fields, read by fastavro alone with a schema that its topic allows."""
    magic, schema_id = struct.unpack_from(">bi", record.value)
    assert magic == 0
    schemas = {schema.schema_id: schema for schema in topic_of(record.topic).schemas}
    reader = io.BytesIO(record.value[5:])
    fields: Any = fastavro.schemaless_reader(reader, schemas[schema_id].parsed, None)
    assert not reader.read()
    found: dict[str, Any] = fields
    return found


def events_of(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a UsageBatch, one mapping each."""
    strings, sets = fields["strings"], [{}, *fields["dimension_sets"]]
    properties: dict[int, dict[str, str]] = {}
    for item in fields["properties"]:
        index, name, value = item if isinstance(item, tuple) else item.values()
        properties.setdefault(index, {})[name] = value
    keys = fields["keys"]
    return [
        {
            "tenant": fields["tenant"],
            "source": fields["source"],
            "key": keys[index * 16 : index * 16 + 16],
            "fingerprint": fields["fingerprints"][index * 8 : index * 8 + 8],
            "customer": strings[fields["customer"][index]],
            "type": strings[fields["type"][index]],
            "dimensions": sets[fields["dimension_set"][index]],
            "properties": properties.get(index, {}),
            "occurred_at_ms": int(fields["occurred_at_ms"][index]),
            "nanos": int(fields["quantity"][index]) * 10 ** (9 - fields["scale"]),
        }
        for index in range(len(fields["occurred_at_ms"]))
    ]


@dataclass
class World:
    """An application on a log in memory.

    Args:
        app: The application.
        client: Asks it.
        log: Its log.
        key: A key of TENANT that may do everything.
        backend: What it stands on.
    """

    app: FastAPI
    client: TestClient
    log: MemoryLog
    key: NewApiKey
    backend: Backend

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key.key}"}

    def post(self, content: Any, *, kind: str = STRUCTURED, url: str = URL, **headers: str) -> Any:
        """Send a document, or bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.client.post(
            url, content=body, headers={**self.headers, "Content-Type": kind, **headers}
        )


@contextmanager
def world(
    *, scopes: frozenset[str] = frozenset(), bytes_max: int = 32 * 1024 * 1024, **settings: Any
) -> Iterator[World]:
    """Start the application."""
    key, log = new_api_key(), MemoryLog()
    typed = Settings.model_validate(
        {"webhook_secrets": json.dumps({TENANT: [SECRET]}), **settings}
    )
    stored = StoredKey(TENANT, key.key_id, scopes)
    backend = Backend(
        log=log,
        authenticator=Authenticator(
            lambda digest: stored if digest == key.secret_sha256 else None
        ),
        limits=Limits(typed),
        verifier=Verifier(read_secrets(typed)),
        budget=Budget(bytes_max),
    )
    app = create_app(typed, make_backend=lambda _: backend)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield World(app, client, log, key, backend)


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A good CloudEvent; a change to None takes the attribute away."""
    made = {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "/tests",
        "type": "llm.request",
        "subject": "customer-1",
        "time": TIME,
        "data": {"quantity": "12.5", "dimensions": {"model": "small"}},
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def signed(
    body: bytes, *, secret: str = SECRET, at_s: int | None = None, delivery: str = "d-1"
) -> dict[str, str]:
    """The headers of a webhook, made without the code that checks them."""
    timestamp = str(int(time.time()) if at_s is None else at_s)
    made = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "Tidegauge-Delivery": delivery,
        "Tidegauge-Timestamp": timestamp,
        "Tidegauge-Signature": f"v1={made}",
    }
