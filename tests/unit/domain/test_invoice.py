"""An invoice's content: the same bytes for the same input, and no byte unchecked."""

import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from domain.aggregation.window_row import WindowRow
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.invoice import (
    InvoiceContent,
    parse_invoice_content,
    require_totals,
    window_set_digest,
)
from domain.period import HOUR_MS, to_ms
from tests.support import billing

JANUARY = billing.period("2025-01-01", "2025-02-01")
ROWS = (
    billing.window("assets", hours=5, value="1100", offset=1),
    billing.window("assets", hours=700, value="1200", offset=2),
    billing.window("credits", hours=0, value="500000", dimensions={"model": "a"}, offset=3),
    billing.window("credits", hours=0, value="999999", dimensions={"model": "b"}, offset=4),
    billing.window("credits", hours=743, value="1", dimensions={"model": "b"}, offset=5),
)


def x_42(*rows: WindowRow) -> InvoiceContent:
    """PRO with 1,200 assets and 1,500,000 credits, in January 2025."""
    return billing.content_of(prices=billing.s1_catalogue(), billed=JANUARY, rows=rows or ROWS)


class TestBuildInvoice:
    def test_x_42_from_windows(self) -> None:
        """The worked invoice of S1: three lines and 10,600.00."""
        content = x_42()
        assert [line.amount_minor for line in content.lines] == [900000, 60000, 100000]
        assert content.total_minor == 1060000

    def test_is_the_same_for_any_order_of_rows(self) -> None:
        """The builder's rows come from SQL, replay's from the log."""
        assert x_42().text == x_42(*reversed(ROWS)).text

    def test_leaves_out_meters_that_the_plan_does_not_price(self) -> None:
        """Windows of other meters change neither lines nor digest."""
        assert x_42() == x_42(*ROWS, billing.window("unpriced", value="7"))

    @pytest.mark.parametrize("hours", [-1, 744])
    def test_refuses_windows_outside_the_period(self, hours: int) -> None:
        """The period is half-open: hour 0 and hour 743 of January belong to it, 744 does not."""
        with pytest.raises(Fatal) as caught:
            x_42(billing.window("credits", hours=hours))
        assert caught.value.code is Code.STATE_CORRUPT

    def test_pins_what_it_was_made_from(self) -> None:
        """Catalogue, positions and windows are in the content, so they are in its hash."""
        content = x_42()
        catalogue = billing.s1_catalogue()
        assert (content.pin.catalogue_version, content.pin.catalogue_sha256) == (
            1,
            catalogue.sha256,
        )
        assert content.pin.usage_positions == (10, 20)
        assert (content.pin.account_partition, content.pin.account_position) == (0, 7)
        assert content.pin.window_digest == window_set_digest(ROWS)

    def test_an_unknown_plan_is_refused(self) -> None:
        """The plan must be in the pinned catalogue."""
        with pytest.raises(Rejected) as caught:
            billing.content_of(plan_code="GOLD", prices=billing.s1_catalogue(), billed=JANUARY)
        assert caught.value.code is Code.PLAN_UNKNOWN


class TestText:
    def test_golden_content_of_x_42(self) -> None:
        """The bytes of a released invoice never change; this hash guards them."""
        content = x_42()
        opened = json.loads(content.text)
        assert opened["lines"][2] == {
            "price": "credit_overage",
            "form": "per_unit",
            "meter": "credits",
            "unit": "credit",
            "quantity": "1500000",
            "amount_unrounded": "1000",
            "amount_minor": 100000,
            "steps": [
                {
                    "label": "over 1000000 included",
                    "quantity": "500000",
                    "rate": "0.002",
                    "per": "1",
                    "amount": "1000",
                }
            ],
        }
        assert opened["period"] == {"start": "2025-01-01T00:00:00Z", "end": "2025-02-01T00:00:00Z"}
        assert content.sha256 == "77bb9f175ee94bd6d3fbe5545e8d98825b914db68e0c3008d640acb6e579368b"

    def test_hash_is_over_the_text(self) -> None:
        """Anybody can check it with any tool."""
        content = x_42()
        assert content.sha256 == hashlib.sha256(content.text.encode()).hexdigest()


def edited(path: str, value: object) -> str:
    """The text of X-42 with one value changed, still canonical; "-" takes the field away."""
    document = json.loads(x_42().text)
    *way, last = path.split(".")
    place: Any = document
    for name in way:
        place = place[int(name)] if name.isdigit() else place[name]
    if value == "-":
        del place[last]
    else:
        place[last] = value
    return to_canonical_json(document)


class TestParse:
    def test_reads_back_the_same_content(self) -> None:
        """Text to content to text: nothing is lost."""
        assert x_42() == parse_invoice_content(x_42().text)

    @pytest.mark.parametrize(
        ("path", "value", "place"),
        [
            ("tenant", "", "invoice.tenant"),
            ("customer", "-", "invoice.customer"),
            ("extra", 1, "invoice.extra"),
            ("currency", "ABC", "currency"),
            ("period.end", "2025-01-01T00:00:00Z", "invoice.period.end"),
            ("period.start", "2025-01-01", "invoice.period.start"),
            ("period.start", "2025-01-01T00:00:00+00:00", "canonical"),
            ("total_minor", -1, "invoice.total_minor"),
            ("total_minor", 10**18 + 1, "invoice.total_minor"),
            ("total_minor", "1060000", "invoice.total_minor"),
            ("lines", {}, "invoice.lines"),
            ("lines.0.meter", None, "invoice.lines[0].meter"),
            ("lines.0.unit", "fee", "canonical"),
            ("lines.1.quantity", "1200.0", "invoice.lines[1].quantity"),
            ("lines.1.quantity", "01200", "invoice.lines[1].quantity"),
            ("lines.1.quantity", "-1", "invoice.lines[1].quantity"),
            ("lines.1.amount_unrounded", "1e3", "invoice.lines[1].amount_unrounded"),
            ("lines.1.amount_unrounded", "9" * 41, "invoice.lines[1].amount_unrounded"),
            ("lines.1.amount_minor", True, "invoice.lines[1].amount_minor"),
            ("lines.1.steps.0.rate", "3.00", "invoice.lines[1].steps[0].rate"),
            ("lines.1.steps.0.label", "-", "invoice.lines[1].steps[0].label"),
            ("pin.catalogue_sha256", "0" * 63, "invoice.pin.catalogue_sha256"),
            ("pin.window_digest", "A" * 64, "invoice.pin.window_digest"),
            ("pin.usage_positions", [], "invoice.pin.usage_positions"),
            ("pin.usage_positions", [-1], "invoice.pin.usage_positions"),
            ("pin.usage_positions", [True], "invoice.pin.usage_positions"),
            ("pin.account_position", 2**63, "invoice.pin.account_position"),
        ],
    )
    def test_names_the_place_of_a_fault(self, path: str, value: object, place: str) -> None:
        """Whatever is out of form is refused, and the reason says where."""
        with pytest.raises(Rejected) as caught:
            parse_invoice_content(edited(path, value))
        assert place in caught.value.reason

    def test_refuses_another_spelling_of_the_same_content(self) -> None:
        """White space alone changes the hash, so it is refused."""
        with pytest.raises(Rejected) as caught:
            parse_invoice_content(json.dumps(json.loads(x_42().text)))
        assert "canonical" in caught.value.reason


class TestRequireTotals:
    def test_takes_what_build_invoice_made(self) -> None:
        """A right invoice passes."""
        require_totals(x_42())

    @pytest.mark.parametrize("off", [-1, 1])
    def test_refuses_a_total_that_is_off_by_one(self, off: int) -> None:
        """The total is the sum of the lines, to the minor unit."""
        with pytest.raises(Rejected) as caught:
            require_totals(replace(x_42(), total_minor=1060000 + off))
        assert caught.value.code is Code.TOTALS_DIFFER

    def test_refuses_a_line_that_is_rounded_wrong(self) -> None:
        """Moving a cent between two lines keeps the total and is found all the same."""
        content = x_42()
        first, second, third = content.lines
        moved = (
            first,
            replace(second, amount_minor=second.amount_minor - 1),
            replace(third, amount_minor=third.amount_minor + 1),
        )
        with pytest.raises(Rejected) as caught:
            require_totals(replace(content, lines=moved))
        assert caught.value.code is Code.TOTALS_DIFFER
        assert "asset_uplift" in caught.value.reason


class TestWindowSetDigest:
    def test_is_the_sha_256_of_canonical_lines(self) -> None:
        """Written out with the plain means, line by line, sorted by meter, dimensions, hour."""
        lines = [
            to_canonical_json(
                [
                    row.meter,
                    dict(row.dimensions),
                    row.hour,
                    row.events,
                    row.sum_nanos,
                    row.min_nanos,
                    row.max_nanos,
                    row.latest_nanos,
                    row.latest_occurred_ms,
                    row.latest_offset,
                    row.first_offset,
                    row.last_offset,
                    f"{row.key_digest:032x}",
                    row.late,
                ]
            )
            + "\n"
            for row in ROWS
        ]
        assert window_set_digest(ROWS) == hashlib.sha256("".join(lines).encode()).hexdigest()

    def test_of_nothing_is_that_of_no_bytes(self) -> None:
        """A subscription without usage has a digest too."""
        assert window_set_digest(()) == hashlib.sha256(b"").hexdigest()

    @pytest.mark.parametrize("name", [field.name for field in fields(WindowRow)])
    def test_changes_with_every_field(self, name: str) -> None:
        """No field of a window can change unseen."""
        row = billing.window("m", dimensions={"a": "1"}, offset=3)
        value = getattr(row, name)
        other: Any = value + 1 if isinstance(value, int) else f"{value}x"
        if name == "dimensions":
            other = (("a", "2"),)
        if name == "sketch":
            other = b"x"
        assert window_set_digest([row]) != window_set_digest([replace(row, **{name: other})])

    @pytest.mark.parametrize(
        "rows",
        [
            (ROWS[0], ROWS[1], ROWS[0]),
            (replace(ROWS[0], dimensions=(("b", "1"), ("a", "1"))),),
            (replace(ROWS[0], dimensions=(("a", "1"), ("a", "2"))),),
        ],
        ids=["twice", "unsorted", "name_twice"],
    )
    def test_refuses_windows_that_cannot_be(self, rows: tuple[WindowRow, ...]) -> None:
        """A window twice would be billed twice; dimensions out of order are another key."""
        with pytest.raises(Fatal):
            window_set_digest(rows)

    def test_hours_are_counted_from_1970(self) -> None:
        """The first hour of the period is its start in hours."""
        assert billing.window("m").hour == to_ms(JANUARY.start) // HOUR_MS
