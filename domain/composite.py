"""Composites: a weighted sum of meters, priced like a meter (S1-19 … S1-22: credits of 4 types).

All meters of one are flows (sum, count, time_weighted) or all are levels: how a part of a period
is charged differs between the two, so a sum of both would mean neither.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.fields import Fields
    from domain.meter import Meter

COMPOSITES_MAX = 100
"""Composites of one catalogue."""
PARTS_MAX = 20
"""Meters of one composite: each line over it reads them all."""


@dataclass(frozen=True, slots=True)
class Composite:
    """A weighted sum of meters.

    Args:
        key: Its name; no meter has it.
        unit: What one unit is, for people.
        of: (meter, weight), weights above 0, in the order written.
    """

    key: str
    unit: str
    of: tuple[tuple[str, Fraction], ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """What prices can be over, while a catalogue is read and afterwards.

    Args:
        meters: Meters by key.
        composites: Composites by key.
        refused: Keys of what is wrong itself: what names it is no second mistake.
    """

    meters: Mapping[str, Meter]
    composites: Mapping[str, Composite] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()

    def parts(self, key: str) -> tuple[tuple[Meter, Fraction], ...]:
        """Return the meters behind a key and their weights; empty when it is unknown."""
        if key in self.meters:
            return ((self.meters[key], Fraction(1)),)
        composite = self.composites.get(key)
        if composite is None:
            return ()
        return tuple(
            (self.meters[meter], weight) for meter, weight in composite.of if meter in self.meters
        )

    def is_known(self, key: str) -> bool:
        """Say whether there is, or was meant to be, something of that key."""
        return key in self.meters or key in self.composites or key in self.refused


def composite_from_fields(fields: Fields, *, counted: Counted) -> Composite:
    """This function will read one composite.

    Raises:
        Rejected: With the place, when it has a meter's key, an unknown or repeated meter, a weight
            of 0, or mixes flows and levels.
    """
    fields.only(("key", "unit", "of"))
    key = fields.text("key")
    if counted.is_known(key):
        raise fields.refuse("key", f"is {key!r}, which is a meter")
    items = fields.objects("of", count_max=PARTS_MAX)
    if not items:
        raise fields.refuse("of", f"must be a list of 1 to {PARTS_MAX} objects")
    parts = tuple(_part(item, counted=counted) for item in items)
    for meter, count in Counter(meter for meter, _ in parts).items():
        if count > 1:
            raise fields.refuse("of", f"holds {meter!r} twice")
    meters = [counted.meters[meter] for meter, _ in parts if meter in counted.meters]
    if len({meter.is_flow for meter in meters}) > 1:
        raise fields.refuse("of", "mixes meters that add up over time with levels")
    return Composite(key=key, unit=fields.text("unit"), of=parts)


def _part(fields: Fields, *, counted: Counted) -> tuple[str, Fraction]:
    fields.only(("meter", "weight"))
    meter = fields.text("meter")
    if not counted.is_known(meter):
        raise fields.refuse("meter", f"is {meter!r}, which is no meter")
    weight = Fraction(fields.decimal("weight"))
    if not weight:
        raise fields.refuse("weight", "must be above 0")
    return meter, weight
