"""What is held of an invoice's line: what was charged of it and has not come back.

Everything that gives back draws from here, in one order (ADR 0031): first the money with its tax,
then what promotions paid, as promotions. So a note, a correction and a downgrade of one line never
give it back twice, and no part turns into the other. An item that corrects a line adds to that
line once its invoice is final; until then it waits, and less nets against it first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.books.billing_state import HeldLine, unpacked
from domain.codes import Code
from domain.errors import Fatal
from domain.invoice import AMOUNT_MINOR_MAX
from domain.invoice_amounts import netted, spread
from domain.money import minor_unit_places, round_half_up

if TYPE_CHECKING:
    from domain.books.billing_state import InvoiceEntry
    from domain.books.state import TenantState
    from domain.canonical import Json
    from domain.fields import Fields

NOTHING_HELD = HeldLine()


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn from a line, minor units.

    Args:
        money: Of its net amount, what was money.
        money_tax: The tax of that.
        promotion: Of its net amount, what promotions paid.
        promotion_tax: The tax that they paid as well; 0 where they came off before it.
    """

    money: int = 0
    money_tax: int = 0
    promotion: int = 0
    promotion_tax: int = 0

    def to_json(self) -> dict[str, Json]:
        """Return it as facts carry it."""
        return {
            "money_minor": self.money,
            "money_tax_minor": self.money_tax,
            "promotion_minor": self.promotion,
            "promotion_tax_minor": self.promotion_tax,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Drawn:
        """Read what to_json wrote (Rejected otherwise)."""
        names = ("money_minor", "money_tax_minor", "promotion_minor", "promotion_tax_minor")
        return cls(*(fields.integer(name, minimum=0, maximum=AMOUNT_MINOR_MAX) for name in names))

    def __add__(self, other: Drawn) -> Drawn:
        """Return both together."""
        return Drawn(
            self.money + other.money,
            self.money_tax + other.money_tax,
            self.promotion + other.promotion,
            self.promotion_tax + other.promotion_tax,
        )

    @property
    def net(self) -> int:
        """Return what of the line's net amount is drawn."""
        return self.money + self.promotion

    @property
    def tax(self) -> int:
        """Return its tax."""
        return self.money_tax + self.promotion_tax


def unit_of(entry: InvoiceEntry) -> int:
    """This function will return how many units of the lines' scale a minor unit is."""
    return int(10 ** (entry.scale - minor_unit_places(entry.currency)))


@dataclass(frozen=True, slots=True)
class EntryLine:
    """A line of an invoice, as the books keep it.

    Args:
        net: Net amount as invoiced, in units of the invoice's scale.
        effective: Net amount after corrections.
        is_tax_in_price: Whether the amount has its tax in it.
        corrects: (invoice, line) that it corrects; ("", "") for none.
    """

    net: int
    effective: int
    is_tax_in_price: bool
    corrects: tuple[str, str]


class Lines:
    """The lines of a tenant's invoices, for one decision or one fact.

    What follows from an invoice as a whole, or from all items that wait, is worked out once: a
    correction asks for it line by line, up to 5,000 times. What is held is read anew each time.

    Args:
        state: Books of the tenant.
    """

    def __init__(self, state: TenantState) -> None:
        self.state = state
        self._found: dict[str, dict[str, EntryLine]] = {}
        self._charged: dict[str, dict[str, HeldLine]] = {}
        self._waiting: dict[str, dict[tuple[str, str], int]] = {}

    def of(self, entry: InvoiceEntry) -> dict[str, EntryLine]:
        """This function will return the lines of an invoice by their ids, in its order."""
        known = self._found.get(entry.invoice)
        if known is None:
            known = self._found[entry.invoice] = _entry_lines(entry)
        return known

    def root_of(self, entry: InvoiceEntry, *, line: str) -> tuple[str, str]:
        """This function will say where a line is held: on the line that it corrects, or itself."""
        found = self.of(entry).get(line)
        return found.corrects if found and found.corrects[0] else (entry.invoice, line)

    def held(self, key: tuple[str, str]) -> HeldLine:
        """This function will return what is held of a line, waiting items apart.

        Raises:
            Fatal: state_corrupt, when the invoice was never made.
        """
        known = self.state.billing.held.get(key)
        if known is not None:
            return known
        charged = self._charged.get(key[0])
        if charged is None:
            entry = self.state.billing.found(key[0])
            if entry is None:
                raise Fatal(
                    Code.STATE_CORRUPT,
                    "a line of no invoice is held",
                    next_step="Keep the logs and report this as a defect",
                    invoice=key[0],
                )
            charged = self._charged[key[0]] = as_charged(entry)
        return charged.get(key[1], NOTHING_HELD)

    def standing(self, key: tuple[str, str]) -> HeldLine:
        """This function will return what can be drawn: without what waiting items give back."""
        held, entry = self.held(key), self.state.billing.found(key[0])
        given = -min(0, self.waiting_minor(key))
        return held if entry is None or not given else less(held, draw(held, given, entry), entry)

    def waiting_minor(self, key: tuple[str, str]) -> int:
        """This function will say what items that wait and correct a line come to, minor units."""
        entry = self.state.billing.found(key[0])
        if entry is None:
            return 0
        sums = self._waiting.get(entry.customer)
        if sums is None:
            sums = self._waiting[entry.customer] = {}
            for _, item in self.state.billing.waiting.get(entry.customer, ()):
                sums[item.refers] = sums.get(item.refers, 0) + item.amount_minor
        return sums.get(key, 0)

    def take(self, key: tuple[str, str], drawn: Drawn) -> None:
        """This function will note, within an apply, that something came back of a line."""
        entry = self.state.billing.found(key[0])
        if entry is not None:
            self.state.billing.held[key] = less(self.held(key), drawn, entry)


def _entry_lines(entry: InvoiceEntry) -> dict[str, EntryLine]:
    corrects = {f"item/{item.item}": item.refers for _, item in entry.items}
    columns = (entry.lines, unpacked(entry.nets), unpacked(entry.effective), entry.in_prices)
    return {
        line: EntryLine(net, effective, bool(inside), corrects.get(line, ("", "")))
        for line, net, effective, inside in zip(*columns, strict=True)
    }


def draw(held: HeldLine, amount_minor: int, entry: InvoiceEntry) -> Drawn:
    """This function will draw from a line: money first, and never more than is held.

    The part that takes the last of the money takes the last of its tax.

    Args:
        held: What is held.
        amount_minor: What is wanted of its net amount, from 0. Part of a minor unit that is held
            counts as one.
        entry: Its invoice, whose scale counts.
    """
    unit = unit_of(entry)
    money, money_tax = _taken(amount_minor, held.money, held.money_tax, unit)
    rest = min(amount_minor, -(-held.net // unit)) - money
    promotion, promotion_tax = _taken(rest, held.promotion, held.promotion_tax, unit)
    return Drawn(money, money_tax, promotion, promotion_tax)


def _taken(amount: int, net: int, tax: int, unit: int) -> tuple[int, int]:
    taken = max(0, min(amount, -(-net // unit)))
    if not taken:
        return 0, 0
    part = min(Fraction(1), Fraction(taken * unit, net))
    return taken, round_half_up(Fraction(tax) * part / unit, places=0)


def less(held: HeldLine, drawn: Drawn, entry: InvoiceEntry) -> HeldLine:
    """This function will return what is held after something was drawn."""
    unit = unit_of(entry)
    money = max(0, held.money - drawn.money * unit)
    promotion = max(0, held.promotion - drawn.promotion * unit)
    return HeldLine(
        money=money,
        money_tax=held.money_tax - drawn.money_tax * unit if money else 0,
        promotion=promotion,
        promotion_tax=held.promotion_tax - drawn.promotion_tax * unit if promotion else 0,
    )


def move_items(state: TenantState, entry: InvoiceEntry, *, sign: int) -> None:
    """This function will add what an invoice charges of corrected lines, or take it back.

    Args:
        state: Books of the tenant.
        entry: The invoice, with its items.
        sign: 1 when it is final, -1 when it is voided.
    """
    lines = Lines(state)
    for key, charged in charged_elsewhere(state, entry).items():
        before = lines.held(key)
        state.billing.held[key] = HeldLine(
            money=max(0, before.money + sign * charged.money),
            money_tax=max(0, before.money_tax + sign * charged.money_tax),
            promotion=max(0, before.promotion + sign * charged.promotion),
            promotion_tax=max(0, before.promotion_tax + sign * charged.promotion_tax),
        )


def charged_elsewhere(state: TenantState, entry: InvoiceEntry) -> dict[tuple[str, str], HeldLine]:
    """This function will say what an invoice charges of lines of invoices before it.

    Returns:
        By (invoice, line) that its items correct, in units of that invoice's scale; below 0 is
        less. What goes up and down again on one invoice is added up.
    """
    asked: dict[str, HeldLine] = {}
    found: dict[tuple[str, str], HeldLine] = {}
    for _, item in entry.items:
        original = state.billing.found(item.refers[0])
        if original is None:
            continue
        asked = asked or _lines_as_charged(entry)
        charged, before = asked[f"item/{item.item}"], found.get(item.refers, NOTHING_HELD)
        # An item has whole minor units, so either scale has all of them.
        of, to = unit_of(entry), unit_of(original)
        found[item.refers] = HeldLine(
            money=before.money + charged.money * to // of,
            money_tax=before.money_tax + charged.money_tax * to // of,
            promotion=before.promotion + charged.promotion * to // of,
            promotion_tax=before.promotion_tax + charged.promotion_tax * to // of,
        )
    return found


def came_back(state: TenantState, entry: InvoiceEntry) -> bool:
    """This function will say whether anything of what an invoice charged has come back since.

    Its own lines are not held as it charged them, or of lines that its items correct less is held
    than they charged.
    """
    held = state.billing.held
    own = any(
        held.get((entry.invoice, line), charged) != charged
        for line, charged in as_charged(entry).items()
    )
    lines = Lines(state)

    def is_less(key: tuple[str, str], charged: HeldLine) -> bool:
        stands = lines.standing(key)
        return stands.money < charged.money or stands.promotion < charged.promotion

    return own or any(is_less(*each) for each in charged_elsewhere(state, entry).items())


def as_charged(entry: InvoiceEntry) -> dict[str, HeldLine]:
    """This function will say what is held of each line of an invoice when it is final.

    Of a line that corrects another one it is nothing: that one holds it.
    """
    found = _lines_as_charged(entry)
    corrections = {f"item/{item.item}" for _, item in entry.items if item.refers[0]}
    return {line: NOTHING_HELD if line in corrections else held for line, held in found.items()}


def _lines_as_charged(entry: InvoiceEntry) -> dict[str, HeldLine]:
    nets, taxes, credited = (
        unpacked(amounts) for amounts in (entry.nets, entry.taxes, entry.credited)
    )
    corrects = {f"item/{item.item}": item.refers for _, item in entry.items if item.refers[0]}
    gross = [
        net + (0 if inside else tax)
        for net, tax, inside in zip(nets, taxes, entry.in_prices, strict=True)
    ]
    lefts = netted(gross, of=[corrects.get(line, (line, "")) for line in entry.lines])
    late = entry.promotion_minor * unit_of(entry) - sum(credited)
    parts = spread(max(0, min(late, sum(lefts))), over=lefts)
    found = {}
    for place, line in enumerate(entry.lines):
        held = HeldLine(nets[place] - credited[place], taxes[place], credited[place], 0)
        if parts[place]:
            # What promotions paid after the tax, they paid of the amount and of its tax.
            tax = taxes[place] * parts[place] // gross[place]
            net = parts[place] - (0 if entry.in_prices[place] else tax)
            held = replace(
                held,
                money=held.money - net,
                money_tax=held.money_tax - tax,
                promotion=net,
                promotion_tax=tax,
            )
        found[line] = held
    return found
