"""Tax categories across versions: what was entered as taxed is never sold untaxed."""

from domain.canonical import Json
from domain.invoice import Line
from tests.support.stories import CUSTOMER, Story, plan
from tests.unit.domain.test_own_prices import fee, give


def rate(category: str, percent: str) -> Json:
    return {"code": f"t_{category}", "name": category, "category": category, "rate": percent}


STANDARD: dict[str, Json] = {"taxes": [rate("standard", "20")]}
WITH_BOOKS: dict[str, Json] = {"taxes": [rate("standard", "20"), rate("books", "5")]}


def book(name: str) -> dict[str, Json]:
    """An item of 100.00 that is taxed as a book."""
    body: dict[str, Json] = {"item": name, "customer": CUSTOMER, "label": name}
    return body | {"amount_minor": 10_000, "currency": "CAD", "tax": "books"}


def taxes(lines: tuple[Line, ...]) -> dict[str, int]:
    """Tax of each line, by label, in whole units."""
    return {line.label: line.tax_amount for line in lines}


def billed(story: Story, until: str) -> dict[str, int]:
    """Taxes of the lines that a bill brings, in minor units."""
    before = len(story.invoices)
    story.bill(until)
    (content,) = story.invoices[before:]
    unit = 10 ** (content.scale - 2)
    return {label: amount // unit for label, amount in taxes(content.lines).items()}


class TestDropped:
    """A version without the category comes after an item and an own price of it."""

    def test_keeps_the_rate_of_the_newest_version_that_knows_it(self) -> None:
        story = Story(plan("PRO", "100"), more=WITH_BOOKS)
        story.subscribe("PRO", start="2025-01-01")
        give(story, fee("base", "50") | {"tax": "books"}, on="2025-01-02", plan="PRO")
        story.accepted("AddItem", book("itm_1"), on="2025-01-03")
        story.publish(2, plan("PRO", "100"), more=STANDARD, on="2025-01-10")

        assert billed(story, "2025-02-02") == {"base": 250, "itm_1": 500}
        assert billed(story, "2025-03-02") == {"base": 250}


class TestNewer:
    """The category came with a version within the period, which goes by the one before."""

    def test_has_the_rate_of_the_part_that_is_of_it(self) -> None:
        """Of 31 days 16 on a plan of books: 51.61 of 100.00, and 5 % of it."""
        books = plan("BOOKS", "100")
        assert isinstance(books, dict)
        books["prices"] = [fee("shelf", "100") | {"tax": "books"}]
        story = Story(plan("PRO", "100"), more=STANDARD)
        story.subscribe("PRO", start="2025-01-01")
        story.publish(2, plan("PRO", "100"), books, more=WITH_BOOKS, on="2025-01-10")
        story.accepted("ChangePlan", {"subscription": "sub_1", "plan": "BOOKS"}, on="2025-01-16")
        story.accepted("AddItem", book("itm_1"), on="2025-01-17")

        assert billed(story, "2025-02-02") == {"base": 968, "shelf": 258, "itm_1": 500}

    def test_a_fee_to_come_has_that_of_the_newest_of_its_parts(self) -> None:
        """January is of versions 1 and 2, the fee of February of 3."""
        books = plan("BOOKS", "100")
        assert isinstance(books, dict)
        books["prices"] = [fee("shelf", "100") | {"tax": "books"}]
        more: dict[str, Json] = {"billing": {"grace_hours": 0, "fees": "in_advance"}}
        dear: dict[str, Json] = {"taxes": [rate("standard", "20"), rate("books", "7")]}
        story = Story(plan("PRO", "100"), more=more | STANDARD)
        story.subscribe("PRO", start="2025-01-01")
        story.bill("2025-01-01")
        story.publish(2, plan("PRO", "100"), books, more=more | WITH_BOOKS, on="2025-01-10")
        story.accepted("ChangePlan", {"subscription": "sub_1", "plan": "BOOKS"}, on="2025-01-16")
        story.publish(3, plan("PRO", "100"), books, more=more | dear, on="2025-01-25")
        assert billed(story, "2025-02-02")["shelf"] == 700


def test_the_standard_category_may_lose_its_rate() -> None:
    """A catalogue without a standard rate sells untaxed, whatever was before."""
    story = Story(plan("PRO", "100"), more=STANDARD)
    story.subscribe("PRO", start="2025-01-01")
    story.publish(2, plan("PRO", "100"), more={"taxes": [rate("books", "5")]}, on="2025-01-10")
    story.bill("2025-02-02")
    assert billed(story, "2025-03-02") == {"base": 0}
