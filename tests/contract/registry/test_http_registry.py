"""The registry as a server on a real port and a real log, asked by Confluent's own client."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka.schema_registry import Schema as TheirSchema
from confluent_kafka.schema_registry import SchemaRegistryError

from api.registry_form import MEDIA_TYPE
from runtime import clock
from runtime.kafka import read_partition, received_at_ms
from runtime.schema_log import SchemaLog
from runtime.settings import Settings
from schemas.registry import USAGE_EVENT
from schemas.subjects import HAND_OUT_MS, LEVEL, from_wire_proposal
from schemas.topics import SCHEMA_REGISTRATIONS
from tests.contract.registry.cases import RegistryCases
from tests.support.registries import HttpDoor, RefusedError, a_field, record
from tests.support.registry_server import RegistryServer, registry_servers
from tests.support.topics import fresh_topics


@pytest.fixture(scope="module")
def settings(kafka_bootstrap: str) -> Settings:
    settings = Settings(kafka=kafka_bootstrap, partitions=2)
    fresh_topics(settings)  # a log that was used a hundred times would be at its limits
    return settings


@pytest.fixture(scope="module")
def servers(
    settings: Settings, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RegistryServer]]:
    folder: Path = tmp_path_factory.mktemp("registry")
    with registry_servers(settings, database_admin_url, folder, count=2) as servers:
        yield servers


@pytest.fixture(scope="module")
def server(servers: list[RegistryServer]) -> RegistryServer:
    return servers[0]


class TestHttpRegistry(RegistryCases):
    @pytest.fixture
    def door(self, server: RegistryServer) -> HttpDoor:
        return server.door()


class TestClient:
    """What only the real client asks."""

    def test_sees_one_level_and_one_mode(self, server: RegistryServer) -> None:
        client = server.door().client
        assert LEVEL == client.get_compatibility()
        assert LEVEL == client.get_compatibility("usage.events-value")
        assert "READWRITE" == client.get_global_mode()
        assert ["AVRO"] == client.get_schema_types()

    def test_may_confirm_the_level_and_set_no_other(self, server: RegistryServer) -> None:
        """Less than that would leave old records unreadable."""
        client = server.door().client
        client.set_compatibility("usage.events-value", LEVEL)
        with pytest.raises(SchemaRegistryError) as refused:
            client.set_compatibility("usage.events-value", "NONE")
        assert (422, 42203) == (refused.value.http_status_code, refused.value.error_code)

    def test_may_delete_nothing(self, server: RegistryServer) -> None:
        client = server.door().client
        for delete in (
            lambda: client.delete_subject("usage.events-value"),
            lambda: client.delete_version("usage.events-value", 1),
        ):
            with pytest.raises(SchemaRegistryError) as refused:
                delete()
            assert 42205 == refused.value.error_code
            assert "must stay readable" in refused.value.error_message

    def test_asks_in_pages(self, server: RegistryServer) -> None:
        client = server.door().client
        everything = client.get_subjects(subject_prefix="usage.")
        assert everything == sorted(everything)
        assert everything[1:3] == client.get_subjects(subject_prefix="usage.", offset=1, limit=2)

    def test_learns_why_a_schema_does_not_fit(self, server: RegistryServer) -> None:
        """verbose is what people and build plugins ask with."""
        path = "/compatibility/subjects/usage.events-value/versions/latest?verbose=true"
        answer = asked(server, path, json={"schema": record("R", a_field("a", "int"))})
        assert not answer.json()["is_compatible"]
        assert "the record tidegauge.UsageEvent is not R" in " ".join(answer.json()["messages"])


def asked(server: RegistryServer, path: str, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.writer}", **more.pop("headers", {})}
    method = more.pop("method", "POST" if "json" in more or "content" in more else "GET")
    return httpx.request(method, f"{server.url}{path}", headers=headers, timeout=30, **more)


class TestForm:
    """Confluent's form and codes: their clients read nothing else."""

    @pytest.mark.parametrize(
        ("path", "status", "code"),
        [
            ("/subjects/nobody/versions", 404, 40401),
            ("/subjects/nobody/versions/1", 404, 40401),
            ("/subjects/usage.events-value/versions/99999", 404, 40402),
            ("/schemas/ids/999", 404, 40403),
            ("/schemas/ids/99999999999999999999", 404, 40403),
            ("/subjects/usage.events-value/versions/0", 422, 42202),
            ("/subjects/usage.events-value/versions/newest", 422, 42202),
            ("/subjects/usage.events-value/versions/%D9%A1", 422, 42202),
            ("/associations/resources/x/y", 404, 404),
            ("/schemas/ids/x", 400, 400),
            ("/subjects?limit=x", 400, 400),
        ],
    )
    def test_of_an_error(self, server: RegistryServer, path: str, status: int, code: int) -> None:
        answer = asked(server, path)
        assert status == answer.status_code
        assert MEDIA_TYPE == answer.headers["content-type"]
        assert {"error_code", "message"} == answer.json().keys()
        assert code == answer.json()["error_code"]

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", 422),
            (b"{", 422),
            (b"\xff", 422),
            (b"[]", 422),
            (b"1.5", 422),
            (b'{"schema": 1}', 42201),
            (b'{"schema": ""}', 42201),
            (b'{"schema": "\\ud800"}', 422),
            (b'{"schema": "\\"int\\"", "schemaType": "PROTOBUF"}', 42201),
            (b'{"schema": "\\"int\\"", "references": [{"name": "a"}]}', 42201),
            (b'{"schema": "\\"int\\"", "schema": "\\"int\\""}', 422),
            (b"[" * 100_000, 422),
            (b" " * 300_000, 413),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_of_a_bad_body(self, server: RegistryServer, body: bytes, code: int) -> None:
        answer = asked(server, "/subjects/test-body/versions", content=body)
        assert code == answer.json()["error_code"]
        assert int(str(code)[:3]) == answer.status_code

    @pytest.mark.parametrize(
        "name",
        [MEDIA_TYPE, "application/json", "application/vnd.schemaregistry+json; charset=utf-8"],
    )
    def test_takes_each_media_type_of_its_clients(self, server: RegistryServer, name: str) -> None:
        body = json.dumps({"schema": USAGE_EVENT.text}).encode()
        answer = asked(
            server, "/subjects/usage.events-value", content=body, headers={"Content-Type": name}
        )
        assert USAGE_EVENT.schema_id == answer.json()["id"]
        refused = asked(
            server,
            "/subjects/usage.events-value",
            content=body,
            headers={"Content-Type": "text/plain"},
        )
        assert 415 == refused.status_code


class TestRights:
    def test_need_a_key_even_to_read(self, server: RegistryServer) -> None:
        for headers in ({}, {"Authorization": "Basic ???"}, {"Authorization": "Bearer tg_live_x"}):
            answer = httpx.get(f"{server.url}/subjects", headers=headers)
            assert (401, 401) == (answer.status_code, answer.json()["error_code"])
            assert "Basic" in answer.headers["www-authenticate"]

    def test_to_register_are_given_by_name_only(self, server: RegistryServer) -> None:
        """What is known already needs no right: an ordinary producer registers at every start."""
        ordinary = server.door(server.reader)
        assert USAGE_EVENT.schema_id == ordinary.register("usage.events-value", USAGE_EVENT.text)
        subject = f"test-{uuid.uuid4().hex}"
        with pytest.raises(SchemaRegistryError) as refused:
            ordinary.client.register_schema(subject, TheirSchema('"string"', "AVRO"))
        assert 403 == refused.value.http_status_code
        assert "schema:write" in refused.value.error_message
        assert subject not in server.door().subjects()

    def test_a_key_stands_in_no_log(self, server: RegistryServer) -> None:
        server.door().subjects()
        said = server.log.read_text()
        assert "/schema-registry/subjects" in said
        assert server.writer not in said


class TestServersAtOnce:
    def test_give_one_schema_one_id(
        self, servers: list[RegistryServer], settings: Settings
    ) -> None:
        """No lock: the order of the log decides, and every server reads it."""
        subject = f"test-{uuid.uuid4().hex}"
        schema = record(f"Raced{uuid.uuid4().hex}", a_field("at", "long"))
        found: list[int] = []
        barrier = threading.Barrier(8)

        def ask(server: RegistryServer) -> None:
            client = server.door().client
            barrier.wait()
            found.append(client.register_schema(subject, TheirSchema(schema, "AVRO")))

        threads = [threading.Thread(target=ask, args=(servers[n % 2],)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert 8 == len(found)
        assert 1 == len(set(found))
        assert all([1] == server.door().versions(subject) for server in servers)

    def test_of_two_that_exclude_each_other_let_one_win(
        self, servers: list[RegistryServer]
    ) -> None:
        """Whoever comes second on the log is judged with the first in place."""
        subject = f"test-{uuid.uuid4().hex}"
        schemas = [record("R", a_field("a", kind)) for kind in ("int", "string")]
        outcomes: list[str] = []
        barrier = threading.Barrier(2)

        def ask(server: RegistryServer, schema: str) -> None:
            client = server.door().client
            barrier.wait()
            try:
                client.register_schema(subject, TheirSchema(schema, "AVRO"))
                outcomes.append("registered")
            except SchemaRegistryError as error:
                outcomes.append(str(error.error_code))

        threads = [
            threading.Thread(target=ask, args=pair) for pair in zip(servers, schemas, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert ["409", "registered"] == sorted(outcomes)
        assert [1] == servers[0].door().versions(subject)

    def test_answer_the_same_after_a_start(
        self, settings: Settings, server: RegistryServer
    ) -> None:
        """A new reader of the log knows what the servers know."""
        subject = f"test-{uuid.uuid4().hex}"
        schema_id = server.door().register(subject, record("Kept", a_field("a", "int")))
        fresh = SchemaLog(settings)
        assert [schema_id] == [
            version.schema_id for version in fresh.ask(lambda registry: registry.versions(subject))
        ]
        fresh.close()


class TestLog:
    def test_holds_only_proposals_that_changed_something(
        self, settings: Settings, server: RegistryServer
    ) -> None:
        """Who asks again, or asks in vain, does not make the topic grow."""
        door, subject = server.door(), f"test-{uuid.uuid4().hex}"
        door.register(subject, record("R", a_field("a", "int")))
        door.register(subject, record("R", a_field("a", "int")))
        for schema in (record("R", a_field("a", "string")), "{"):
            with pytest.raises(RefusedError):
                door.register(subject, schema)
        mine = [
            message
            for message in read_partition(settings, SCHEMA_REGISTRATIONS, 0)
            if message.key() == subject.encode()
        ]
        assert 1 == len(mine)
        assert subject == from_wire_proposal(mine[0].value()).subject

    def test_gives_a_new_id_out_only_when_it_may_be_used(
        self, settings: Settings, server: RegistryServer
    ) -> None:
        """A record with the id, sent at once, is received late enough for every reader."""
        subject = f"test-{uuid.uuid4().hex}"
        server.door().register(subject, '"string"')
        answered_ms = clock.now_ms()
        (registered_ms,) = (
            received_at_ms(message)
            for message in read_partition(settings, SCHEMA_REGISTRATIONS, 0)
            if message.key() == subject.encode()
        )
        assert answered_ms - registered_ms >= HAND_OUT_MS - 50
