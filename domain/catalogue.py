"""The versioned catalogue: meters say what is counted, plans say what it costs.

A catalogue travels in band (docs/decisions/0003): it is appended to every partition and applies
from its offset on, so a replay applies the same definitions at the same place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from domain.canonical import Json, from_json, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from domain.money import minor_unit_places
from domain.pricing.forms import price_from_fields
from domain.pricing.price import Price

METERS_MAX = 500
"""Meters of one catalogue; bounds the work of an event type that feeds many."""
METERS_PER_TYPE_MAX = 8
"""Meters that one event type may feed: 5,000 events times 8 windows of 130 bytes, and 1 MiB of
dimensions projected 8 times, still fit into one facts record."""
PLANS_MAX = 200
"""Plans of one catalogue."""
PRICES_MAX = 100
"""Prices of one plan; bounds the lines of an invoice."""
VERSION_MAX = 2**31


class Aggregation(StrEnum):
    """How a meter turns the hours of a period into one quantity."""

    SUM = "sum"
    COUNT = "count"
    MIN = "min"
    MAX = "max"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Meter:
    """What one meter counts.

    Args:
        key: Name of the meter within the catalogue.
        event_type: Event type that feeds it; one type may feed several meters.
        value_property: Property whose decimal text is the value; empty: the event's quantity.
        aggregation: How hours add up for billing.
        group_by: Dimension names that split the meter into series; absent ones are left out.
        unit: What one unit is, for people.
    """

    key: str
    event_type: str
    value_property: str
    aggregation: Aggregation
    group_by: tuple[str, ...]
    unit: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subscription pays for.

    Args:
        code: Name of the plan within the catalogue.
        name: Name for people.
        currency: ISO 4217 code of all its prices.
        prices: Prices in the order of the invoice lines.
    """

    code: str
    name: str
    currency: str
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One immutable catalogue version of one tenant.

    Args:
        version: Count from 1; a higher version replaces a lower one.
        meters: All meters.
        plans: All plans.
        content: The canonical JSON it was read from.
    """

    version: int
    meters: tuple[Meter, ...]
    plans: tuple[Plan, ...]
    content: str

    @property
    def sha256(self) -> str:
        """Return the hash that pins this catalogue in an invoice."""
        return sha256_hex(self.content)

    def meters_of(self, event_type: str) -> tuple[Meter, ...]:
        """Return the meters that an event type feeds; empty for an unknown type."""
        return tuple(meter for meter in self.meters if meter.event_type == event_type)

    @property
    def meters_per_type_max(self) -> int:
        """Return the most meters that any event type feeds, at least 1."""
        counts = Counter(meter.event_type for meter in self.meters)
        return max(counts.values(), default=1)

    def meter(self, key: str) -> Meter:
        """Return a meter by key (Rejected catalogue_invalid when there is none)."""
        for meter in self.meters:
            if meter.key == key:
                return meter
        raise Rejected(Code.CATALOGUE_INVALID, f"there is no meter {key!r}")

    def plan(self, code: str) -> Plan:
        """Return a plan by code (Rejected plan_unknown when there is none)."""
        for plan in self.plans:
            if plan.code == code:
                return plan
        raise Rejected(Code.PLAN_UNKNOWN, f"catalogue version {self.version} has no plan {code!r}")


def parse_catalogue(content: str) -> Catalogue:
    """This function will read and check a catalogue document.

    Args:
        content: JSON text; decimals are written as text.

    Raises:
        Rejected: catalogue_invalid, with the place of the first broken rule.
    """
    try:
        document: Json = from_json(content)
    except Rejected as error:
        raise Rejected(Code.CATALOGUE_INVALID, error.reason) from error
    fields = Fields.of(document, place="catalogue", code=Code.CATALOGUE_INVALID)
    fields.only(("version", "meters", "plans"))
    meters = tuple(_meter(item) for item in fields.objects("meters", count_max=METERS_MAX))
    plans = tuple(
        _plan(item, meters=meters) for item in fields.objects("plans", count_max=PLANS_MAX)
    )
    _refuse_repeats(fields, "meters", [meter.key for meter in meters])
    if any(
        count > METERS_PER_TYPE_MAX
        for count in Counter(meter.event_type for meter in meters).values()
    ):
        raise fields.refuse("meters", f"feed more than {METERS_PER_TYPE_MAX} from one event type")
    _refuse_repeats(fields, "plans", [plan.code for plan in plans])
    return Catalogue(
        version=fields.integer("version", minimum=1, maximum=VERSION_MAX),
        meters=meters,
        plans=plans,
        content=to_canonical_json(document),
    )


def is_newer(catalogue: Catalogue, *, current: Catalogue | None, version: int) -> bool:
    """This function will say whether a published catalogue replaces the one in force.

    Returns:
        True for a higher version, False for the same version with the same content.

    Raises:
        Rejected: When the version is lower, taken by another content, or not the announced one.
    """
    if catalogue.version != version:
        raise Rejected(Code.CATALOGUE_INVALID, "version and content disagree")
    if current is None or catalogue.version > current.version:
        return True
    if catalogue.version < current.version:
        raise Rejected(
            Code.CATALOGUE_VERSION_OLD,
            f"version {catalogue.version} came after version {current.version}",
        )
    if catalogue.content != current.content:
        raise Rejected(
            Code.CATALOGUE_VERSION_TAKEN,
            f"version {catalogue.version} was published with another content",
        )
    return False


def _refuse_repeats(fields: Fields, name: str, keys: list[str]) -> None:
    if len(set(keys)) != len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise fields.refuse(name, f"holds {repeated!r} twice")


def _meter(fields: Fields) -> Meter:
    fields.only(("key", "event_type", "value", "aggregation", "group_by", "unit"))
    value = fields.text("value", default="quantity")
    prefix, _, name = value.partition(":")
    if value != "quantity" and (prefix != "property" or not name):
        raise fields.refuse("value", 'must be "quantity" or "property:NAME"')
    return Meter(
        key=fields.text("key"),
        event_type=fields.text("event_type"),
        value_property=name,
        aggregation=Aggregation(fields.choice("aggregation", Aggregation)),
        group_by=tuple(sorted(fields.texts("group_by"))),
        unit=fields.text("unit"),
    )


def _plan(fields: Fields, *, meters: tuple[Meter, ...]) -> Plan:
    fields.only(("code", "name", "currency", "prices"))
    currency = fields.text("currency")
    try:
        minor_unit_places(currency)
    except Rejected as error:
        raise fields.refuse("currency", "is no ISO 4217 code") from error
    prices = tuple(
        price_from_fields(item) for item in fields.objects("prices", count_max=PRICES_MAX)
    )
    known = {meter.key for meter in meters}
    for price in prices:
        if price.meter and price.meter not in known:
            raise fields.refuse("prices", f"name the unknown meter {price.meter!r}")
    _refuse_repeats(fields, "prices", [price.key for price in prices])
    return Plan(
        code=fields.text("code"), name=fields.text("name"), currency=currency, prices=prices
    )


def require_same_meters(*, before: Catalogue, after: Catalogue) -> None:
    """This function will refuse a version that drops or redefines a meter.

    A subscription is rated with the version of its period's start (G-07), while events are counted
    with the version in force: a meter that changed its meaning in between would bill too little or
    something else. New meters may come, prices may change; a new meaning is a new key.

    Raises:
        Rejected: catalogue_invalid, with the meter's key.
    """
    kept = {meter.key: meter for meter in after.meters}
    for meter in before.meters:
        if kept.get(meter.key) != meter:
            raise Rejected(
                Code.CATALOGUE_INVALID,
                f"catalogue.meters lack or change {meter.key!r} of version {before.version}: "
                "give a new meaning a new key",
            )
