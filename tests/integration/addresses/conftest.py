"""One pipeline with S3's catalogue for each module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stigg import Stigg, running_stigg

CATALOGUE = Path("deploy/catalogues/s3_dictamesh.yaml")


@pytest.fixture(scope="module")
def mesh(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stigg]:
    with running_stigg(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
    ) as running:
        yield running
