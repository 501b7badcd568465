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

    Args:
        tenant: Tenant.
        customer: Customer of the tenant.
        meter: Key of the meter.
        dimensions: Group-by dimensions the events had.

    Returns:
        16 bytes, kept as a uuid in the database; see series_id_of_parts.
    """
    pairs = (text for pair in sorted(dimensions.items()) for text in pair)
    return series_id_of_parts(series_parts(tenant, customer, meter, *pairs))


def series_parts(*texts: str) -> bytes:
    """This function will join texts, each behind its length in bytes.

    So no two different lists of texts can ever be joined to the same bytes, and what is joined
    piece by piece is what would have been joined at once.
    """
    encoded = (text.encode() for text in texts)
    return b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in encoded)


def series_id_of_parts(parts: bytes) -> bytes:
    """This function will name a series whose parts are joined already.

    Args:
        parts: Joined by series_parts: tenant, customer, meter, then name and value of each
            dimension in the order of the names' code points.

    Returns:
        BLAKE2b-128 of them.
    """
    return hashlib.blake2b(parts, digest_size=SERIES_ID_BYTES).digest()
