"""The shape of a catalogue document, declared once.

The JSON Schema for editors is made from it (domain.catalogue_schema), and `catalogue check` finds
every misspelt, missing or malformed field with it. domain.catalogue reads what is published and
has the last word; a property test holds the two together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from domain.aggregation.kinds import Aggregation
from domain.billing_shape import BILLING_FIELD, DISCOUNTS_FIELD, TAXES_FIELD
from domain.catalogue import METERS_MAX, VERSION_MAX
from domain.document_shape import (
    Field,
    Kind,
    Shape,
    boolean_field,
    decimal_field,
    list_field,
    optional_decimal_field,
)
from domain.emergence_rules.expressions import FIELD_NAME, FieldType
from domain.emergence_rules.expressions import LENGTH_MAX as CONDITION_LENGTH_MAX
from domain.emergence_rules.rules import (
    BUNDLES_MAX,
    CREDITS_MAX,
    DELIVERS_MAX,
    GATES_MAX,
    HOURS_MAX,
    NODE_FIELDS_MAX,
    PULSES_MAX,
    REVERSAL_HOURS_DEFAULT,
)
from domain.emergence_rules.rules import TIERS_MAX as EMERGENCE_TIERS_MAX
from domain.gain_share_terms import GAIN_SHARE_FIELD, KPIS_FIELD
from domain.meter import (
    ALIASES_PER_TYPE_MAX,
    DIMENSION_SETS_DEFAULT,
    DIMENSION_SETS_MAX,
    PERCENTILE,
    VALUE_BANDS_MAX,
)
from domain.plan_shape import ADD_ONS_FIELD, COMPOSITES_FIELD, PLANS_FIELD
from domain.wallet_shape import SUSPICIONS_FIELD, WALLET_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator


WHOLE = re.compile(r"[0-9]{1,10}", re.ASCII)
"""How a whole number is written; VERSION_MAX, the largest, has ten digits."""


EVENT_TYPE = Shape(
    "event_type",
    "The other names of an event type.",
    (
        Field("name", Kind.TEXT, "Event type, as its meters name it."),
        Field(
            "aliases",
            Kind.TEXTS,
            "Names that count as this type; no type and no other alias may have them.",
            rule=f"a list of 1 to {ALIASES_PER_TYPE_MAX} different texts",
            count_min=1,
            count_max=ALIASES_PER_TYPE_MAX,
        ),
    ),
)
METER = Shape(
    "meter",
    "What is counted.",
    (
        Field("key", Kind.TEXT, "Name of the meter; it keeps its meaning for good."),
        Field("event_type", Kind.TEXT, "Events that feed it; one type may feed up to 8 meters."),
        Field(
            "value",
            Kind.TEXT,
            "What is read of an event: its quantity, or a property, which holds a decimal text "
            "or, for unique, any text.",
            is_required=False,
            rule='"quantity" or "property:NAME"',
            pattern=r"(quantity|property:[\s\S]+)",
            default="quantity",
        ),
        Field(
            "aggregation",
            Kind.CHOICE,
            "How the hours of a period become one quantity.",
            choices=tuple(Aggregation),
        ),
        Field(
            "percentile",
            Kind.DECIMAL,
            "Which percentile, for aggregation percentile alone.",
            is_required=False,
            rule='above 0 and at most 100, for example "99.9"',
            pattern=PERCENTILE,
        ),
        Field(
            "group_by",
            Kind.TEXTS,
            "Dimensions that split the meter into series.",
            is_required=False,
            rule="a list of different texts",
        ),
        Field(
            "dimension_sets_max",
            Kind.WHOLE,
            "Sets of dimension values that a partition keeps apart; events of further ones count "
            "together as __other__.",
            is_required=False,
            rule=f"a whole number from 1 to {DIMENSION_SETS_MAX}",
            count_min=1,
            count_max=DIMENSION_SETS_MAX,
            default=str(DIMENSION_SETS_DEFAULT),
        ),
        Field(
            "value_bands",
            Kind.TEXTS,
            "Rising bounds by which events are kept apart, for prices with a bound per event; a "
            "value equal to a bound belongs below it.",
            is_required=False,
            rule=f"a list of at most {VALUE_BANDS_MAX} different texts",
            count_max=VALUE_BANDS_MAX,
        ),
        Field("unit", Kind.TEXT, "What one unit is, for people; invoice lines show it."),
    ),
)
NODE_FIELD = Shape(
    "node field",
    "A field that conditions may name; nodes may have more.",
    (
        Field(
            "name",
            Kind.TEXT,
            "Its name in a node's data.",
            rule="letters, digits and _, and no word of conditions",
            pattern=FIELD_NAME.pattern,
        ),
        Field("type", Kind.CHOICE, "What it holds.", choices=tuple(FieldType)),
        optional_decimal_field("minimum", "Smallest value of a decimal."),
        optional_decimal_field("maximum", "Largest value of a decimal."),
    ),
)
_WHEN = Field(
    "when",
    Kind.CONDITION,
    'A condition over declared fields, for example: fit_score >= 0.90 and stage = "ready".',
    rule=f"a condition of 1 to {CONDITION_LENGTH_MAX} printable characters",
)
GATE = Shape(
    "gate",
    "What must hold before any tier.",
    (Field("key", Kind.TEXT, "Its name; answers say which gates failed."), _WHEN),
)
_TERMS = (
    Field("code", Kind.TEXT, "Its name in events and charges."),
    Field("name", Kind.TEXT, "Name for people."),
    Field(
        "credits",
        Kind.WHOLE,
        "Credits that are deducted.",
        rule=f"a whole number from 0 to {CREDITS_MAX}",
        count_max=CREDITS_MAX,
    ),
    decimal_field("price", "What that is worth, in major units of the currency."),
    Field("currency", Kind.TEXT, "ISO 4217 code of the price.", pattern="[A-Z]{3}"),
    Field(
        "delivers",
        Kind.TEXTS,
        "What is handed over after the charge.",
        is_required=False,
        rule=f"a list of at most {DELIVERS_MAX} different texts",
        count_max=DELIVERS_MAX,
    ),
    Field(
        "cool_down_hours",
        Kind.WHOLE,
        "How long after one detection the next one of the same project waits.",
        is_required=False,
        rule=f"a whole number from 0 to {HOURS_MAX}",
        count_max=HOURS_MAX,
        default="0",
    ),
    Field(
        "reversal_hours",
        Kind.WHOLE,
        "How long after a detection evidence that goes away reverses it; 0 for never.",
        is_required=False,
        rule=f"a whole number from 0 to {HOURS_MAX}",
        count_max=HOURS_MAX,
        default=str(REVERSAL_HOURS_DEFAULT),
    ),
    boolean_field(
        "once_per_project",
        "Whether a project is charged for it once for good, however often it is reached.",
        default=False,
    ),
)
EMERGENCE_TIER = Shape(
    "emergence tier",
    "A kind of emergence, judged by a condition and charged once approved.",
    (*_TERMS, _WHEN),
)
BUNDLE = Shape(
    "bundle",
    "Several tiers together, when all are reached and none was charged.",
    (
        *_TERMS,
        Field(
            "tiers",
            Kind.TEXTS,
            "Codes of the tiers that it stands for.",
            rule="at least 2 different tiers",
            count_min=2,
        ),
    ),
)
PULSE = Shape(
    "pulse",
    "What a field of a pulse means for its target node.",
    (
        Field("field", Kind.TEXT, "Field of the pulse; it must be true."),
        Field("sets", Kind.TEXT, "Declared boolean field of the node that becomes true."),
        Field(
            "tiers",
            Kind.TEXTS,
            "Codes of the tiers that are judged then.",
            rule="at least 1 tier",
            count_min=1,
        ),
    ),
)
CATALOGUE = Shape(
    "catalogue",
    "One immutable version of what is counted and what it costs.",
    (
        Field(
            "version",
            Kind.WHOLE,
            "Counts from 1; a higher version replaces a lower one, and none ever changes.",
            rule=f"a whole number from 1 to {VERSION_MAX}",
            count_min=1,
            count_max=VERSION_MAX,
        ),
        list_field("event_types", "Event types that have aliases.", METERS_MAX, EVENT_TYPE),
        list_field("meters", "All meters.", METERS_MAX, METER),
        list_field("node_fields", "Fields that conditions may name.", NODE_FIELDS_MAX, NODE_FIELD),
        list_field("gates", "What must hold before any tier.", GATES_MAX, GATE),
        list_field(
            "tiers",
            "Kinds of emergence, in the order offered.",
            EMERGENCE_TIERS_MAX,
            EMERGENCE_TIER,
        ),
        list_field("bundles", "Tiers that are cheaper together.", BUNDLES_MAX, BUNDLE),
        list_field("pulses", "What pulses mean.", PULSES_MAX, PULSE),
        WALLET_FIELD,
        SUSPICIONS_FIELD,
        BILLING_FIELD,
        TAXES_FIELD,
        DISCOUNTS_FIELD,
        COMPOSITES_FIELD,
        ADD_ONS_FIELD,
        PLANS_FIELD,
        KPIS_FIELD,
        GAIN_SHARE_FIELD,
    ),
)


def _places(shape: Shape, place: str, kind: Kind) -> Iterator[str]:
    for field in shape.fields:
        where = f"{place}.{field.name}"
        if field.kind is kind:
            yield where
        for item in field.items:
            yield from _places(item, where, kind)


WHOLE_PLACES = frozenset(_places(CATALOGUE, "catalogue", Kind.WHOLE))
"""Places of whole numbers, without the places in lists: "catalogue.version"."""
BOOLEAN_PLACES = frozenset(_places(CATALOGUE, "catalogue", Kind.BOOLEAN))
"""Places of what is true or false, written the same way."""
