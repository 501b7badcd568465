"""One migrated database for all API tests; each test has tenants of its own, so none waits."""

import uuid
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from runtime.settings import Settings
from tests.support import api_world, services
from tests.support.api_world import MemoryBooks, Rows
from tests.support.databases import create_migrated


@pytest.fixture(scope="module")
def settings(database_admin_url: str) -> Iterator[Settings]:
    name = f"test_api_{uuid.uuid4().hex}"
    settings = api_world.settings_on(create_migrated(database_admin_url, name))
    yield settings
    services.drop_database(database_admin_url, name)


@pytest.fixture(scope="module")
def rows(settings: Settings) -> Iterator[Rows]:
    rows = Rows(settings)
    yield rows
    rows.connection.close()


@pytest.fixture(scope="module")
def books(rows: Rows) -> MemoryBooks:
    return MemoryBooks(rows)


@pytest.fixture(scope="module")
def client(settings: Settings, books: MemoryBooks) -> Iterator[TestClient]:
    with api_world.api_client(settings, books) as client:
        yield client


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid.uuid4().hex[:12]}"
