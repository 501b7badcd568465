"""Catalogues, parsed once per version: judging a node must not cost reading its rules."""

from __future__ import annotations

import threading
from collections import OrderedDict

import sqlalchemy

from domain.catalogue import Catalogue, parse_catalogue
from projections.queries.catalogues import find_catalogue

VERSIONS_MAX = 256
"""Parsed versions kept, for all tenants together; each is about 100 KB."""

_parsed: OrderedDict[str, Catalogue] = OrderedDict()
_lock = threading.Lock()


def catalogue_in_force(connection: sqlalchemy.Connection) -> Catalogue | None:
    """This function will return the catalogue in force of a connection's tenant; None for none.

    Raises:
        Rejected: catalogue_invalid, for one that a newer version of us published.
    """
    return catalogue_of_version(connection, version=None)


def catalogue_of_version(
    connection: sqlalchemy.Connection, *, version: int | None
) -> Catalogue | None:
    """This function will return a published version; None when there is no such one.

    Args:
        connection: Connection of one tenant.
        version: Its number; None for the one in force.

    Raises:
        Rejected: catalogue_invalid, for one that a newer version of us published.
    """
    found = find_catalogue(connection, version=version)
    if found is None:
        return None
    with _lock:
        known = _parsed.get(found.content_sha256)
        if known is not None:
            _parsed.move_to_end(found.content_sha256)
            return known
    catalogue = parse_catalogue(found.content)
    with _lock:
        _parsed[found.content_sha256] = catalogue
        if len(_parsed) > VERSIONS_MAX:
            _parsed.popitem(last=False)
    return catalogue
