"""One migrated database, empty topics and one gateway process for all tests of a module."""

import uuid
from collections.abc import Iterator

import pytest

from runtime.settings import Settings
from tests.support import services
from tests.support.api_world import Rows
from tests.support.databases import create_migrated
from tests.support.gateway_pipeline import Pipeline, pipeline_behind
from tests.support.gateway_process import Gateway, start_gateway
from tests.support.gateway_world import TENANT
from tests.support.topics import fresh_topics


@pytest.fixture(scope="module")
def settings(database_admin_url: str, kafka_bootstrap: str) -> Iterator[Settings]:
    name = f"test_gateway_{uuid.uuid4().hex}"
    settings = Settings.model_validate(
        {
            "kafka": kafka_bootstrap,
            "database_url": create_migrated(database_admin_url, name),
        }
    )
    fresh_topics(settings)
    yield settings
    services.drop_database(database_admin_url, name)


@pytest.fixture(scope="module")
def rows(settings: Settings) -> Iterator[Rows]:
    rows = Rows(settings)
    yield rows
    rows.connection.close()


@pytest.fixture(scope="module")
def gateway(
    settings: Settings, rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    gateway = start_gateway(settings, rows.api_key(TENANT), folder)
    gateway.await_status("/readyz", 200)
    yield gateway
    gateway.end()


@pytest.fixture(scope="module")
def pipeline(
    settings: Settings,
    rows: Rows,
    gateway: Gateway,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    with pipeline_behind(gateway, settings, rows, tmp_path_factory.mktemp("pipeline")) as pipeline:
        yield pipeline
