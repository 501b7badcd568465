"""One pipeline with S3's catalogue, or S4's, for each module that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.stigg import Stigg, running_stigg

CATALOGUES = Path("deploy/catalogues")


@contextmanager
def running(
    catalogue: str, *more: str, kafka: str, database_admin_url: str, state_dir: Path
) -> Iterator[Stigg]:
    """Start everything for a key that may read, change, send usage, and what more is said."""
    with running_stigg(
        kafka=kafka,
        database_admin_url=database_admin_url,
        state_dir=state_dir,
        catalogue=CATALOGUES / f"{catalogue}.yaml",
        scopes=("billing:read", "billing:write", "usage:write", *more),
    ) as found:
        yield found


@pytest.fixture(scope="module")
def mesh(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stigg]:
    with running(
        "s3_dictamesh",
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
    ) as found:
        yield found


@pytest.fixture(scope="module")
def chat(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stigg]:
    with running(
        "s4_chatbot_billing",
        "billing:admin",
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
    ) as found:
        yield found
