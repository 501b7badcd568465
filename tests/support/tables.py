"""What the projected tables hold, read past row level security and compared with the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

import psycopg

from runtime.settings import Settings
from tests.support.usage_log import HOUR_MS, UsageLog

_WINDOWS = """
    SELECT s.tenant, s.customer, s.meter, s.dimensions,
        (extract(epoch FROM w.hour) * 1000)::bigint, w.events, w.late, w.sum, w.min, w.max,
        w.latest, w.latest_occurred_ms, w.latest_offset, w.first_offset, w.last_offset,
        w.key_digest
    FROM usage_window w JOIN usage_series s USING (tenant, series)
"""


def rows(settings: Settings, query: str, parameters: Sequence[object] = ()) -> list[Any]:
    """Run a query as the URL's own role, which the tests' server lets see everything."""
    with psycopg.connect(
        settings.database_url.get_secret_value(),
        options=f"-c search_path={settings.database_schema},public",
    ) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def windows_of(settings: Settings) -> dict[Any, tuple[object, ...]]:
    """Every window by (tenant, customer, meter, dimensions) and hour."""
    return {
        ((tenant, customer, meter, json.dumps(dimensions)), start_ms // HOUR_MS): tuple(row)
        for tenant, customer, meter, dimensions, start_ms, *row in rows(settings, _WINDOWS)
    }


def truth_of(log: UsageLog) -> dict[Any, tuple[object, ...]]:
    """The same from a plain count of the events."""
    return {key: window.row() for key, window in log.windows.items()}


def intake_of(settings: Settings) -> dict[str, int]:
    """What arrived, summed over everything."""
    names = ("received", "accepted", "duplicates", "conflicts", "rejected")
    query = f"SELECT {', '.join(f'sum({name})::bigint' for name in names)} FROM intake_count"
    return {
        name: count for name, count in zip(names, rows(settings, query)[0], strict=True) if count
    }


def next_offsets(settings: Settings, topic: str) -> dict[int, int]:
    """Positions of a facts topic; none while the schema is away."""
    try:
        found = rows(
            settings, "SELECT partition, next_offset FROM position WHERE topic = %s", [topic]
        )
    except psycopg.Error:
        return {}
    return dict(found)


def wait_until(condition: Callable[[], bool], *, what: str, timeout_s: int = 60) -> None:
    """Look again and again until something is so."""
    deadline = monotonic() + timeout_s
    while not condition():
        if monotonic() > deadline:
            raise AssertionError(f"after {timeout_s} s still not: {what}")
        sleep(0.05)


def await_log(settings: Settings, log: UsageLog) -> None:
    """Wait until all facts of a log are projected."""
    ends = {number: facts[-1].to_offset for number, facts in log.facts.items()}
    wait_until(
        lambda: next_offsets(settings, "usage.facts") == ends, what=f"projected up to {ends}"
    )
