"""The versioned catalogue: meters say what is counted, plans say what it costs.

A catalogue travels in band (docs/decisions/0003): it is appended to every partition and applies
from its offset on, so a replay applies the same definitions at the same place.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from domain.aggregation.kinds import Aggregation
from domain.aggregation.measures import measure_of
from domain.canonical import Json, from_json, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.emergence_rules import rules
from domain.emergence_rules.rules import NO_RULES, EmergenceRules
from domain.errors import Rejected
from domain.fields import Fields
from domain.money import minor_unit_places
from domain.pricing.forms import price_from_fields
from domain.pricing.price import Price
from domain.problems import Problems
from domain.suspicions import RULES_MAX, SuspicionRule, suspicion_from_fields
from domain.wallet_terms import WalletTerms, wallet_from_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.aggregation.measure import Measure

METERS_MAX = 500
"""Meters of one catalogue; bounds the work of an event type that feeds many."""
METERS_PER_TYPE_MAX = 8
"""Meters that one event type may feed: 5,000 events times 8 windows of 130 bytes, and 1 MiB of
dimensions projected 8 times, still fit into one facts record."""
ALIASES_PER_TYPE_MAX = 16
"""Other names of one event type: a spelling for each system that ever sent it, and room."""
DIMENSION_SETS_DEFAULT = 1_000
DIMENSION_SETS_MAX = 100_000
"""Sets of dimension values of one meter that a partition keeps in memory, about 500 bytes each."""
PLANS_MAX = 200
"""Plans of one catalogue."""
PRICES_MAX = 100
"""Prices of one plan; bounds the lines of an invoice."""
VERSION_MAX = 2**31
PERCENTILE = r"[0-9]{1,3}(\.[0-9]{1,6})?"
_PERCENTILE = re.compile(PERCENTILE, re.ASCII)


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
        percentile: Decimal text of the percentile, for that aggregation; else empty.
        dimension_sets_max: Sets of dimension values that a partition keeps apart; further ones
            count together (domain.usage.dimension_sets).
    """

    key: str
    event_type: str
    value_property: str
    aggregation: Aggregation
    group_by: tuple[str, ...]
    unit: str
    percentile: str = ""
    dimension_sets_max: int = DIMENSION_SETS_DEFAULT

    @property
    def measure(self) -> Measure[Any]:
        """Return the rule that turns its windows into a quantity."""
        return measure_of(self.aggregation, percentile=self.percentile)


def carried_meters(meters: Iterable[Meter]) -> frozenset[str]:
    """This function will return the meters whose last value holds on into the next period."""
    return frozenset(
        meter.key for meter in meters if meter.aggregation is Aggregation.TIME_WEIGHTED
    )


@dataclass(frozen=True, slots=True)
class EventType:
    """The other names under which an event type arrives (C-20).

    Args:
        name: The name that meters use.
        aliases: Names that count as it; no type and no other alias has them.
    """

    name: str
    aliases: tuple[str, ...]


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
        event_types: Event types that have aliases.
        emergence: When work on nodes has become real, and what that costs.
        wallet: What credits are and cost; None where customers have no wallets.
        suspicions: What looks like misuse.
    """

    version: int
    meters: tuple[Meter, ...]
    plans: tuple[Plan, ...]
    content: str
    event_types: tuple[EventType, ...] = ()
    emergence: EmergenceRules = NO_RULES
    wallet: WalletTerms | None = None
    suspicions: tuple[SuspicionRule, ...] = ()
    _fed: Mapping[str, tuple[Meter, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the meters by every name that feeds them: batches ask for unknown names too."""
        fed: dict[str, tuple[Meter, ...]] = {}
        for meter in self.meters:
            fed[meter.event_type] = (*fed.get(meter.event_type, ()), meter)
        for event_type in self.event_types:
            fed |= dict.fromkeys(event_type.aliases, fed.get(event_type.name, ()))
        object.__setattr__(self, "_fed", fed)

    @property
    def sha256(self) -> str:
        """Return the hash that pins this catalogue in an invoice."""
        return sha256_hex(self.content)

    def meters_of(self, event_type: str) -> tuple[Meter, ...]:
        """Return the meters that an event type or an alias feeds; empty for an unknown name."""
        return self._fed.get(event_type, ())

    @property
    def event_names(self) -> frozenset[str]:
        """Return every name under which an event is counted: types and aliases."""
        return frozenset(self._fed)

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


_PARTS = (
    *("version", "event_types", "meters", "node_fields", "gates", "tiers", "bundles", "pulses"),
    *("wallet", "suspicions", "plans"),
)


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
    catalogue, problems = read_catalogue(document)
    if catalogue is None:
        raise problems[0]
    return catalogue


def read_catalogue(document: Json) -> tuple[Catalogue | None, tuple[Rejected, ...]]:
    """This function will read a catalogue document and say everything that is wrong with it.

    Args:
        document: What parse_catalogue reads, as JSON values.

    Returns:
        The catalogue and no problems, or no catalogue and the first problem of each part: each
        event type, meter, plan and price is a part, and what they mean to each other is one more.
    """
    problems = Problems()
    fields = problems.attempt(
        lambda: Fields.of(document, place="catalogue", code=Code.CATALOGUE_INVALID)
    )
    if fields is None:
        return None, tuple(problems.found)
    problems.attempt(lambda: fields.only(_PARTS))
    version = problems.attempt(lambda: fields.integer("version", minimum=1, maximum=VERSION_MAX))
    event_types = problems.each(fields, "event_types", count_max=METERS_MAX, read=_event_type)
    meters = problems.each(fields, "meters", count_max=METERS_MAX, read=_meter)
    known = {meter.key for meter in meters} | _texts_below(fields, "meters", "key")
    plans = problems.each(
        fields,
        "plans",
        count_max=PLANS_MAX,
        read=lambda item: _plan(item, known=known, problems=problems),
    )
    problems.found += _repeats(fields, "meters", [meter.key for meter in meters])
    problems.found += _repeats(fields, "plans", [plan.code for plan in plans])
    if _most_common(meter.event_type for meter in meters) > METERS_PER_TYPE_MAX:
        problems.found.append(
            fields.refuse("meters", f"feed more than {METERS_PER_TYPE_MAX} from one event type")
        )
    emergence = _emergence(fields, problems)
    wallet = problems.attempt(lambda: _wallet(fields))
    suspicions = _suspicions(fields, problems, emergence)
    types = {meter.event_type for meter in meters} | _texts_below(fields, "meters", "event_type")
    problems.found += _name_problems(fields, event_types, types=types)
    if problems.found or version is None:
        return None, tuple(problems.found)
    catalogue = Catalogue(
        version=version,
        meters=meters,
        plans=plans,
        content=to_canonical_json(document),
        event_types=event_types,
        emergence=emergence,
        wallet=wallet,
        suspicions=suspicions,
    )
    return catalogue, ()


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


def _repeats(fields: Fields, name: str, keys: list[str]) -> Iterator[Rejected]:
    for key, count in Counter(keys).items():
        if count > 1:
            yield fields.refuse(name, f"holds {key!r} twice")


def _most_common(values: Iterator[str]) -> int:
    return max(Counter(values).values(), default=0)


def _texts_below(fields: Fields, name: str, key: str) -> set[str]:
    """Return the texts of one field of a list's objects, also of objects that are refused.

    What names such an object is no second mistake.
    """
    items = fields.values.get(name)
    found = (
        [item.get(key) for item in items if isinstance(item, dict)]
        if (isinstance(items, list | tuple))
        else []
    )
    return {text for text in found if isinstance(text, str)}


def _name_problems(
    fields: Fields, event_types: tuple[EventType, ...], *, types: set[str]
) -> Iterator[Rejected]:
    """Refuse names of event types that no meter counts, and aliases that mean two things."""
    yield from _repeats(fields, "event_types", [item.name for item in event_types])
    yield from _repeats(
        fields, "event_types", [alias for item in event_types for alias in item.aliases]
    )
    for item in event_types:
        if item.name not in types:
            yield fields.refuse("event_types", f"name {item.name!r}, which no meter counts")
        for alias in item.aliases:
            if alias in types or alias == item.name:
                yield fields.refuse("event_types", f"give the type {alias!r} as an alias")


def _emergence(fields: Fields, problems: Problems) -> EmergenceRules:
    """Read the parts that say when work has become real."""
    declared = problems.each(
        fields, "node_fields", count_max=rules.NODE_FIELDS_MAX, read=rules.node_field_from_fields
    )
    types = rules.types_of(declared)
    gates = problems.each(
        fields,
        "gates",
        count_max=rules.GATES_MAX,
        read=lambda item: rules.gate_from_fields(item, types=types),
    )
    tiers = problems.each(
        fields,
        "tiers",
        count_max=rules.TIERS_MAX,
        read=lambda item: rules.tier_from_fields(item, types=types),
    )
    codes = {tier.terms.code for tier in tiers} | _texts_below(fields, "tiers", "code")
    bundles = problems.each(
        fields,
        "bundles",
        count_max=rules.BUNDLES_MAX,
        read=lambda item: rules.bundle_from_fields(item, tiers=codes),
    )
    pulses = problems.each(
        fields,
        "pulses",
        count_max=rules.PULSES_MAX,
        read=lambda item: rules.pulse_from_fields(item, types=types, tiers=codes),
    )
    found = EmergenceRules(declared, gates, tiers, bundles, pulses)
    problems.found += rules.code_repeats(found, fields)
    return found


def _wallet(fields: Fields) -> WalletTerms | None:
    return wallet_from_fields(fields.object("wallet")) if "wallet" in fields.values else None


def _suspicions(
    fields: Fields, problems: Problems, emergence: EmergenceRules
) -> tuple[SuspicionRule, ...]:
    types = rules.types_of(emergence.fields)
    found = problems.each(
        fields,
        "suspicions",
        count_max=RULES_MAX,
        read=lambda item: suspicion_from_fields(item, types=types),
    )
    problems.found += _repeats(fields, "suspicions", [rule.key for rule in found])
    return found


def _event_type(fields: Fields) -> EventType:
    fields.only(("name", "aliases"))
    aliases = fields.texts("aliases")
    if not 1 <= len(aliases) <= ALIASES_PER_TYPE_MAX:
        raise fields.refuse("aliases", f"must be 1 to {ALIASES_PER_TYPE_MAX} different texts")
    return EventType(name=fields.text("name"), aliases=aliases)


_METER_FIELDS = (
    "key",
    "event_type",
    "value",
    "aggregation",
    "percentile",
    "group_by",
    "dimension_sets_max",
    "unit",
)


def _meter(fields: Fields) -> Meter:
    fields.only(_METER_FIELDS)
    value = fields.text("value", default="quantity")
    prefix, _, name = value.partition(":")
    if value != "quantity" and (prefix != "property" or not name):
        raise fields.refuse("value", 'must be "quantity" or "property:NAME"')
    aggregation = Aggregation(fields.choice("aggregation", Aggregation))
    if aggregation is Aggregation.UNIQUE and not name:
        raise fields.refuse("value", 'must be "property:NAME" to count different ones')
    if aggregation is Aggregation.TIME_WEIGHTED and "dimension_sets_max" in fields.values:
        raise fields.refuse(
            "dimension_sets_max", "cannot be given for time_weighted: gauges are not put together"
        )
    return Meter(
        key=fields.text("key"),
        event_type=fields.text("event_type"),
        value_property=name,
        aggregation=aggregation,
        percentile=_percentile(fields, aggregation),
        dimension_sets_max=fields.integer(
            "dimension_sets_max",
            default=DIMENSION_SETS_DEFAULT,
            minimum=1,
            maximum=DIMENSION_SETS_MAX,
        ),
        group_by=tuple(sorted(fields.texts("group_by"))),
        unit=fields.text("unit"),
    )


def _percentile(fields: Fields, aggregation: Aggregation) -> str:
    if aggregation is not Aggregation.PERCENTILE:
        if "percentile" in fields.values:
            raise fields.refuse("percentile", 'belongs to aggregation "percentile" alone')
        return ""
    text = fields.text("percentile", default="0")
    if _PERCENTILE.fullmatch(text) is None or not 0 < Decimal(text) <= 100:  # noqa: PLR2004
        raise fields.refuse("percentile", 'must be above 0 and at most 100, for example "99.9"')
    return text


def _plan(fields: Fields, *, known: set[str], problems: Problems) -> Plan:
    problems.attempt(lambda: fields.only(("code", "name", "currency", "prices")))
    prices = problems.each(
        fields,
        "prices",
        count_max=PRICES_MAX,
        read=lambda item: _price(item, known=known),
    )
    problems.found += _repeats(fields, "prices", [price.key for price in prices])
    return Plan(
        code=fields.text("code"),
        name=fields.text("name"),
        currency=_currency(fields),
        prices=prices,
    )


def _currency(fields: Fields) -> str:
    currency = fields.text("currency")
    try:
        minor_unit_places(currency)
    except Rejected as error:
        raise fields.refuse("currency", "is no ISO 4217 code") from error
    return currency


def _price(fields: Fields, *, known: set[str]) -> Price:
    price = price_from_fields(fields)
    if price.meter and price.meter not in known:
        raise fields.refuse("meter", f"is {price.meter!r}, which is no meter")
    return price
