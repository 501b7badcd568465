"""Counters as Prometheus metrics."""

import dataclasses

import prometheus_client

from tidegauge import Counters
from tidegauge.prometheus import COUNTERS, GAUGES, MeterCollector
from tidegauge.testing import MemoryMeter


class TestMeterCollector:
    def test_shows_every_counter(self) -> None:
        """Each field of Counters is one metric with its value."""
        assert {field.name for field in dataclasses.fields(Counters)} == {*COUNTERS, *GAUGES}
        registry = prometheus_client.CollectorRegistry()
        with MemoryMeter() as meter:
            registry.register(MeterCollector(meter))
            meter.record(customer="a", type="t", quantity=1)
            meter.flush()

            def value(name: str) -> float | None:
                return registry.get_sample_value(name, {"meter": "default"})

            assert value("tidegauge_sdk_events_recorded_total") == 1
            assert value("tidegauge_sdk_events_acknowledged_total") == 1
            assert value("tidegauge_sdk_events_pending") == 0
            text = prometheus_client.generate_latest(registry).decode()
        assert text.count("# TYPE tidegauge_sdk_") == len(COUNTERS) + len(GAUGES)

    def test_tells_meters_apart(self) -> None:
        """Several meters of one process share the metrics and differ by a label."""
        registry = prometheus_client.CollectorRegistry()
        with MemoryMeter() as one, MemoryMeter() as other:
            registry.register(MeterCollector({"one": one, "other": other}))
            one.record(customer="a", type="t", quantity=1)
            name = "tidegauge_sdk_events_recorded_total"
            assert registry.get_sample_value(name, {"meter": "one"}) == 1
            assert registry.get_sample_value(name, {"meter": "other"}) == 0
