"""Fault tests have services of their own: they kill them, so nobody else may use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.world import Services, Stage


@pytest.fixture(scope="session")
def own_services() -> Iterator[Services]:
    """A Kafka and a TimescaleDB that may be killed."""
    services = Services()
    yield services
    services.down()


@pytest.fixture
def stage(own_services: Services, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Empty topics and an empty database on them; what its processes said is shown on failure."""
    stage = Stage.set_up(own_services, kafka_session_timeout_ms="1500")
    yield stage
    print(stage.fleet.tails())
    stage.tear_down()
