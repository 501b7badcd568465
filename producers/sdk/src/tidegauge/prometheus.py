"""Counters of meters as Prometheus metrics; needs prometheus_client, which comes not with us."""

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from tidegauge import report

COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "recorded": ("tidegauge_sdk_events_recorded", "Events that record took."),
    "recovered": ("tidegauge_sdk_events_recovered", "Events found in the spool at start."),
    "acknowledged": ("tidegauge_sdk_events_acknowledged", "Events that the broker has."),
    "failed": ("tidegauge_sdk_events_failed", "Events of batches that were given up."),
    "refused": ("tidegauge_sdk_events_refused", "Calls of record that took no event."),
    "dropped": ("tidegauge_sdk_events_dropped", "Events that the spool let go of."),
    "unspooled": ("tidegauge_sdk_events_unspooled", "Events whose copy on disk was given up."),
    "batches": ("tidegauge_sdk_batches", "Batches handed to the transport."),
    "resent": ("tidegauge_sdk_batches_resent", "Batches sent again from the spool."),
    "bytes": ("tidegauge_sdk_batch_bytes", "Bytes of batches, before compression."),
    "callback_errors": ("tidegauge_sdk_callback_errors", "Exceptions of the host's callbacks."),
    "torn": ("tidegauge_sdk_spool_torn", "Torn tails and damaged frames of the spool."),
    "spool_errors": ("tidegauge_sdk_spool_errors", "Times that the disk refused."),
}
"""Metric name (`_total` is added by Prometheus) and help, by the name in `Counters`."""

GAUGES: Final[Mapping[str, tuple[str, str]]] = {
    "pending": ("tidegauge_sdk_events_pending", "Events without an outcome."),
    "spool_bytes": ("tidegauge_sdk_spool_bytes", "Bytes of the spool on disk."),
}
"""The same for what goes up and down."""


class HasCounters(Protocol):
    """A `Meter` or an `AsyncMeter`."""

    @property
    def counters(self) -> report.Counters:
        """Totals since the meter was made."""


class MeterCollector:
    """Reads the counters of meters when Prometheus asks: `REGISTRY.register(MeterCollector(m))`.

    Args:
        meters: One meter, or several by a name that becomes the label `meter`; at most as many as
            the process has, so the label has an end.
    """

    def __init__(self, meters: HasCounters | Mapping[str, HasCounters]) -> None:
        self._meters = meters if isinstance(meters, Mapping) else {"default": meters}

    def collect(self) -> Iterator[Metric]:
        """This function will yield all metrics, each meter's as of one moment."""
        found = {name: meter.counters for name, meter in self._meters.items()}
        for field, (metric_name, text) in COUNTERS.items():
            counter = CounterMetricFamily(metric_name, text, labels=["meter"])
            for name, counters in found.items():
                counter.add_metric([name], getattr(counters, field))
            yield counter
        for field, (metric_name, text) in GAUGES.items():
            gauge = GaugeMetricFamily(metric_name, text, labels=["meter"])
            for name, counters in found.items():
                gauge.add_metric([name], getattr(counters, field))
            yield gauge
