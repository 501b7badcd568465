"""Asset snapshots, as the windows of their meters hold them (S1-06, S1-10).

A snapshot is usage: `assets` counts it, `site_assets` its sites, both with the aggregation latest.
A window keeps the latest value of an hour and when it occurred, so the list shows the last
snapshot of each hour; sites belong to the snapshot that was captured in the same millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import sqlalchemy

from domain.catalogue import Catalogue
from domain.period import from_ms
from projections.queries.paging import Page, conditions, page_of

SNAPSHOT_TYPE = "asset_snapshot"
SITE_TYPE = "asset_site"
SITE_DIMENSION = "site"
"""Event types and dimension of a snapshot, as S1 names them; producers.gateway.asset_snapshots
writes the same."""
SITES_MAX = 500
"""Sites of one snapshot, as the gateway takes them."""


@dataclass(frozen=True, slots=True)
class AssetSnapshot:
    """The last snapshot of an hour.

    Args:
        customer: Whose assets.
        captured_at: When, UTC.
        asset_count: How many.
        sites: (site, how many), by name; empty when the snapshot named none.
    """

    customer: str
    captured_at: datetime
    asset_count: Decimal
    sites: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class AssetMeters:
    """The meters of a catalogue that count snapshots.

    Args:
        assets: Meters of the whole count.
        sites: Meters of each site.
    """

    assets: tuple[str, ...]
    sites: tuple[str, ...]


def meters_of(catalogue: Catalogue) -> AssetMeters:
    """This function will return the meters by which a catalogue counts snapshots."""
    return AssetMeters(
        assets=tuple(meter.key for meter in catalogue.meters_of(SNAPSHOT_TYPE)),
        sites=tuple(
            meter.key
            for meter in catalogue.meters_of(SITE_TYPE)
            if SITE_DIMENSION in meter.group_by
        ),
    )


_SITES = f"""
    SELECT s.customer, w.latest_occurred_ms, s.dimensions ->> '{SITE_DIMENSION}' AS site, w.latest
    FROM unnest(CAST(:customers AS text[]), CAST(:moments AS bigint[])) AS q (customer, moment)
    JOIN usage_series AS s ON s.customer = q.customer AND s.meter = ANY(:meters)
    JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
        AND w.hour = to_timestamp(q.moment / 3600000 * 3600)
        AND w.latest_occurred_ms = q.moment
    WHERE s.dimensions ? '{SITE_DIMENSION}'
    ORDER BY 1, 2, 3 LIMIT :row_count
"""  # noqa: S608 -- fixed texts only


def list_snapshots(
    connection: sqlalchemy.Connection,
    *,
    meters: AssetMeters,
    limit: int,
    after: tuple[datetime, str] | None,
    customer: str | None = None,
) -> Page[AssetSnapshot]:
    """This function will return snapshots, the newest hour first.

    Args:
        connection: Connection of one tenant.
        meters: Meters that count snapshots.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (hour, customer) of the last one of the page before; None for the first page.
        customer: Only those of this customer; None for all.
    """
    where = conditions(
        "s.meter = ANY(:meters)",
        "w.events > 0",
        "(w.hour, s.customer) < (:hour, :after_customer)" if after is not None else "",
        "s.customer = :customer" if customer is not None else "",
    )
    hour, after_customer = (None, None) if after is None else after
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT s.customer, w.latest_occurred_ms, w.latest FROM usage_series AS s"  # noqa: S608 -- fixed texts only
            " JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series"
            f" {where} ORDER BY w.hour DESC, s.customer DESC LIMIT :row_count"
        ),
        {
            "meters": list(meters.assets[:1]),
            "hour": hour,
            "after_customer": after_customer,
            "customer": customer,
            "row_count": limit + 1,
        },
    ).all()
    found = _sites(connection, meters, [(row[0], row[1]) for row in rows])
    return page_of(
        [
            AssetSnapshot(
                customer=row[0],
                captured_at=from_ms(row[1]),
                asset_count=row[2],
                sites=tuple(found.get((row[0], row[1]), ())),
            )
            for row in rows
        ],
        limit=limit,
    )


def _sites(
    connection: sqlalchemy.Connection, meters: AssetMeters, places: list[tuple[str, int]]
) -> dict[tuple[str, int], list[tuple[str, Decimal]]]:
    """Return the sites of snapshots, by customer and moment."""
    found: dict[tuple[str, int], list[tuple[str, Decimal]]] = {}
    if not places or not meters.sites:
        return found
    rows = connection.execute(
        sqlalchemy.text(_SITES),
        {
            "customers": [name for name, _ in places],
            "moments": [moment for _, moment in places],
            "meters": list(meters.sites[:1]),
            "row_count": len(places) * SITES_MAX,
        },
    )
    for name, moment, site, value in rows:
        found.setdefault((name, moment), []).append((site, value))
    return found
