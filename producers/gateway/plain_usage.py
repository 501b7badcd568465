"""One usage event in plain JSON, in the words of whichever system sends it (C-02, C-20).

S1 says tenant_id, event_type, units and meta; S3 organization_id; S4 tenant_id, resource_type and
metadata. All of them are the same event, so one reader takes them all, and refuses two names for
one thing.
"""

from __future__ import annotations

from domain.derived_ids import derived_id
from producers.gateway.candidates import Candidate, RefusedEvent, only_known, read_time
from runtime import ids
from runtime.web import exact_json
from runtime.web.exact_json import Exact

CUSTOMER = ("customer", "customer_id", "organization_id", "tenant_id")
"""Names of who used. The tenant of S1 and S4 is a customer of ours: ours is who runs a billing."""
TYPE = ("type", "event_type", "resource_type")
QUANTITY = ("quantity", "units", "tokens", "frames")
TIME = ("time", "occurred_at")
PROPERTIES = ("properties", "meta", "metadata")
RAW_UNITS = {"tokens": ("LLM_token_usage", 1_000), "frames": ("vision_frame_batch", 100)}
"""Field → the only type it belongs to, and how many make a unit, a started one counting whole
(S1-29, S1-R14)."""

_KNOWN = frozenset(
    {"id", "source", "dimensions", "subscription_id"}
    | {name for names in (CUSTOMER, TYPE, QUANTITY, TIME, PROPERTIES) for name in names}
)


def to_candidate(body: Exact, *, tenant: str, idempotency_key: str) -> Candidate:
    """This function will read one usage event.

    Args:
        body: The request's JSON.
        tenant: Of the API key.
        idempotency_key: Gives the event its id when the body has none, so that a repeat has the
            same; empty for a new id each time.

    Raises:
        RefusedEvent: With the field that is wrong.
    """
    if not isinstance(body, dict):
        raise RefusedEvent("body", "must be a JSON object")
    only_known(body, _KNOWN, place="")
    type_ = body.get(_name_of(body, TYPE))
    time_name = _name_of(body, TIME)
    return Candidate(
        id=_id_of(body, tenant, idempotency_key),
        source=_text(body, "source"),
        customer=body.get(_name_of(body, CUSTOMER)),
        type_=type_,
        quantity=_quantity_of(body, type_),
        occurred_at=read_time(body.get(time_name), param=time_name),
        dimensions=body.get("dimensions"),
        properties=_properties_of(body),
    )


def _name_of(body: dict[str, Exact], names: tuple[str, ...]) -> str:
    """Return under which of its names something stands; the first one when it is not there."""
    found = [name for name in names if name in body]
    if len(found) > 1:
        raise RefusedEvent(found[1], f"says the same as {found[0]}; send one of them")
    return found[0] if found else names[0]


def _id_of(body: dict[str, Exact], tenant: str, idempotency_key: str) -> str:
    given = _text(body, "id")
    if given:
        return given
    if idempotency_key:
        return derived_id("req", tenant, idempotency_key)
    return str(ids.uuid7())


def _text(body: dict[str, Exact], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise RefusedEvent(name, "must be text")
    return value


def _quantity_of(body: dict[str, Exact], type_: Exact) -> Exact:
    name = _name_of(body, QUANTITY)
    value = body.get(name, 1)
    if name not in RAW_UNITS:
        return value
    wanted, per_unit = RAW_UNITS[name]
    if type_ != wanted:
        raise RefusedEvent(name, f"belongs to the type {wanted}")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RefusedEvent(name, "must be a whole number, not negative")
    return -(-value // per_unit)


def _properties_of(body: dict[str, Exact]) -> Exact:
    """Return the properties; what S1 and S4 call so may hold any JSON, which is kept as text."""
    name = _name_of(body, PROPERTIES)
    properties = body.get(name)
    if name != PROPERTIES[0] and isinstance(properties, dict):
        properties = {
            key: value if isinstance(value, str) else exact_json.write(value)
            for key, value in properties.items()
        }
    subscription = body.get("subscription_id")
    if subscription is None:
        return properties
    if properties is not None and not isinstance(properties, dict):
        raise RefusedEvent(name, "must be an object")
    return {**(properties or {}), "subscription_id": subscription}
