"""Whatever comes between, a subscription's fees are neither charged twice nor given back twice."""

import json
from collections.abc import Mapping

import pytest

from domain.books.facts import Outcome
from domain.canonical import Json
from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.errors import Rejected
from tests.support.stories import CATALOGUE, CUSTOMER, Story, plan

CALLS: Json = {"key": "calls", "form": "per_unit", "meter": "calls", "rate": "1"}
SEATS: Json = {"key": "seats", "form": "seats", "amount": "100"}
OFF: Mapping[str, Json] = {
    "discounts": [
        {"code": "free", "name": "Free", "kind": "percent", "value": "100", "periods": 1},
        {"code": "amount", "name": "Amount", "kind": "amount", "value": "100", "periods": 1},
        {"code": "launch", "name": "Launch", "kind": "percent", "value": "20", "periods": 3},
        {"code": "always", "name": "Always", "kind": "percent", "value": "10"},
    ]
}


def own_price(story: Story, amount: str | None, *, on: str, code: str = "PRO") -> None:
    """Give the customer a fee of their own, or take it back."""
    document = {"key": "base", "form": "flat", "amount": amount}
    body: dict[str, Json] = {
        "customer": CUSTOMER,
        "plan": code,
        "price": "base",
        "document": None if amount is None else json.dumps(document),
    }
    story.accepted("SetPriceOverride", body, on=on)


def waiting(story: Story) -> int:
    """What items come to that wait for an invoice, minor units."""
    return sum(item.amount_minor for item in story.content().terms.items)


class TestOwnPrices:
    def test_a_period_paid_by_an_own_price_gives_back_no_more_than_that(self) -> None:
        """31.00 were paid; without the own price the fee would be 3,100.00."""
        story = Story(plan("PRO", "3100", fees="in_advance"))
        own_price(story, "31", on="2024-12-31")
        story.subscribe("PRO", start="2025-01-01")
        story.bill("2025-01-01")
        own_price(story, None, on="2025-01-02")
        story.change("CancelSubscription", on="2025-01-02")
        assert 3_100 - 100 <= story.credit_minor <= 3_100

    def test_what_an_upgrade_charged_follows_the_own_price(self) -> None:
        """15 days of 31 and 16 of 3,100; then both cost the same."""
        story = Story(plan("PRO", "31"), plan("BIG", "3100"))
        story.subscribe("PRO", start="2025-01-01")
        story.change("ChangePlan", on="2025-01-16", plan="BIG")
        assert 161_500 == story.content().totals.total_minor
        own_price(story, "3100", on="2025-01-20")
        story.bill("2025-02-01")
        assert 310_000 == story.invoices[0].totals.total_minor

    def test_of_another_plan_counts_after_an_upgrade_in_a_paid_period(self) -> None:
        """Half a month of BIG at 62 is 15.50 more; at an own 31 it is nothing more."""
        story = Story(plan("PRO", "31", fees="in_advance"), plan("BIG", "62", fees="in_advance"))
        story.subscribe("PRO", start="2025-04-01")
        story.bill("2025-04-01")
        story.change("ChangePlan", on="2025-04-16", plan="BIG")
        own_price(story, "31", on="2025-04-17", code="BIG")
        assert waiting(story) == story.credit_minor == 0

    def test_what_a_change_comes_to_cannot_be_taken_away(self) -> None:
        """Without it, the change back would give back what nobody paid."""
        story = Story(plan("PRO", "31", fees="in_advance"), plan("BIG", "3100"))
        story.subscribe("PRO", start="2025-01-01")
        story.bill("2025-01-01")
        story.change("ChangePlan", on="2025-01-16", plan="BIG")
        (item,) = story.content().terms.items
        outcome = story.sent("RemoveItem", {"item": item.item, "reason": "kind"})
        assert outcome.code == Code.ITEM_KEPT

    def test_an_invoice_before_an_own_price_cannot_be_voided(self) -> None:
        """Its period would be billed again beside what was put right since."""
        story = Story(plan("PRO", "31"))
        story.subscribe("PRO", start="2025-01-01")
        story.bill("2025-02-01")
        own_price(story, "62", on="2025-02-02")
        outcome = story.sent("VoidInvoice", {"invoice": "inv_1", "reason": "x"})
        assert Code.INVOICE_NOT_VOIDABLE == outcome.code


class TestDiscountsOfAPaidPeriod:
    @pytest.mark.parametrize(("code", "paid"), [("free", 0), ("amount", 21_000)])
    def test_no_more_comes_back_than_was_paid(self, code: str, paid: int) -> None:
        story = Story(plan("PRO", "310", fees="in_advance"), more=OFF)
        story.subscribe("PRO", start="2025-01-01", discounts=[code])
        story.bill("2025-01-01")
        assert paid == story.invoices[0].totals.total_minor
        story.change("CancelSubscription", on="2025-01-01")
        assert paid == story.credit_minor
        story.change("UndoCancel", on="2024-12-31")
        assert paid == waiting(story)

    def test_one_that_comes_later_takes_nothing_from_what_comes_back(self) -> None:
        story = Story(plan("PRO", "310", fees="in_advance"), more=OFF)
        story.subscribe("PRO", start="2025-01-01")
        story.bill("2025-01-01")
        story.change("GrantDiscount", on="2025-01-02", discount="launch")
        story.change("CancelSubscription", on="2025-01-02")
        assert 31_000 - 1_000 == story.credit_minor

    def test_one_that_comes_after_an_upgrade_counts_for_it(self) -> None:
        """Half of April at 31 and half at 62, less 20 %; after a downgrade all of it at 31."""
        story = Story(plan("PRO", "31"), plan("BIG", "62"), more=OFF)
        story.subscribe("PRO", start="2025-04-01")
        story.change("ChangePlan", on="2025-04-16", plan="BIG")
        story.change("GrantDiscount", on="2025-04-16", discount="launch")
        assert 3_720 == story.content().totals.total_minor
        story.change("ChangePlan", on="2025-04-16", plan="PRO")
        assert 2_480 == story.content().totals.total_minor

    def test_a_plans_own_is_granted_once(self) -> None:
        """Away and back again gives no second free month; what has no end comes back."""
        story = Story(plan("PRO", "30", discounts=["free", "always"]), plan("BIG", "60"), more=OFF)
        story.subscribe("PRO", start="2025-01-01")
        story.bill("2025-02-01")
        story.change("ChangePlan", on="2025-02-05", plan="BIG", when="period_end")
        story.bill("2025-03-01")
        story.change("ChangePlan", on="2025-03-05", plan="PRO", when="period_end")
        story.bill("2025-05-01")
        assert [0, 2_700, 6_000, 2_700] == [each.totals.total_minor for each in story.invoices]


class TestAnEndThatIsTakenBack:
    @pytest.mark.parametrize(
        ("cancelled", "when", "billed", "undone", "fee"),
        [
            ("2025-01-10", "period_end", "2025-02-02", "2025-01-31", 31_000),
            ("2025-01-10T12:00:00", "now", "2025-01-13", "2025-01-10T13:00:00", 21_000),
        ],
    )
    def test_after_the_last_invoice_has_its_fees_in_advance_billed(
        self, cancelled: str, when: str, billed: str, undone: str, fee: int
    ) -> None:
        """All of February, or the 21 days of January that were given back."""
        story = Story(plan("PRO", "310", fees="in_advance"))
        story.subscribe("PRO", start="2025-01-01")
        story.bill("2025-01-01")
        story.change("CancelSubscription", on=cancelled, when=when)
        story.bill(billed)
        given, made = story.credit_minor, len(story.invoices)
        story.change("UndoCancel", on=undone)
        story.bill("2025-02-01")
        totals = story.invoices[made].totals
        assert fee == totals.total_minor + totals.credit_minor
        assert totals.credit_minor == given


class TestLifetimes:
    def test_are_not_paused(self) -> None:
        story = Story(plan("LIFE", "100", interval="lifetime"))
        story.subscribe("LIFE", start="2025-01-01")
        story.bill("2025-01-02")
        outcome = story.sent("PauseSubscription", {"subscription": "sub_1"}, on="2025-02-01")
        assert Code.INTERVAL_DIFFERS == outcome.code

    def test_cost_nothing_that_was_charged_before(self) -> None:
        """Two seats more, none, three more, and again: it pays the most there ever was."""
        story = Story(plan("LIFE", "100", interval="lifetime", also=[SEATS]))
        story.subscribe("LIFE", start="2025-01-01")
        story.bill("2025-01-02")
        for on, seats in (("02-01", 3), ("02-01", 1), ("02-02", 4), ("01-01", 1), ("02-03", 4)):
            story.change("ChangeSeats", on=f"2025-{on}", seats=seats)
        assert [
            "2025-02-01 item Seats 1 to 3: 200.00",
            "2025-02-02 item Seats 1 to 4: 100.00",
        ] == story.told[1:]
        assert 0 == story.credit_minor

    def test_pay_the_most_that_was_agreed_before_the_opening(self) -> None:
        """A smaller one from some day on makes it no cheaper."""
        story = Story(
            plan("LIFE", "300", interval="lifetime"), plan("LESS", "100", interval="lifetime")
        )
        story.subscribe("LIFE", start="2025-01-01")
        story.change("ChangePlan", on="2025-06-01", plan="LESS")
        story.bill("2025-01-02")
        story.change("ChangePlan", on="2025-07-01", plan="LIFE")
        assert 30_000 == story.invoices[0].totals.total_minor
        assert 1 == len(story.told)

    def test_of_more_tax_categories_than_are_kept_are_refused(self) -> None:
        """A fact that says more could not be applied, and would stop the books of everybody."""
        plans = [
            {
                **plan(f"P{number}", "1", interval="lifetime"),  # type: ignore[dict-item]
                "prices": [
                    {
                        "key": f"p{place}",
                        "form": "flat",
                        "amount": "1",
                        "tax": f"t{number}_{place}",
                    }
                    for place in range(100)
                ],
            }
            for number in range(4)
        ]
        taxes: list[Json] = [
            {"code": f"c{n}_{m}", "name": "Tax", "rate": "10", "category": f"t{n}_{m}"}
            for n in range(4)
            for m in range(100)
        ]
        story = Story(*plans, more={"taxes": taxes})
        story.subscribe("P0", start="2025-01-01")
        story.bill("2025-01-02")
        body: dict[str, Json] = {"subscription": "sub_1", "as_of": "2025-01-10T00:00:00Z"}
        codes = [story.sent("ChangePlan", {**body, "plan": f"P{n}"}).code for n in (1, 2, 3)]
        assert ["", "", Code.CHANGE_LIMIT] == codes


class TestUsageIsBilledOnce:
    def test_a_new_version_makes_no_two_plans_price_one_meter(self) -> None:
        story = Story(plan("A", "1", also=[CALLS]), plan("B", "1"))
        story.subscribe("A", start="2025-01-01", name="sub_1")
        story.subscribe("B", start="2025-01-01", name="sub_2")
        both = (plan("A", "1", also=[CALLS]), plan("B", "1", also=[CALLS]))
        assert Code.PLAN_IN_USE == story.publish(2, *both, on="2025-01-15").code

    def test_a_meter_that_a_version_to_come_adds_is_taken_already(self) -> None:
        """sub_1 prices calls from February on, when its next period takes version 2."""
        story = Story(plan("A", "1"), plan("B", "1", also=[CALLS]))
        story.subscribe("A", start="2025-01-01", name="sub_1")
        both = (plan("A", "1", also=[CALLS]), plan("B", "1", also=[CALLS]))
        assert "" == story.publish(2, *both, on="2025-01-15").code
        assert Code.METER_TAKEN == self._second(story, "B", start="2025-01-20").code

    @pytest.mark.parametrize("end", [None, "2025-02-01T00:00:00Z"])
    def test_what_was_billed_is_not_billed_by_a_backdated_one(self, end: str | None) -> None:
        """Whether the first is over, or on a plan without the meter by now."""
        story = Story(plan("A", "1", also=[CALLS]), plan("B", "1"))
        story.subscribe("A", start="2025-01-01", end=end)
        if end is None:
            story.change("ChangePlan", on="2025-01-05", plan="B", when="period_end")
        story.bill("2025-03-01")
        assert Code.METER_TAKEN == self._second(story, "A", start="2025-01-01").code

    def test_another_may_follow_where_the_billed_one_ended(self) -> None:
        """And the invoice before it can still be voided."""
        story = Story(plan("A", "1", also=[CALLS]))
        story.subscribe("A", start="2025-01-01", end="2025-02-01T00:00:00Z")
        story.bill("2025-02-01")
        assert Code.METER_TAKEN == self._second(story, "A", start="2025-01-31").code
        assert "" == self._second(story, "A", start="2025-02-01").code
        assert "" == story.sent("VoidInvoice", {"invoice": "inv_1", "reason": "x"}).code

    def _second(self, story: Story, code: str, *, start: str) -> Outcome:
        body: dict[str, Json] = {"subscription": "sub_2", "customer": CUSTOMER, "plan": code}
        return story.sent(
            "CreateSubscription", {**body, "start": f"{start}T00:00:00Z"}, on="2025-03-05"
        )


class TestCatalogue:
    @pytest.mark.parametrize("name", ["minimum", "maximum"])
    @pytest.mark.parametrize("place", ["plan", "billing"])
    def test_no_commitment_is_over_fees_of_another_invoice(self, name: str, place: str) -> None:
        more: dict[str, Json] = {name: {"amount": "500", "of": "all"}}
        billing: dict[str, Json] = {"fees": "in_advance"} if place == "billing" else {}
        if place == "plan":
            more["fees"] = "in_advance"
        content = {
            **CATALOGUE,
            "version": 1,
            "billing": billing,
            "plans": [plan("A", "100", also=[CALLS], **more)],
        }
        with pytest.raises(Rejected) as refused:
            parse_catalogue(json.dumps(content))
        assert f"plans[0].{name}.of" in refused.value.reason

    def test_a_seller_who_bills_somebody_stays(self) -> None:
        """Or else another seller's numbers would stand on its invoices."""
        sellers: list[Json] = [
            {
                "key": key,
                "name": key,
                "country": "US",
                "prefix": f"{key.upper()}-",
                "credit_note_prefix": f"{key.upper()}C-",
                "address": ["x"],
            }
            for key in ("us", "eu")
        ]
        more: dict[str, Json] = {"billing": {"sellers": sellers}}
        story = Story(plan("A", "1"), more=more)
        story.accepted("ChangeCustomer", {"customer": CUSTOMER, "seller": "eu"})
        less: dict[str, Json] = {"billing": {"sellers": sellers[:1]}}
        assert Code.PLAN_IN_USE == story.publish(2, plan("A", "1"), more=less).code


class TestDimensions:
    """B17: usage that no window can show would be billed by nobody."""

    def test_over_a_meter_that_is_not_split_by_them_are_refused(self) -> None:
        """At the start, and where a change of plan brings such a meter."""
        split: Json = {"key": "jobs", "form": "per_unit", "meter": "jobs", "rate": "1"}
        story = Story(plan("A", "0", also=[split]), plan("B", "0", also=[CALLS]))
        body: dict[str, Json] = {
            "subscription": "sub_1",
            "customer": CUSTOMER,
            "plan": "B",
            "start": "2025-01-01T00:00:00Z",
            "dimensions": {"site": "north"},
        }
        assert story.sent("CreateSubscription", body).code == Code.METER_UNSPLIT
        assert story.sent("CreateSubscription", {**body, "plan": "A"}).code == ""
        change: dict[str, Json] = {"subscription": "sub_1", "plan": "B"}
        assert story.sent("ChangePlan", change).code == Code.METER_UNSPLIT


class TestPlannedChanges:
    """B14: what is planned for a period to come is billed by the version of that period."""

    @pytest.mark.parametrize("fees", ["in_arrears", "in_advance"])
    def test_take_the_version_of_their_period(self, fees: str) -> None:
        """Two seats from 16 March, and dearer prices from 15 February: March is the new one's."""

        def of(fee: str, rate: str, seat: str) -> Json:
            calls: Json = {"key": "calls", "form": "per_unit", "meter": "calls", "rate": rate}
            seats: Json = {"key": "seats", "form": "seats", "amount": seat}
            return plan("A", fee, fees=fees, also=[calls, seats])

        early, late = Story(of("31", "0.10", "31")), Story(of("31", "0.10", "31"))
        for story in (early, late):
            story.subscribe("A", start="2025-01-01")
        early.change("ChangeSeats", on="2025-03-16", seats=2)
        for story in (early, late):
            story.publish(2, of("62", "0.20", "62"), on="2025-02-15")
            story.use("calls", at="2025-03-10", value="100")
            story.use("calls", at="2025-03-20", value="100")
            story.bill("2025-03-01")
        late.change("ChangeSeats", on="2025-03-16", seats=2)
        for story in (early, late):
            story.bill("2025-05-01")
        march = next(
            each
            for each in early.invoices
            if each.terms.segments and each.terms.segments[0].start.month == 3
        )
        assert [part.catalogue_version for part in march.terms.segments] == [2, 2]
        sums = [
            sum(each.totals.subtotal for each in story.invoices) - story.credit_minor
            for story in (early, late)
        ]
        assert sums[0] == sums[1]
