"""A tenant's published catalogues, parsed once per process for everybody who reads tables.

The database is asked which versions there are, by hash; texts are read for those alone that this
process does not hold. A hash names one content, so tenants that publish the same share it: a
text is taken for what it is, not for what its row says of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import psycopg

    from domain.catalogue import Catalogue

VERSIONS_MAX = 1_024
"""Parsed versions kept, of all tenants together; the smallest takes 1 KB, a usual one 100 KB."""
TEXT_MAX = 16 * 2**20
"""Characters of their texts together: parsed they take about nine times as much, so at most some
150 MB a process. One text has at most 1 MiB."""

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
        Fatal: state_corrupt, when a content is not the one of its hash.
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
        Fatal: state_corrupt, when a content is not the one of its hash.
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
            found[sha256] = _parsed_of(content, sha256=sha256)
        _keep({sha256: found[sha256] for sha256 in missing})
    return found


def _parsed_of(content: str, *, sha256: str) -> Catalogue:
    catalogue = parse_catalogue(content)
    if catalogue.sha256 != sha256:
        raise Fatal(
            Code.STATE_CORRUPT,
            f"the catalogue with hash {sha256} has another content, of hash {catalogue.sha256}",
            next_step="The table was changed: `tidegauge rebuild` makes it again from the log",
        )
    return catalogue


def _known(hashes: Sequence[str]) -> dict[str, Catalogue]:
    with _lock:
        found = {sha256: _parsed[sha256] for sha256 in hashes if sha256 in _parsed}
        for sha256 in found:
            _parsed.move_to_end(sha256)
        return found


def _keep(parsed: Mapping[str, Catalogue]) -> None:
    with _lock:
        _parsed.update(parsed)
        held = sum(len(catalogue.content) for catalogue in _parsed.values())
        while len(_parsed) > VERSIONS_MAX or held > TEXT_MAX:
            _, gone = _parsed.popitem(last=False)
            held -= len(gone.content)
