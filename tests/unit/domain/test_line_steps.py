"""The steps of a line as documents show them add up to its quantity."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.canonical import Json
from domain.invoice import LineStep
from domain.line_steps import shown_steps
from domain.money import exact_text
from domain.pricing.price import Share
from tests.support import billing
from tests.support.invoice_documents import catalogue, content

LADDER: list[Json] = [{"up_to": "1000", "rate": "0.01", "fee": "2"}, {"rate": "0.005"}]


def price(form: str, **more: Json) -> Json:
    named = {"key": "calls", "name": "Calls", "meter": "credits", "included": "100"}
    return {**named, "form": form, "tiers": LADDER, **more}


def shown(used: str, priced: Json) -> list[tuple[str, str]]:
    """Label and quantity of the steps of a month's line."""
    made = content(catalogue(prices=[priced]), used=used)
    return [(step.label, step.quantity) for step in shown_steps(made.lines[0])]


INCLUDED = "included, bounds count above it"


class TestShownSteps:
    def test_of_graduated_are_led_by_what_is_included(self) -> None:
        assert [
            (INCLUDED, "100"),
            ("over 0 up to 1000", "1000"),
            ("fee of the tier over 0 up to 1000", "1"),
            ("over 1000", "400"),
        ] == shown("1500", price("graduated"))

    def test_of_volume_are_led_by_what_is_included(self) -> None:
        assert [
            (INCLUDED, "100"),
            ("every unit, as the total is over 1000", "1400"),
        ] == shown("1500", price("volume"))

    @pytest.mark.parametrize("form", ["graduated", "volume"])
    @pytest.mark.parametrize(
        ("used", "more", "included"),
        [
            ("40", {}, "40"),
            ("1500", {"minimum": "5000"}, "100"),
            ("1500", {"maximum": "1"}, "100"),
            ("1500", {"overflow": "warn"}, "100"),
        ],
    )
    def test_count_no_fee_and_no_bound_as_units(
        self, form: str, used: str, more: dict[str, Json], included: str
    ) -> None:
        assert (INCLUDED, included) == shown(used, price(form, **more))[0]

    @pytest.mark.parametrize("form", ["graduated", "volume"])
    def test_say_nothing_where_nothing_is_included(self, form: str) -> None:
        assert INCLUDED not in dict(shown("1500", price(form, included="0")))

    @pytest.mark.parametrize(
        ("used", "is_flow", "included"),
        [
            ("400", True, "67.741935484"),  # 21 of 31 parts of 100
            ("150", True, None),  # as a level it would have had an allowance of 29
            ("40", True, "40"),
            ("40", False, "40"),
            ("150", False, None),  # of a level a part is priced: what was included is not known
        ],
    )
    def test_of_a_part_of_a_period_say_what_is_sure(
        self, used: str, *, is_flow: bool, included: str | None
    ) -> None:
        form = billing.price("graduated", included="100", tiers=billing.tiers(("", "0.01")))
        steps = tuple(
            LineStep(
                each.label,
                *(exact_text(part) for part in (each.quantity, each.rate, each.per, each.amount)),
            )
            for each in form.charge(billing.used(used, is_flow=is_flow), share=Share(21, 31))
        )
        (line, *_) = content(catalogue(prices=[price("graduated")])).lines
        found = shown_steps(replace(line, quantity=used, steps=steps))[0]
        assert included == (found.quantity if found.label == INCLUDED else None)

    def test_leave_units_that_a_discount_made_free_to_their_own_step(self) -> None:
        (line, *_) = content(catalogue(prices=[price("graduated")]), used="1500").lines
        free = LineStep("free units: Launch", "50", "0", "1", "0")
        with_free = replace(line, quantity="1550", steps=(free, *line.steps))
        assert [(INCLUDED, "100"), ("free units: Launch", "50")] == [
            (step.label, step.quantity) for step in shown_steps(with_free)[:2]
        ]
