"""The frame and what a topic's decoder refuses before it reads a body."""

from __future__ import annotations

import pytest

from domain.codes import Code
from domain.errors import Rejected
from schemas.codec import FRAME_BYTES, Decoder, encode
from schemas.registry import CATALOG_PUBLISHED, COMMAND
from schemas.topics import ACCOUNT_COMMANDS, USAGE_EVENTS

RECORD = {
    "tenant": "t",
    "command_id": "c",
    "kind": "k",
    "body": "{}",
    "actor": "",
    "issued_at_ms": 1,
}
WIRE = bytes.fromhex("000000000402740263026b047b7d0002")
"""Confluent's frame: a zero byte, the schema id in four, then Avro."""


def code_of(value: bytes | None) -> Code:
    with pytest.raises(Rejected) as caught:
        Decoder(ACCOUNT_COMMANDS).decode(value)
    return caught.value.code


class TestFrame:
    def test_is_written_as_any_avro_client_expects(self) -> None:
        """Golden bytes: what is in the log stays readable."""
        assert WIRE == encode(COMMAND, RECORD)

    def test_is_read_back(self) -> None:
        """The schema by its id, and the fields."""
        assert (COMMAND, RECORD) == Decoder(ACCOUNT_COMMANDS).decode(WIRE)


class TestRefusals:
    @pytest.mark.parametrize("value", [None, b"", b"\0", b"\0\0\0\0", b"\1" + WIRE[1:], b"\xff"])
    def test_no_frame(self, value: bytes | None) -> None:
        """Tombstones, stubs and other formats."""
        assert Code.UNDECODABLE == code_of(value)

    @pytest.mark.parametrize("schema_id", [0, 1, 5, 7, 2**31 - 1, -1])
    def test_a_schema_of_another_topic(self, schema_id: int) -> None:
        """Only what the topic allows is read at all."""
        framed = b"\0" + (schema_id % 2**32).to_bytes(4, "big") + WIRE[FRAME_BYTES:]
        assert Code.UNKNOWN_SCHEMA == code_of(framed)

    def test_more_bytes_than_the_topic_takes(self) -> None:
        """The size is looked at first; exactly the limit is read."""
        limit = ACCOUNT_COMMANDS.message_bytes_max
        fitting = _of_size(limit)
        assert limit == len(fitting)
        assert COMMAND == Decoder(ACCOUNT_COMMANDS).decode(fitting)[0]
        assert Code.OVERSIZED == code_of(fitting + b"\0")

    @pytest.mark.parametrize("value", [WIRE[:-1], WIRE + b"\0", WIRE[:FRAME_BYTES]])
    def test_a_body_that_ends_early_or_late(self, value: bytes) -> None:
        """Every byte belongs to the record."""
        assert Code.UNDECODABLE == code_of(value)

    def test_text_that_is_no_utf_8(self) -> None:
        """It would have no canonical form."""
        assert Code.UNDECODABLE == code_of(WIRE.replace(b"\x02t", b"\x02\xff"))

    def test_the_reason_is_short(self) -> None:
        """A refusal is for people, not a copy of the input."""
        with pytest.raises(Rejected) as caught:
            Decoder(USAGE_EVENTS).decode(
                b"\0" + CATALOG_PUBLISHED.schema_id.to_bytes(4, "big") + b"\xfe" * 100_000
            )
        assert len(caught.value.reason) <= 300


def _of_size(size: int) -> bytes:
    empty = len(encode(COMMAND, {**RECORD, "body": "x" * (size - 64)}))
    return encode(COMMAND, {**RECORD, "body": "x" * (size - 64 + size - empty)})
