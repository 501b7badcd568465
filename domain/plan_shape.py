"""The shapes of the catalogue parts `composites`, `add_ons` and `plans`."""

from __future__ import annotations

from domain.billing_terms import Fees
from domain.composite import COMPOSITES_MAX, PARTS_MAX
from domain.document_shape import (
    Field,
    Kind,
    Shape,
    boolean_field,
    choice_field,
    decimal_field,
    list_field,
    object_field,
    whole_field,
)
from domain.period import Interval
from domain.plan import (
    ADD_ONS_MAX,
    LIMIT_OVERFLOWS,
    LIMITS_MAX,
    PLAN_DISCOUNTS_MAX,
    PLANS_MAX,
    PRICES_MAX,
    SEATS_MAX,
    TRIAL_DAYS_MAX,
    Of,
)
from domain.price_shape import PRICES, name_in_lines

_CURRENCY = Field(
    "currency",
    Kind.TEXT,
    "ISO 4217 code of all its prices.",
    rule="an ISO 4217 code, for example USD",
    pattern="[A-Z]{3}",
)
_COMMITMENT = Shape(
    "commitment",
    "A least or a largest amount of a period.",
    (
        decimal_field("amount", "Major units of the plan's currency for a whole period."),
        choice_field(
            "of", "Which lines it looks at: usage, or fees and add-ons too.", Of, default=Of.USAGE
        ),
    ),
)
_LIMIT = Shape(
    "limit",
    "How much of something the plan allows; it costs nothing.",
    (
        Field("key", Kind.TEXT, "Name of the limit."),
        Field("meter", Kind.TEXT, "Key of the meter or composite that is compared with it."),
        decimal_field("maximum", "Largest quantity that is within it."),
        choice_field(
            "overflow",
            "Whether going past it is shown, or a check says no to the use that would.",
            LIMIT_OVERFLOWS,
            default=LIMIT_OVERFLOWS[0],
        ),
    ),
)
_PRICES = list_field("prices", "Prices in the order of the invoice lines.", PRICES_MAX, *PRICES)
_PLAN = Shape(
    "plan",
    "What a subscription pays for.",
    (
        Field("code", Kind.TEXT, "Name of the plan; subscriptions are made with it."),
        Field("name", Kind.TEXT, "Name for people."),
        _CURRENCY,
        choice_field("interval", "Length of its periods.", Interval, default=Interval.MONTH),
        choice_field(
            "fees",
            "Whether a period's fees are billed after it or before it; as `billing` says when "
            "absent, and a lifetime's always before.",
            Fees,
            is_required=False,
        ),
        whole_field(
            "trial_days",
            "Days before the first billed period.",
            minimum=0,
            maximum=TRIAL_DAYS_MAX,
            default="0",
        ),
        _PRICES,
        object_field(
            "minimum", "Least amount of a period; what lacks becomes a line.", _COMMITMENT
        ),
        object_field(
            "maximum", "Largest amount of a period; what is too much is taken off.", _COMMITMENT
        ),
        Field(
            "discounts",
            Kind.TEXTS,
            "Codes of discounts that come with it, in the order in which they come off.",
            is_required=False,
            rule=f"a list of at most {PLAN_DISCOUNTS_MAX} different texts",
            count_max=PLAN_DISCOUNTS_MAX,
        ),
        boolean_field("is_popular", "Whether lists of plans show it first.", default=False),
        list_field("limits", "What it allows.", LIMITS_MAX, _LIMIT),
        boolean_field(
            "has_gain_share", "Whether its subscribers can have gain-share.", default=False
        ),
        whole_field(
            "seats_max",
            "Seats that a subscription to it can have; more are refused.",
            minimum=1,
            maximum=SEATS_MAX,
            default=str(SEATS_MAX),
        ),
    ),
)
_ADD_ON = Shape(
    "add_on",
    "What a subscription can have besides its plan, once or several times.",
    (
        name_in_lines("code", "Name of the add-on."),
        Field("name", Kind.TEXT, "Name for people."),
        _CURRENCY,
        _PRICES,
    ),
)
_COMPOSITE = Shape(
    "composite",
    "A weighted sum of meters, priced like a meter.",
    (
        Field("key", Kind.TEXT, "Its name; no meter has it."),
        Field("unit", Kind.TEXT, "What one unit is, for people."),
        Field(
            "of",
            Kind.OBJECTS,
            "Its meters: all add up over time, or all are levels.",
            rule=f"a list of 1 to {PARTS_MAX} objects",
            count_min=1,
            count_max=PARTS_MAX,
            items=(
                Shape(
                    "part",
                    "One meter of a composite.",
                    (
                        Field("meter", Kind.TEXT, "Key of the meter."),
                        decimal_field("weight", "What one of its units counts, above 0."),
                    ),
                ),
            ),
        ),
    ),
)
COMPOSITES_FIELD = list_field(
    "composites", "Weighted sums of meters, priced like meters.", COMPOSITES_MAX, _COMPOSITE
)
ADD_ONS_FIELD = list_field(
    "add_ons", "What subscriptions can have besides their plan.", ADD_ONS_MAX, _ADD_ON
)
PLANS_FIELD = list_field("plans", "All plans.", PLANS_MAX, _PLAN)
