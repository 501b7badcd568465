"""The SDK's HTTP transport against the real gateway: both sides keep to one contract."""

import pytest

from producers.gateway.log import TRACEPARENT, Record
from runtime.settings import Settings
from tests.integration.sdk.far_sides import read_all
from tests.support.gateway_process import Gateway
from tests.support.gateway_world import TENANT, decoded, events_of
from tests.support.kafka_hash import partition_of
from tests.support.oracle_log import read_topic, topic_ends
from tidegauge import Meter

EVENTS = 2_000
TRACES = [f"00-{number:032x}-00000000000000aa-01" for number in range(1, 41)]


@pytest.mark.parametrize("gzip", [False, True])
def test_a_meter_over_http_lands_whole(gateway: Gateway, settings: Settings, gzip: bool) -> None:
    """Every event that flush says has arrived is on the log once, on its customer's partition."""
    source = f"over-http-{gzip}"
    with Meter.over_http(
        gateway.url, api_key=gateway.key.key, tenant=TENANT, source=source, gzip=gzip
    ) as meter:
        ids = {
            meter.record(
                customer=f"customer-{number % 50}",
                type="llm.request",
                quantity=number,
                dimensions={"model": "small"},
            )
            for number in range(EVENTS)
        }
        assert meter.flush(timeout=30) == 0
        assert meter.counters.failed == 0

    found = []
    for record in read_topic(settings.kafka, "usage.events"):
        fields = decoded(Record("usage.events", 0, b"", record.value or b""))
        if fields.get("source") != source:
            continue
        for event in events_of(fields):
            assert record.partition == partition_of(
                TENANT, event["customer"], partitions=settings.partitions
            )
            found.append(event["key"].hex())
    assert len(found) == EVENTS
    assert set(found) == {event_id.replace("-", "") for event_id in ids}


def test_a_trace_over_http_arrives_as_one_over_kafka(gateway: Gateway, settings: Settings) -> None:
    """Same name, same values, same number of record headers: 32 at most, each once."""
    ways = {
        "http": Meter.over_http(
            gateway.url, api_key=gateway.key.key, tenant=TENANT, source="traces-http"
        ),
        "kafka": Meter(settings.kafka, tenant=TENANT, source="traces-kafka"),
    }
    for meter in ways.values():
        with meter:
            for trace in [TRACES[0], TRACES[1], TRACES[0], "nonsense"]:
                meter.record(customer="one", type="t", quantity=1, traceparent=trace)
            assert meter.flush(timeout=30) == 0
            for trace in TRACES:
                meter.record(customer="one", type="t", quantity=1, traceparent=trace)
            assert meter.flush(timeout=30) == 0

    found: dict[str, list[object]] = {f"traces-{way}": [] for way in ways}
    ends = sum(topic_ends(settings.kafka, "usage.events").values())
    for message in read_all(settings.kafka, "usage.events", ends):
        source = decoded(Record("usage.events", 0, b"", message.value() or b"")).get("source")
        if source in found:
            found[source].append(sorted(message.headers() or []))
    expected: list[object] = [
        [(TRACEPARENT, trace.encode()) for trace in traces] for traces in (TRACES[:2], TRACES[:32])
    ]
    assert found == dict.fromkeys(found, expected)
