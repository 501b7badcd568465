"""Hostile bytes: the fast readers and Avro's own agree, and only Rejected ever comes out."""

from __future__ import annotations

import io
import random
import tracemalloc
from dataclasses import replace
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Rejected
from domain.usage.fold import UsageFold
from schemas.codec import FRAME_BYTES, Decoder
from schemas.registry import USAGE_BATCH, USAGE_EVENT, Schema
from schemas.topics import USAGE_EVENTS
from schemas.usage_fast import usage_batch_fields, usage_event_fields
from schemas.usage_wire import from_wire_usage_source, to_wire_usage_facts
from tests.support.usage_truth import Event, batch_record, event_record

MUTATIONS = 5_000
FAST = {USAGE_BATCH: usage_batch_fields, USAGE_EVENT: usage_event_fields}

TEXTS = st.text(max_size=12)
LONGS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([sign * 2**bits for bits in (6, 13, 55, 56, 62) for sign in (1, -1)]),
)
PAIRS = st.dictionaries(TEXTS, TEXTS, max_size=3).map(lambda pairs: tuple(pairs.items()))
EVENTS = st.builds(
    Event,
    key=st.integers(0, 2**128 - 1),
    customer=TEXTS,
    type=TEXTS,
    occurred_ms=LONGS,
    quantity=LONGS,
    dimensions=PAIRS,
    properties=PAIRS,
    fingerprint=st.integers(0, 2**64 - 1),
)


def general(schema: Schema, value: bytes) -> dict[str, Any]:
    """What fastavro reads of a whole value; it must use every byte."""
    reader = io.BytesIO(value[FRAME_BYTES:])
    record: Any = fastavro.schemaless_reader(reader, schema.parsed, None)
    assert reader.tell() == len(value) - FRAME_BYTES
    fields: dict[str, Any] = record
    return fields


def plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Numpy columns and property tuples as fastavro would have them."""
    result = {}
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            result[name] = value.tolist()
        elif name == "properties" and isinstance(value, list):
            result[name] = [
                item if isinstance(item, tuple) else (item["index"], item["name"], item["value"])
                for item in value
            ]
        else:
            result[name] = value
    return result


def agrees(schema: Schema, value: bytes) -> bool:
    """Whether the fast reader took the value; then it must have read what fastavro reads."""
    fast = FAST[schema](value, FRAME_BYTES)
    if fast is None:
        return False
    slow = plain(general(schema, value))
    assert {name: slow[name] for name in fast} == plain(fast)
    return True


class TestAgreement:
    @given(events=st.lists(EVENTS, max_size=8), backfill=st.booleans(), tenant=TEXTS)
    @settings(max_examples=150)
    def test_of_batches(self, events: list[Event], backfill: bool, tenant: str) -> None:
        """Every batch that fastavro writes is read the same, the fast way or the general one."""
        value = batch_record(events, backfill=backfill, tenant=tenant)
        small = all(abs(number) < 2**55 for each in events for number in
                    (each.occurred_ms, each.quantity))  # fmt: skip
        assert agrees(USAGE_BATCH, value) or not small

    @given(event=EVENTS, backfill=st.booleans(), tenant=TEXTS)
    @settings(max_examples=150)
    def test_of_single_events(self, event: Event, backfill: bool, tenant: str) -> None:
        """No single event of the usual layout needs the general reader."""
        assert agrees(USAGE_EVENT, event_record(event, backfill=backfill, tenant=tenant))


SAMPLES = [
    Event(7, "ann", "llm", 1_773_000_000_000, 12, 1, (("model", "a"),), (("ms", "1.5"),), 9),
    Event(8, "bob", "call", 1_773_000_000_001, 2**40, 0, (), (), 2**64 - 1),
    Event(2**128 - 1, "zoë", "llm", 0, 0, 0, (("model", "a"), ("region", "é")), (), 0),
]
VALUES = {
    USAGE_BATCH: batch_record(SAMPLES),
    USAGE_EVENT: event_record(SAMPLES[0], backfill=True),
}


class TestBrokenBytes:
    @pytest.mark.parametrize("schema", list(VALUES), ids=lambda schema: schema.name)
    def test_every_truncation_is_undecodable(self, schema: Schema) -> None:
        """A record that ends early is refused, wherever it ends."""
        value = VALUES[schema]
        for end in range(len(value)):
            with pytest.raises(Rejected):
                Decoder(USAGE_EVENTS).decode(value[:end])

    @pytest.mark.parametrize("schema", list(VALUES), ids=lambda schema: schema.name)
    def test_bytes_that_follow_are_undecodable(self, schema: Schema) -> None:
        """One byte too many means that writer and reader disagree."""
        for tail in (b"\0", b"\x02", b"\xff" * 9):
            with pytest.raises(Rejected, match="undecodable"):
                Decoder(USAGE_EVENTS).decode(VALUES[schema] + tail)

    @pytest.mark.parametrize("schema", list(VALUES), ids=lambda schema: schema.name)
    def test_mutations_are_read_alike_or_refused(self, schema: Schema) -> None:
        """Changed, cut out and inserted bytes: what the fast reader takes, fastavro takes so too;
        the fold counts or refuses the rest, and its facts can be written."""
        draw = random.Random(schema.schema_id)
        fold = UsageFold(partition=0, partitions=1)
        for offset in range(MUTATIONS):
            value = mutated(VALUES[schema], draw)
            agrees(schema, value)
            record = from_wire_usage_source(value, offset=offset, received_at_ms=1)
            facts = fold.step([record], from_offset=offset, to_offset=offset + 1)
            assert to_wire_usage_facts(facts, writer="")

    @pytest.mark.parametrize("schema", list(VALUES), ids=lambda schema: schema.name)
    def test_counts_that_never_come_take_no_memory(self, schema: Schema) -> None:
        """2^62 items announced at every place of a record: refused within 4 MiB."""
        tracemalloc.start()
        for at in range(FRAME_BYTES, len(VALUES[schema])):
            hostile = VALUES[schema][:at] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
            with pytest.raises(Rejected):
                Decoder(USAGE_EVENTS).decode(hostile)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * 1024 * 1024


def mutated(value: bytes, draw: random.Random) -> bytes:
    """Change a few bytes behind the frame."""
    data = bytearray(value)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(FRAME_BYTES, len(data))
        chosen = draw.random()
        if chosen < 0.6:
            data[at] = draw.choice((0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, draw.randrange(256)))
        elif chosen < 0.75:
            data[at:at] = draw.choice((b"\0", b"\x80" * 10, draw.randbytes(3)))
        elif chosen < 0.9:
            del data[at : at + draw.randrange(1, 5)]
        else:
            data[at : at + 9] = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
        if len(data) <= FRAME_BYTES:
            return bytes(data)
    return bytes(data)


def zigzag(number: int) -> bytes:
    value, out = (number << 1) ^ (number >> 63), bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def blocks(items: list[bytes], *, negative: bool) -> bytes:
    """Write an Avro array with one block per item, with or without the blocks' sizes."""
    parts = [(zigzag(-1) + zigzag(len(item)) if negative else zigzag(1)) + item for item in items]
    return b"".join(parts) + b"\0"


class TestUnusualLayouts:
    """Avro allows arrays in several blocks, and blocks that tell their size."""

    @pytest.mark.parametrize("negative", [False, True])
    def test_arrays_in_blocks_decode_through_the_general_reader(self, negative: bool) -> None:
        """What another Avro library may write is taken as well."""
        usual = batch_record([replace(SAMPLES[0], properties=())] * 2)
        column = zigzag(2) + zigzag(0) * 2 + b"\0"
        strange = blocks([zigzag(0)] * 2, negative=negative)
        at = usual.index(column)  # the customers' column
        value = usual[:at] + strange + usual[at + len(column) :]
        assert usage_batch_fields(value, FRAME_BYTES) is None
        schema, fields = Decoder(USAGE_EVENTS).decode(value)
        assert (USAGE_BATCH, plain(general(USAGE_BATCH, usual))) == (schema, plain(fields))

    @pytest.mark.parametrize("negative", [False, True])
    def test_maps_in_blocks_decode_through_the_general_reader(self, negative: bool) -> None:
        """The dimensions of a single event, one block per pair."""
        event = replace(SAMPLES[2], properties=())
        usual = event_record(event)
        pairs = [b"".join(zigzag(len(text.encode())) + text.encode() for text in pair)
                 for pair in event.dimensions]  # fmt: skip
        written = zigzag(2) + b"".join(pairs) + b"\0"
        assert written in usual
        value = usual.replace(written, blocks(pairs, negative=negative))
        assert usage_event_fields(value, FRAME_BYTES) is None
        assert general(USAGE_EVENT, usual) == Decoder(USAGE_EVENTS).decode(value)[1]
