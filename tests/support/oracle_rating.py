"""O2 for money: every invoice line again, with fractions, from the raw log.

Imports nothing of ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.support.kafka_hash import partition_of
from tests.support.oracle import Truth

PLACES = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
"""Decimal places of the minor unit, ISO 4217."""
NANOS = 10**9


@dataclass(frozen=True, slots=True)
class Line:
    """One invoice line as the log says it must be."""

    price: str
    quantity: Fraction
    amount: Fraction
    minor: int


def expected_lines(truth: Truth, content: dict[str, Any]) -> list[Line]:
    """Rate an invoice's period again, from the events before its pinned offsets."""
    terms, pin = content["terms"], content["pin"]
    tenant, customer = terms["tenant"], terms["customer"]
    (segment,) = terms["segments"]
    partition = partition_of(tenant, customer, partitions=truth.reader.partitions)
    windows = truth.customer_windows(
        tenant=tenant,
        customer=customer,
        hours=(_hour(segment["start"]), _hour(segment["end"])),
        before_offset=pin["usage_positions"][partition],
    )
    document = truth.reader.catalogues[tenant, segment["catalogue_version"]]
    meters = {meter["key"]: meter for meter in document["meters"]}
    plan = next(plan for plan in document["plans"] if plan["code"] == segment["plan"])
    lines = []
    for price in plan["prices"]:
        quantity = Fraction(1)
        if price["form"] != "flat":
            meter = meters[price["meter"]]
            mine = [row for row in windows if row["meter"] == price["meter"]]
            quantity = _quantity(meter["aggregation"], mine)
        amount = _amount(price, quantity)
        lines.append(Line(price["key"], quantity, amount, _minor(amount, plan["currency"])))
    return lines


def _hour(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) // 3600


def _quantity(aggregation: str, windows: Sequence[dict[str, Any]]) -> Fraction:
    """Turn a period's windows into one quantity; none of them is nothing, whatever the meter."""
    if not windows:
        return Fraction(0)
    if aggregation == "count":
        return Fraction(sum(row["events"] for row in windows))
    if aggregation == "sum":
        return Fraction(sum(int(row["sum"]) for row in windows), NANOS)
    if aggregation in {"min", "max"}:
        choose = min if aggregation == "min" else max
        return Fraction(choose(int(row[aggregation]) for row in windows), NANOS)
    last = max(windows, key=_moment)
    return Fraction(int(last["latest"]), NANOS)


def _moment(row: dict[str, Any]) -> tuple[int, int, list[tuple[str, str]]]:
    pairs = sorted(json.loads(row["dimensions"]).items())
    return row["latest_occurred_ms"], row["latest_offset"], pairs


def _amount(price: dict[str, Any], quantity: Fraction) -> Fraction:
    if price["form"] == "flat":
        return Fraction(price["amount"])
    per = Fraction(price.get("per", "1"))
    charged = max(Fraction(0), quantity - Fraction(price.get("included", "0")))
    if price["form"] == "per_unit":
        return charged * Fraction(price["rate"]) / per
    if price["form"] != "graduated":
        raise ValueError(f"the oracle knows no price form {price['form']!r}")
    amount, below = Fraction(0), Fraction(0)
    for tier in price["tiers"]:
        top = Fraction(tier["up_to"]) if "up_to" in tier else charged
        amount += max(Fraction(0), min(charged, top) - below) * Fraction(tier["rate"]) / per
        below = top
    return amount


def _minor(amount: Fraction, currency: str) -> int:
    """Round half up, once; amounts are never negative here."""
    return int(amount * 10 ** PLACES[currency] + Fraction(1, 2))


def wrong_lines(
    truth: Truth, *, content_text: str, rows: Sequence[dict[str, Any]], total_minor: int
) -> list[str]:
    """Compare an invoice, its text and its rows, with the log; one sentence per wrong line."""
    content = json.loads(content_text)
    expected = {line.price: line for line in expected_lines(truth, content)}
    unit = 10 ** PLACES[content["terms"]["currency"]]
    faults = []
    for place, found_lines, scale in (("content", content["lines"], 1), ("row", rows, unit)):
        found_prices = sorted(found["price"] for found in found_lines)
        if found_prices != sorted(expected):
            faults.append(f"lines of {sorted(expected)} expected, the {place} has {found_prices}")
            continue
        for found in found_lines:
            line = expected[found["price"]]
            minor = Fraction(Decimal(found["amount"])) * scale
            is_right = (
                Fraction(Decimal(found["quantity"])) == line.quantity
                and Fraction(Decimal(found["amount_unrounded"])) == line.amount
                and minor == line.minor
            )
            if not is_right:
                faults.append(
                    f"{line.price} in the {place}: {found['quantity']} for {minor} minor units, "
                    f"the log says {line.quantity} for {line.minor}"
                )
    total = sum(line.minor for line in expected.values())
    if not total == total_minor == content["total_minor"]:
        faults.append(f"total {total_minor}, content {content['total_minor']}, log {total}")
    return faults
