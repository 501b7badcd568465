"""What the demo shows at its end: counts, busy windows, an invoice and the proof of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain.canonical import decimal_text
from domain.money import minor_text
from domain.period import from_ms

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.demo.answers import BusyWindow
    from cli.demo.figures import Counts
    from domain.invoice import InvoiceContent, Line
    from projections.invoicing.replay import Replayed
    from projections.invoicing.trace import Traced


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        header_style="dim",
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def number(value: Decimal | int | str) -> str:
    """This function will write a number exactly, with thousands set apart."""
    text = value if isinstance(value, str) else decimal_text(Decimal(value))
    whole, point, fraction = text.partition(".")
    return f"{int(whole):,}{point}{fraction}"


def overview(
    sent: int, counts: Counts, windows: Sequence[BusyWindow], *, is_narrow: bool
) -> RenderableType:
    """This function will lay the counts and the busiest windows out, side by side if they fit."""
    tables = (_counts_table(sent, counts), _windows_table(windows))
    if is_narrow:
        return Group(tables[0], "", tables[1])
    grid = Table.grid(padding=(0, 4))
    grid.add_row(*tables)
    return grid


def _counts_table(sent: int, counts: Counts) -> Table:
    table = _table("Events and their fate")
    table.add_column("fate", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    table.add_row("sent", number(sent), style="bold")
    table.add_row("accepted", number(counts.accepted))
    table.add_row("duplicates", number(counts.duplicates))
    table.add_row("conflicts", number(counts.conflicts))
    table.add_row("rejected", number(counts.rejected))
    for code, events in sorted(counts.rejects.items()):
        table.add_row(f"  {code}", number(events), style="dim")
    table.add_row("received", number(counts.received), style="bold")
    return table


def _windows_table(windows: Sequence[BusyWindow]) -> Table:
    table = _table("The busiest hours (UTC)")
    for name in ("hour", "customer", "context"):
        table.add_column(name, no_wrap=True)
    for name in ("requests", "tokens in", "out"):
        table.add_column(name, justify="right", no_wrap=True)
    for window in windows:
        table.add_row(
            f"{window.hour:%d %b %H:00}",
            window.customer,
            window.context,
            number(window.requests),
            number(window.context_tokens),
            number(window.generated_tokens),
        )
    return table


def invoice(replayed: Replayed) -> RenderableType:
    """This function will lay an invoice out for reading."""
    original = replayed.original
    content = original.content
    table = _table(
        f"Invoice {original.number} · {content.terms.customer} · {plans_text(content)} · "
        f"{period_text(content)}"
    )
    table.add_column("#", justify="right")
    table.add_column("line", no_wrap=True)
    for name in ("quantity", "rate", "exact", content.terms.currency):
        table.add_column(name, justify="right", no_wrap=True)
    for place, line in enumerate(content.lines, start=1):
        _add_line(table, place, line, content)
    table.add_row("", "total", "", "", "", _money(content, content.total_minor), style="bold")
    return table


def plans_text(content: InvoiceContent) -> str:
    """This function will name the plans of an invoice."""
    codes = dict.fromkeys(segment.plan for segment in content.terms.segments)
    return f"plan {', '.join(codes)}" if codes else content.terms.kind


def period_text(content: InvoiceContent) -> str:
    """This function will write the billed period, its last day included."""
    period = content.terms.period
    return f"{period.start:%-d %b} to {period.end:%-d %b %Y}" if period else ""


def _add_line(table: Table, place: int, line: Line, content: InvoiceContent) -> None:
    amount = Text(_money(content, line.amount), style="bold")
    if not line.meter:
        table.add_row(str(place), f"{line.price}, {line.form}", "", "", "", amount)
        return
    what = f"{line.price}, {line.form.replace('_', ' ')}"
    table.add_row(str(place), what, f"{number(line.quantity)} {line.unit}s", "", "", amount)
    for step in line.steps:
        per = "" if step.per == "1" else f" per {short(step.per)}"
        table.add_row(
            "",
            f"  {_label(step.label)}",
            number(step.quantity),
            f"{step.rate}{per}",
            step.amount,
            "",
            style="dim",
        )


def _label(text: str) -> str:
    return " ".join(short(word) if word.isdecimal() else word for word in text.split())


def short(text: str) -> str:
    """This function will write whole thousands and millions as k and M; others in full."""
    for zeros, letter in (("000000", "M"), ("000", "k")):
        if text.endswith(zeros) and text.strip("0"):
            return f"{number(text.removesuffix(zeros))}{letter}"
    return number(text)


def _money(content: InvoiceContent, amount_minor: int) -> str:
    return number(minor_text(amount_minor=amount_minor, currency=content.terms.currency))


def hashes(replayed: Replayed, *, is_narrow: bool) -> RenderableType:
    """This function will set the content hash and that of the replay one below the other."""
    verdict = Text("✓ the same bytes", style="green")
    if not replayed.is_equal:
        verdict = Text("✗ OTHER BYTES", style="red")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row("content hash", replayed.original.sha256)
    replay = Text(replayed.content.sha256)
    grid.add_row("replay", replay if is_narrow else replay + Text("  ") + verdict)
    if is_narrow:
        grid.add_row("", verdict)
    return grid


def traced_line(traced: Traced, *, is_narrow: bool) -> RenderableType:
    """This function will show the first raw events of a line and what all of them add up to."""
    line = traced.line
    table = _table(
        f"Trace of the line {line.price}: {number(line.quantity)} {line.unit}s = "
        f"{len(traced.windows)} hourly windows = {number(traced.events)} raw events"
    )
    for name in ("partition", "offset", "event"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("occurred", "id"):
        table.add_column(name, no_wrap=True)
    table.add_column(f"{line.unit}s", justify="right", no_wrap=True)
    counted = [event for event in traced.samples if not event.note]
    for event in counted:
        table.add_row(
            number(event.partition),
            number(event.offset),
            number(event.index),
            f"{from_ms(int(event.occurred_at_ms)):%d %b %H:%M:%S.%f}"[:-3],
            f"{event.event_id[:8]}…" if is_narrow else event.event_id,
            number(event.quantity),
        )
    rest = traced.events - len(counted)
    if rest > 0:
        table.add_row("", "", "…", f"and {number(rest)} more", "", "…", style="dim")
    # Below the table and not in it: a column gives way on a narrow screen, and the proof may not.
    verdict = Text("✓ " if traced.is_equal else "✗ ", style="green" if traced.is_equal else "red")
    proofs = (
        verdict + Text(f"{usage.meter} added up again: {number(usage.counted)}", style="bold")
        for usage in traced.usage
    )
    return Group(table, *proofs)


def indented(renderable: RenderableType) -> RenderableType:
    """This function will move something two columns in, under the stages' names."""
    return Padding(renderable, (0, 0, 0, 2))
