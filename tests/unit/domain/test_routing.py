"""Partitions of customers, as Kafka's own clients compute them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.routing import murmur2, partition_of
from tests.support import kafka_hash


class TestMurmur2:
    @pytest.mark.parametrize(
        ("signed", "data"),
        [
            (-973932308, b"21"),
            (-790332482, b"foobar"),
            (-985981536, b"a-little-bit-long-string"),
            (-1486304829, b"a-little-bit-longer-string"),
            (-58897971, b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"),
            (479470107, b"abc"),
        ],
    )
    def test_is_that_of_the_java_client(self, signed: int, data: bytes) -> None:
        """The values of Apache Kafka's own UtilsTest."""
        assert signed % 2**32 == murmur2(data)

    @given(data=st.binary(max_size=40))
    def test_agrees_with_a_second_reading_of_the_source(self, data: bytes) -> None:
        """Every length modulo four has its own end."""
        assert kafka_hash.murmur2(data) == murmur2(data)


class TestPartitionOf:
    @given(tenant=st.text(max_size=9), customer=st.text(max_size=9), count=st.integers(1, 99))
    def test_is_within_the_topic_and_the_same_everywhere(
        self, tenant: str, customer: str, count: int
    ) -> None:
        """The sign bit is cleared, not the absolute value taken."""
        found = partition_of(tenant, customer, partitions=count)
        assert kafka_hash.partition_of(tenant, customer, partitions=count) == found
        assert 0 <= found < count

    def test_keeps_the_parts_apart(self) -> None:
        """ab + c is another customer than a + bc."""
        places = {
            partition_of(*parts, partitions=2**31 - 1)
            for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))
        }
        assert 4 == len(places)
