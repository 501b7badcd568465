"""The correction book: a final invoice made again at a later pin, and the difference of each line.

The whole period is rated again, so tiers, packages and commitments come out as if all usage had
been there in time. What is compared is the net amount of each line with the last one that held, so
a correction of a correction is like any other. The original stays as it is; taxes of a difference
are those of the invoice, or the credit note, that it ends up on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from domain.billing_terms import STANDARD_CATEGORY, Corrections, TaxMode
from domain.books import items, proration
from domain.books.account_credit import CreditKind, add_credit
from domain.books.billing_state import packed, unpacked
from domain.books.credit_notes import (
    CreditTo,
    NotedLine,
    add_note,
    borne_of,
    left_of,
    noted_lines,
    within_billed,
)
from domain.books.decision import Decision
from domain.books.facts import Fact, read_fact
from domain.books.held import Drawn, Lines, draw, less, unit_of
from domain.books.invoice_checks import as_of_in, content_in, hash_of_terms, rebuilt
from domain.books.invoices import (
    Kept,
    billing_in_force,
    entry_of,
    invoice_in,
    kept_of,
    require_new_ids,
)
from domain.books.ledger import LedgerAccount, post_money
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX
from domain.invoice_amounts import whole_parts
from domain.invoice_reading import terms_of
from domain.invoice_terms import Item, ItemKind
from domain.own_json import Name
from domain.period import from_ms, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.books.billing_state import HeldLine, InvoiceEntry
    from domain.books.state import TenantState
    from domain.canonical import Json
    from domain.fields import Fields
    from domain.invoice import InvoiceContent, Line


@dataclass(frozen=True, slots=True)
class Difference:
    """What a correction changes of a line, in units of the content's scale.

    Args:
        line: Id of the line.
        label: What it is, for people.
        before: Net amount that held so far.
        after: Net amount that holds now.
        minor: What the customer bears of it in whole minor units; together they are the difference
            of the sums. It is nearer to 0 where a credit note gave the line back for another
            reason.
    """

    line: str
    label: str
    before: int
    after: int
    minor: int

    def to_json(self) -> dict[str, Json]:
        """Return it as facts carry it."""
        return {
            "line": self.line,
            "label": self.label,
            "before": self.before,
            "after": self.after,
            "difference": self.after - self.before,
        }


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer CorrectInvoice.

    Args:
        state: Books of the tenant.
        command: {correction: cor_…, invoice: its id, or that of a skipped period, as_of: RFC 3339,
            content: the same terms with the usage of a later pin, content_sha256}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        InvoiceCorrected with effect none when no line differs; else also an ItemAdded of kind
        correction for each line, or CreditNoteIssued for what is less, as the catalogue in force
        says, AccountCreditGranted for what promotions had paid of the less, and
        SubscriptionChanged where the fees of its open period are charged otherwise.

    Raises:
        Rejected: correction_exists, invoice_unknown, invoice_void, content_hash_differs,
            terms_differ, pin_old, lines_differ, item_limit while too many items of corrections
            wait, or command_invalid for the rest.
    """
    names = ("correction", "invoice", "as_of", "content", "content_sha256")
    fields = fields_of_command(command, names=names)
    correction, as_of = read_id(fields, "correction", prefix="cor"), as_of_in(fields)
    require_new_ids(state, name=correction, code=Code.CORRECTION_EXISTS, what="correction")
    skipped = state.billing.skipped.get(fields.text("invoice"))
    entry = invoice_in(state, fields) if skipped is None else skipped
    text, opened = content_in(fields)
    content = _made_again(state, entry, text=text, opened=opened)
    differences = _without_ended(state, entry, content, _differences(state, entry, content))
    decision = Decision(state, command, received_at_ms)
    lines = Lines(state)
    noted, added = _divided(lines, entry, differences)
    added, drawn = _drawn(lines, entry, differences=differences, added=added, noted=noted)
    note = decision.id_of("crn", correction) if noted else ""
    netting = Decision(state, command, received_at_ms)
    left = _netted(netting, entry, added)
    new = _items(decision, entry, content=content, differences=left, of=correction)
    effects = (("credit_note", noted), ("items", added), ("promotion", drawn))
    decision.add(
        "InvoiceCorrected",
        {
            "correction": correction,
            "invoice": entry.invoice,
            "as_of": time_text(as_of),
            "effect": next((name for name, what in effects if what), "none"),
            "differences": [each.to_json() for each in differences],
            "items": [item.item for item in new],
            "promotion_minor": sum(each.promotion for each in drawn.values()),
            "credit_note": note,
            "pin_before": list(entry.positions),
            "kept": kept_of(content),
            "content": text,
            "content_sha256": fields.text("content_sha256"),
            "corrected_at": decision.at,
        },
    )
    decision.facts.extend(netting.facts)
    for item in new:
        items.add_item(decision, item)
    if drawn:
        _give_promotion_back(decision, entry, content, correction=correction, drawn=drawn)
    if noted:
        labels = {each.line: each.label for each in differences}
        made = noted_lines(lines, entry, wanted=noted, labels=labels)
        _add_note(decision, entry, note=note, lines=made, correction=correction)
    proration.note_charged(decision, entry, content)
    return decision.made()


def _add_note(
    decision: Decision,
    entry: InvoiceEntry,
    *,
    note: str,
    lines: tuple[NotedLine, ...],
    correction: str,
) -> None:
    add_note(
        decision,
        entry,
        note=note,
        lines=lines,
        reason=f"correction of invoice {entry.number}",
        to=CreditTo.ACCOUNT_CREDIT,
        correction=correction,
    )


def _made_again(
    state: TenantState, entry: InvoiceEntry, *, text: str, opened: Fields
) -> InvoiceContent:
    """Build the content again by its own terms, which must be those of the invoice."""
    terms = terms_of(opened)
    if hash_of_terms(terms) != entry.terms_sha256:
        raise Rejected(Code.TERMS_DIFFER, f"invoice {entry.number} was made by other terms")
    content = rebuilt(state, terms=terms, text=text, opened=opened)
    positions = content.pin.usage_positions
    if len(positions) != len(entry.positions) or any(
        new < old for new, old in zip(positions, entry.positions, strict=True)
    ):
        raise Rejected(
            Code.PIN_OLD, f"invoice {entry.number} was made, or corrected, from a later log"
        )
    return content


def _differences(
    state: TenantState, entry: InvoiceEntry, content: InvoiceContent
) -> tuple[Difference, ...]:
    """Return the lines that changed, each with its whole minor units of the whole change.

    What the customer bears follows from what holds and what was credited, never from the way
    there: up and down again is nothing, however many corrections it took.
    """
    before = dict(zip(entry.lines, unpacked(entry.effective), strict=True))
    after = {line.line_id: line.net for line in content.lines}
    labels = {line.line_id: line.label for line in content.lines}
    borne = {
        line: (
            borne_of(state, entry, line=line, net=before.get(line, 0)),
            borne_of(state, entry, line=line, net=after.get(line, 0)),
        )
        for line in {**after, **before}
    }
    changed = [line for line in borne if after.get(line, 0) != before.get(line, 0)]
    unit = unit_of(entry)
    whole = _half_up(sum(new for _, new in borne.values()), unit=unit)
    whole -= _half_up(sum(old for old, _ in borne.values()), unit=unit)
    parts = whole_parts(
        [borne[line][1] - borne[line][0] for line in changed], whole=whole, unit=unit
    )
    return tuple(
        Difference(line, labels.get(line, line), before.get(line, 0), after.get(line, 0), minor)
        for line, minor in zip(changed, parts, strict=True)
    )


def _without_ended(
    state: TenantState,
    entry: InvoiceEntry,
    content: InvoiceContent,
    differences: tuple[Difference, ...],
) -> tuple[Difference, ...]:
    """Return differences without what they would charge of days whose fees came back."""
    charged = proration.charged_again(state, entry, content)
    if charged is None:
        return differences
    subscription, again = charged
    owed = proration.recharged(state, subscription=subscription, again=again)
    found = {each.line: each for each in differences}
    for fees in again.fees:
        mine = [found[line] for line in fees.lines if line in found and found[line].minor > 0]
        over = sum(each.minor for each in mine) - max(0, owed.get(fees.tax, 0))
        # Each line is rounded on its own.
        for each in mine if over > len(mine) else ():
            taken = min(over, each.minor)
            over -= taken
            found[each.line] = replace(each, minor=each.minor - taken)
    return tuple(found.values())


def _half_up(amount: int, *, unit: int) -> int:
    """Round to whole units, halves upwards: whole units more or less round as many more or less.

    Halves away from zero do not, and credit notes take whole units.
    """
    return (2 * amount + unit) // (2 * unit)


def _divided(
    lines: Lines, entry: InvoiceEntry, differences: tuple[Difference, ...]
) -> tuple[dict[str, int], tuple[Difference, ...]]:
    """Return what goes on a credit note, in minor units by line, and what on the next invoice.

    A credit note takes what is less, but never more than is left of a line and of the invoice.
    What is beyond it was billed by an item of an earlier correction, or by the rounding of the
    invoice, and goes back by an item as well.
    """
    moved = tuple(each for each in differences if each.minor)
    if billing_in_force(lines.state).corrections is Corrections.NEXT_INVOICE:
        return {}, moved
    wanted = {}
    for each in moved:
        if each.minor < 0 and each.line in lines.of(entry):
            less_minor = -each.minor - max(0, lines.waiting_minor((entry.invoice, each.line)))
            amount = min(less_minor, left_of(lines, entry, line=each.line))
            if amount > 0:
                wanted[each.line] = amount
    noted = within_billed(lines, entry, wanted=wanted)
    rest = (replace(each, minor=each.minor + noted.get(each.line, 0)) for each in moved)
    return noted, tuple(each for each in rest if each.minor)


def _drawn(
    lines: Lines,
    entry: InvoiceEntry,
    *,
    differences: tuple[Difference, ...],
    added: tuple[Difference, ...],
    noted: Mapping[str, int],
) -> tuple[tuple[Difference, ...], dict[str, Drawn]]:
    """Take out of what is less what promotions had paid: it comes back as promotions, at once.

    Less nets against items of the line that wait; the rest is drawn from what is held of it,
    without what a credit note of the same correction draws.
    """
    unit = unit_of(entry)
    lines_asked = {*(each.line for each in differences), *(each.line for each in added)}
    stands = {
        line: _without(lines.standing((entry.invoice, line)), noted.get(line, 0), entry)
        for line in lines_asked
    }
    found: dict[str, Drawn] = {}

    def drawn_from(line: str, wanted: int) -> Drawn:
        drawn = draw(stands[line], max(0, wanted), entry)
        stands[line] = less(stands[line], drawn, entry)
        if drawn.promotion:
            found[line] = found.get(line, Drawn()) + replace(drawn, money=0, money_tax=0)
        return drawn

    kept = {each.line: each.minor for each in added}
    short = {}
    for each in added:
        rest = -each.minor - max(0, lines.waiting_minor((entry.invoice, each.line)))
        if rest > 0:
            own = drawn_from(each.line, rest)
            kept[each.line] += rest - own.money
            short[each.line] = rest - own.net
    # Parts of a minor unit fall to any of the lines that changed, so what one of them holds beyond
    # what it comes to now pays for another one. What no line holds came back in another way, as by
    # the end of a subscription.
    sharing = deque(each for each in differences if unit > 1)
    for line, rest in short.items():
        left = rest
        while left and sharing:
            other = sharing[0]
            beyond = -(-(stands[other.line].net - max(0, other.after)) // unit)
            drawn = drawn_from(other.line, min(left, beyond))
            kept[line] -= drawn.money
            left -= drawn.net
            if left:
                sharing.popleft()
    asked = (replace(each, minor=kept[each.line]) for each in added)
    return tuple(each for each in asked if each.minor), found


def _netted(
    decision: Decision, entry: InvoiceEntry, added: tuple[Difference, ...]
) -> tuple[Difference, ...]:
    """Net differences against items of their lines that wait; return what is left of them."""
    waiting: dict[tuple[str, str], list[Item]] = {}
    for _, item in decision.state.billing.waiting.get(entry.customer, ()):
        waiting.setdefault(item.refers, []).append(item)
    left = (
        replace(
            each,
            minor=items.netted(
                decision,
                waiting.get((entry.invoice, each.line), ()),
                amount=each.minor,
                reason="a later correction takes it back",
            ),
        )
        for each in added
    )
    return tuple(each for each in left if each.minor)


def _without(stands: HeldLine, noted_minor: int, entry: InvoiceEntry) -> HeldLine:
    return less(stands, draw(stands, noted_minor, entry), entry)


def _give_promotion_back(
    decision: Decision,
    entry: InvoiceEntry,
    content: InvoiceContent,
    *,
    correction: str,
    drawn: Mapping[str, Drawn],
) -> None:
    inside = {
        line.line_id for line in content.lines if content.tax_of(line).mode is TaxMode.INCLUSIVE
    }
    tax = sum(each.promotion_tax for each in drawn.values())
    net = sum(
        each.promotion - (each.promotion_tax if line in inside else 0)
        for line, each in drawn.items()
    )
    post_money(
        decision,
        kind="correction",
        customer=entry.customer,
        currency=entry.currency,
        reference=correction,
        legs=(
            (LedgerAccount.REVENUE, net),
            (LedgerAccount.TAX, tax),
            (LedgerAccount.ACCOUNT_CREDIT, -net - tax),
        ),
        promotion_minor=-net - tax,
    )
    add_credit(
        decision,
        credit=decision.id_of("crd", "correction", correction),
        customer=entry.customer,
        amount_minor=net + tax,
        currency=entry.currency,
        kind=CreditKind.CORRECTION,
        reference=correction,
        reason=f"promotions had paid for it on invoice {entry.number}",
        drawn=tuple(((entry.invoice, line), each) for line, each in drawn.items()),
    )


def _items(
    decision: Decision,
    entry: InvoiceEntry,
    *,
    content: InvoiceContent,
    differences: tuple[Difference, ...],
    of: str,
) -> tuple[Item, ...]:
    """Return an item for each difference, as long as there is room (Rejected item_limit)."""
    if differences:
        items.require_room_of_correction(decision.state, customer=entry.customer)
    lines = {line.line_id: line for line in content.lines}
    return tuple(
        _item(decision, entry, content=content, line=lines.get(each.line), difference=each, of=of)
        for each in differences
    )


def _item(
    decision: Decision,
    entry: InvoiceEntry,
    *,
    content: InvoiceContent,
    line: Line | None,
    difference: Difference,
    of: str,
) -> Item:
    """Return the item of a difference; it names the line that it corrects, and has its tax."""
    now = from_ms(decision.received_at_ms)
    category = STANDARD_CATEGORY if line is None else line.tax
    label = f"{_what(entry, content)}: {difference.label}"
    return Item(
        item=decision.id_of("itm", of, difference.line),
        customer=entry.customer,
        subscription=entry.subscription,
        kind=ItemKind.CORRECTION,
        label=label[:TEXT_LENGTH_MAX],
        amount_minor=difference.minor,
        tax=category,
        taxed=content.terms.taxes.tax_of(category),
        start=now if line is None else line.start,
        end=now if line is None else line.end,
        added_at=now,
        refers=(entry.invoice, difference.line),
    )


def _what(entry: InvoiceEntry, content: InvoiceContent) -> str:
    """Say what is corrected, for people: a skipped period has no number."""
    if entry.number or content.terms.period is None:
        return f"Correction of {entry.number}"
    period = content.terms.period
    return f"Usage of {period.start.date()} to {period.end.date()} that came late"


class _Said(Struct):
    """What the books keep of a correction."""

    correction: Name
    invoice: Name
    effect: Name
    kept: Kept


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will let the new net amounts hold, and the pin that they were made from."""
    said, billing = read_fact(_Said, fact), state.billing
    skipped = billing.skipped.get(said.invoice)
    entry = entry_of(state, said.invoice) if skipped is None else skipped
    after = dict(zip(said.kept.lines, said.kept.nets, strict=True))
    lines = tuple(dict.fromkeys((*entry.lines, *after)))
    added = len(lines) - len(entry.lines)
    books = billing.invoices if skipped is None else billing.skipped
    books[entry.invoice] = structs.replace(
        entry,
        lines=billing.once(lines),
        nets=entry.nets + packed([0] * added),
        taxes=entry.taxes + packed([0] * added),
        in_prices=entry.in_prices + bytes(added),
        credited=entry.credited + packed([0] * added),
        effective=packed(after.get(line, 0) for line in lines),
        positions=billing.once(said.kept.positions),
        is_corrected=entry.is_corrected or said.effect != "none",
    )
    billing.ids.add(said.correction)
