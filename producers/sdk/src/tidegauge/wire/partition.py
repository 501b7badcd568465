"""Which partition a customer's events go to: the Java client's murmur2 of tenant, customer."""

import struct
from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """This function will hash bytes exactly as org.apache.kafka.common.utils.Utils.murmur2 does.

    Args:
        data: Any bytes.

    Returns:
        The hash as a signed 32-bit integer, as Java has it.
    """
    length = len(data)
    words = length // 4
    value = _SEED ^ length
    for word in struct.unpack_from(f"<{words}I", data):
        mixed = (word * _MULTIPLIER) & _MASK
        mixed = ((mixed ^ (mixed >> 24)) * _MULTIPLIER) & _MASK
        value = ((value * _MULTIPLIER) & _MASK) ^ mixed
    tail = data[words * 4 :]
    if tail:
        value = ((value ^ int.from_bytes(tail, "little")) * _MULTIPLIER) & _MASK
    value = ((value ^ (value >> 13)) * _MULTIPLIER) & _MASK
    value ^= value >> 15
    return value - (1 << 32) if value & 0x80000000 else value


def partition_of(*, tenant: str, customer: str, partition_count: int) -> int:
    """This function will find the partition of all events of one customer.

    Args:
        tenant: The tenant, without control characters.
        customer: The customer, without control characters.
        partition_count: Partitions of the topic, at least 1, fixed for the topic's life.

    Returns:
        The partition, from 0 to partition_count - 1.
    """
    return (murmur2(f"{tenant}\x1f{customer}".encode()) & 0x7FFFFFFF) % partition_count
