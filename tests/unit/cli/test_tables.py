"""Numbers on the screen are exact."""

from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from rich.console import Console

from cli.demo import tables
from cli.invoice_text import trace_table
from projections.invoicing.trace import RawEvent, Traced, TracedUsage
from tests.support.invoice_documents import catalogue, content


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (18_059_974, "18,059,974"),
        ("1234567.0250", "1,234,567.0250"),
        (Decimal("1000.50"), "1,000.5"),
    ],
)
def test_thousands_are_set_apart_and_nothing_is_rounded(
    value: Decimal | int | str, shown: str
) -> None:
    assert tables.number(value) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("1000000", "1M"), ("2500000", "2,500k"), ("1000", "1k"), ("1500", "1,500"), ("0", "0")],
)
def test_bounds_and_rate_units_are_short_and_exact(text: str, shown: str) -> None:
    assert tables.short(text) == shown


EVENT = RawEvent(
    3, 1_234, 250, "5f0c1e52-0000-5000-8000-000000000001", "llm.request", 1_767_225_600_000, "1024"
)


def traced(*samples: RawEvent) -> Traced:
    """A line with these raw events, which come to 7,365,432 with those that are not shown."""
    return Traced(
        original=cast("Any", None),
        line=content(catalogue()).lines[1],
        usage=(TracedUsage("context_tokens", "token", (), "7365432", "7365432"),),
        windows=(),
        ranges=(),
        partition=3,
        events=19_366,
        differences=0,
        samples=samples,
    )


def shown(renderable: Any, *, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


class TestTrace:
    @pytest.mark.parametrize("width", [60, 80, 120])
    def test_of_the_demo_shows_the_proof_whole(self, width: int) -> None:
        page = tables.traced_line(traced(EVENT), is_narrow=width < 120)
        assert "✓ context_tokens added up again: 7,365,432" in shown(page, width=width)

    def test_of_the_demo_leaves_out_what_does_not_count(self) -> None:
        page = tables.traced_line(traced(EVENT, replace(EVENT, note="repeated")), is_narrow=True)
        assert "and 19,365 more" in shown(page)

    def test_of_a_line_marks_what_does_not_count(self) -> None:
        page = shown(trace_table(traced(EVENT, replace(EVENT, note="amended"))), width=160)
        assert 2 == page.count("1024")
        assert 1 == page.count("amended: does not count")
