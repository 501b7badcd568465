"""The binary rows say exactly what a reader of PostgreSQL's format would take from them."""

import struct
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import copy_binary
from projections.copy_binary import Kind, RowFormat

INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
NANOS = st.integers(0, 10**9 - 1)
UINT64 = st.integers(0, 2**64 - 1)


def _numeric(data: bytes) -> Fraction:
    """Read a numeric as the server's documentation describes it."""
    count, weight, sign, scale = struct.unpack(">hhHh", data[:8])
    digits = struct.unpack(f">{count}h", data[8:])
    assert all(0 <= digit < 10_000 for digit in digits)
    places = sum(digit * 10 ** (4 * (count - 1 - index)) for index, digit in enumerate(digits))
    value: Fraction = places * Fraction(10_000 ** (weight + 1), 10_000**count)
    assert (value * 10**scale).denominator == 1
    return -value if sign == 0x4000 else value


def _rows(blocks: Iterable[bytes | memoryview]) -> list[list[bytes]]:
    """Cut a payload into rows of fields."""
    data = b"".join(bytes(block) for block in blocks)
    assert data.startswith(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
    at, rows = 19, []
    while (count := struct.unpack_from(">h", data, at)[0]) != -1:
        at += 2
        row = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, at)
            row.append(data[at + 4 : at + 4 + length])
            at += 4 + length
        rows.append(row)
    assert at + 2 == len(data)
    return rows


class TestQuantities:
    @given(st.lists(st.tuples(INT64, NANOS), min_size=1, max_size=20))
    def test_are_written_exactly(self, values: list[tuple[int, int]]) -> None:
        rows = RowFormat({"value": Kind.QUANTITY}).rows(len(values))
        copy_binary.put_quantities(
            rows["value"],
            np.array([units for units, _ in values], dtype=np.int64),
            np.array([nanos for _, nanos in values], dtype=np.int32),
        )
        found = [_numeric(row[0]) for row in _rows(copy_binary.payload(rows))]
        assert found == [Fraction(units * 10**9 + nanos, 10**9) for units, nanos in values]


class TestDigests:
    @given(st.lists(st.tuples(UINT64, UINT64), min_size=1, max_size=20))
    def test_are_written_exactly(self, values: list[tuple[int, int]]) -> None:
        rows = RowFormat({"value": Kind.DIGEST}).rows(len(values))
        high, low = np.array(values, dtype=np.uint64).T
        copy_binary.put_digests(rows["value"], high, low)
        found = [_numeric(row[0]) for row in _rows(copy_binary.payload(rows))]
        assert found == [(high << 64) | low for high, low in values]


class TestRows:
    def test_hold_every_kind_in_the_order_given(self) -> None:
        rows = RowFormat(
            {"a": Kind.INTEGER, "b": Kind.UUID, "c": Kind.BIGINT, "d": Kind.TIMESTAMP}
        ).rows(1)
        rows["a"], rows["c"] = 7, -5
        rows["b"] = np.frombuffer(bytes(range(16)), dtype="V16")
        rows["d"] = copy_binary.timestamps_of_hours(np.array([262_968], dtype=np.int32))
        expected = [
            (7).to_bytes(4, "big"),
            bytes(range(16)),
            (-5).to_bytes(8, "big", signed=True),
            (0).to_bytes(8, "big"),  # 2000-01-01
        ]
        assert _rows(copy_binary.payload(rows)) == [expected]

    @pytest.mark.parametrize("count", [0, 3])
    def test_number_as_many_as_asked_for(self, count: int) -> None:
        rows = RowFormat({"value": Kind.QUANTITY}).rows(count)
        assert [_numeric(row[0]) for row in _rows(copy_binary.payload(rows))] == [0] * count


class TestTexts:
    def test_of_several_lengths_share_a_payload(self) -> None:
        parts = []
        for texts, places in (([b"ab", b"\xc3\xa9"], [1, 0, 1]), ([b"acme"], [0])):
            form = RowFormat({"name": Kind.TEXT, "n": Kind.INTEGER}, text_bytes=len(texts[0]))
            part = form.rows(len(places))
            copy_binary.put_texts(part["name"], texts, np.array(places, dtype=np.int32))
            part["n"] = 7
            parts.append(part)
        found = _rows(copy_binary.payload(*parts))
        assert [row[0].decode() for row in found] == ["é", "ab", "é", "acme"]
        assert all(row[1] == struct.pack(">i", 7) for row in found)
