"""What a catalogue sells: each broken rule is refused with its place, each default is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction
from typing import Any

import pytest

from domain.billing_terms import Fees
from domain.catalogue import Catalogue, parse_catalogue
from domain.catalogue_diff import diff_catalogues
from domain.catalogue_versions import refused_changes
from domain.codes import Code
from domain.errors import Rejected
from domain.period import Interval
from domain.plan import Commitment, Limit, Of

DOCUMENT: dict[str, Any] = {
    "version": 1,
    "meters": [
        {
            "key": "calls",
            "event_type": "call",
            "aggregation": "sum",
            "unit": "call",
            "group_by": ["model"],
        },
        {"key": "users", "event_type": "user", "aggregation": "max", "unit": "user"},
        {"key": "paid", "event_type": "paid", "aggregation": "sum", "unit": "USD"},
    ],
    "composites": [
        {
            "key": "mix",
            "unit": "unit",
            "of": [{"meter": "calls", "weight": "1"}, {"meter": "paid", "weight": "2"}],
        }
    ],
    "taxes": [{"code": "low", "name": "Low", "category": "books", "rate": "7"}],
    "discounts": [
        {"code": "launch", "name": "Launch", "kind": "percent", "value": "20"},
        {
            "code": "free",
            "name": "Free",
            "kind": "free_units",
            "value": "5",
            "prices": ["calls"],
        },
    ],
    "add_ons": [
        {
            "code": "care",
            "name": "Care",
            "currency": "USD",
            "prices": [{"key": "care", "form": "flat", "amount": "5"}],
        }
    ],
    "plans": [
        {
            "code": "p",
            "name": "P",
            "currency": "USD",
            "discounts": ["launch"],
            "prices": [
                {"key": "base", "form": "flat", "amount": "5"},
                {"key": "calls", "form": "per_unit", "meter": "calls", "rate": "1"},
            ],
        }
    ],
}
MATRIX = {
    "form": "matrix",
    "dimensions": ["model"],
    "rates": [{"where": {"model": "a"}, "rate": "1"}],
}
KPI = {"metric": "up", "name": "Uptime", "unit": "%", "better": "higher"}
BOUNDED = {"form": "percentage", "rate": "2.9", "event_minimum": "0.29"}


def read(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Catalogue:
    """The catalogue with one thing changed."""
    document = deepcopy(DOCUMENT)
    change(document)
    return parse_catalogue(json.dumps(document))


def plan(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["plans"][0]
    return found


def priced(**fields: object) -> Callable[[dict[str, Any]], object]:
    """Give the plan's metered price other fields; its rate goes."""

    def change(document: dict[str, Any]) -> None:
        price = plan(document)["prices"][1]
        del price["rate"]
        price |= fields

    return change


def lifetime(**fields: object) -> Callable[[dict[str, Any]], object]:
    """Make the plan a lifetime of its fee."""

    def change(document: dict[str, Any]) -> None:
        del plan(document)["prices"][1]
        document["discounts"].pop()
        plan(document).update(interval="lifetime", **fields)

    return change


FAULTS: tuple[tuple[str, Callable[[dict[str, Any]], object]], ...] = (
    ("composites[0].key", lambda d: d["composites"][0].update(key="calls")),
    ("composites", lambda d: d["composites"].append(d["composites"][0])),
    ("composites[0].of", lambda d: d["composites"][0].update(of=[])),
    ("composites[0].of", lambda d: d["composites"][0]["of"].append(d["composites"][0]["of"][0])),
    ("composites[0].of[0].meter", lambda d: d["composites"][0]["of"][0].update(meter="x")),
    ("composites[0].of[0].meter", lambda d: d["composites"][0]["of"][0].update(meter="mix")),
    ("composites[0].of[0].weight", lambda d: d["composites"][0]["of"][0].update(weight="0")),
    ("composites[0].of", lambda d: d["composites"][0]["of"][0].update(meter="users")),
    ("plans[0].prices[0].key", lambda d: plan(d)["prices"][0].update(key="1/base")),
    ("add_ons[0].prices[0].key", lambda d: d["add_ons"][0]["prices"][0].update(key="a/b")),
    ("add_ons[0].code", lambda d: d["add_ons"][0].update(code="a/b")),
    ("plans[0].prices[0].tax", lambda d: plan(d)["prices"][0].update(tax="boks")),
    ("add_ons[0].prices[0].tax", lambda d: d["add_ons"][0]["prices"][0].update(tax="boks")),
    ("gain_share.tax", lambda d: d.update(gain_share={"tax": "boks"})),
    ("plans[0].discounts", lambda d: plan(d).update(discounts=["lunch"])),
    ("plans[0].discounts", lambda d: plan(d).update(discounts=[str(n) for n in range(21)])),
    ("discounts[0].prices", lambda d: d["discounts"][0].update(prices=["unheard"])),
    ("discounts[1].prices", lambda d: d["discounts"][1].update(prices=["base"])),
    ("discounts[1].prices", priced(**MATRIX)),
    ("discounts[1].prices", priced(form="percentage", rate="1")),
    ("discounts", lambda d: d["discounts"].append(d["discounts"][0])),
    ("add_ons", lambda d: d["add_ons"].append(d["add_ons"][0])),
    ("add_ons[0].prices", lambda d: d["add_ons"][0]["prices"][0].update(form="seats")),
    ("add_ons[0].currency", lambda d: d["add_ons"][0].update(currency="USX")),
    ("plans[0].interval", lambda d: plan(d).update(interval="week")),
    ("plans[0].interval", lambda d: plan(d).update(interval="lifetime")),
    ("plans[0].interval", lifetime(minimum={"amount": "1"})),
    ("plans[0].interval", lifetime(maximum={"amount": "1"})),
    ("plans[0].fees", lifetime(fees="in_arrears")),
    ("plans[0].fees", lambda d: plan(d).update(fees="later")),
    ("plans[0].seats_max", lambda d: plan(d).update(seats_max=0)),
    ("plans[0].trial_days", lambda d: plan(d).update(trial_days=731)),
    ("plans[0].minimum.of", lambda d: plan(d).update(minimum={"amount": "1", "of": "fees"})),
    (
        "plans[0].maximum",
        lambda d: plan(d).update(minimum={"amount": "2"}, maximum={"amount": "1.99"}),
    ),
    ("plans[0].limits[0].meter", lambda d: plan(d).update(limits=[limit("x", "unheard")])),
    ("plans[0].limits", lambda d: plan(d).update(limits=[limit("x", "calls")] * 2)),
    ("plans[0].prices[1].where", lambda d: plan(d)["prices"][1].update(where={"size": "1"})),
    ("plans[0].prices[1].where", lambda d: plan(d)["prices"][1].update(where={"model": ""})),
    ("plans[0].prices[1].where", lambda d: plan(d)["prices"][1].update(where=["model"])),
    ("plans[0].prices[1].where", priced(**BOUNDED, meter="mix", where={"model": "a"})),
    ("plans[0].prices[1].event_minimum", priced(**BOUNDED, meter="paid")),
    ("plans[0].prices[1].event_minimum", priced(**BOUNDED, meter="mix")),
    ("meters[2].value_bands", lambda d: d["meters"][2].update(value_bands=["2", "1"])),
    ("meters[2].value_bands", lambda d: d["meters"][2].update(value_bands=["2", "2.0"])),
    ("meters[2].value_bands", lambda d: d["meters"][2].update(value_bands=["1.0000000001"])),
    ("meters[2].value_bands", lambda d: d["meters"][2].update(value_bands=["-1"])),
    (
        "meters[2].value_bands",
        lambda d: d["meters"][2].update(value_bands=[str(n) for n in range(11)]),
    ),
    (
        "meters[2].value_bands",
        lambda d: d["meters"][2].update(value_bands=["1"], aggregation="time_weighted"),
    ),
    ("meters[2].group_by", lambda d: d["meters"][2].update(group_by=["value_band"])),
)


def limit(key: str, meter: str) -> dict[str, str]:
    return {"key": key, "meter": meter, "maximum": "5"}


class TestFaults:
    @pytest.mark.parametrize(("place", "change"), FAULTS)
    def test_are_refused_with_their_place(
        self, place: str, change: Callable[[dict[str, Any]], object]
    ) -> None:
        with pytest.raises(Rejected) as caught:
            read(change)
        assert Code.CATALOGUE_INVALID is caught.value.code
        assert f"catalogue.{place}" == caught.value.fields["param"]

    def test_a_matrix_over_too_many_sets_of_values_is_refused(self) -> None:
        """Each set is an entry of the invoice's usage."""

        def change(document: dict[str, Any]) -> None:
            document["discounts"].pop()
            document["meters"][0]["dimension_sets_max"] = 5_001
            priced(**MATRIX)(document)

        with pytest.raises(Rejected) as caught:
            read(change)
        assert "catalogue.plans[0].prices[1].meter" == caught.value.fields["param"]

    def test_missing_bounds_are_said_with_their_values(self) -> None:
        """2.9 % reach 0.29 at 10."""
        with pytest.raises(Rejected) as caught:
            read(priced(**BOUNDED, meter="paid"))
        assert caught.value.reason.endswith("needs value_bands of meter 'paid' to hold \"10\"")


class TestPlan:
    def test_says_little_and_means_much(self) -> None:
        """Defaults: monthly, as billing says, no trial, nothing promised."""
        found = read().plan("p")
        assert (Interval.MONTH, None, 0, None, None, ("launch",), False, (), False) == (
            found.interval,
            found.fees,
            found.trial_days,
            found.minimum,
            found.maximum,
            found.discounts,
            found.is_popular,
            found.limits,
            found.has_gain_share,
        )

    def test_has_what_it_says(self) -> None:
        found = read(
            lambda d: plan(d).update(
                interval="year",
                fees="in_arrears",
                trial_days=14,
                minimum={"amount": "5", "of": "all"},
                maximum={"amount": "5"},
                limits=[limit("calls", "mix")],
            )
        ).plan("p")
        assert (Interval.YEAR, Fees.IN_ARREARS, 14) == (
            found.interval,
            found.fees,
            found.trial_days,
        )
        assert (Commitment(Fraction(5), Of.ALL), Commitment(Fraction(5), Of.USAGE)) == (
            found.minimum,
            found.maximum,
        )
        assert (Limit("calls", "mix", Fraction(5)),) == found.limits

    def test_of_a_lifetime_has_fees_alone(self) -> None:
        assert Interval.LIFETIME is read(lifetime()).plan("p").interval


class TestLookup:
    def test_units_are_those_of_meters_and_composites(self) -> None:
        catalogue = read()
        assert ["call", "unit"] == [catalogue.unit(key) for key in ("calls", "mix")]

    @pytest.mark.parametrize(
        ("ask", "code"),
        [
            (lambda c: c.plan("x"), Code.PLAN_UNKNOWN),
            (lambda c: c.add_on("x"), Code.ADD_ON_UNKNOWN),
            (lambda c: c.discount("x"), Code.DISCOUNT_UNKNOWN),
            (lambda c: c.unit("x"), Code.CATALOGUE_INVALID),
        ],
    )
    def test_what_is_not_there_is_refused(
        self, ask: Callable[[Catalogue], object], code: Code
    ) -> None:
        with pytest.raises(Rejected) as caught:
            ask(read())
        assert code is caught.value.code


class TestVersions:
    def next_version(self, change: Callable[[dict[str, Any]], object]) -> Catalogue:
        def both(document: dict[str, Any]) -> None:
            document["version"] = 2
            change(document)

        return read(both)

    def test_a_composite_stays_and_its_weights_may_change(self) -> None:
        other = self.next_version(lambda d: d["composites"][0]["of"][0].update(weight="7"))
        assert () == refused_changes(before=read(), after=other)
        gone = self.next_version(lambda d: d.update(composites=[]))
        (reason,) = refused_changes(before=read(), after=gone)
        assert reason.startswith("composite 'mix' of version 1 is missing")

    def test_value_bands_are_part_of_a_meter_s_meaning(self) -> None:
        """What was counted apart stays apart."""
        other = self.next_version(lambda d: d["meters"][2].update(value_bands=["10"]))
        (reason,) = refused_changes(before=read(), after=other)
        assert "another value_bands" in reason

    @pytest.mark.parametrize(
        ("line", "change"),
        [
            (
                "changed composite mix",
                lambda d: d["composites"][0]["of"][0].update(weight="7"),
            ),
            ("changed tax books", lambda d: d["taxes"][0].update(rate="8")),
            ("changed discount launch", lambda d: d["discounts"][0].update(value="30")),
            ("added billing billing", lambda d: d.update(billing={"due_days": 14})),
            ("added KPI up", lambda d: d.update(kpis=[KPI])),
            ("changed add-on care", lambda d: d["add_ons"][0].update(name="More care")),
            (
                "changed add-on price care/care",
                lambda d: d["add_ons"][0]["prices"][0].update(amount="6"),
            ),
            ("changed plan p", lambda d: plan(d).update(trial_days=7)),
            ("changed price p/calls", lambda d: plan(d)["prices"][1].update(overflow="warn")),
        ],
    )
    def test_a_difference_is_said(
        self, line: str, change: Callable[[dict[str, Any]], object]
    ) -> None:
        """`catalogue diff` shows every part, and nothing else."""
        found = diff_catalogues(before=read(), after=self.next_version(change))
        assert [line] == [f"{each.how} {each.what} {each.name}" for each in found.changes]
