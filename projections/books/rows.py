"""What the projections of the books share: whose fact it is, and reading it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from domain.fields import Fields
from projections.texts import storable

VERSION_MAX = 2**31
"""Bound of catalogue versions and period numbers, as wide as their columns."""
AMOUNT_MINOR_MAX = 10**18
"""Bound of amounts, as in domain.invoice."""


@dataclass(frozen=True, slots=True)
class Booking:
    """One fact to be put into tables.

    Args:
        tenant: Whose books.
        fields: What changed.
        booked_at: Broker's append time of the command that caused it.
        source_offset: Offset of that command in account.commands.
        fact_index: Number of the fact among those of the command, from 0.
    """

    tenant: str
    fields: Fields
    booked_at: datetime
    source_offset: int = 0
    fact_index: int = 0


Project = Callable[[psycopg.Connection, Booking], None]
"""Puts one fact into its tables, inside the flush's transaction."""


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """The columns of a numbered period."""

    index: int
    start: datetime
    end: datetime


def read_period(fields: Fields) -> PeriodRow:
    """This function will read a fact's period."""
    period = fields.object("period")
    index = period.integer("index", minimum=0, maximum=VERSION_MAX)
    return PeriodRow(index, period.time("start"), period.time("end"))


def text_of(fields: Fields, name: str) -> str:
    """This function will read a text that the books wrote, which may be empty."""
    value = fields.values.get(name)
    if not isinstance(value, str):
        raise fields.refuse(name, "must be text")
    return storable(value)


def json_of(fields: Fields, name: str) -> str:
    """This function will write a field's value as JSON for a jsonb column."""
    return storable(json.dumps(fields.values.get(name), sort_keys=True, ensure_ascii=False))


def credits_of(fields: Fields, name: str) -> int:
    """This function will read credits, which an adjustment may have below 0."""
    return fields.integer(name, minimum=-AMOUNT_MINOR_MAX, maximum=AMOUNT_MINOR_MAX)


def signed_minor(fields: Fields, name: str) -> int:
    """This function will read an amount that may be below 0."""
    return fields.integer(name, minimum=-AMOUNT_MINOR_MAX, maximum=AMOUNT_MINOR_MAX)


def read_version(fields: Fields, name: str) -> int:
    """This function will read a catalogue version."""
    return fields.integer(name, minimum=1, maximum=VERSION_MAX)
