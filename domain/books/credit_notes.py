"""The credit note book: what is taken back of a final invoice, line by line, with its tax."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from msgspec import structs

from domain.books.account_credit import CreditKind, add_credit
from domain.books.billing_state import NOTHING_NOTED
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.held import Drawn, Lines, draw, less, unit_of
from domain.books.invoices import (
    entry_of,
    invoice_in,
    next_number,
    require_new_ids,
    seller_of,
    take_number,
)
from domain.books.ledger import LedgerAccount, post_money
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import AMOUNT_MINOR_MAX, LINES_MAX
from domain.invoice_taxes import text_or_none
from domain.money import round_half_up
from domain.period import from_ms
from domain.rated import LINE_ID_LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.books.billing_state import HeldLine, InvoiceEntry
    from domain.books.state import TenantState
    from domain.canonical import Json
    from domain.fields import Fields


class CreditTo(StrEnum):
    """Where a credit note goes that is more than what is open of its invoice."""

    ACCOUNT_CREDIT = "account_credit"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class NotedLine:
    """A line of a credit note.

    Args:
        line: Id of the invoice's line.
        label: What it is, for people; empty where the books do not know it.
        amount_minor: What is credited, minor units, as the invoice's lines have it.
        tax_minor: Its tax.
        is_tax_in_price: Whether the amount has the tax in it.
        drawn: What of both was money, and what promotions had paid.
    """

    line: str
    label: str
    amount_minor: int
    tax_minor: int
    is_tax_in_price: bool
    drawn: Drawn

    @property
    def promotion_minor(self) -> int:
        """Return what comes back as promotions, with the tax that they paid."""
        return self.drawn.promotion + (0 if self.is_tax_in_price else self.drawn.promotion_tax)

    def to_json(self) -> dict[str, Json]:
        """Return it as facts carry it."""
        return {
            "line": self.line,
            "label": self.label,
            "amount_minor": self.amount_minor,
            "tax_minor": self.tax_minor,
            "drawn": self.drawn.to_json(),
        }


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer IssueCreditNote.

    Args:
        state: Books of the tenant.
        command: {credit_note: crn_…, invoice, lines: [{line: id of a line, amount_minor: from 1,
            without the tax where the line has it on top}], reason, to: account_credit or refund}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CreditNoteIssued, MoneyPosted and perhaps AccountCreditGranted.

    Raises:
        Rejected: credit_note_exists, invoice_unknown, invoice_void, line_unknown or
            credit_note_too_large.
    """
    fields = fields_of_command(command, names=("credit_note", "invoice", "lines", "reason", "to"))
    note = read_id(fields, "credit_note", prefix="crn")
    entry = invoice_in(state, fields)
    wanted, lines = _wanted(fields), Lines(state)
    for index, (line, amount) in enumerate(wanted.items()):
        if line not in lines.of(entry):
            raise _line_unknown(entry, line, param=f"lines[{index}].line")
        left = left_of(lines, entry, line=line)
        if amount > left:
            raise Rejected(
                Code.CREDIT_NOTE_TOO_LARGE,
                f"of line {line!r} of {entry.number} {left} minor units are left",
                param=f"lines[{index}].amount_minor",
            )
    decision = Decision(state, command, received_at_ms)
    add_note(
        decision,
        entry,
        note=note,
        lines=noted_lines(lines, entry, wanted=wanted, labels={}),
        reason=fields.text("reason"),
        to=CreditTo(fields.choice("to", CreditTo)),
    )
    return decision.made()


def _wanted(fields: Fields) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in fields.objects("lines", count_max=LINES_MAX):
        each.only(("line", "amount_minor"))
        line = each.text("line", length_max=LINE_ID_LENGTH_MAX)
        if line in found:
            raise fields.refuse("lines", f"name line {line!r} twice")
        found[line] = each.integer("amount_minor", minimum=1, maximum=AMOUNT_MINOR_MAX)
    if not found:
        raise fields.refuse("lines", "must name a line")
    return found


def _line_unknown(entry: InvoiceEntry, line: str, *, param: str = "") -> Rejected:
    return Rejected(Code.LINE_UNKNOWN, f"invoice {entry.number} has no line {line!r}", param=param)


def left_of(lines: Lines, entry: InvoiceEntry, *, line: str) -> int:
    """This function will say what can still be credited of a line, whole minor units.

    It is what was invoiced without what credit notes took, and not more than what holds after
    corrections without what was credited for other reasons; of a line below 0 it is nothing. Where
    the invoice is rounded once, part of a minor unit counts as one: five lines of 0.006 are 0.03
    to pay, which can be credited. No invoice is credited beyond what it billed.

    A line that corrects another one bills part of what holds of that one, so what is credited of
    either counts against it: the two together are credited once.

    Raises:
        Rejected: line_unknown.
    """
    found = lines.of(entry).get(line)
    if found is None:
        raise _line_unknown(entry, line)
    billing = lines.state.billing
    noted = billing.noted.get((entry.invoice, line), NOTHING_NOTED)
    invoiced = _minor_upwards(entry, found.net) - noted.amount_minor
    root = lines.root_of(entry, line=line)
    # Items have whole minor units; what is held of them is at most a unit of another scale off.
    held = _minor_upwards(billing.found(root[0]) or entry, lines.standing(root).net)
    if not found.corrects[0]:
        return max(0, min(invoiced, held, _holds(lines, entry, line=line)))
    original = billing.found(root[0])
    if original is None:
        raise Rejected(Code.STATE_CORRUPT, f"{root[0]} is corrected and was never made")
    return max(0, min(invoiced, held, _holds(lines, original, line=root[1])))


def _holds(lines: Lines, entry: InvoiceEntry, *, line: str) -> int:
    """Return what holds of a line after corrections and is not given back, minor units upwards."""
    noted = lines.state.billing.noted.get((entry.invoice, line), NOTHING_NOTED)
    return _minor_upwards(entry, lines.of(entry)[line].effective) - noted.given_minor


def borne_of(state: TenantState, entry: InvoiceEntry, *, line: str, net: int) -> int:
    """This function will say what the customer bears of a line when a net amount of it holds.

    That is the net amount without what credit notes took for other reasons than a correction, as
    far as the line covers them: what was credited is not given back a second time, and goes on
    counting when the line rises again.

    Args:
        state: Books of the tenant.
        entry: The invoice.
        line: Id of the line; it may be one that the invoice did not have.
        net: Net amount of the line in units of the entry's scale.

    Returns:
        Units of the entry's scale.
    """
    noted = state.billing.noted.get((entry.invoice, line), NOTHING_NOTED)
    return net - min(noted.given_minor, max(0, _minor_upwards(entry, net))) * unit_of(entry)


def _minor_upwards(entry: InvoiceEntry, amount: int) -> int:
    return -(-amount // unit_of(entry))


def within_billed(
    lines: Lines, entry: InvoiceEntry, *, wanted: Mapping[str, int]
) -> dict[str, int]:
    """This function will lower what is to be credited, tax included, to what is left as billed.

    An invoice bills less than its lines when an item on it is below 0.

    Args:
        lines: Lines of the tenant's invoices.
        entry: The invoice.
        wanted: Minor units by line, within left_of.

    Returns:
        Minor units by line, from 1.
    """
    left = _billed(entry)
    notes = noted_lines(lines, entry, wanted=wanted, labels={})
    if _is_billed(notes, left):
        return dict(wanted)
    found: dict[str, int] = {}
    for line in notes:
        beside = Fraction(0 if line.is_tax_in_price else line.tax_minor, line.amount_minor)
        amount = min(line.amount_minor, int(max(0, left) / (1 + beside)))
        if amount:
            found[line.line] = amount
            left -= amount + round_half_up(amount * beside, places=0)
    # A part that is money alone can have more tax than the line has on average.
    while found and not _is_billed(
        noted_lines(lines, entry, wanted=found, labels={}), _billed(entry)
    ):
        found.popitem()
    return found


def _is_billed(notes: tuple[NotedLine, ...], left: int) -> bool:
    """Say whether an invoice billed what is to be credited, with its taxes.

    Each tax is rounded on its own, and part of a minor unit of a line counts as one: the last
    unit of either may never have been billed.
    """
    net = sum(line.amount_minor - _tax_inside(line) for line in notes)
    return net <= left and net + sum(line.tax_minor for line in notes) <= left + 2 * len(notes)


def noted_lines(
    lines: Lines,
    entry: InvoiceEntry,
    *,
    wanted: Mapping[str, int],
    labels: Mapping[str, str],
) -> tuple[NotedLine, ...]:
    """This function will work out the tax of what is to be credited.

    It is drawn from what is held of the lines: money first with its tax, of which the last part
    takes the last, then what promotions paid, without.

    Args:
        lines: Lines of the tenant's invoices.
        entry: The invoice.
        wanted: Minor units by line, within left_of.
        labels: Labels by line, for people, where they are known.
    """
    found = []
    stands: dict[tuple[str, str], HeldLine] = {}
    for line, amount in wanted.items():
        root = lines.root_of(entry, line=line)
        original = lines.state.billing.found(root[0]) or entry
        held = stands.get(root) or lines.standing(root)
        drawn = draw(held, amount, original)
        stands[root] = less(held, drawn, original)
        found.append(
            NotedLine(
                line=line,
                label=labels.get(line, ""),
                amount_minor=amount,
                tax_minor=max(0, drawn.tax),
                is_tax_in_price=lines.of(entry)[line].is_tax_in_price,
                drawn=drawn,
            )
        )
    return tuple(found)


def add_note(
    decision: Decision,
    entry: InvoiceEntry,
    *,
    note: str,
    lines: tuple[NotedLine, ...],
    reason: str,
    to: CreditTo,
    correction: str = "",
) -> None:
    """This function will issue a credit note within a decision.

    What promotions had paid becomes promotions again. Of the money it lowers what is open of the
    invoice first; what is more becomes account credit, or, as far as it was paid in money, waits
    to be refunded.

    Raises:
        Rejected: credit_note_exists, or credit_note_too_large for more than was invoiced.
    """
    require_new_ids(decision.state, name=note, code=Code.CREDIT_NOTE_EXISTS, what="credit note")
    sums = _sums(entry, lines=lines, to=to)
    after = structs.replace(
        entry,
        credited_minor=entry.credited_minor + sums.to_receivable,
        noted_minor=entry.noted_minor + sums.total,
    )
    decision.add(
        "CreditNoteIssued",
        {
            "credit_note": note,
            "number": _number(decision, entry),
            "seller": entry.seller,
            "invoice": entry.invoice,
            "invoice_number": entry.number,
            "customer": entry.customer,
            "currency": entry.currency,
            "to": to,
            "reason": reason,
            "correction": correction,
            "lines": [line.to_json() for line in lines],
            "net_minor": sums.net,
            "tax_minor": sums.tax,
            "promotion_minor": sums.promotion,
            "total_minor": sums.total,
            "to_receivable_minor": sums.to_receivable,
            "to_credit_minor": sums.total - sums.to_receivable,
            "issued_at": decision.at,
            "status": after.status,
            "credited_minor": after.credited_minor,
            "open_minor": after.open_minor,
        },
    )
    _post(decision, entry, note=note, sums=sums, reason=reason)


@dataclass(frozen=True, slots=True)
class _Sums:
    """What a credit note comes to, minor units."""

    net: int
    tax: int
    promotion: int
    to_receivable: int

    @property
    def total(self) -> int:
        return self.net + self.tax


def _sums(entry: InvoiceEntry, *, lines: tuple[NotedLine, ...], to: CreditTo) -> _Sums:
    """Add up a credit note, which is not more than what was billed and is not credited yet."""
    billed = _billed(entry)
    if not _is_billed(lines, billed):
        raise Rejected(
            Code.CREDIT_NOTE_TOO_LARGE,
            f"of {entry.number} {billed} minor units are left, taxes included",
        )
    net = sum(line.amount_minor - _tax_inside(line) for line in lines)
    tax = min(sum(line.tax_minor for line in lines), billed - net)
    promotion = min(sum(line.promotion_minor for line in lines), net + tax)
    money = net + tax - promotion
    to_receivable = min(money, max(0, entry.open_minor))
    if to is CreditTo.REFUND:
        # What is to be refunded already is not there to be refunded again.
        unclaimed = max(0, entry.paid_minor - max(0, -entry.open_minor))
        to_receivable += min(money - to_receivable, unclaimed)
    return _Sums(net, tax, promotion, to_receivable)


def _billed(entry: InvoiceEntry) -> int:
    """Return what was billed and is not credited yet, minor units with tax."""
    return entry.total_minor + entry.credit_minor - entry.carry_minor - entry.noted_minor


def _number(decision: Decision, entry: InvoiceEntry) -> str:
    seller = seller_of(decision.state, entry.seller)
    at = from_ms(decision.received_at_ms)
    return next_number(decision.state, prefix=seller.credit_note_prefix, at=at)


def _post(decision: Decision, entry: InvoiceEntry, *, note: str, sums: _Sums, reason: str) -> None:
    """Post a credit note, and give as account credit what the invoice does not take."""
    to_credit = sums.total - sums.to_receivable
    post_money(
        decision,
        kind="credit_note",
        customer=entry.customer,
        currency=entry.currency,
        reference=note,
        legs=(
            (LedgerAccount.REVENUE, sums.net),
            (LedgerAccount.TAX, sums.tax),
            (LedgerAccount.RECEIVABLE, -sums.to_receivable),
            (LedgerAccount.ACCOUNT_CREDIT, -to_credit),
        ),
        promotion_minor=-sums.promotion,
    )
    if to_credit:
        add_credit(
            decision,
            credit=decision.id_of("crd", "credit_note", note),
            customer=entry.customer,
            amount_minor=to_credit,
            currency=entry.currency,
            kind=CreditKind.CREDIT_NOTE,
            reference=note,
            reason=reason,
        )


def _tax_inside(line: NotedLine) -> int:
    return line.tax_minor if line.is_tax_in_price else 0


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will count the credit note against its invoice and lines."""
    fields = fields_of_fact(fact)
    billing, entry = state.billing, entry_of(state, fields.text("invoice"))
    lines = Lines(state)
    total = fields.integer("total_minor", minimum=0, maximum=AMOUNT_MINOR_MAX)
    billing.invoices[entry.invoice] = structs.replace(
        entry,
        credited_minor=fields.integer("credited_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
        noted_minor=entry.noted_minor + total,
    )
    is_correction = text_or_none(fields, "correction") != ""
    for line in fields.objects("lines", count_max=LINES_MAX):
        key = entry.invoice, line.text("line", length_max=LINE_ID_LENGTH_MAX)
        amount = line.integer("amount_minor", minimum=1, maximum=AMOUNT_MINOR_MAX)
        tax = line.integer("tax_minor", minimum=0, maximum=AMOUNT_MINOR_MAX)
        drawn = Drawn.from_fields(line.object("drawn"))
        root = lines.root_of(entry, line=key[1])
        lines.take(root, drawn)
        before = billing.noted.get(key, NOTHING_NOTED)
        billing.noted[key] = replace(
            before,
            amount_minor=before.amount_minor + amount,
            tax_minor=before.tax_minor + tax,
            by_correction_minor=before.by_correction_minor + (amount if is_correction else 0),
        )
        if root != key:
            before = billing.noted.get(root, NOTHING_NOTED)
            billing.noted[root] = replace(before, elsewhere_minor=before.elsewhere_minor + amount)
    billing.ids.add(fields.text("credit_note"))
    take_number(state, fields.text("number"))
