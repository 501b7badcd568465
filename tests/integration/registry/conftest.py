"""Fresh topics on the real broker, and a registry server on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.settings import Settings
from tests.support.fold_world import FoldWorld
from tests.support.registry_server import RegistryServer, registry_servers
from tests.support.topics import fresh_topics


@pytest.fixture
def world(kafka_bootstrap: str, tmp_path: Path) -> FoldWorld:
    """Fresh topics with a catalogue, and nobody who folds them yet."""
    settings = Settings(
        kafka=kafka_bootstrap,
        partitions=2,
        state_dir=tmp_path / "state",
        kafka_session_timeout_ms=6_000,
        fold_linger_ms=20,
        checkpoint_interval_ms=50,
    )
    fresh_topics(settings)
    return FoldWorld(settings)


@pytest.fixture
def server(world: FoldWorld, database_admin_url: str, tmp_path: Path) -> Iterator[RegistryServer]:
    with registry_servers(world.settings, database_admin_url, tmp_path) as (server,):
        yield server
