"""The identity of a series: whose windows they are, of which meter, split by which dimensions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SERIES_ID_BYTES = 16
_LENGTH_BYTES = 4


def series_id(*, tenant: str, customer: str, meter: str, dimensions: Mapping[str, str]) -> bytes:
    """This function will name a series by what it is about, the same on every machine.

    The parts are the tenant, the customer, the meter, then name and value of each dimension in the
    order of the names' code points. Each part is preceded by its length in bytes, so no two
    different series can ever be joined to the same text.

    Args:
        tenant: Tenant.
        customer: Customer of the tenant.
        meter: Key of the meter.
        dimensions: Group-by dimensions the events had.

    Returns:
        BLAKE2b-128 of the joined parts: 16 bytes, kept as a uuid in the database.
    """
    parts = [tenant, customer, meter]
    for name, value in sorted(dimensions.items()):
        parts += (name, value)
    digest = hashlib.blake2b(digest_size=SERIES_ID_BYTES)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded)
    return digest.digest()
