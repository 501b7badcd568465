"""One pipeline with S1's catalogue for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stigg import Stigg, running_stigg


@pytest.fixture(scope="module")
def stigg(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stigg]:
    state_dir = tmp_path_factory.mktemp("state")
    with running_stigg(
        kafka=kafka_bootstrap, database_admin_url=database_admin_url, state_dir=state_dir
    ) as running:
        yield running
