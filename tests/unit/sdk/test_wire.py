"""The wire contract: known answers, and batches that decode to what went in."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sdk.memory_transport import decode
from tidegauge import limits, uuid7
from tidegauge.wire import batch, identity, partition

_ROOT = Path(__file__).resolve().parents[3]
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (_ROOT / "tests" / "golden" / "wire_vectors.json").read_text(encoding="utf-8")
)

HEADER = batch.BatchHeader(
    tenant="acme",
    source="checkout",
    producer_id=bytes(range(16)),
    sequence=3,
    sent_at_ms=1_700_000_000_000,
    backfill=False,
)


def row(number: int, *, billionths: int = 10**9, **texts: str) -> batch.EventRow:
    """Return a row with a foreign id."""
    event_id = f"order-{number}"
    dimensions = texts.get("dimensions", "")
    properties = texts.get("properties", "")
    payload = identity.payload("cus_1", "requests", number, billionths, dimensions, properties)
    return (
        event_id,
        identity.foreign_key(source=HEADER.source, event_id=event_id),
        identity.fingerprint(payload),
        "cus_1",
        "requests",
        dimensions,
        number,
        billionths,
        True,
        properties,
    )


class TestSchema:
    def test_is_the_published_one(self) -> None:
        """The schema inside the SDK is byte for byte the one in schemas/avro."""
        published = (_ROOT / "schemas" / "avro" / "usage_batch.avsc").read_bytes()

        assert published == batch.SCHEMA_TEXT.encode()


class TestMurmur2:
    @pytest.mark.parametrize("vector", VECTORS["murmur2"], ids=lambda vector: vector["text"])
    def test_gives_the_java_clients_answers(self, vector: dict[str, Any]) -> None:
        """The hash equals what org.apache.kafka.common.utils.UtilsTest expects."""
        assert vector["hash"] == partition.murmur2(vector["text"].encode())


class TestPartition:
    @pytest.mark.parametrize("vector", VECTORS["partitions"])
    def test_is_the_golden_one(self, vector: dict[str, Any]) -> None:
        """A customer's partition never changes between versions of the SDK."""
        found = partition.partition_of(
            tenant=vector["tenant"],
            customer=vector["customer"],
            partition_count=vector["partition_count"],
        )

        assert vector["partition"] == found


class TestKey:
    @pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda vector: vector["id"])
    def test_is_the_golden_one(self, vector: dict[str, Any]) -> None:
        """An id's key never changes, or resent events would be counted twice."""
        found = identity.event_key(source=vector["source"], event_id=vector["id"])

        assert vector["key_hex"] == found.hex()

    @pytest.mark.parametrize(
        "text",
        [
            "{018bcfe5-6800-7000-8000-000000000001}",
            "018bcfe5680070008000000000000001",
            "018bcfe5-6800-7000-8000-0000000000 1",
            "018bcfe5-6800-7000-8000-00000000-001",
            "urn:uuid:018bcfe5-6800-7000-8000-000000000001",
            "018bcfe5-6800-7000-8000-00000000000g",
            "018bcfe5-6800-7000-8000-000000000001\n",
            "\uff1018bcfe5-6800-7000-8000-000000000001",
        ],
    )
    def test_is_hashed_for_other_spellings_of_a_uuid(self, text: str) -> None:
        """Only the form of 36 ASCII characters is a UUID; every other spelling is foreign."""
        assert identity.uuid_key(text) is None


class TestFingerprint:
    @pytest.mark.parametrize("vector", VECTORS["fingerprints"])
    def test_is_the_golden_one(self, vector: dict[str, Any]) -> None:
        """The canonical payload and its hash never change between versions."""
        payload = identity.payload(
            vector["customer"],
            vector["type"],
            vector["occurred_at_ms"],
            vector["billionths"],
            identity.dimensions_text(vector["dimensions"]),
            identity.properties_text(vector["properties"]),
        )

        assert vector["payload_hex"] == payload.hex()
        assert vector["fingerprint_hex"] == identity.fingerprint(payload).hex()


class TestUuid7:
    def test_has_version_variant_and_time(self) -> None:
        """Text and bytes are one RFC 9562 UUID of version 7 with the current time in front."""
        generator = uuid7.Uuid7Generator()

        made = [generator.next() for _ in range(600)]

        assert len({text for text, _ in made}) == 600
        for text, key in made:
            parsed = uuid.UUID(text)
            assert text == str(parsed)
            assert key == parsed.bytes
            assert parsed.version == 7
            assert parsed.variant == uuid.RFC_4122
            assert 1_700_000_000_000 < parsed.int >> 80 < 4_102_444_800_000


class TestBatch:
    @pytest.mark.parametrize("vector", VECTORS["batches"])
    def test_is_the_golden_one(self, vector: dict[str, Any]) -> None:
        """The encoded bytes of a known batch never change."""
        rows = [
            row(1, billionths=1_500_000_000, dimensions="\x1fmodel\x1fgpt\x1fregion\x1feu"),
            row(2, billionths=250_000_000, properties="\x1f\x1e\x1fnote\x1fhello"),
            row(3, billionths=0),
        ]

        assert vector["value_hex"] == batch.encode(HEADER, rows).hex()

    def test_decodes_to_what_went_in(self) -> None:
        """Every column describes its event; dictionaries hold each text once."""
        eu = "\x1fmodel\x1fgpt\x1fregion\x1feu"
        rows = [
            row(1, billionths=1_500_000_000, dimensions=eu),
            row(2, billionths=250_000_000, properties="\x1f\x1e\x1fnote\x1fhello"),
            row(3, dimensions=eu),
        ]

        found = decode(batch.encode(HEADER, rows))

        assert (found["tenant"], found["source"], found["sequence"]) == ("acme", "checkout", 3)
        assert bytes(range(16)) == found["producer_id"]
        assert found["strings"] == ["cus_1", "requests"]
        assert (found["customer"], found["type"]) == ([0, 0, 0], [1, 1, 1])
        assert found["dimension_sets"] == [{"model": "gpt", "region": "eu"}]
        assert found["dimension_set"] == [1, 0, 1]
        assert found["occurred_at_ms"] == [1, 2, 3]
        assert (found["scale"], found["quantity"]) == (2, [150, 25, 100])
        assert b"".join(item[1] for item in rows) == found["keys"]
        assert b"".join(item[2] for item in rows) == found["fingerprints"]
        assert found["properties"] == [{"index": 1, "name": "note", "value": "hello"}]
        assert found["foreign_ids"] == [
            {"index": 0, "id": "order-1"},
            {"index": 1, "id": "order-2"},
            {"index": 2, "id": "order-3"},
        ]

    def test_is_cut_where_one_scale_cannot_hold_all(self) -> None:
        """A huge quantity and a precise one go into two batches, in order and exact."""
        huge = 99_999_999_999_999 * 10**9
        rows = [row(1, billionths=huge), row(2, billionths=1), row(3, billionths=huge)]

        runs = list(batch.cut_by_scale(rows))

        assert [rows[0:1], rows[1:2], rows[2:3]] == [list(run) for run in runs]
        for run in runs:
            found = decode(batch.encode(HEADER, run))
            exact = [q * 10 ** (limits.QUANTITY_SCALE - found["scale"]) for q in found["quantity"]]
            assert [item[batch.ROW_BILLIONTHS] for item in run] == exact

    def test_is_not_cut_without_need(self) -> None:
        """Large whole quantities share a batch at scale 0."""
        rows = [row(number, billionths=10**13 * 10**9) for number in range(3)]

        assert [rows] == [list(run) for run in batch.cut_by_scale(rows)]
