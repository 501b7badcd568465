"""Options that are wrong fail at start and by name."""

from datetime import datetime
from typing import Any

import pytest

from tests.unit.sdk.memory_transport import MemoryTransport
from tidegauge import InvalidOption, Meter


class TestOptions:
    @pytest.mark.parametrize(
        "options",
        [
            {"tenant": ""},
            {"tenant": 7},
            {"tenant": "a\x1f"},
            {"source": "s" * 201},
            {"topic": None},
            {"linger_ms": 51},
            {"linger_ms": 1.5},
            {"batch_events_max": 0},
            {"batch_events_max": 501},
            {"batch_bytes_max": 1_000},
            {"buffer_events_max": 0},
            {"buffer_events_max": True},
            {"block_ms": -1},
            {"delivery_timeout_ms": 0},
            {"clock": lambda: datetime(2026, 1, 1)},  # noqa: DTZ001
        ],
    )
    def test_that_are_wrong_are_refused_by_name(self, options: dict[str, Any]) -> None:
        """A wrong option raises before anything is started, and the message names it."""
        settings: dict[str, Any] = {"tenant": "acme", "way_out": MemoryTransport}

        with pytest.raises(InvalidOption) as caught:
            Meter("nowhere:1", **(settings | options))

        assert caught.value.code == "option_invalid"
        assert next(iter(options)) in str(caught.value)

    @pytest.mark.parametrize(
        ("settings", "code"),
        [
            ({"acks": 1}, "option_reserved"),
            ({"transactional.id": "x"}, "option_reserved"),
            ({"no.such.setting": "x"}, "option_refused"),
        ],
    )
    def test_of_librdkafka_keep_the_guarantees(self, settings: dict[str, Any], code: str) -> None:
        """Settings that carry a guarantee cannot be changed; unknown ones are told."""
        with pytest.raises(InvalidOption) as caught:
            Meter("localhost:1", tenant="acme", kafka_config=settings)

        assert code == caught.value.code
