"""Fresh topics of two partitions, and a world that folds what an import sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import Settings
from tests.support.fold_world import FoldWorld
from tests.support.topics import fresh_topics


@pytest.fixture
def world(kafka_bootstrap: str, tmp_path: Path) -> FoldWorld:
    """Topics with the catalogue of `usage_truth`, and nobody who folds them yet."""
    settings = Settings(
        kafka=kafka_bootstrap,
        partitions=2,
        state_dir=tmp_path / "state",
        kafka_session_timeout_ms=6_000,
        fold_linger_ms=20,
    )
    fresh_topics(settings)
    return FoldWorld(settings)
