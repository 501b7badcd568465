"""Meters say what is counted; event types say under which names it arrives."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from domain.aggregation.kinds import Aggregation
from domain.aggregation.measures import measure_of
from domain.errors import Rejected
from domain.quantity import parse_nanos

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.aggregation.measure import Measure
    from domain.fields import Fields

ALIASES_PER_TYPE_MAX = 16
"""Other names of one event type: a spelling for each system that ever sent it, and room."""
DIMENSION_SETS_DEFAULT = 1_000
DIMENSION_SETS_MAX = 100_000
"""Sets of dimension values of one meter that a partition keeps in memory, about 500 bytes each."""
VALUE_BAND = "value_band"
"""Dimension of windows of a meter with value bands: the number of bounds below the value."""
VALUE_BANDS_MAX = 10
"""Bounds of one meter: each makes one more series of everything that the meter counts."""
PERCENTILE = r"[0-9]{1,3}(\.[0-9]{1,6})?"
_PERCENTILE = re.compile(PERCENTILE, re.ASCII)
_FLOWS = frozenset({Aggregation.SUM, Aggregation.COUNT, Aggregation.TIME_WEIGHTED})
_WITHOUT_BANDS = frozenset({Aggregation.UNIQUE, Aggregation.TIME_WEIGHTED})


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
        value_bands: Rising bounds in billionths, by which windows are kept apart (dimension
            value_band: the number of bounds below the event's value); empty for no bands.
    """

    key: str
    event_type: str
    value_property: str
    aggregation: Aggregation
    group_by: tuple[str, ...]
    unit: str
    percentile: str = ""
    dimension_sets_max: int = DIMENSION_SETS_DEFAULT
    value_bands: tuple[int, ...] = ()

    @property
    def is_flow(self) -> bool:
        """Say whether it adds up over time; the others are levels."""
        return self.aggregation in _FLOWS

    @property
    def dimensions(self) -> frozenset[str]:
        """Return the dimensions that its windows can have."""
        bands = (VALUE_BAND,) if self.value_bands else ()
        return frozenset((*self.group_by, *bands))

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


def event_type_from_fields(fields: Fields) -> EventType:
    """This function will read the other names of an event type (Rejected otherwise)."""
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
    "value_bands",
    "unit",
)


def meter_from_fields(fields: Fields) -> Meter:
    """This function will read one meter (Rejected with the place otherwise)."""
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
        value_bands=_value_bands(fields, aggregation),
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


def _value_bands(fields: Fields, aggregation: Aggregation) -> tuple[int, ...]:
    texts = fields.texts("value_bands")
    if texts and aggregation in _WITHOUT_BANDS:
        raise fields.refuse("value_bands", f"cannot be given for {aggregation}")
    if VALUE_BAND in fields.texts("group_by"):
        raise fields.refuse("group_by", f"must not name {VALUE_BAND}: value_bands make it")
    if len(texts) > VALUE_BANDS_MAX:
        raise fields.refuse("value_bands", f"must be at most {VALUE_BANDS_MAX} bounds")
    try:
        bounds = tuple(parse_nanos(text) for text in texts)
    except Rejected as error:
        raise fields.refuse("value_bands", f"hold what is no bound: {error.reason}") from error
    if any(low >= high for low, high in itertools.pairwise(bounds)):
        raise fields.refuse("value_bands", "must rise")
    return bounds
