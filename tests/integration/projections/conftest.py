"""A migrated database of each test's own, and the broker with empty topics where asked for."""

from collections.abc import Iterator

import psycopg
import pytest

from projections.flush import Database
from projections.span import Intake
from projections.usage_binding import UsageBinding
from runtime.settings import Settings
from tests.support.topics import fresh_topics
from tests.support.usage_log import UsageLog

PARTITIONS = 2


@pytest.fixture
def settings(migrated_database: str) -> Settings:
    """Settings of a process whose database is migrated; its broker is nobody's."""
    return Settings.model_validate(
        {"database_url": migrated_database, "partitions": PARTITIONS, "kafka": "127.0.0.1:1"}
    )


@pytest.fixture
def piped_settings(settings: Settings, kafka_bootstrap: str) -> Settings:
    """The same with the real broker and empty topics."""
    piped = settings.model_copy(
        update={"kafka": kafka_bootstrap, "kafka_session_timeout_ms": 3_000}
    )
    fresh_topics(piped)
    return piped


@pytest.fixture
def owner(settings: Settings) -> Iterator[psycopg.Connection]:
    """A connection of the URL's role."""
    with psycopg.connect(
        settings.database_url.get_secret_value(),
        autocommit=True,
        options=f"-c search_path={settings.database_schema},public",
    ) as connection:
        yield connection


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """The same with the windows of a few records."""
    log = UsageLog(partitions=1)
    log.grow(records=2)
    binding = UsageBinding()
    database = Database(settings, binding)
    intake = Intake(binding, partition=0, position=database.place((0,))[0])
    for offset, wire in enumerate(log.wires(0)):
        intake.take(wire, facts_offset=offset)
    span = intake.drain()
    assert span is not None
    database.flush({0: span})
    database.close()
    return settings
