"""A second rater for whole invoices: slow, with fractions, from the requirements alone.

Imports nothing of ours but its own price forms and usage. It reads catalogue documents as people
write them (texts for decimals) and a period's usage as plain rows, and returns whole numbers of
10^-scale major units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from tests.support.oracle_forms import FORMS
from tests.support.oracle_usage import AGGREGATIONS, FLOWS, Row

Document = Mapping[str, Any]
FEES = ("flat", "seats")
PART = 10**6
"""More rows than a part has."""


@dataclass(frozen=True)
class Part:
    """A part of the period on one plan: days of the whole period's days, and its usage."""

    plan: Document
    days: int
    of_days: int
    usage: Sequence[Row]
    seats: int = 0
    add_ons: Sequence[tuple[Document, int]] = ()


@dataclass(frozen=True)
class Bill:
    """Everything that an invoice of a period is made from."""

    scale: int
    places: int
    aggregations: Mapping[str, str]
    composites: Mapping[str, Sequence[tuple[str, Fraction]]]
    parts: Sequence[Part]
    fees: Sequence[Part]
    """Parts of the period that fees are for; their usage counts nothing."""
    items: Sequence[tuple[str, int, str]] = ()
    """(id, minor units, tax category)"""
    own_taxes: Mapping[str, tuple[str, Fraction, bool]] = field(default_factory=dict)
    """What a correction is taxed with, by its id: the tax of the invoice that it corrects."""
    discounts: Sequence[Document] = ()
    taxes: Mapping[str, tuple[str, Fraction, bool]] = field(default_factory=dict)
    """Category to (code, percent, whether amounts include it)."""
    promotion_minor: int = 0
    money_minor: int = 0
    promotion_first: bool = True
    """Whether promotions come off before the tax; money comes off after it whatever holds."""
    credit_applied: bool = True
    """Whether either comes off at all."""
    usage_billed: bool = True
    """Whether there is more to pay than fees and items."""
    tax_by_line: bool = False


@dataclass
class Line:
    """One line while the invoice is being worked out."""

    key: str
    kind: str
    price: str
    category: str
    amount: int
    net: int


@dataclass(frozen=True)
class Result:
    """What the invoice must say."""

    lines: Mapping[str, tuple[int, int]]
    """Line id to (amount, net)."""
    taxes: Mapping[tuple[str, Fraction, bool], int]
    promotion_minor: int
    credit_minor: int
    total_minor: int
    carry_minor: int


def half_up(value: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    sign = -1 if value < 0 else 1
    return sign * math.floor(abs(value) + Fraction(1, 2))


def invoice(bill: Bill) -> Result:
    """Work out a whole invoice."""
    unit = 10**bill.scale
    lines = _lines(bill, unit)
    _percents(bill, lines)
    _amounts(bill, lines, unit)
    _cap(bill, lines, unit)
    return _settled(bill, lines)


# -- lines ------------------------------------------------------------------------------------


def _lines(bill: Bill, unit: int) -> list[Line]:
    lines = [*_fee_lines(bill.fees, unit)]
    if bill.usage_billed:
        lines += _usage_lines(bill, unit)
        lines += _true_up(bill, lines, unit)
    for item, minor, category in bill.items:
        amount = minor * 10 ** (bill.scale - bill.places)
        lines.append(Line(f"item/{item}", "item", "", category, amount, amount))
    return lines


def _fee_lines(fees: Sequence[Part], unit: int) -> Iterator[Line]:
    """Each fee by the days in which it was the same; together they are rounded once."""
    runs: list[tuple[int, str, str, Document, Fraction, int]] = []
    for number, part in enumerate(fees):
        for name, kind, price, amount in _fees_of(part):
            went_on = number and (name, kind, price, amount) in list(_fees_of(fees[number - 1]))
            days = part.days
            first = number
            if went_on:
                first, days = _taken_up(runs, name, days)
            runs.append((first, name, kind, price, amount, days))
    upto: dict[tuple[str, str], Fraction] = {}
    for first, name, kind, price, amount, days in sorted(runs, key=lambda run: run[0]):
        fee = (name, price.get("tax", "standard"))
        before = upto.get(fee, Fraction(0))
        upto[fee] = before + amount * unit * Fraction(days, fees[0].of_days)
        line = _line(f"fee/{f'{first}/' if first else ''}{name}", kind, price, upto[fee])
        line.amount -= half_up(before)
        line.net = line.amount
        yield line


def _taken_up(
    runs: list[tuple[int, str, str, Document, Fraction, int]], name: str, days: int
) -> tuple[int, int]:
    """Take a fee's newest run off, which goes on; its first part, and all its days."""
    place = max(place for place, run in enumerate(runs) if run[1] == name)
    first, *_, before = runs.pop(place)
    return first, before + days


def _fees_of(part: Part) -> Iterator[tuple[str, str, Document, Fraction]]:
    for price in part.plan["prices"]:
        if price["form"] in FEES:
            yield price["key"], "fee", price, _fee(price, part.seats)
    for add_on, quantity in part.add_ons:
        for price in add_on["prices"]:
            if price["form"] in FEES:
                name = f"addon:{add_on['code']}/{price['key']}"
                yield name, "add_on", price, quantity * Fraction(price["amount"])


def _usage_lines(bill: Bill, unit: int) -> Iterator[Line]:
    for number, part in enumerate(bill.parts):
        for price in part.plan["prices"]:
            if price["form"] not in FEES:
                amount = _metered(price, number, bill)
                yield _line(f"{number}/{price['key']}", "usage", price, amount * unit)
        for add_on, times in part.add_ons:
            for price in add_on["prices"]:
                if price["form"] not in FEES:
                    amount = _metered(price, number, bill, times=times)
                    name = f"{number}/addon:{add_on['code']}/{price['key']}"
                    yield _line(name, "add_on_usage", price, amount * unit)


def _line(key: str, kind: str, price: Document, exact: Fraction) -> Line:
    amount = half_up(exact)
    return Line(key, kind, price["key"], price.get("tax", "standard"), amount, amount)


def _fee(price: Document, seats: int) -> Fraction:
    if price["form"] == "flat":
        return Fraction(price["amount"])
    return Fraction(price["amount"]) * max(0, seats - int(price.get("included", "0")))


def _true_up(bill: Bill, lines: Sequence[Line], unit: int) -> list[Line]:
    """A minimum that plan lines do not reach is made up for."""
    bound = _bound(bill, "minimum")
    if bound is None:
        return []
    wanted, counted = bound
    missing = max(0, half_up(wanted * unit) - sum(line.amount for line in counted(lines)))
    return [Line("minimum", "minimum", "", "standard", missing, missing)]


def _bound(
    bill: Bill, which: str
) -> tuple[Fraction, Callable[[Sequence[Line]], list[Line]]] | None:
    """What the parts' plans ask for together, and which lines count towards it."""
    wanted, numbers, has_fees = Fraction(0), [], False
    for number, part in enumerate(bill.parts):
        given = part.plan.get(which)
        if given is not None:
            wanted += Fraction(given["amount"]) * Fraction(part.days, part.of_days)
            numbers.append(f"{number}/")
            has_fees = has_fees or given["of"] == "all"
    if not numbers:
        return None
    kinds = ("fee", "add_on") if has_fees else ()

    def counted(lines: Sequence[Line]) -> list[Line]:
        return [
            line
            for line in lines
            if line.kind in kinds
            or (line.kind in ("usage", "add_on_usage") and line.key.startswith(tuple(numbers)))
        ]

    return wanted, counted


# -- metered prices ---------------------------------------------------------------------------


def _metered(price: Document, number: int, bill: Bill, *, times: int = 0) -> Fraction:
    """f·charge(q/f) of what flows, f·charge(q) of a level; commitments belong to whole periods.

    So many times an add-on are as many equal shares of what was used, each with what one of them
    includes; free units are for the plan (times 0).
    """
    part = bill.parts[number]
    share = Fraction(part.days, part.of_days)
    terms = _terms(price, bill)
    is_flow = all(bill.aggregations[meter] in FLOWS for meter, _ in terms)
    stretch = 1 / share if is_flow else Fraction(1)
    where = price.get("where", {})
    rows = [row for row in part.usage if _holds(row, where)]
    if not is_flow:
        rows = [row for meter, _ in terms for row in _level_rows(price, meter, number, bill)]
    free = Fraction(0) if times else _free_units(price, bill)
    copies = max(1, times)
    amount = _charge(price, rows, terms, bill, stretch / copies, free=free)
    amount = max(amount, Fraction(price.get("minimum", "0")))
    if "maximum" in price:
        amount = min(amount, Fraction(price["maximum"]))
    return copies * share * amount


def _level_rows(price: Document, meter: str, number: int, bill: Bill) -> list[Row]:
    """A level is that of all parts with the same prices for it, and what stood where they begin.

    Who changes nothing about the price pays as if he had changed nothing, and who does change it
    takes along the level that was reported last.
    """

    def way(place: int) -> list[tuple[str, int, Document]]:
        part = bill.parts[place]
        offers = [("", 1, part.plan), *((each["code"], n, each) for each, n in part.add_ons)]
        return [
            (code, times, each)
            for code, times, offer in offers
            for each in offer["prices"]
            if "meter" in each and meter in dict(_terms(each, bill))
        ]

    def values(row: Row) -> tuple[str, ...]:
        names = price["dimensions"] if price["form"] == "matrix" else ()
        return tuple(row.dimensions.get(name, "") for name in names)

    readers = [place for place in range(len(bill.parts)) if way(place)]
    same = [place for place in readers if way(place) == way(number)]
    rows = {
        place: [
            replace(row, at=place * PART + row.at)
            for row in bill.parts[place].usage
            if row.meter == meter and _holds(row, price.get("where", {}))
        ]
        for place in readers
    }
    found = [row for place in same for row in rows[place]]
    for place in same:
        if place > 0 and place - 1 not in same:
            last: dict[tuple[str, ...], Row] = {}
            for row in (row for before in readers if before < place for row in rows[before]):
                held = last.get(values(row), row)
                last[values(row)] = max(held, row, key=lambda each: each.at)
            found += last.values()
    return found


def _terms(price: Document, bill: Bill) -> Sequence[tuple[str, Fraction]]:
    return bill.composites.get(price["meter"], ((price["meter"], Fraction(1)),))


def _holds(row: Row, where: Mapping[str, str]) -> bool:
    return all(row.dimensions.get(name) == value for name, value in where.items())


def _quantity(rows: Sequence[Row], terms: Sequence[tuple[str, Fraction]], bill: Bill) -> Fraction:
    total = Fraction(0)
    for meter, weight in terms:
        mine = [row for row in rows if row.meter == meter]
        if mine:
            total += weight * AGGREGATIONS[bill.aggregations[meter]](mine)
    return total


def _charge(
    price: Document,
    rows: Sequence[Row],
    terms: Sequence[tuple[str, Fraction]],
    bill: Bill,
    stretch: Fraction,
    *,
    free: Fraction,
) -> Fraction:
    if price["form"] == "matrix":
        return _matrix(price, rows, terms, bill, stretch)
    quantity = _quantity(rows, terms, bill) * stretch
    if price["form"] == "percentage":
        return _percentage(price, [row for row in rows if row.meter == price["meter"]]) * stretch
    return FORMS[price["form"]](price, max(Fraction(0), quantity - free))


def _free_units(price: Document, bill: Bill) -> Fraction:
    """What discounts give for nothing of what a price of the plan charges."""
    return sum(
        (
            Fraction(each["value"])
            for each in bill.discounts
            if each["kind"] == "free_units" and price["key"] in each["prices"]
        ),
        Fraction(0),
    )


def _percentage(price: Document, rows: Sequence[Row]) -> Fraction:
    """Event by event: the rows of the lowest and the highest band pay the bounds instead."""
    amount = Fraction(0)
    for row in rows:
        band = row.dimensions.get("value_band", "1") if "event_minimum" in price else "1"
        shares = {
            "0": row.events * Fraction(price.get("event_minimum", "0")),
            "1": row.quantity * Fraction(price["rate"]) / 100,
            "2": row.events * Fraction(price.get("event_maximum", "0")),
        }
        amount += shares[band] + row.events * Fraction(price.get("fee", "0"))
    return amount


def _matrix(
    price: Document,
    rows: Sequence[Row],
    terms: Sequence[tuple[str, Fraction]],
    bill: Bill,
    stretch: Fraction,
) -> Fraction:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        values = tuple(row.dimensions.get(name, "") for name in price["dimensions"])
        groups.setdefault(values, []).append(row)
    used: dict[str, Fraction] = {}
    rates: dict[str, Fraction] = {}
    named = [
        tuple(dict(each["where"])[name] for name in price["dimensions"]) for each in price["rates"]
    ]
    for values, group in groups.items():
        place = str(named.index(values)).zfill(4) if values in named else "others"
        used[place] = used.get(place, Fraction(0)) + _quantity(group, terms, bill) * stretch
        rate = price["rates"][int(place)]["rate"] if place != "others" else price.get("rate", "0")
        rates[place] = Fraction(rate)
    amount, free = Fraction(0), Fraction(price.get("included", "0"))
    for place in sorted(used):
        covered = min(free, used[place])
        free -= covered
        amount += (used[place] - covered) * rates[place] / Fraction(price.get("per", "1"))
    return amount if price.get("overflow", "bill") == "bill" else Fraction(0)


# -- from lines to the total ------------------------------------------------------------------


def _reached(discount: Document, line: Line) -> bool:
    """Discounts are for what the plan itself charges: no item, add-on or minimum has one."""
    if line.kind not in ("fee", "usage"):
        return False
    return not discount["prices"] or line.price in discount["prices"]


def _percents(bill: Bill, lines: Sequence[Line]) -> None:
    for discount in bill.discounts:
        if discount["kind"] == "percent":
            for line in lines:
                if _reached(discount, line):
                    line.net -= half_up(line.net * Fraction(discount["value"]) / 100)


def _amounts(bill: Bill, lines: Sequence[Line], unit: int) -> None:
    for discount in bill.discounts:
        if discount["kind"] == "amount":
            reached = [line for line in lines if _reached(discount, line)]
            left = sum(line.net for line in reached)
            _take(reached, min(left, half_up(Fraction(discount["value"]) * unit)))


def _cap(bill: Bill, lines: Sequence[Line], unit: int) -> None:
    bound = _bound(bill, "maximum")
    if bound is not None:
        most, counted = bound
        mine = counted(lines)
        left = sum(line.net for line in mine)
        _take(mine, max(0, left - half_up(most * unit)))


def _take(lines: Sequence[Line], whole: int) -> None:
    parts = spread(whole, [line.net for line in lines])
    for line, part in zip(lines, parts, strict=True):
        line.net -= part


def spread(whole: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole number by weights: largest remainder, the first of equals before others."""
    total = sum(weights)
    if not total or not whole:
        return [0] * len(weights)
    shares = [Fraction(whole * weight, total) for weight in weights]
    parts = [math.floor(share) for share in shares]
    order = sorted(range(len(weights)), key=lambda index: (parts[index] - shares[index], index))
    for index in order[: whole - sum(parts)]:
        parts[index] += 1
    return parts


def _settled(bill: Bill, lines: Sequence[Line]) -> Result:
    """Promotions, taxes, money: in that order, unless promotions are to wait for the taxes."""
    fine = 10 ** (bill.scale - bill.places)
    promotion = 0
    if bill.promotion_first and bill.credit_applied:
        subtotal = sum(line.net for line in lines)
        promotion = min(bill.promotion_minor, max(0, subtotal) // fine)
        # What promotions take off beyond the total would turn into money.
        while promotion > 0:
            _, total = _with_taxes(bill, lines, promotion * fine)
            beyond = -half_up(Fraction(total, fine))
            if beyond <= 0:
                break
            # A minor unit of promotions takes at most three off the total: no tax is above 200 %.
            promotion = max(0, promotion - max(1, beyond // 3))
    taxes, total = _with_taxes(bill, lines, promotion * fine)
    left = half_up(Fraction(total, fine))
    late = money = 0
    if bill.credit_applied:
        late = 0 if bill.promotion_first else min(bill.promotion_minor, max(0, left))
        money = min(bill.money_minor, max(0, left - late))
    left -= late + money
    return Result(
        lines={line.key: (line.amount, line.net) for line in lines},
        taxes=taxes,
        promotion_minor=promotion + late,
        credit_minor=promotion + late + money,
        total_minor=max(0, left),
        carry_minor=max(0, -left),
    )


_UNTAXED = ("", Fraction(0), False)


def _with_taxes(
    bill: Bill, lines: Sequence[Line], off_before: int
) -> tuple[dict[tuple[str, Fraction, bool], int], int]:
    """Tax what a promotion leaves of the lines, by tax; the taxes, and the total with them."""
    groups: dict[tuple[str, Fraction, bool], list[Line]] = {}
    for line in lines:
        own = bill.own_taxes.get(line.key.removeprefix("item/"))
        groups.setdefault(own or bill.taxes.get(line.category, _UNTAXED), []).append(line)
    order = sorted(groups)
    weights = [max(0, sum(line.net for line in groups[tax])) for tax in order]
    taxes: dict[tuple[str, Fraction, bool], int] = {}
    total = sum(line.net for line in lines) - off_before
    for tax, off in zip(order, spread(off_before, weights), strict=True):
        code, percent, is_inclusive = tax
        part = percent / ((100 + percent) if is_inclusive else 100)
        bases = [line.net for line in groups[tax]]
        if bill.tax_by_line:
            offs = spread(off, [max(0, base) for base in bases])
            amount = sum(half_up((base - o) * part) for base, o in zip(bases, offs, strict=True))
        else:
            amount = half_up((sum(bases) - off) * part)
        if code:
            taxes[tax] = amount
        total += 0 if is_inclusive else amount
    return taxes, total
