"""The versioned catalogue: meters say what is counted, plans say what it costs.

A catalogue travels in band (docs/decisions/0003): it is appended to every partition and applies
from its offset on, so a replay applies the same definitions at the same place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from domain.billing_terms import (
    DEFAULT_TERMS,
    BillingTerms,
    Discount,
    TaxRate,
    billing_from_fields,
    category_problems,
)
from domain.canonical import Json, from_json, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.composite import COMPOSITES_MAX, Composite, Counted, composite_from_fields
from domain.emergence_rules import rules
from domain.emergence_rules.rules import NO_RULES, EmergenceRules
from domain.errors import Rejected
from domain.fields import Fields
from domain.gain_share_terms import (
    KPIS_MAX,
    GainShareTerms,
    Kpi,
    gain_share_from_fields,
    kpi_from_fields,
    kpi_problems,
)
from domain.meter import EventType, Meter, event_type_from_fields, meter_from_fields
from domain.plan import repeats
from domain.problems import Problems
from domain.sold import Sold, read_sold
from domain.suspicions import RULES_MAX, SuspicionRule, suspicion_from_fields
from domain.wallet_terms import WalletTerms, wallet_from_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from domain.plan import AddOn, Plan

_T = TypeVar("_T")

METERS_MAX = 500
"""Meters of one catalogue; bounds the work of an event type that feeds many."""
METERS_PER_TYPE_MAX = 8
"""Meters that one event type may feed: 5,000 events times 8 windows of 130 bytes, and 1 MiB of
dimensions projected 8 times, still fit into one facts record."""
VERSION_MAX = 2**31


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
        billing: How invoices are made.
        taxes: A rate per category and region.
        discounts: What plans and subscriptions can be given.
        composites: Weighted sums of meters, priced like meters.
        add_ons: What subscriptions can have besides their plan.
        kpis: Figures that savings can rest on.
        gain_share: Which share of savings may be asked for; None where there is none.
    """

    version: int
    meters: tuple[Meter, ...]
    plans: tuple[Plan, ...]
    content: str
    event_types: tuple[EventType, ...] = ()
    emergence: EmergenceRules = NO_RULES
    wallet: WalletTerms | None = None
    suspicions: tuple[SuspicionRule, ...] = ()
    billing: BillingTerms = DEFAULT_TERMS
    taxes: tuple[TaxRate, ...] = ()
    discounts: tuple[Discount, ...] = ()
    composites: tuple[Composite, ...] = ()
    add_ons: tuple[AddOn, ...] = ()
    kpis: tuple[Kpi, ...] = ()
    gain_share: GainShareTerms | None = None
    counted: Counted = field(init=False, repr=False, compare=False)
    _sha256: str = field(init=False, repr=False, compare=False)
    _plans: Mapping[str, Plan] = field(init=False, repr=False, compare=False)
    _add_ons: Mapping[str, AddOn] = field(init=False, repr=False, compare=False)
    _fed: Mapping[str, tuple[Meter, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the meters by every name that feeds them: batches ask for unknown names too.

        Plans and the hash are kept too: an invoice of ten lines asks for them in its two
        milliseconds.
        """
        fed: dict[str, tuple[Meter, ...]] = {}
        for meter in self.meters:
            fed[meter.event_type] = (*fed.get(meter.event_type, ()), meter)
        for event_type in self.event_types:
            fed |= dict.fromkeys(event_type.aliases, fed.get(event_type.name, ()))
        object.__setattr__(self, "_fed", fed)
        counted = Counted(
            meters={meter.key: meter for meter in self.meters},
            composites={composite.key: composite for composite in self.composites},
        )
        object.__setattr__(self, "counted", counted)
        object.__setattr__(self, "_sha256", sha256_hex(self.content))
        object.__setattr__(self, "_plans", {plan.code: plan for plan in self.plans})
        object.__setattr__(self, "_add_ons", {add_on.code: add_on for add_on in self.add_ons})

    @property
    def sha256(self) -> str:
        """Return the hash that pins this catalogue in an invoice."""
        return self._sha256

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
        meter = self.counted.meters.get(key)
        if meter is None:
            raise Rejected(Code.CATALOGUE_INVALID, f"there is no meter {key!r}")
        return meter

    def composite(self, key: str) -> Composite | None:
        """Return a composite by key; None when the key is a meter's or unknown."""
        return self.counted.composites.get(key)

    def unit(self, key: str) -> str:
        """Return the unit of a meter or composite (Rejected catalogue_invalid for neither)."""
        composite = self.composite(key)
        return self.meter(key).unit if composite is None else composite.unit

    def plan(self, code: str) -> Plan:
        """Return a plan by code (Rejected plan_unknown when there is none)."""
        plan = self._plans.get(code)
        if plan is None:
            raise Rejected(
                Code.PLAN_UNKNOWN, f"catalogue version {self.version} has no plan {code!r}"
            )
        return plan

    def add_on(self, code: str) -> AddOn:
        """Return an add-on by code (Rejected add_on_unknown when there is none)."""
        add_on = self._add_ons.get(code)
        if add_on is None:
            raise Rejected(
                Code.ADD_ON_UNKNOWN, f"catalogue version {self.version} has no add-on {code!r}"
            )
        return add_on

    def has_add_ons(self, add_ons: Iterable[tuple[str, int]]) -> bool:
        """Say whether it sells all of these (code, quantity)."""
        return {code for code, _ in add_ons} <= {add_on.code for add_on in self.add_ons}

    def discount(self, code: str) -> Discount:
        """Return a discount by code (Rejected discount_unknown when there is none)."""
        for discount in self.discounts:
            if discount.code == code:
                return discount
        raise Rejected(
            Code.DISCOUNT_UNKNOWN, f"catalogue version {self.version} has no discount {code!r}"
        )


_PARTS = (
    *("version", "event_types", "meters", "node_fields", "gates", "tiers", "bundles", "pulses"),
    *("wallet", "suspicions", "billing", "taxes", "discounts", "composites", "add_ons", "plans"),
    *("kpis", "gain_share"),
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
    event_types = problems.each(
        fields, "event_types", count_max=METERS_MAX, read=event_type_from_fields
    )
    meters = problems.each(fields, "meters", count_max=METERS_MAX, read=meter_from_fields)
    problems.found += _meter_problems(fields, meters=meters, event_types=event_types)
    counted = _counted(fields, problems, meters)
    emergence = _emergence(fields, problems)
    kpis = problems.each(fields, "kpis", count_max=KPIS_MAX, read=kpi_from_fields)
    problems.found += kpi_problems(fields, kpis)
    parts = _Parts(
        emergence=emergence,
        wallet=_optional(fields, problems, "wallet", read=wallet_from_fields),
        suspicions=_suspicions(fields, problems, emergence),
        billing=_optional(fields, problems, "billing", read=billing_from_fields) or DEFAULT_TERMS,
        composites=tuple(counted.composites.values()),
        kpis=kpis,
        gain_share=_optional(fields, problems, "gain_share", read=gain_share_from_fields),
        **read_sold(fields, problems=problems, counted=counted),
    )
    share = parts["gain_share"]
    if share is not None and not problems.found:
        problems.found += category_problems(
            fields, "gain_share.tax", category=share.tax, taxes=parts["taxes"]
        )
    if problems.found or version is None:
        return None, tuple(problems.found)
    catalogue = Catalogue(
        version=version,
        meters=meters,
        content=to_canonical_json(document),
        event_types=event_types,
        **parts,
    )
    return catalogue, ()


class _Parts(Sold):
    """The parts of a catalogue that stand for themselves."""

    emergence: EmergenceRules
    wallet: WalletTerms | None
    suspicions: tuple[SuspicionRule, ...]
    billing: BillingTerms
    composites: tuple[Composite, ...]
    kpis: tuple[Kpi, ...]
    gain_share: GainShareTerms | None


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


def _optional(
    fields: Fields, problems: Problems, name: str, *, read: Callable[[Fields], _T]
) -> _T | None:
    """Read an object that may be absent."""
    if name not in fields.values:
        return None
    return problems.attempt(lambda: read(fields.object(name)))


def _meter_problems(
    fields: Fields, *, meters: tuple[Meter, ...], event_types: tuple[EventType, ...]
) -> Iterator[Rejected]:
    """Refuse what meters and event types say against each other."""
    yield from repeats(fields, "meters", [meter.key for meter in meters])
    if _most_common(meter.event_type for meter in meters) > METERS_PER_TYPE_MAX:
        yield fields.refuse("meters", f"feed more than {METERS_PER_TYPE_MAX} from one event type")
    types = {meter.event_type for meter in meters} | _texts_below(fields, "meters", "event_type")
    yield from _name_problems(fields, event_types, types=types)


def _counted(fields: Fields, problems: Problems, meters: tuple[Meter, ...]) -> Counted:
    """Read the composites, and return all that prices can be over."""
    known = {meter.key: meter for meter in meters}
    refused = frozenset(_texts_below(fields, "meters", "key") - set(known))
    counted = Counted(meters=known, refused=refused)
    composites = problems.each(
        fields,
        "composites",
        count_max=COMPOSITES_MAX,
        read=lambda item: composite_from_fields(item, counted=counted),
    )
    problems.found += repeats(fields, "composites", [each.key for each in composites])
    found = {each.key: each for each in composites}
    lost = _texts_below(fields, "composites", "key") - set(found)
    return Counted(meters=known, composites=found, refused=refused | lost)


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
    yield from repeats(fields, "event_types", [item.name for item in event_types])
    yield from repeats(
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
    problems.found += repeats(fields, "suspicions", [rule.key for rule in found])
    return found
