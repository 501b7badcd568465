"""Invoices for reading in a terminal: tables, and in words why an amount is what it is."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from rich.table import Table

from cli.counting import counted
from domain.billing_terms import Credits
from domain.invoice import item_of
from domain.invoice_terms import InvoiceKind
from domain.line_steps import shown_steps
from domain.money import exact_text, minor_text
from domain.period import from_ms, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.invoice import InvoiceContent, Line, LineStep
    from domain.invoice_terms import Segment
    from projections.invoicing.replay import Finalized
    from projections.invoicing.trace import Traced

_PART = re.compile(r"fee/\d+/")
"""Line of a fee that began with a later part of its period (domain.rated.rounded)."""


def amount_text(content: InvoiceContent, amount: int) -> str:
    """This function will write an amount of a content, whole units of its scale, as decimals."""
    text = exact_text(Fraction(amount, 10**content.scale))
    whole, _, fraction = text.partition(".")
    places = max(_places(content), len(fraction))
    return f"{whole}.{fraction.ljust(places, '0')}" if places else whole


def _places(content: InvoiceContent) -> int:
    """Return the places of the currency: what every amount shows at least."""
    _, _, fraction = minor_text(amount_minor=0, currency=content.terms.currency).partition(".")
    return len(fraction)


def minor(content: InvoiceContent, amount_minor: int) -> str:
    """This function will write whole minor units of an invoice's currency."""
    return minor_text(amount_minor=amount_minor, currency=content.terms.currency)


def title_of(content: InvoiceContent) -> str:
    """This function will say whose invoice it is, and for what."""
    terms = content.terms
    billed = terms.segments or terms.fees
    plans = ", ".join(dict.fromkeys(segment.plan for segment in billed))
    what = f" · plan {plans}" if plans else ""
    if terms.period is None:
        return f"{terms.customer} · items"
    kind = " · fees in advance" if terms.kind is InvoiceKind.OPENING else ""
    return (
        f"{terms.customer}{what}{kind}\n"
        f"{time_text(terms.period.start)} to {time_text(terms.period.end)}"
    )


def content_table(content: InvoiceContent, *, title: str) -> Table:
    """This function will lay an invoice out: lines, discounts, credit, tax, total."""
    table = Table(title=f"{title} · {title_of(content)}", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("charge")
    table.add_column("quantity", justify="right")
    table.add_column("how")
    table.add_column(content.terms.currency, justify="right")
    for number, line in enumerate(content.lines, start=1):
        steps = "\n".join(step_text(step) for step in shown_steps(line))
        about = "≈ " if line.is_estimate else ""
        quantity = f"{about}{line.quantity} {line.unit}" if line.meter else ""
        table.add_row(str(number), line.label, quantity, steps, amount_text(content, line.amount))
        for code, amount in line.discounts:
            table.add_row("", f"  discount {code}", "", "", f"-{amount_text(content, amount)}")
    table.add_section()
    for name, how, text in _totals(content):
        table.add_row("", name, "", how, text)
    table.add_row("", "total", "", "", minor(content, content.total_minor))
    return table


def _totals(content: InvoiceContent) -> Iterator[tuple[str, str, str]]:
    totals = content.totals
    if totals.discount:
        yield "lines before discounts", "", amount_text(content, totals.subtotal + totals.discount)
        yield "discounts", "", f"-{amount_text(content, totals.discount)}"
    if totals.discount or totals.credit_minor or totals.taxes:
        yield "subtotal", "", amount_text(content, totals.subtotal)
    promotions = [("promotions", "", f"-{minor(content, totals.promotion_minor)}")]
    taxes = list(_taxes(content))
    is_after = content.terms.credits is Credits.AFTER_TAX
    promotions = promotions if totals.promotion_minor else []
    yield from (*taxes, *promotions) if is_after else (*promotions, *taxes)
    if totals.credit_minor > totals.promotion_minor:
        used = totals.credit_minor - totals.promotion_minor
        yield "account credit", "", f"-{minor(content, used)}"
    if totals.carry_minor:
        yield "carried over as account credit", "", minor(content, totals.carry_minor)


def _taxes(content: InvoiceContent) -> Iterator[tuple[str, str, str]]:
    for tax in content.totals.taxes:
        if tax.code:
            how = f"{tax.rate.normalize():f} % of {amount_text(content, tax.base)}"
            inside = ", in the prices" if tax.mode == "inclusive" else ""
            yield tax.name, how + inside, amount_text(content, tax.amount)


def step_text(step: LineStep) -> str:
    """This function will write one step of an amount."""
    per = "" if step.per == "1" else f" per {step.per}"
    return f"{step.label}: {step.quantity} × {step.rate}{per} = {step.amount}"  # noqa: RUF001 -- a times sign


def explanation(found: Finalized) -> Iterator[str]:
    """This function will say in words why an invoice is what it is, step after step.

    Args:
        found: The invoice as the log has it, or a correction of it.

    Yields:
        Lines of text.
    """
    content = found.content
    terms = content.terms
    name = f"correction {found.correction} of {found.number}" if found.correction else found.number
    yield f"{name} is for {title_of(content)}".replace("\n", ", ")
    yield from _terms(content)
    yield ""
    yield "1. What was used"
    if not content.usage:
        yield "   nothing that a price reads"
    for entry in content.usage:
        where = ", ".join(f"{key} {value or 'not given'}" for key, value in entry.where)
        part = f"part {entry.segment}, " if len(terms.segments) > 1 else ""
        about = " (estimate)" if entry.is_estimate else ""
        text = exact_text(Fraction(entry.nanos, 10**9))
        yield (
            f"   {part}{entry.meter}{f' with {where}' if where else ''}: {text}{about} "
            f"from {counted(entry.events, 'event')}"
        )
    yield ""
    yield "2. What each line comes to"
    for number, line in enumerate(content.lines, start=1):
        yield from _line(content, number, line)
        yield from _corrected(found, line)
    yield ""
    yield "3. What it comes to"
    for label, how, amount in _totals(content):
        yield f"   {label}{f' ({how})' if how else ''}: {amount}"
    yield f"   total: {terms.currency} {minor(content, content.total_minor)}"
    yield ""
    yield from _pin(found)


def _terms(content: InvoiceContent) -> Iterator[str]:
    terms = content.terms
    for number, segment in enumerate(terms.segments):
        yield f"   part {number}: {_segment(segment)}"
    for part in terms.fees:
        yield f"   fees: {_segment(part)}"
    for override in terms.overrides:
        yield f"   this customer has a price of their own: {override.name}"
    for discount in terms.discounts:
        left = f", {discount.periods_left} periods left" if discount.periods_left else ""
        yield f"   discount {discount.code}: {discount.kind} {discount.value}{left}"
    if terms.dimensions:
        chosen = ", ".join(f"{key} {value}" for key, value in terms.dimensions)
        yield f"   only usage with {chosen}"
    if terms.taxes.treatment != "standard":
        yield f"   the customer's tax treatment is {terms.taxes.treatment}"
    use = "not applied" if terms.credits is Credits.NOT_APPLIED else "to draw on"
    for name, amount in (
        ("promotions", terms.credit.promotion_minor),
        ("account credit", terms.credit.money_minor),
    ):
        yield from [f"   {name} {use}: {minor(content, amount)}"] if amount else []


def _segment(segment: Segment) -> str:
    share = (
        "" if segment.days == segment.of_days else f", {segment.days} of {segment.of_days} days"
    )
    more = f", {counted(segment.seats, 'seat')}" if segment.seats else ""
    add_ons = "".join(f", {count} x {code}" for code, count in segment.add_ons)
    paused = ", paused: nothing is charged" if segment.is_paused else ""
    return (
        f"{segment.start:%Y-%m-%d} to {segment.end:%Y-%m-%d}, plan {segment.plan} of catalogue "
        f"version {segment.catalogue_version}{share}{more}{add_ons}{paused}"
    )


def _line(content: InvoiceContent, number: int, line: Line) -> Iterator[str]:
    quantity = f", {line.quantity} {line.unit}" if line.meter else ""
    yield f"   {number}. {line.label} ({line.line_id}, {line.form}{quantity})"
    for step in shown_steps(line):
        yield f"      {step_text(step)}"
    rounded = amount_text(content, line.amount)
    how = "rounded with the parts of it above" if _PART.match(line.line_id) else "rounded half up"
    yield f"      exactly {line.amount_unrounded}, {how} {rounded}"
    for code, amount in line.discounts:
        yield f"      discount {code} takes off {amount_text(content, amount)}"
    if line.tax_code:
        tax = amount_text(content, line.tax_amount)
        name = content.tax_of(line).name
        yield f"      {name} on {amount_text(content, line.net)}: {tax}"


def _corrected(found: Finalized, line: Line) -> Iterator[str]:
    invoice, corrected_line = line.refers
    if not invoice:
        return
    corrected = found.corrected.get(item_of(line.line_id))
    number = f"{corrected.number} ({invoice})" if corrected else invoice
    yield (
        f"      corrects {line.start:%Y-%m-%d} to {line.end:%Y-%m-%d}, line {corrected_line} "
        f"of {number}"
    )
    if corrected is not None:
        before = "" if corrected.before is None else f" up to offset {corrected.before} before,"
        yield (
            f"      made from usage.events/{corrected.partition}{before} "
            f"up to offset {corrected.after} now ({corrected.correction})"
        )


def _pin(found: Finalized) -> Iterator[str]:
    pin = found.content.pin
    positions = ", ".join(str(position) for position in pin.usage_positions)
    yield "4. What it was made from"
    yield (
        f"   usage.events up to offsets {positions}; account.commands/{pin.account_partition} "
        f"up to {pin.account_position}"
    )
    if found.pin_before:
        before = ", ".join(str(position) for position in found.pin_before)
        yield f"   before this correction usage.events up to offsets {before}"
    versions = {
        segment.catalogue_version: segment.catalogue_sha256
        for segment in (*found.content.terms.segments, *found.content.terms.fees)
    }
    for version, sha256 in sorted(versions.items()):
        yield f"   catalogue version {version}, {sha256}"
    yield f"   billed windows {pin.usage_digest}"
    yield f"   content {found.sha256}"


def trace_table(traced: Traced) -> Table:
    """This function will list the first raw events of a line, and which do not count."""
    table = Table()
    for name in ("offset", "event", "id", "type", "occurred", "quantity", ""):
        table.add_column(name)
    for event in traced.samples:
        table.add_row(
            str(event.offset),
            str(event.index),
            event.event_id,
            event.event_type,
            time_text(from_ms(event.occurred_at_ms)),
            event.quantity,
            f"{event.note}: does not count" if event.note else "",
        )
    return table
