"""Usage topics of two partitions on the real broker, and engines that fold them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import Settings
from tests.support.fold_world import FoldWorld
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
