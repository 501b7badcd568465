"""Properties that meters read: decimals for their values, texts for counting different ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from domain.aggregation.unique import hash_of
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.quantity import NANOS_PER_UNIT, parse_nanos
from domain.usage.taken import CODE_NUMBERS, COUNTED, Taken, TypePlan

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT_LENGTH_MAX = 256
"""Characters of a property whose different texts are counted, as of a dimension's value."""
_BAD_VALUE = CODE_NUMBERS[Code.BAD_VALUE]


def read_properties(taken: Taken, plans: Sequence[TypePlan]) -> None:
    """This function will read what the meters of each event want; a missing one is a bad value.

    Args:
        taken: The events; fates, values and hashes are filled in.
        plans: Plans by number.
    """
    read = {
        number: plans[number]
        for number in np.unique(taken.plan[taken.plan >= 0]).tolist()
        if plans[number].decimals or plans[number].texts
    }
    if not read:
        return
    count = taken.plan.size
    for plan in read.values():
        for name in plan.decimals:
            taken.values[name] = np.zeros(count, np.int64), np.zeros(count, np.int32)
        for name in plan.texts:
            taken.hashes[name] = np.zeros(count, np.uint64)
    wanted = taken.values.keys() | taken.hashes.keys()
    given = {
        (index, name): value for index, name, value in taken.batch.properties if name in wanted
    }
    hashes: dict[str, int] = {}
    plan_of = taken.plan.tolist()
    for index in np.flatnonzero(
        (taken.fate == COUNTED) & np.isin(taken.plan, list(read))
    ).tolist():
        plan = read[plan_of[index]]
        if not (
            all(_read_decimal(taken, index, name, given) for name in plan.decimals)
            and all(_read_text(taken, index, name, given, hashes) for name in plan.texts)
        ):
            taken.fate[index] = _BAD_VALUE


def _read_decimal(taken: Taken, index: int, name: str, given: dict[tuple[int, str], str]) -> bool:
    try:
        nanos = parse_nanos(given.get((index, name), ""))
    except Rejected:
        return False
    units_column, nanos_column = taken.values[name]
    units_column[index], nanos_column[index] = divmod(nanos, NANOS_PER_UNIT)
    return True


def _read_text(
    taken: Taken,
    index: int,
    name: str,
    given: dict[tuple[int, str], str],
    hashes: dict[str, int],
) -> bool:
    text = given.get((index, name), "")
    known = hashes.get(text)
    if known is None:
        if not is_clean_text(text, length_max=TEXT_LENGTH_MAX):
            return False
        known = hashes[text] = hash_of(text)
    taken.hashes[name][index] = known
    return True
