"""CloudEvents and framed batches: what is taken, how it lies on the log, and what is refused."""

import base64
import gzip
import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.support import gateway_world
from tests.support.gateway_world import BATCH, FRAMED, PARTITIONS, STRUCTURED, TENANT, URL, World
from tests.support.gateway_world import event as made
from tests.support.kafka_hash import partition_of
from tidegauge.intake import Intake
from tidegauge.wire import batch

AT = datetime.fromisoformat("2026-01-31T12:00:00+00:00")
BACKFILLING = frozenset({"usage:write", "usage:backfill"})
TRACES = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 51)]
AT_MS = int(AT.timestamp()) * 1000


@pytest.fixture
def world() -> Iterator[World]:
    with gateway_world.world() as world:
        yield world


def row(**changes: Any) -> batch.EventRow:
    """What the SDK makes of the event of the tests."""
    given = {
        "customer": "customer-1", "event_type": "llm.request", "amount": "12.5",
        "occurred_at": AT, "dimensions": {"model": "small"}, "properties": None,
        "event_id": "event-1", **changes,
    }  # fmt: skip
    return Intake(source="/tests", clock=lambda: AT).row(**given)


class TestMapping:
    def test_is_that_of_the_sdk_to_the_byte(self, world: World) -> None:
        """One event sent both ways has one key and one fingerprint, so it counts once."""
        assert world.post(made()).status_code == 202
        (found,) = world.log.events()
        assert (found["key"], found["fingerprint"]) == (row()[1], row()[2])
        assert found["tenant"] == TENANT
        assert found["source"] == "/tests"
        assert (found["customer"], found["type"]) == ("customer-1", "llm.request")
        assert found["dimensions"] == {"model": "small"}
        assert (found["occurred_at_ms"], found["nanos"]) == (AT_MS, 12_500_000_000)

    def test_a_uuid_is_its_own_key(self, world: World) -> None:
        event_id = uuid.uuid4()
        world.post(made(id=str(event_id)))
        assert world.log.events()[0]["key"] == event_id.bytes

    @pytest.mark.parametrize(
        ("number", "nanos"),
        [("0.1", 100_000_000), ("12", 12 * 10**9), ("1e2", 100 * 10**9), ("0.000000001", 1),
         ("99999999.999999999", 99_999_999_999_999_999), ("0", 0), ('"7.25"', 7_250_000_000)],
    )  # fmt: skip
    def test_a_number_counts_exactly_as_written(
        self, world: World, number: str, nanos: int
    ) -> None:
        body = json.dumps(made(data={"quantity": "?"})).replace('"?"', number)
        assert world.post(body.encode()).status_code == 202
        assert world.log.events()[0]["nanos"] == nanos

    def test_a_quantity_left_out_is_one(self, world: World) -> None:
        world.post(made(data=None))
        assert world.log.events()[0]["nanos"] == 10**9

    @pytest.mark.parametrize(
        "changes",
        [
            {"subject": None, "customer": "customer-1"},
            {"subject": None, "data": {"customer": "customer-1"}},
            {"customer": "customer-1", "data": {"customer": "customer-1"}},
            {"extension": "ignored", "dataschema": "https://example.com/schema"},
            {"datacontenttype": "application/json; charset=utf-8"},
            {"time": "2026-01-31T13:00:00.000999999+01:00", "data": {"quantity": 1}},
        ],
    )
    def test_takes_all_lawful_forms(self, world: World, changes: dict[str, Any]) -> None:
        assert world.post(made(**changes)).status_code == 202
        (found,) = world.log.events()
        assert (found["customer"], found["occurred_at_ms"]) == ("customer-1", AT_MS)

    def test_reads_packed_data(self, world: World) -> None:
        packed = base64.b64encode(b'{"quantity": 0.25}').decode()
        assert world.post(made(data=None, data_base64=packed)).status_code == 202
        assert world.log.events()[0]["nanos"] == 250_000_000

    def test_reads_the_binary_form(self, world: World) -> None:
        answer = world.post(
            {"quantity": "12.5", "dimensions": {"model": "small"}},
            kind="application/json",
            **{"ce-specversion": "1.0", "ce-id": "event-1", "ce-source": "/tests",
               "ce-type": "llm.request", "ce-subject": "customer%2D1",
               "ce-time": "2026-01-31T12:00:00Z"},
        )  # fmt: skip
        assert answer.status_code == 202
        assert world.log.events()[0]["fingerprint"] == row()[2]


class TestBatch:
    def test_tells_the_fate_of_each_event(self, world: World) -> None:
        answer = world.post(
            [
                made(1),
                made(1),
                made(2, data={"quantity": -1}),
                made(1, data={"quantity": 2}),
                made(3, specversion="0.3"),
                "no event",
                made(4),
            ],
            kind=BATCH,
        )
        assert answer.status_code == 202
        document = answer.json()
        fates = [(item["status"], item.get("code")) for item in document["results"]]
        assert fates == [
            ("accepted", None),
            ("duplicate_in_request", None),
            ("rejected", "quantity_negative"),
            ("rejected", "conflict"),
            ("rejected", "event_invalid"),
            ("rejected", "event_invalid"),
            ("accepted", None),
        ]
        assert [item["index"] for item in document["results"]] == list(range(7))
        assert document["results"][4]["param"] == "specversion"
        counts = (document["accepted"], document["duplicates_in_request"], document["rejected"])
        assert counts == (2, 1, 4)
        assert len(world.log.events()) == 2

    def test_puts_each_customer_on_its_partition(self, world: World) -> None:
        """The partition is the one of the Java client; sources do not mix in a batch."""
        events = [
            made(number, subject=f"customer-{number}", source=f"/{number % 2}")
            for number in range(100)
        ]
        assert world.post(events, kind=BATCH).json()["accepted"] == 100
        for record, fields in zip(world.log.records, world.log.decoded(), strict=True):
            assert record.key == TENANT.encode()
            for event in gateway_world.events_of(fields):
                home = partition_of(TENANT, event["customer"], partitions=PARTITIONS)
                assert record.partition == home
        assert len(world.log.events()) == 100
        assert len(world.log.records) == 2 * PARTITIONS

    def test_large_ones_become_several_records(self, world: World) -> None:
        """No record is larger than its topic takes, whatever the request was."""
        properties = {f"p{number}": "x" * 1_000 for number in range(14)}
        events = [
            made(number, data={"properties": properties | {"n": str(number)}})
            for number in range(200)
        ]
        assert world.post(events, kind=BATCH).json()["accepted"] == 200
        assert len(world.log.records) > 1
        assert len(world.log.events()) == 200

    def test_of_none_is_none(self, world: World) -> None:
        assert world.post([], kind=BATCH).json()["results"] == []
        assert world.log.records == []

    def test_all_or_nothing(self, world: World) -> None:
        events = [made(1), made(2, data={"quantity": "x"})]
        answer = world.post(events, kind=BATCH, **{"Tidegauge-Atomic": "true"})
        assert (answer.status_code, answer.json()["code"]) == (422, "event_invalid")
        assert [item["index"] for item in answer.json()["results"]] == [1]
        assert world.log.records == []
        assert world.post(events, kind=BATCH, **{"Tidegauge-Atomic": "yes"}).status_code == 400

    def test_has_at_most_a_thousand(self, world: World) -> None:
        assert world.post([made()] * 1_001, kind=BATCH).status_code == 413
        assert world.post([made()] * 1_000, kind=BATCH).status_code == 202


BAD_EVENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"id": None}, "id", "event_invalid"),
    ({"id": ""}, "id", "event_invalid"),
    ({"id": 7}, "id", "event_invalid"),
    ({"id": "x" * 201}, "id", "text_too_long"),
    ({"id": "x" * 3_900_000}, "id", "text_too_long"),
    ({"id": "nul\0"}, "id", "text_control_character"),
    ({"source": None}, "source", "event_invalid"),
    ({"source": "s" * 201}, "source", "text_too_long"),
    ({"source": "s\ud800"}, "source", "text_surrogate"),
    ({"type": None}, "type", "event_invalid"),
    ({"type": "t\x7f"}, "type", "text_control_character"),
    ({"specversion": None}, "specversion", "event_invalid"),
    ({"specversion": "0.3"}, "specversion", "event_invalid"),
    ({"specversion": 1.0}, "specversion", "event_invalid"),
    ({"subject": None}, "subject", "event_invalid"),
    ({"subject": "\ud800"}, "customer", "text_surrogate"),
    ({"subject": ["c"]}, "customer", "customer_not_text"),
    ({"customer": "another"}, "subject", "event_invalid"),
    ({"Subject": "c"}, "Subject", "event_invalid"),
    ({"time": "yesterday"}, "time", "event_invalid"),
    ({"time": "2026-01-31T12:00:00"}, "time", "event_invalid"),
    ({"time": "2026-02-30T12:00:00Z"}, "time", "event_invalid"),
    ({"time": "2026-01-31T12:00:60Z"}, "time", "event_invalid"),
    ({"time": 7}, "time", "event_invalid"),
    ({"time": "1969-12-31T23:59:59Z"}, "occurred_at", "time_out_of_range"),
    ({"time": "0001-01-01T00:00:00+14:00"}, "occurred_at", "time_out_of_range"),
    ({"data": []}, "data", "event_invalid"),
    ({"data": "text"}, "data", "event_invalid"),
    ({"data": {"quantiy": 1}}, "data.quantiy", "event_invalid"),
    ({"data": {"quantity": True}}, "quantity", "quantity_not_number"),
    ({"data": {"quantity": None}}, "quantity", "quantity_not_number"),
    ({"data": {"quantity": "1,5"}}, "quantity", "quantity_not_number"),
    ({"data": {"quantity": "NaN"}}, "quantity", "quantity_not_finite"),
    ({"data": {"quantity": -1}}, "quantity", "quantity_negative"),
    ({"data": {"quantity": 10**40}}, "quantity", "quantity_too_large"),
    ({"data": {"quantity": "0.0000000001"}}, "quantity", "quantity_too_precise"),
    ({"data": {"dimensions": {"a": 1}}}, "dimensions", "dimension_not_text"),
    ({"data": {"dimensions": []}}, "dimensions", "dimensions_not_mapping"),
    ({"data": {"dimensions": {str(n): "x" for n in range(33)}}}, "dimensions",
     "dimensions_too_many"),
    ({"data": {"properties": {"a": "x" * 1_025}}}, "properties", "text_too_long"),
    ({"datacontenttype": "text/xml"}, "datacontenttype", "event_invalid"),
    ({"data": None, "data_base64": "%%%"}, "data_base64", "event_invalid"),
    ({"data": None, "data_base64": "bm8ganNvbg=="}, "data_base64", "event_invalid"),
    ({"data": None, "data_base64": 7}, "data_base64", "event_invalid"),
    ({"data_base64": "e30="}, "data_base64", "event_invalid"),
]  # fmt: skip


class TestBadEvent:
    @pytest.mark.parametrize(("changes", "param", "code"), BAD_EVENTS)
    def test_is_refused_with_code_and_param(
        self, world: World, changes: dict[str, Any], param: str, code: str
    ) -> None:
        answer = world.post(made(**changes))
        assert answer.status_code == 422, answer.text[:500]
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["param"]) == ("event_invalid", param)
        assert problem["results"][0]["code"] == code
        assert len(answer.content) < 2_000
        assert world.log.records == []
        assert world.post(made()).status_code == 202

    def test_with_1e400_is_refused(self, world: World) -> None:
        """It is a number to JSON and infinite to a float; here it is only too large."""
        body = json.dumps(made(data={"quantity": 0})).replace('"quantity": 0', '"quantity": 1e400')
        answer = world.post(body.encode())
        assert answer.json()["results"][0]["code"] == "quantity_too_large"


BAD_REQUESTS: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("no json", b"{", {}, 400, "body"),
    ("nothing", b"", {}, 400, "body"),
    ("nan", b'{"a": NaN}', {}, 400, "body"),
    ("infinity", b'{"a": -Infinity}', {}, 400, "body"),
    ("repeated key", b'{"id": "a", "id": "b"}', {}, 400, "body"),
    ("raw nul", b'{"id": "a\x00"}', {}, 400, "body"),
    ("no utf-8", b'{"id": "\xff"}', {}, 400, "body"),
    ("deep arrays", b"[" * 100_000, {}, 400, "body"),
    ("deep closed arrays", b"[" * 100_000 + b"]" * 100_000, {}, 400, "body"),
    ("deep objects", b'{"a":' * 100_000, {}, 400, "body"),
    ("batch is object", b"{}", {"Content-Type": BATCH}, 400, "body"),
    ("ten megabytes", b'"' + b"x" * 10_000_000 + b'"', {}, 413, "body"),
    ("gzip bomb", gzip.compress(b"[" + b" " * 100_000_000 + b"]"), {"Content-Encoding": "gzip"},
     413, "body"),
    ("no gzip", b"{}", {"Content-Encoding": "gzip"}, 400, "body"),
    ("half gzip", gzip.compress(b"{}")[:-4], {"Content-Encoding": "gzip"}, 400, "body"),
    ("two gzips", gzip.compress(b"{}") * 2, {"Content-Encoding": "gzip"}, 400, "body"),
    ("brotli", b"{}", {"Content-Encoding": "br"}, 415, "Content-Encoding"),
    ("gzip twice", b"{}", {"Content-Encoding": "gzip, gzip"}, 415, "Content-Encoding"),
    ("plain json", b"{}", {"Content-Type": "application/json"}, 415, "Content-Type"),
    ("xml", b"<a/>", {"Content-Type": "text/xml"}, 415, "Content-Type"),
    ("no type", b"{}", {"Content-Type": ""}, 415, "Content-Type"),
    ("odd type", b"{}", {"Content-Type": "\xff;;=;"}, 415, "Content-Type"),
    ("latin-1", b"{}", {"Content-Type": f"{STRUCTURED}; charset=latin-1"}, 415, "Content-Type"),
    ("binary header", b"{}", {"Content-Type": "application/json", "ce-specversion": "1.0",
                              "ce-id": "%ff"}, 400, "ce-id"),
    ("idempotency key", b"{}", {"Idempotency-Key": "x" * 201}, 400, "Idempotency-Key"),
]  # fmt: skip


class TestBadRequest:
    @pytest.mark.parametrize(
        ("body", "headers", "status", "param"),
        [case[1:] for case in BAD_REQUESTS],
        ids=[case[0] for case in BAD_REQUESTS],
    )
    def test_is_refused_with_code_and_param(
        self, world: World, body: bytes, headers: dict[str, str], status: int, param: str
    ) -> None:
        given = {**world.headers, "Content-Type": STRUCTURED, **headers}
        answer = world.client.post(
            URL,
            content=body,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        )
        assert answer.status_code == status, answer.text[:300]
        problem = answer.json()
        assert (problem["code"], problem["param"]) == ("invalid_request", param)
        assert world.log.records == []
        assert world.post(made()).status_code == 202
        assert world.backend.budget._taken == 0

    def test_gzip_of_a_good_one_is_taken(self, world: World) -> None:
        body = gzip.compress(json.dumps(made()).encode())
        assert world.post(body, **{"Content-Encoding": "gzip"}).status_code == 202


def frame(
    *, tenant: str = TENANT, customers: tuple[str, ...] = ("customer-1",), backfill: bool = False
) -> bytes:
    """A batch as the SDK sends it."""
    rows = [row(customer=customer, event_id=f"e-{customer}") for customer in customers]
    return batch.encode(batch.BatchHeader(tenant, "/tests", bytes(16), 0, 0, backfill), rows)


class TestOldEvents:
    """CloudEvents older than the fold's horizon: `Tidegauge-Backfill: true`."""

    @pytest.mark.parametrize("scopes", [(), ("usage:write",)])
    def test_need_their_scope(self, scopes: tuple[str, ...]) -> None:
        with gateway_world.world(scopes=frozenset(scopes)) as world:
            answer = world.post(made(), **{"Tidegauge-Backfill": "true"})
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
            assert world.log.records == []
            assert world.post(made(), **{"Tidegauge-Backfill": "false"}).status_code == 202
            assert world.log.decoded()[0]["backfill"] is False

    @pytest.mark.parametrize("kind", [BATCH, STRUCTURED])
    def test_are_marked_on_the_log(self, kind: str) -> None:
        with gateway_world.world(scopes=BACKFILLING) as world:
            events = [made(1), made(2, subject="customer-2")] if kind == BATCH else made()
            assert world.post(events, kind=kind, **{"Tidegauge-Backfill": "true"}).is_success
            assert {fields["backfill"] for fields in world.log.decoded()} == {True}

    def test_are_no_repeat_of_the_same_ones_without_the_mark(self) -> None:
        """The same Idempotency-Key for both would give the first one's answer to the second."""
        with gateway_world.world(scopes=BACKFILLING) as world:
            key = {"Idempotency-Key": "one"}
            assert world.post(made(), **key).status_code == 202
            answer = world.post(made(), **key, **{"Tidegauge-Backfill": "true"})
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")

    def test_are_marked_by_true_or_false_alone(self, world: World) -> None:
        answer = world.post(made(), **{"Tidegauge-Backfill": "yes"})
        assert (answer.status_code, answer.json()["param"]) == (400, "Tidegauge-Backfill")


class TestTraces:
    """Traceparents of a request stand in its records' headers, as the SDK writes them to Kafka."""

    @pytest.mark.parametrize("kind", [FRAMED, BATCH, STRUCTURED])
    def test_are_carried_by_every_way(self, world: World, kind: str) -> None:
        content: Any = {FRAMED: frame(), BATCH: [made(1), made(2)], STRUCTURED: made()}[kind]
        answer = world.post(
            content, kind=kind, **{"Tidegauge-Traceparents": f"{TRACES[0]}, {TRACES[1]}"}
        )
        assert answer.status_code == 202
        assert {record.traceparents for record in world.log.records} == {tuple(TRACES[:2])}

    def test_of_the_request_counts_when_there_is_no_other(self, world: World) -> None:
        world.post(made(1), traceparent=TRACES[0])
        world.post(made(2), **{"traceparent": TRACES[0], "Tidegauge-Traceparents": TRACES[1]})
        world.post(made(3))
        assert [record.traceparents for record in world.log.records] == [
            (TRACES[0],), (TRACES[1],), (),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "wrong",
        [
            "", "x", TRACES[0][:-1], TRACES[9].upper(), TRACES[0] + "-00", "ff" + TRACES[0][2:],
            f"00-{0:032x}-{1:016x}-01", f"00-{1:032x}-{0:016x}-01", "é", TRACES[0] + "١",
        ],
    )  # fmt: skip
    def test_that_are_none_cost_no_event(self, world: World, wrong: str) -> None:
        headers = {"Tidegauge-Traceparents": f"{wrong},{TRACES[1]}"}
        given = {**world.headers, "Content-Type": FRAMED, **headers}
        sent = [(name.encode(), value.encode()) for name, value in given.items()]
        answer = world.client.post(URL, content=frame(), headers=sent)
        assert answer.status_code == 202
        assert world.log.records[0].traceparents == (TRACES[1],)

    def test_are_distinct_and_bounded(self, world: World) -> None:
        """A header of 60 KB becomes 32 record headers of 55 bytes."""
        header = ",".join([TRACES[0], *TRACES * 20])
        world.post(frame(), kind=FRAMED, **{"Tidegauge-Traceparents": header})
        assert world.log.records[0].traceparents == tuple(TRACES[:32])


class TestFrame:
    def test_is_appended_as_it_is(self, world: World) -> None:
        body = frame()
        answer = world.post(body, kind=FRAMED, **{"Idempotency-Key": f"{'0' * 32}-0"})
        home = partition_of(TENANT, "customer-1", partitions=PARTITIONS)
        assert (answer.status_code, answer.json()) == (202, {"partition": home, "offset": 0})
        assert world.log.records[0].value == body
        assert world.log.records[0].partition == home

    def test_compressed_is_appended_inflated(self, world: World) -> None:
        answer = world.post(gzip.compress(frame()), kind=FRAMED, **{"Content-Encoding": "gzip"})
        assert answer.status_code == 202
        assert world.log.records[0].value == frame()

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (frame(tenant="globex"), 403, "tenant_mismatch"),
            (frame(customers=tuple(f"c{n}" for n in range(20))), 409, "misrouted"),
            (frame() + b"\0", 422, "undecodable"),
            (frame()[:-1], 422, "undecodable"),
            (b"\x01" + frame()[1:], 422, "undecodable"),
            (b"\0\0\0\0\x04" + frame()[5:], 422, "unknown_schema"),
            (b"\0\0\0\0\x02" + frame()[5:], 422, "undecodable"),
            (b"", 422, "undecodable"),
            (b"\0" * (1024 * 1024 + 1), 413, "invalid_request"),
        ],
    )
    def test_that_is_none_is_refused(
        self, world: World, body: bytes, status: int, code: str
    ) -> None:
        answer = world.post(body, kind=FRAMED)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert world.log.records == []

    def test_cut_or_changed_anywhere_is_no_defect(self, world: World) -> None:
        """Every prefix and every changed byte: an answer or a refusal."""
        good = frame()
        for at in range(len(good)):
            for body in (good[:at], good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :]):
                assert world.post(body, kind=FRAMED).status_code in {202, 403, 409, 422}

    @pytest.mark.parametrize("scopes", [(), ("usage:write",), ("usage:backfill",)])
    def test_of_old_events_needs_its_scope(self, scopes: tuple[str, ...]) -> None:
        """A key without scopes may do much, and this not: it changes months that were billed."""
        with gateway_world.world(scopes=frozenset(scopes)) as world:
            answer = world.post(frame(backfill=True), kind=FRAMED)
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
            assert world.log.records == []

    def test_of_old_events_is_taken_from_a_key_with_both_scopes(self) -> None:
        with gateway_world.world(scopes=BACKFILLING) as world:
            assert world.post(frame(backfill=True), kind=FRAMED).status_code == 202
            assert world.log.decoded()[0]["backfill"] is True

    def test_learns_its_partitions(self, world: World) -> None:
        answer = world.client.get(f"{URL}/partitions", headers=world.headers)
        assert answer.json() == {"topic": "usage.events", "partitions": PARTITIONS}
        assert world.client.get(f"{URL}/partitions").status_code == 401
