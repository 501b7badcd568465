"""One snapshot of a customer's assets, as S1 sends it (S1-06, S1-56): three kinds of usage events.

A snapshot is usage, of meters with the aggregation `latest`: so it is counted once, rated, traced
and replayed as all usage is, and no second book of counts can disagree with the invoice. It
becomes, in one batch that the log takes whole:

    asset_snapshot   quantity: the assets
    asset_sites      quantity: how many sites, when the snapshot says
    asset_site       for each of them: quantity its assets, dimension `site` its name

The ids follow from the snapshot's, so a snapshot that is sent again counts once. What a catalogue
does not count (no meter of `asset_site`, say) is refused by the fold and shown as a reject.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from domain.derived_ids import derived_id
from producers.gateway.candidates import Candidate, RefusedEvent, only_known, read_time
from runtime import ids
from runtime.web.exact_json import Exact

CUSTOMER = ("customer", "customer_id", "tenant_id")
"""Names of whose assets: the tenant of S1 is a customer of ours (C-02)."""
SNAPSHOT_TYPE = "asset_snapshot"
SITES_TYPE = "asset_sites"
SITE_TYPE = "asset_site"
SITE_DIMENSION = "site"
SITES_MAX = 500
"""Sites of one snapshot: with the other two events well below what one request may hold."""
_KNOWN = frozenset({*CUSTOMER, "id", "asset_count", "site_breakdown", "captured_at"})


def to_candidates(
    body: Exact, *, tenant: str, idempotency_key: str, now: datetime
) -> tuple[Candidate, ...]:
    """This function will read one snapshot.

    Args:
        body: The request's JSON: tenant_id, asset_count and site_breakdown (one of them may be
            left out), captured_at and id, which may be left out.
        tenant: Of the API key.
        idempotency_key: Gives the snapshot its id when the body has none; empty for a new id.
        now: When it was captured, unless it says so itself.

    Returns:
        The snapshot's events, the assets first. Without asset_count the assets are those of the
        sites; with both, asset_count counts: assets may stand where no site is (S1-56's sample).

    Raises:
        RefusedEvent: With the field that is wrong.
    """
    if not isinstance(body, dict):
        raise RefusedEvent("body", "must be a JSON object")
    only_known(body, _KNOWN, place="")
    sites = _sites_of(body)
    if "asset_count" not in body and sites is None:
        raise RefusedEvent("asset_count", "must be there, or site_breakdown")
    count = body.get("asset_count", sum((sites or {}).values()))
    if isinstance(count, str | Decimal) or not _is_count(count):
        raise RefusedEvent("asset_count", "must be a whole number, not negative")
    captured_at = read_time(body.get("captured_at"), param="captured_at") or now
    snapshot = _id_of(body, tenant, idempotency_key)
    customer = body.get(_customer_name(body))

    def event(type_: str, quantity: Exact, *parts: str, site: str = "") -> Candidate:
        return Candidate(
            id=derived_id("ast", *parts) if parts else snapshot,
            source="",
            customer=customer,
            type_=type_,
            quantity=quantity,
            occurred_at=captured_at,
            dimensions={SITE_DIMENSION: site} if site else None,
            properties=None,
        )

    events = [event(SNAPSHOT_TYPE, count)]
    if sites is not None:
        events.append(event(SITES_TYPE, len(sites), snapshot, SITES_TYPE))
        events += [
            event(SITE_TYPE, assets, snapshot, SITE_TYPE, site, site=site)
            for site, assets in sites.items()
        ]
    return tuple(events)


def _sites_of(body: dict[str, Exact]) -> dict[str, int] | None:
    breakdown = body.get("site_breakdown")
    if breakdown is None:
        return None
    if not isinstance(breakdown, dict) or len(breakdown) > SITES_MAX:
        raise RefusedEvent(
            "site_breakdown", f"must be an object of at most {SITES_MAX} sites and their assets"
        )
    sites = {}
    for site, assets in breakdown.items():
        if not site or not isinstance(assets, int) or not _is_count(assets):
            raise RefusedEvent(
                "site_breakdown", "must hold named sites with whole numbers, not negative"
            )
        sites[site] = assets
    return sites


def _is_count(value: Exact) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _customer_name(body: dict[str, Exact]) -> str:
    found = [name for name in CUSTOMER if name in body]
    if len(found) > 1:
        raise RefusedEvent(found[1], f"says the same as {found[0]}; send one of them")
    return found[0] if found else CUSTOMER[0]


def _id_of(body: dict[str, Exact], tenant: str, idempotency_key: str) -> str:
    given = body.get("id", "")
    if not isinstance(given, str):
        raise RefusedEvent("id", "must be text")
    if given:
        return given
    if idempotency_key:
        return derived_id("req", tenant, idempotency_key)
    return str(ids.uuid7())
