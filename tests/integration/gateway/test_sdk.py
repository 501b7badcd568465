"""The SDK's HTTP transport against the real gateway: both sides keep to one contract."""

import pytest

from producers.gateway.log import Record
from runtime.settings import Settings
from tests.support.gateway_process import Gateway
from tests.support.gateway_world import TENANT, decoded, events_of
from tests.support.kafka_hash import partition_of
from tests.support.oracle_log import read_topic
from tidegauge import Meter

EVENTS = 2_000


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
