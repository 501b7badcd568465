"""The script of the billing day: what customers use and have to pay, in whole cents, by itself.

Each customer's usage is a function of its number; nothing here is taken from our code.
"""

from __future__ import annotations

BASE_CENTS = 9_900
INCLUDED = 10
RATE_CENTS = 5
LATE_EVERY = 20
"""One customer in so many has usage that arrives after the invoice: 5 %."""
LATE_CALLS = 7
CATALOGUE = {
    "version": 1,
    "billing": {"grace_hours": 0, "due_days": 14},
    "taxes": [{"code": "vat", "name": "VAT", "category": "standard", "rate": "10"}],
    "meters": [{"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"}],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "CAD",
            "prices": [
                {"key": "base", "form": "flat", "amount": "99.00"},
                {
                    "key": "calls",
                    "form": "per_unit",
                    "meter": "calls",
                    "included": str(INCLUDED),
                    "rate": "0.05",
                },
            ],
        }
    ],
}


def calls_of(number: int) -> int:
    """Calls of a customer before the invoice."""
    return number % 31


def total_cents(calls: int) -> int:
    """What a month costs, tax of 10 % included, rounded half up to whole cents."""
    net = BASE_CENTS + max(0, calls - INCLUDED) * RATE_CENTS
    return net + (net + 5) // 10


def rise_of(number: int) -> int:
    """What late usage adds to the lines of a customer, cents before tax."""
    before, after = calls_of(number), calls_of(number) + LATE_CALLS
    return (max(0, after - INCLUDED) - max(0, before - INCLUDED)) * RATE_CENTS
