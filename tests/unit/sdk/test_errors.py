"""Codes are declared once, documented, and survive a trip between processes."""

import pickle
import re
from pathlib import Path

import pytest

from tidegauge import DeliveryFailed, InvalidEvent, TidegaugeError, errors, prometheus, report

_ROOT = Path(__file__).resolve().parents[3]
_SDK = _ROOT / "producers" / "sdk"
_GUIDE = _ROOT / "docs" / "sdk.md"


class TestCodes:
    def test_are_all_in_the_guide(self) -> None:
        """The guide's table has every code with exactly the sentence of its message."""
        table = _GUIDE.read_text(encoding="utf-8").partition("## Troubleshooting by code")[2]

        rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", table, flags=re.MULTILINE))

        assert dict(errors.CODES) == rows

    def test_have_counters_and_metrics_beside_them(self) -> None:
        """Every counter stands in the guide with the metric it becomes."""
        guide = _GUIDE.read_text(encoding="utf-8")
        for field, (metric, _) in {**prometheus.COUNTERS, **prometheus.GAUGES}.items():
            name = f"{metric}_total" if field in prometheus.COUNTERS else metric
            assert f"| `{field}` | `{name}` |" in guide

    def test_are_all_declared(self) -> None:
        """No module raises a code that the table does not have."""
        used = set()
        for path in (_SDK / "src").rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            used |= set(re.findall(r'InvalidEvent\([^()]*?"([a-z_]+)"\)', text))
            used |= set(re.findall(r'return "((?:text|closed)_[a-z_]+)"', text))
            used |= set(
                re.findall(r'(?:MeterStopped|MeterClosed|Error|Option|Failed|Full)\("(\w+)"', text)
            )

        assert len(used) > 15
        assert used <= set(errors.CODES)

    def test_end_with_an_advice(self) -> None:
        """Every message has a fact and a next step."""
        for sentence in errors.CODES.values():
            assert re.fullmatch(r".+[;,].+\.", sentence)


class TestErrors:
    def test_travel_between_processes(self) -> None:
        """A pickled error keeps class, code, field and message."""
        error = InvalidEvent("quantity", "quantity_float")

        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

        assert (InvalidEvent, "quantity", "quantity_float", str(error)) == (
            type(copy),
            copy.field,
            copy.code,
            str(copy),
        )
        base = pickle.loads(pickle.dumps(TidegaugeError("buffer_full", "9")))  # noqa: S301
        assert (base.code, base.detail) == ("buffer_full", "9")


class TestDelivery:
    def test_raises_when_it_failed(self) -> None:
        """A failed delivery raises its code, also one that only librdkafka knows."""
        good = report.Delivery(("a",), 0, 5, None, 0)
        bad = report.Delivery(("a",), 0, None, "kafka_topic_authorization_failed", 0)

        good.raise_for_error()
        with pytest.raises(DeliveryFailed) as caught:
            bad.raise_for_error()

        assert caught.value.code == "kafka_topic_authorization_failed"
