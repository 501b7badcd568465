"""Which partition a customer's or tenant's records live in: murmur2 as in Kafka's Java client.

Source: org.apache.kafka.common.utils.Utils.murmur2 and toPositive (Apache Kafka 4.x).
"""

from __future__ import annotations

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
SEPARATOR = "\x1f"


def murmur2(data: bytes) -> int:
    """This function will return the 32-bit murmur2 hash of the bytes, unsigned."""
    length = len(data)
    value = (_SEED ^ length) & _MASK
    body = length & ~3
    for start in range(0, body, 4):
        block = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        block = (block ^ (block >> 24)) * _M & _MASK
        value = (value * _M & _MASK) ^ block
    tail = data[body:]
    if tail:
        value = (value ^ int.from_bytes(tail, "little")) * _M & _MASK
    value = (value ^ (value >> 13)) * _M & _MASK
    return value ^ (value >> 15)


def partition_of(*parts: str, partitions: int) -> int:
    """This function will return the partition of a routing key.

    Args:
        parts: The key's parts: (tenant, customer) on usage.events, (tenant,) on account.commands.
        partitions: Partition count of the topic, fixed for its life.
    """
    return (murmur2(SEPARATOR.join(parts).encode()) & 0x7FFFFFFF) % partitions
