"""What a command takes as now: the tenant's time, which a test clock may have in another year."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from cli.times import given_time
from projections.queries.clocks import tenant_now
from projections.queries.connection import tenant_connection
from runtime import postgres

if TYPE_CHECKING:
    from datetime import datetime

    from runtime.settings import Settings


def now_of(settings: Settings, *, tenant: str) -> datetime:
    """This function will return the tenant's time in UTC."""
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant) as connection:
            return tenant_now(connection).astimezone(UTC)
    finally:
        engine.dispose()  # what follows has connections of its own


def moment_of(settings: Settings, text: str, *, tenant: str) -> datetime:
    """This function will read an as_of; empty is the tenant's time, on a whole second."""
    return (
        given_time(text, "--as-of")
        if text
        else now_of(settings, tenant=tenant).replace(microsecond=0)
    )
