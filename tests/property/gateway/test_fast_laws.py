"""The quick way through a batch of CloudEvents: the exact way's judgement, or none at all."""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.gateway import cloudevents_fast
from producers.gateway.judging import Judgement, Place
from producers.gateway.routes.events import judge_each
from runtime.web import exact_json
from runtime.web.problems import ProblemError
from tidegauge.errors import InvalidEvent

NAMES = st.text('ab:"\\ é😀', min_size=1, max_size=5) | st.text(max_size=3)
PLACE = Place("acme", 4, datetime(2026, 11, 21, 3, 0, 7, 123_456, UTC))


def exact(body: bytes) -> Judgement | None:
    """The exact way; None when it refuses the request or anything in it."""
    try:
        events = exact_json.read(body)
        if not isinstance(events, list):
            return None
        judgement = judge_each(events, PLACE)
    except (ProblemError, InvalidEvent):
        return None
    return judgement if judgement.refused is None else None


def ordinary(number: int = 0, **changes: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": str(uuid.UUID(int=(7 << 76) + number)),
        "source": "/s",
        "type": "llm.request",
        "subject": f"customer-{number % 5}",
        "time": f"2026-11-21T02:59:{number % 60:02}.{number % 1000:03}Z",
        "data": {"quantity": f"{number}.25", "dimensions": {"model": "small", "region": "eu"}},
    }
    return {**event, **changes}


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


TAKEN: dict[str, list[dict[str, Any]]] = {
    "usual": [ordinary(number) for number in range(500)],
    "without time": [without(ordinary(), "time")],
    "without data": [without(ordinary(), "data")],
    "empty data": [ordinary(data={})],
    "integer": [ordinary(data={"quantity": 3})],
    "fraction": [ordinary(data={"quantity": 0.1})],
    "text with an exponent": [ordinary(data={"quantity": "1.5e3"})],
    "properties": [ordinary(data={"properties": {"note": "a: \"b\", 'c'", "x": "é😀"}})],
    "foreign ids": [ordinary(number, id=f"order {number}") for number in range(3)],
    "mixed ids": [ordinary(1), ordinary(2, id="x"), ordinary(3, id=str(uuid.uuid4()).upper())],
    "two sources": [ordinary(1, source="/a"), ordinary(2, source="/b"), ordinary(3, source="/a")],
    "content type": [ordinary(datacontenttype="application/json", dataschema="urn:x")],
    "trace": [ordinary(traceparent=f"00-{1:032x}-{2:016x}-01", tracestate="a=b")],
    "extensions": [ordinary(1, region="eu", sampled=True, n=5, f=0.5, none=None)],
    "extensions of some": [ordinary(1), ordinary(2, region="eu"), ordinary(3, other="größe")],
    "another zone": [ordinary(time="2026-11-21T04:59:00+02:00")],
    "small letters": [ordinary(time="2026-11-21t02:59:00z")],
    "nanoseconds": [ordinary(time="2026-11-21T02:59:00.123999999Z")],
    "utc as an offset": [ordinary(time="2026-11-21T02:59:00+00:00")],
    "an id with blanks": [ordinary(id="0 0 0 0 -0000-0000-0000-000000000000")],
    "an id with a byte of blanks": [ordinary(id="00000000-0000-0000-0000-0000 00000 00")],
    "an id with six dashes": [ordinary(id="00000000-0000-0000-0000-00000000-00-")],
    "an id of other digits": [ordinary(id="0000000٣-0000-0000-0000-000000000000")],
    "not ascii": [ordinary(subject="größe", type="téléphone", id="ключ")],
}
LEFT: dict[str, list[Any]] = {
    "nothing": [],
    "no object": [1],
    "twice": [ordinary(1), ordinary(1)],
    "extension of an object": [ordinary(region={"a": 1})],
    "extension of a list": [ordinary(region=[1])],
    "extension with a strange name": [ordinary(my_region="x")],
    "surrogate in an extension": [ordinary(region="\ud800")],
    "colon in an extension": [ordinary(region='a":b')],
    "customer twice": [ordinary(customer="customer-0")],
    "data of base64": [without(ordinary(data_base64="e30="), "data")],
    "customer elsewhere": [without(ordinary(customer="c"), "subject")],
    "other version": [ordinary(specversion="0.3")],
    "no id": [without(ordinary(), "id")],
    "empty id": [ordinary(id="")],
    "long id": [ordinary(id="x" * 201)],
    "control in an id": [ordinary(id="a\nb")],
    "NUL in the type": [ordinary(type="a\0b")],
    "empty source": [ordinary(source="")],
    "long customer": [ordinary(subject="x" * 201)],
    "other data": [ordinary(datacontenttype="text/plain")],
    "data is text": [ordinary(data="x")],
    "data of null": [ordinary(data=None)],
    "unknown field": [ordinary(data={"quantity": 1, "quantitiy": 2})],
    "negative": [ordinary(data={"quantity": -1})],
    "too precise": [ordinary(data={"quantity": "0.0000000001"})],
    "too large": [ordinary(data={"quantity": 10**14})],
    "too large as text": [ordinary(data={"quantity": "100000000000000"})],
    "true": [ordinary(data={"quantity": True})],
    "not arabic digits": [ordinary(data={"quantity": "٣"})],
    "blank quantity": [ordinary(data={"quantity": " 1"})],
    "underscore": [ordinary(data={"quantity": "1_0"})],
    "dimension of a number": [ordinary(data={"dimensions": {"a": 1}})],
    "dimensions of null": [ordinary(data={"dimensions": None})],
    "no such second": [ordinary(time="2026-11-21T02:59:60Z")],
    "no such day": [ordinary(time="2026-02-30T02:59:00Z")],
    "before 1970": [ordinary(time="1969-12-31T23:59:59Z")],
    "no zone": [ordinary(time="2026-11-21T02:59:00")],
    "no fraction": [ordinary(time="2026-11-21T02:59:00.Z")],
    "ten digits": [ordinary(time="2026-11-21T02:59:00.1234567890Z")],
    "blank in a fraction": [ordinary(time="2026-11-21T02:59:00. 1Z")],
    "large": [ordinary(data={"properties": {f"p{n}": "x" * 1_000 for n in range(20)}})],
    "surrogate": [ordinary(id="\ud800")],
    "surrogate in a property": [ordinary(data={"properties": {"a": "\ud800"}})],
    "too many": [ordinary(number) for number in range(1_001)],
}
LEFT_TEXTS = {
    "repeated attribute": b'"type":"x","type":"y"',
    "repeated attribute, blanks": b'"type" : "x", "type"\n:"y"',
    "repeated attribute, escaped": b'"type":"x","t\\u0079pe":"y"',
    "repeated field of data": b'"type":"x","data":{"quantity":1,"quantity":2}',
    "repeated dimension": b'"type":"x","data":{"dimensions":{"a":"b","a":"c"}}',
    "repeated property": b'"type":"x","data":{"properties":{"a":"b","a":"c"}}',
    "repeated, with a decoy": b'"type":"x","data":{"quantity":1,"quantity":2,'
    b'"properties":{"a":":"}}',
    "decoys that make up for a repeated name": b'"type":"x","subject" :"c","data":{}',
    "repeated extension": b'"type":"x","region":"a","region":"b"',
    "repeated extension and attribute": b'"type":"x","region":"a","type":"y"',
    "nan in an extension": b'"type":"x","region":NaN',
    "not utf-8 in an extension": b'"type":"x","region":"\xff"',
    "exponent of nothing in an extension": b'"type":"x","region":1e99999999999999999999',
    "nan": b'"type":"x","data":{"quantity":NaN}',
    "infinity": b'"type":"x","data":{"quantity":-Infinity}',
    "far too large": b'"type":"x","data":{"quantity":1e400}',
    "exponent of nothing": b'"type":"x","data":{"quantity":1e99999999999999999999}',
    "thousands of digits": b'"type":"x","data":{"quantity":' + b"9" * 5_000 + b"}",
    "lost digits": b'"type":"x","data":{"quantity":0.30000000000000004e-3}',
    "leading zero": b'"type":"x","data":{"quantity":01}',
    "deep": b'"type":"x","data":{"quantity":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep dimensions": b'"type":"x","data":{"dimensions":'
    + b'{"a":' * 50
    + b"1"
    + b"}" * 50
    + b"}",
    "raw control": b'"type":"x\ny"',
    "not utf-8": b'"type":"\xff"',
    "not utf-8 in a property": b'"type":"x","data":{"properties":{"a":"\xed\xa0\x80"}}',
    "not utf-8 in a name": b'"type":"x","data":{"dimensions":{"\xff":"a"}}',
    "lone surrogate": b'"type":"x","data":{"dimensions":{"a":"\\ud800"}}',
    "comma": b'"type":"x",',
}


def _body(rest: bytes) -> bytes:
    return b'[{"specversion":"1.0","id":"i","source":"/s","subject":"c",' + rest + b"}]"


class TestOrdinaryBatch:
    @pytest.mark.parametrize("name", TAKEN)
    def test_is_judged_at_once_as_one_by_one(self, name: str) -> None:
        body = json.dumps(TAKEN[name]).encode()
        found = cloudevents_fast.judge_batch(body, PLACE)
        assert found is not None
        assert exact(body) == found

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.uuids().map(str) | NAMES,
                    "subject": NAMES,
                    "data": st.fixed_dictionaries(
                        {},
                        optional={
                            "quantity": st.integers(-2, 10**15)
                            | st.decimals(0, 10**6, places=4).map(str)
                            | st.floats()
                            | st.text("0123456789.eE+-", max_size=18),
                            "dimensions": st.dictionaries(NAMES, NAMES, max_size=3),
                            "properties": st.dictionaries(NAMES, NAMES, max_size=3),
                        },
                    ),
                },
                optional={
                    "time": st.datetimes(timezones=st.timezones() | st.just(UTC)).map(
                        lambda time: time.isoformat().replace("+00:00", "Z")
                    )
                },
            ),
            min_size=1,
            max_size=5,
        ),
        st.booleans(),
    )
    def test_has_no_judgement_of_its_own(
        self, changes: list[dict[str, Any]], is_ascii: bool
    ) -> None:
        """Whatever the values are: what it takes, the exact way takes, and makes the same of."""
        events = [without(ordinary(), "time") | change for change in changes]
        body = json.dumps(events, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
        found = cloudevents_fast.judge_batch(body, PLACE)
        assert found is None or exact(body) == found


class TestUnusualBatch:
    @pytest.mark.parametrize("name", LEFT)
    def test_is_left_to_the_exact_way(self, name: str) -> None:
        assert cloudevents_fast.judge_batch(json.dumps(LEFT[name]).encode(), PLACE) is None

    @pytest.mark.parametrize("name", LEFT_TEXTS)
    def test_of_such_text_is_left_to_the_exact_way(self, name: str) -> None:
        body = _body(LEFT_TEXTS[name])
        assert cloudevents_fast.judge_batch(body, PLACE) is None
        assert exact(body) is None

    @pytest.mark.parametrize("seed", range(8))
    def test_made_by_changing_bytes_is_never_judged_otherwise(self, seed: int) -> None:
        """Bytes are lost, doubled, swapped and moved: 1,000 bodies of each seed."""
        chance = random.Random(seed)
        events = [ordinary(1, traceparent="x"), ordinary(2, id="order-1")]
        if seed % 2:
            events[1]["region"] = "eu"
        base = json.dumps(events).encode()
        taken = 0
        for _ in range(1_000):
            body = bytearray(base)
            for _ in range(chance.randrange(1, 4)):
                _change(body, chance)
            found = cloudevents_fast.judge_batch(bytes(body), PLACE)
            if found is not None:
                taken += 1
                assert exact(bytes(body)) == found, bytes(body)
        assert taken > 0


def _change(body: bytearray, chance: random.Random) -> None:
    """Change some bytes, as a broken or a hostile sender would."""
    at, to = chance.randrange(len(body)), chance.randrange(len(body))
    piece = body[at : at + chance.choice((1, 1, 2, 8, 40))]
    match chance.randrange(5):
        case 0:
            del body[at : at + len(piece)]
        case 1:
            body[at] = chance.choice(b'{}[]",:\\ \n0123456789.eE-+Zt\x00\xffa')
        case 2:
            body[to:to] = piece
        case 3:
            body[at:at] = chance.choice((b" ", b"\n", b"0", b'":', b',"a":"b"', b'"type":"x",'))
        case 4:
            body[to : to + len(piece)] = piece
