"""A connection that a command reads one tenant by, closed behind it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from projections.queries.connection import tenant_connection
from runtime import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy

    from runtime.settings import Settings


@contextmanager
def reading(settings: Settings, *, tenant: str) -> Iterator[sqlalchemy.Connection]:
    """This function will give a connection of one tenant; nothing of it stays open."""
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant) as connection:
            yield connection
    finally:
        engine.dispose()
