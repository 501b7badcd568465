"""The shapes of all price forms, in the order of domain.pricing.forms."""

from __future__ import annotations

from domain.document_shape import (
    DECIMAL,
    DECIMAL_RULE,
    Field,
    Kind,
    Shape,
    choice_field,
    decimal_field,
    list_field,
    optional_decimal_field,
    pairs_field,
)
from domain.pricing.ladder import TIERS_MAX
from domain.pricing.matrix import RATES_MAX
from domain.pricing.price import TAX_STANDARD, Overflow
from domain.pricing.reading import WHERE_MAX

_POWER = r"(?=[0-9]{1,18}(\.|$))0*10*(\.0{1,18})?"


def name_in_lines(name: str, meaning: str) -> Field:
    """This function will return a field whose text stands in ids of lines, parted there by "/"."""
    rule = 'text of 1 to 200 printable characters without "/"'
    return Field(name, Kind.TEXT, meaning, rule=rule, pattern="[^/]+")


_KEY = name_in_lines("key", "Name of the price within the plan; the invoice line carries it.")
_NAME = Field(
    "name",
    Kind.TEXT,
    "Name for people, on the invoice line; the key when absent.",
    is_required=False,
)
_TAX = Field(
    "tax",
    Kind.TEXT,
    "Tax category; what it costs in tax stands in `taxes`.",
    is_required=False,
    default=TAX_STANDARD,
)
_METER = Field("meter", Kind.TEXT, "Key of the meter or composite that is priced.")
_WHERE_RULE = f"an object of at most {WHERE_MAX} dimension values"
_WHERE = pairs_field(
    "where",
    "Only usage with these dimension values is priced.",
    count_max=WHERE_MAX,
    rule=_WHERE_RULE,
)
_OVERFLOW = choice_field(
    "overflow",
    "What usage above `included` does: it is billed, or passes with a warning, or is refused; the "
    "latter two are not charged.",
    Overflow,
    default=Overflow.BILL,
)
_BOUNDS = (
    optional_decimal_field("minimum", "Least amount of a period, in major units."),
    optional_decimal_field("maximum", "Largest amount of a period, in major units."),
)
_PER = Field(
    "per",
    Kind.DECIMAL,
    "Units that one rate covers; a started one counts in part.",
    is_required=False,
    rule='a power of ten, for example "1000"',
    pattern=_POWER,
    default="1",
)
_INCLUDED = decimal_field("included", "Units of a period that cost nothing.", default="0")
_RATE = decimal_field("rate", "Money for each `per` units.")
_UP_TO = Field(
    "up_to",
    Kind.DECIMAL,
    "Last unit of the tier, inclusive, counted above `included`; the last tier has none.",
    is_required=False,
    rule=DECIMAL_RULE,
    pattern=DECIMAL,
)


def _fee(form: str, meaning: str, *own: Field) -> Shape:
    told = Field("form", Kind.CHOICE, "How the price charges.", choices=(form,))
    return Shape(form, meaning, (_KEY, _NAME, told, *own, _TAX))


def _metered(form: str, meaning: str, *own: Field) -> Shape:
    told = Field("form", Kind.CHOICE, "How the price charges.", choices=(form,))
    return Shape(
        form,
        meaning,
        (_KEY, _NAME, told, _METER, _WHERE, *own, _OVERFLOW, *_BOUNDS, _TAX),
    )


def _tiers(meaning: str, *own: Field) -> Field:
    return Field(
        "tiers",
        Kind.OBJECTS,
        "Rising tiers, the last one without up_to.",
        rule=f"a list of 1 to {TIERS_MAX} objects",
        count_min=1,
        count_max=TIERS_MAX,
        items=(Shape("tier", meaning, (_UP_TO, *own)),),
    )


_TIER_FEE = decimal_field("fee", "Money on top once the tier is reached.", default="0")
PRICES = (
    _fee(
        "flat",
        "A fee per period, whatever is used.",
        decimal_field("amount", "The fee, in major units of the plan's currency."),
    ),
    _fee(
        "seats",
        "A fee for each seat of the subscription.",
        decimal_field("amount", "The fee of one seat, in major units."),
        decimal_field("included", "Seats that cost nothing.", default="0"),
    ),
    _metered("per_unit", "A rate for each unit above an allowance.", _RATE, _PER, _INCLUDED),
    _metered(
        "graduated",
        "A ladder of rates: each tier prices only the units that fall into it.",
        _PER,
        _INCLUDED,
        _tiers(
            "One step of the ladder; the last one is open.",
            decimal_field("rate", "Money for each `per` units that fall into the tier."),
            _TIER_FEE,
        ),
    ),
    _metered(
        "volume",
        "Bands of the total: the one it falls in prices all units.",
        _PER,
        _INCLUDED,
        _tiers(
            "One band; the last one is open.",
            decimal_field("rate", "Money for each `per` units, all of them."),
            _TIER_FEE,
        ),
    ),
    _metered(
        "tiered_flat",
        "Bands of the total, each with one amount.",
        _INCLUDED,
        _tiers(
            "One band; the last one is open.",
            decimal_field("amount", "What a total in the band costs, in major units."),
        ),
    ),
    _metered(
        "package",
        "A bundle with a price of its own, and a rate for what lies beyond.",
        decimal_field("amount", "Price of the bundle, in major units, used or not."),
        _INCLUDED,
        _RATE,
        _PER,
    ),
    _metered(
        "block",
        "An amount for each started block above an allowance.",
        decimal_field("size", "Units of a block, above 0."),
        decimal_field("amount", "Price of a block, in major units."),
        _INCLUDED,
    ),
    _metered(
        "percentage",
        "A share of the quantity, which is an amount of money or of anything else.",
        decimal_field("rate", "Percent."),
        decimal_field("fee", "Money for each event, on top.", default="0"),
        optional_decimal_field(
            "event_minimum", "Least share of one event; needs value_bands of the meter."
        ),
        optional_decimal_field(
            "event_maximum", "Largest share of one event; needs value_bands of the meter."
        ),
    ),
    _metered(
        "matrix",
        "A rate for each set of dimension values.",
        Field(
            "dimensions",
            Kind.TEXTS,
            "Dimensions whose values choose the rate.",
            rule=f"a list of 1 to {WHERE_MAX} different texts",
            count_min=1,
            count_max=WHERE_MAX,
        ),
        _PER,
        _INCLUDED,
        list_field(
            "rates",
            "Values and what they cost; `included` covers them in this order.",
            RATES_MAX,
            Shape(
                "rate of a matrix",
                "What one set of values costs.",
                (
                    pairs_field(
                        "where",
                        "A value for each of the dimensions.",
                        count_max=WHERE_MAX,
                        rule=_WHERE_RULE,
                        is_required=True,
                    ),
                    _RATE,
                ),
            ),
        ),
        optional_decimal_field(
            "rate", "Money for each `per` units of all other values; they cost nothing without it."
        ),
    ),
)
