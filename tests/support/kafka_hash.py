"""The partition of a customer, written again from Apache Kafka's Utils.murmur2."""

from __future__ import annotations


def murmur2(data: bytes) -> int:
    """Return the signed 32-bit hash as Java has it, modulo 2^32."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * multiplier & mask
        word = ((word >> 24) ^ word) * multiplier & mask
        value = (value * multiplier & mask) ^ word
    rest = data[whole:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * multiplier & mask
    value = ((value >> 13) ^ value) * multiplier & mask
    return (value >> 15) ^ value


def partition_of(tenant: str, customer: str, *, partitions: int) -> int:
    """Return where all events of a customer must lie."""
    return (murmur2(f"{tenant}\x1f{customer}".encode()) & 0x7FFFFFFF) % partitions
