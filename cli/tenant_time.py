"""What a command takes as now: the tenant's time, which a test clock may have in another year."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from cli.reading import reading
from cli.times import given_time
from projections.queries.clocks import tenant_now

if TYPE_CHECKING:
    from datetime import datetime

    from runtime.settings import Settings


def now_of(settings: Settings, *, tenant: str) -> datetime:
    """This function will return the tenant's time in UTC."""
    with reading(settings, tenant=tenant) as connection:
        return tenant_now(connection).astimezone(UTC)


def moment_of(settings: Settings, text: str, *, tenant: str) -> datetime:
    """This function will read an as_of; empty is the tenant's time, on a whole second."""
    return (
        given_time(text, "--as-of")
        if text
        else now_of(settings, tenant=tenant).replace(microsecond=0)
    )
