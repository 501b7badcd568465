"""The external registry's answers are a stranger's: looked at, bounded, and never trusted."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from confluent_kafka.schema_registry import Schema as TheirSchema
from confluent_kafka.schema_registry import SchemaReference, SchemaRegistryError

from domain.codes import Code
from domain.errors import Fatal, Retryable
from runtime import clock, external_registry
from runtime.external_registry import ABSENT_MS, ExternalRegistry
from runtime.settings import Settings
from schemas.registry import CATALOG_PUBLISHED, USAGE_BATCH, USAGE_EVENT
from schemas.subjects import OWN
from schemas.topics import NODE_EVENTS, USAGE_EVENTS
from tests.support.registries import a_field, extended, record

EXTENDED = extended(USAGE_EVENT.definition, a_field("site", "string", default=""))
THEIR_ID = 7_001


class FakeClient:
    """Confluent's client with a registry of one schema in it."""

    made: ClassVar[list[FakeClient]] = []

    def __init__(self, conf: dict[str, Any]) -> None:
        self.conf = conf
        self.answer: TheirSchema | Exception = TheirSchema(EXTENDED, "AVRO")
        self.asked: list[int] = []
        self.registered: dict[str, int] = {}
        FakeClient.made.append(self)

    def get_schema(self, schema_id: int) -> TheirSchema:
        self.asked.append(schema_id)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def register_schema(self, subject: str, schema: TheirSchema) -> int:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.registered.setdefault(schema.schema_str or "", 70 + len(self.registered))

    def close(self) -> None:
        pass


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    monkeypatch.setattr(external_registry, "SchemaRegistryClient", FakeClient)
    FakeClient.made.clear()
    return FakeClient


def registry(url: str = "https://any:geheim@host/path", config: str = "{}") -> ExternalRegistry:
    return ExternalRegistry(
        Settings.model_validate({"schema_registry": url, "schema_registry_config": config})
    )


class TestClient:
    def test_gets_user_and_password_apart_from_the_url(self, client: type[FakeClient]) -> None:
        """What its errors repeat is the URL."""
        registry("https://us%40er:p%3Aw@one:81/a,https://two")
        assert "https://one:81/a,https://two" == client.made[0].conf["url"]
        assert "us@er:p:w" == client.made[0].conf["basic.auth.user.info"]

    def test_takes_more_properties(self, client: type[FakeClient]) -> None:
        registry(config='{"ssl.ca.location": "/ca"}')
        assert "/ca" == client.made[0].conf["ssl.ca.location"]

    @pytest.mark.parametrize(
        "config", ['{"nonsense": 1}', '{"timeout": 1, "ssl.ca.location": "/nobody/has/this"}']
    )
    def test_that_does_not_take_them_is_a_wrong_setting(self, config: str) -> None:
        with pytest.raises(Fatal) as refused:
            registry("http://127.0.0.1:1", config)
        assert Code.SETTING_INVALID == refused.value.code


class TestLookUp:
    @pytest.mark.parametrize(
        ("answer", "is_read"),
        [
            (TheirSchema(EXTENDED, "AVRO"), True),
            (TheirSchema(USAGE_BATCH.text, None), True),
            (TheirSchema(EXTENDED, "PROTOBUF"), False),
            (TheirSchema(EXTENDED, "AVRO", [SchemaReference("a", "b", 1)]), False),
            (TheirSchema(CATALOG_PUBLISHED.text, "AVRO"), False),
            (TheirSchema(record("Other", a_field("a", "int")), "AVRO"), False),
            (TheirSchema(record("UsageEvent", a_field("a", "int"), namespace="tidegauge")), False),
            (TheirSchema("{", "AVRO"), False),
            (TheirSchema(None, "AVRO"), False),
            (TheirSchema("[" * 100_000, "AVRO"), False),
            (SchemaRegistryError(404, 40403, "Schema not found"), False),
        ],
    )
    def test_takes_what_our_readers_can_read_and_may(
        self, client: type[FakeClient], answer: TheirSchema | Exception, is_read: bool
    ) -> None:
        found = registry()
        client.made[0].answer = answer
        assert is_read == (found.find(USAGE_EVENTS, THEIR_ID, received_at_ms=0) is not None)
        assert found.find(NODE_EVENTS, THEIR_ID, received_at_ms=0) is None

    @pytest.mark.parametrize(
        "error",
        [
            SchemaRegistryError(503, 50001, "away"),
            SchemaRegistryError(429, 42901, "slow down"),
            SchemaRegistryError(401, 40101, "who are you"),
            ConnectionError("refused"),
        ],
    )
    def test_that_nobody_answers_is_tried_again(
        self, client: type[FakeClient], error: Exception
    ) -> None:
        """Never a refused record: a wrong password is mended, a lost record is not."""
        found = registry()
        client.made[0].answer = error
        with pytest.raises(Retryable) as away:
            found.find(USAGE_EVENTS, THEIR_ID, received_at_ms=0)
        assert Code.REGISTRY_AWAY == away.value.code
        client.made[0].answer = TheirSchema(EXTENDED, "AVRO")
        assert found.find(USAGE_EVENTS, THEIR_ID, received_at_ms=0) is not None

    def test_asks_once_for_an_id_and_rarely_for_an_unknown_one(
        self, client: type[FakeClient], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now_ms = [10_000]
        monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms[0])
        found = registry()
        for _ in range(3):
            found.find(USAGE_EVENTS, THEIR_ID, received_at_ms=0)
        assert [THEIR_ID] == client.made[0].asked
        client.made[0].answer = SchemaRegistryError(404, 40403, "Schema not found")
        for _ in range(3):
            found.find(USAGE_EVENTS, 8_000, received_at_ms=0)
        now_ms[0] += ABSENT_MS
        client.made[0].answer = TheirSchema(EXTENDED, "AVRO")
        assert found.find(USAGE_EVENTS, 8_000, received_at_ms=0) is not None
        assert [THEIR_ID, 8_000, 8_000] == client.made[0].asked


class TestRegistering:
    def test_gives_every_schema_of_ours_a_number(self, client: type[FakeClient]) -> None:
        ids = registry().register_own()
        assert OWN.keys() == ids.keys()
        assert len(OWN) == len(set(ids.values()))

    def test_that_is_refused_ends_the_process(self, client: type[FakeClient]) -> None:
        """Somebody else's schema stands under our subject, or the user may not write."""
        found = registry()
        client.made[0].answer = SchemaRegistryError(409, 409, "incompatible")
        with pytest.raises(Fatal) as refused:
            found.register_own()
        assert Code.REGISTRY_MISMATCH == refused.value.code
        assert "incompatible" in refused.value.reason
