"""One running system for the tests of a file; each has a tenant of its own, so none waits."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from runtime.settings import Settings
from tests.support import services
from tests.support.databases import create_migrated
from tests.support.s0_world import S0World, Tenant, s0_world


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S0World]:
    name = f"test_s0_{uuid.uuid4().hex}"
    folder: Path = tmp_path_factory.mktemp("s0")
    settings = Settings(
        kafka=kafka_bootstrap,
        database_url=SecretStr(create_migrated(database_admin_url, name)),
        partitions=2,
    )
    with s0_world(settings, folder) as world:
        yield world
        world.rows.connection.close()
    services.drop_database(database_admin_url, name)


@pytest.fixture
def tenant(world: S0World) -> Tenant:
    return world.tenant()
