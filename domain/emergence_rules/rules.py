"""Emergence rules as catalogue data: fields of nodes, guards of every tier, and what each costs.

One set of rules belongs to a catalogue version. Requirements S0-06 to S0-10 and S0-18 to S0-27 are
one such set; a support desk or a lender writes another one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.emergence_rules.expressions import (
    LENGTH_MAX,
    Expression,
    FieldType,
    is_field_name,
    parse_expression,
)
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.money import Money, minor_unit_places
from domain.tokens import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from decimal import Decimal

    from domain.fields import Fields

NODE_FIELDS_MAX = 200
"""Declared fields; a node may have more, which are kept and not judged."""
GATES_MAX = 20
TIERS_MAX = 50
BUNDLES_MAX = 10
PULSES_MAX = 20
CREDITS_MAX = 10**9
"""Credits of one tier."""
PRICE_MINOR_MAX = 10**15
"""Price of one tier, minor units: ten million million of most currencies. Thousands of the dearest
charges of one customer still add up within 64 bits, which facts and tables have for an amount."""
DELIVERS_MAX = 100
"""Things that one tier hands over: the command of a charge carries them all, 80 KiB of 1 MiB."""
HOURS_MAX = 24 * 366
"""Longest cool-down and longest reversal window, hours."""
REVERSAL_HOURS_DEFAULT = 72
"""Within three days evidence that goes away takes its charge back, unless the tier says else."""


@dataclass(frozen=True, slots=True)
class NodeField:
    """A field that conditions may name.

    Args:
        name: Its name in a node's data.
        type: What it holds.
        minimum, maximum: Bounds of a decimal, inclusive; None for none.
    """

    name: str
    type: FieldType
    minimum: Decimal | None = None
    maximum: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold before any tier (S0-21).

    Args:
        key: Its name; an answer says which gates failed.
        when: The condition.
    """

    key: str
    when: Expression


@dataclass(frozen=True, slots=True)
class Terms:
    """What reaching a tier or bundle costs and gives.

    Args:
        code: Its name in events and charges.
        name: Name for people.
        credits: Credits that are deducted.
        price: What that is worth in money: `fiat_equivalent` (S0-R1).
        delivers: What is handed over after the charge, for people.
        cool_down_hours: How long after one detection the next generation waits.
        reversal_hours: How long after a detection evidence that goes away reverses it; 0: never.
        once_per_project: Whether a project is charged for it once for good, however often it is
            reached; what is given back does not count.
    """

    code: str
    name: str
    credits: int
    price: Money
    delivers: tuple[str, ...]
    cool_down_hours: int
    reversal_hours: int
    once_per_project: bool = False


@dataclass(frozen=True, slots=True)
class Tier:
    """A kind of emergence with a condition of its own."""

    terms: Terms
    when: Expression


@dataclass(frozen=True, slots=True)
class Bundle:
    """A kind of emergence that stands for several tiers together (S0-26, S0-R4)."""

    terms: Terms
    tiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PulseRule:
    """What a pulse means: a field of its data, true, sets a field of its target node (S0-48).

    Args:
        field: Field of the pulse.
        sets: Boolean node field that becomes true.
        tiers: Tiers that are judged then; others wait for the node's own next update.
    """

    field: str
    sets: str
    tiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EmergenceRules:
    """All rules of a catalogue version; empty where it has none.

    Args:
        fields: Declared node fields.
        gates: Guards of every tier, in the order in which answers name them.
        tiers: Tiers in the order in which they are offered.
        bundles: Bundles; judged before the tiers, in this order.
        pulses: Meaning of pulses.
    """

    fields: tuple[NodeField, ...] = ()
    gates: tuple[Gate, ...] = ()
    tiers: tuple[Tier, ...] = ()
    bundles: tuple[Bundle, ...] = ()
    pulses: tuple[PulseRule, ...] = ()

    @property
    def terms(self) -> tuple[Terms, ...]:
        """Return the terms of all tiers and bundles."""
        return (
            *(tier.terms for tier in self.tiers),
            *(bundle.terms for bundle in self.bundles),
        )


NO_RULES = EmergenceRules()


def types_of(fields: Iterable[NodeField]) -> dict[str, FieldType]:
    """This function will return the type of each declared field."""
    return {field.name: field.type for field in fields}


def node_field_from_fields(fields: Fields) -> NodeField:
    """This function will read one declared field (Rejected with the place of what is wrong)."""
    fields.only(("name", "type", "minimum", "maximum"))
    name = fields.text("name")
    if not is_field_name(name):
        raise fields.refuse("name", "must be letters, digits and _, and no word of conditions")
    kind = FieldType(fields.choice("type", FieldType))
    bounds: dict[str, Decimal] = {}
    for bound in ("minimum", "maximum"):
        if bound in fields.values:
            if kind is not FieldType.DECIMAL:
                raise fields.refuse(bound, "belongs to a decimal")
            bounds[bound] = fields.decimal(bound)
    if len(bounds) == 2 and bounds["minimum"] > bounds["maximum"]:  # noqa: PLR2004
        raise fields.refuse("maximum", "must not be below the minimum")
    return NodeField(name, kind, bounds.get("minimum"), bounds.get("maximum"))


def gate_from_fields(fields: Fields, *, types: Mapping[str, FieldType]) -> Gate:
    """This function will read one gate."""
    fields.only(("key", "when"))
    return Gate(key=fields.text("key"), when=_condition(fields, types))


def tier_from_fields(fields: Fields, *, types: Mapping[str, FieldType]) -> Tier:
    """This function will read one tier."""
    fields.only((*_TERMS, "when"))
    return Tier(terms=_terms(fields), when=_condition(fields, types))


def bundle_from_fields(fields: Fields, *, tiers: Iterable[str]) -> Bundle:
    """This function will read one bundle; a bundle holds tiers, so none can hold itself."""
    fields.only((*_TERMS, "tiers"))
    members = fields.texts("tiers")
    known = frozenset(tiers)
    if len(members) < 2:  # noqa: PLR2004 -- one tier alone is that tier
        raise fields.refuse("tiers", "must be at least 2 different tiers")
    for member in members:
        if member not in known:
            raise fields.refuse("tiers", f"holds {member!r}, which is no tier")
    return Bundle(terms=_terms(fields), tiers=members)


def pulse_from_fields(
    fields: Fields, *, types: Mapping[str, FieldType], tiers: Iterable[str]
) -> PulseRule:
    """This function will read the meaning of one pulse."""
    fields.only(("field", "sets", "tiers"))
    sets = fields.text("sets")
    if types.get(sets) is not FieldType.BOOLEAN:
        raise fields.refuse("sets", f"is {sets!r}, which is no declared boolean field")
    known = frozenset(tiers)
    judged = fields.texts("tiers")
    for tier in judged:
        if tier not in known:
            raise fields.refuse("tiers", f"holds {tier!r}, which is no tier")
    if not judged:
        raise fields.refuse("tiers", "must be at least 1 tier")
    return PulseRule(field=fields.text("field"), sets=sets, tiers=judged)


def code_repeats(rules: EmergenceRules, fields: Fields) -> Iterator[Rejected]:
    """This function will refuse names that stand for two things."""
    for name, keys in (
        ("node_fields", [field.name for field in rules.fields]),
        ("gates", [gate.key for gate in rules.gates]),
        ("tiers", [terms.code for terms in rules.terms]),
        ("pulses", [pulse.field for pulse in rules.pulses]),
    ):
        for key, count in Counter(keys).items():
            if count > 1:
                yield fields.refuse(name, f"holds {key!r} twice")


_TERMS = (
    *("code", "name", "credits", "price", "currency", "delivers"),
    *("cool_down_hours", "reversal_hours", "once_per_project"),
)


def _terms(fields: Fields) -> Terms:
    return Terms(
        code=fields.text("code"),
        name=fields.text("name"),
        credits=fields.integer("credits", minimum=0, maximum=CREDITS_MAX),
        price=_price(fields),
        delivers=_delivers(fields),
        cool_down_hours=fields.integer("cool_down_hours", minimum=0, maximum=HOURS_MAX, default=0),
        reversal_hours=fields.integer(
            "reversal_hours", minimum=0, maximum=HOURS_MAX, default=REVERSAL_HOURS_DEFAULT
        ),
        once_per_project=fields.boolean("once_per_project", default=False),
    )


def _price(fields: Fields) -> Money:
    currency = fields.text("currency")
    try:
        places = minor_unit_places(currency)
    except Rejected as error:
        raise fields.refuse("currency", "is no ISO 4217 code") from error
    minor = fields.decimal("price").scaleb(places)
    if minor != minor.to_integral_value():
        raise fields.refuse("price", f"has more than {places} decimal places, those of {currency}")
    if minor > PRICE_MINOR_MAX:
        raise fields.refuse("price", f"is more than {PRICE_MINOR_MAX} minor units of {currency}")
    return Money(int(minor), currency)


def _delivers(fields: Fields) -> tuple[str, ...]:
    delivers = fields.texts("delivers")
    if len(delivers) > DELIVERS_MAX:
        raise fields.refuse("delivers", f"must be at most {DELIVERS_MAX} different texts")
    return delivers


def _condition(fields: Fields, types: Mapping[str, FieldType]) -> Expression:
    value = fields.values.get("when")
    if not isinstance(value, str) or not is_clean_text(value, length_max=LENGTH_MAX):
        raise fields.refuse(
            "when", f"must be a condition of 1 to {LENGTH_MAX} printable characters"
        )
    try:
        return parse_expression(value, types)
    except Malformed as error:
        raise fields.refuse("when", str(error)) from error
