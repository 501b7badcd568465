"""A tenant's published catalogues, parsed once per process for everybody who reads tables.

The database is asked which versions there are, by hash; texts are read for those alone that this
process does not hold. A hash names one content, so tenants that publish the same share it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.catalogue import parse_catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import psycopg

    from domain.catalogue import Catalogue

VERSIONS_MAX = 256
"""Parsed versions kept, of all tenants together; each is about 100 KB."""

_ALL = "SELECT version, content_sha256, published_at FROM catalogue ORDER BY version"
_ONE = "SELECT content_sha256 FROM catalogue WHERE version = %s"
_NEWEST = "SELECT content_sha256 FROM catalogue ORDER BY version DESC LIMIT 1"
_TEXTS = "SELECT content_sha256, content FROM catalogue WHERE content_sha256 = ANY(%s)"

_parsed: OrderedDict[str, Catalogue] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Published:
    """Every version of a tenant's catalogue.

    Args:
        catalogues: By version, the oldest first.
        published_at: When each was published, UTC.
    """

    catalogues: Mapping[int, Catalogue]
    published_at: Mapping[int, datetime]


def read_published(connection: psycopg.Connection[Any]) -> Published:
    """This function will return every published version of the connection's tenant.

    Raises:
        Rejected: catalogue_invalid, for one that a newer version of us published.
    """
    rows = connection.execute(_ALL).fetchall()
    found = _catalogues(connection, [sha256 for _, sha256, _ in rows])
    return Published(
        {version: found[sha256] for version, sha256, _ in rows},
        {version: published_at for version, _, published_at in rows},
    )


def read_version(connection: psycopg.Connection[Any], *, version: int | None) -> Catalogue | None:
    """This function will return one published version; None when there is no such one.

    Args:
        connection: Connection of one tenant.
        version: Its number; None for the one in force.

    Raises:
        Rejected: catalogue_invalid, for one that a newer version of us published.
    """
    if version is None:
        row = connection.execute(_NEWEST).fetchone()
    else:
        row = connection.execute(_ONE, (version,)).fetchone()
    return None if row is None else _catalogues(connection, [row[0]])[row[0]]


def _catalogues(
    connection: psycopg.Connection[Any], hashes: Sequence[str]
) -> Mapping[str, Catalogue]:
    """Return catalogues by hash; what others put out meanwhile is held by what is returned."""
    found = _known(hashes)
    missing = [sha256 for sha256 in hashes if sha256 not in found]
    if missing:
        for sha256, content in connection.execute(_TEXTS, (missing,)):
            found[sha256] = parse_catalogue(content)
        _keep({sha256: found[sha256] for sha256 in missing})
    return found


def _known(hashes: Sequence[str]) -> dict[str, Catalogue]:
    with _lock:
        found = {sha256: _parsed[sha256] for sha256 in hashes if sha256 in _parsed}
        for sha256 in found:
            _parsed.move_to_end(sha256)
        return found


def _keep(parsed: Mapping[str, Catalogue]) -> None:
    with _lock:
        _parsed.update(parsed)
        while len(_parsed) > VERSIONS_MAX:
            _parsed.popitem(last=False)
