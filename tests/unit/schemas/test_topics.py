"""The topic catalogue: what must hold between its lines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from domain.books.records import Command
from domain.canonical import Json, to_canonical_json
from domain.fields import TEXT_LENGTH_MAX
from domain.invoice import RATED_LINES_MAX, InvoiceContent
from domain.invoice_room import CONTENT_BYTES_MAX
from domain.invoice_terms import ITEMS_MAX
from schemas.command_wire import to_wire_books_facts, to_wire_command
from schemas.topics import (
    ACCOUNT_COMMANDS,
    ACCOUNT_FACTS,
    DAY_MS,
    FOREVER_MS,
    TOPICS,
    USAGE_EVENTS,
    Topic,
)
from tests.support.invoices import BillingBooks, finalize_body, per_call, tax

AS_OF = "2025-02-02T00:00:00Z"
NAMES = {topic.name: topic for topic in TOPICS}
SOURCES = [topic for topic in TOPICS if topic.facts]


def test_every_name_is_declared_once() -> None:
    """Two lines of one name would disagree some day."""
    assert len(NAMES) == len(TOPICS)


@pytest.mark.parametrize("topic", SOURCES, ids=lambda topic: topic.name)
class TestSource:
    def test_names_topics_that_exist(self, topic: Topic) -> None:
        """Where its facts and its dead letters go."""
        assert {topic.facts, topic.dead} <= NAMES.keys()

    def test_has_facts_for_ever(self, topic: Topic) -> None:
        """State is restored from them: retention must never take one."""
        assert FOREVER_MS == NAMES[topic.facts].retention_ms

    def test_has_dead_letters_that_take_every_record_as_it_is(self, topic: Topic) -> None:
        """Raw bytes, at least as large as the largest source record."""
        dead = NAMES[topic.dead]
        assert dead.schemas == ()
        assert dead.message_bytes_max >= topic.message_bytes_max

    def test_shares_no_schema_with_its_facts(self, topic: Topic) -> None:
        """A facts record that strays into the source is refused by its id."""
        assert not set(topic.schemas) & set(NAMES[topic.facts].schemas)


def test_usage_is_kept_longer_than_an_event_may_be_late() -> None:
    """35 days of lateness, and some to notice that a fold stands still."""
    assert USAGE_EVENTS.retention_ms >= 36 * DAY_MS


class TestInvoiceOfAllLines:
    """Of a hundred lines each line's bytes are known; an invoice may have fifty times as many."""

    PRICES = 100

    def test_fits_into_a_command(self) -> None:
        """Plain prices with keys of ordinary length."""
        _, content = self._billed()

        command = wire(finalize_body(content, as_of=AS_OF, invoice="inv_1"))

        assert len(content.lines) == self.PRICES
        lines = len(command) // self.PRICES * RATED_LINES_MAX
        assert lines <= ACCOUNT_COMMANDS.message_bytes_max

    def test_fits_with_all_items_that_an_invoice_takes(self) -> None:
        """Corrections of another invoice as large: the next one can be billed, and takes them."""
        books, content = self._billed()
        assert books.finalize(content, as_of=AS_OF).code == ""
        plain = wire(finalize_body(books.content(), as_of=AS_OF, invoice="inv_2"))
        more = books.content(usage={"calls": "9"}, terms=content.terms, positions=(11, 20))
        assert books.correct(more).code == ""

        after = books.content(positions=(11, 20))
        command = wire(finalize_body(after, as_of=AS_OF, invoice="inv_2"))

        assert len(after.terms.items) == self.PRICES
        items = (len(command) - len(plain)) // self.PRICES * ITEMS_MAX
        lines = len(plain) // self.PRICES * RATED_LINES_MAX
        assert lines + items <= ACCOUNT_COMMANDS.message_bytes_max

    def test_leaves_facts_that_fit_whatever_the_command(self) -> None:
        """The worst is a correction in which every line differs: the fold could not go on."""
        books, content = self._billed()
        outcome = books.finalize(content, as_of=AS_OF)
        assert outcome.code == "", outcome.reason
        more = books.content(usage={"calls": "9"}, terms=content.terms, positions=(11, 20))

        outcome = books.correct(more)

        assert outcome.code == "", outcome.reason
        body = finalize_body(more, as_of=AS_OF, invoice="inv_1") | {"correction": "cor_1"}
        facts = to_wire_books_facts(books.facts[-1], writer="w")
        times = len(facts) / len(wire(body))
        assert times * ACCOUNT_COMMANDS.message_bytes_max <= ACCOUNT_FACTS.message_bytes_max

    def _billed(self) -> tuple[BillingBooks, InvoiceContent]:
        books = BillingBooks()
        books.agreed(
            *(per_call(f"price_of_things_{number:03}", "0.0125") for number in range(self.PRICES)),
            taxes=[tax("13")],
        )
        return books, books.content(usage={"calls": "123456.789"})


class TestContentWithItems:
    def test_leaves_room_for_all_else_that_a_command_says(self) -> None:
        """The longest of everything, by whomever: the command is taken all the same."""
        most = "\N{SLICE OF PIZZA}" * TEXT_LENGTH_MAX
        content = "x" * (CONTENT_BYTES_MAX - 2)
        body: dict[str, Json] = {
            "invoice": f"inv_{most}",
            "correction": f"cor_{most}",
            "as_of": most,
            "content": content,
            "content_sha256": "0" * 64,
        }
        command = wire(body, tenant=most, command_id=most, actor=most)
        assert CONTENT_BYTES_MAX < len(command) <= ACCOUNT_COMMANDS.message_bytes_max

    def test_near_the_bound_by_its_own_lines_is_billed_with_some(self) -> None:
        """3,300 lines of five tiers, and 1,000 items: some 60 go along, the others wait."""
        books = BillingBooks()
        tiers: list[Json] = [{"up_to": str(10**step), "rate": "0.125"} for step in range(1, 5)]
        price: dict[str, Json] = {"form": "graduated", "meter": "calls"}
        price["tiers"] = [*tiers, {"rate": "0.05"}]
        books.agreed(
            *({"key": f"price_{number:03}", **price} for number in range(100)),
            plan_parts={"interval": "year"},
        )
        for part in range(1, 33):
            day = date(2025, 1, 1) + timedelta(days=part)
            seats: dict[str, Json] = {"subscription": "sub_1", "seats": 2 + part % 2}
            assert books.send("ChangeSeats", seats | {"as_of": f"{day}T00:00:00Z"}).code == ""
        for number in range(ITEMS_MAX):
            assert books.item(100, item=f"itm_{number}", label="x" * 200).code == ""

        content = books.content(usage={"calls": "123456.789"})
        outcome = books.finalize(content, as_of="2026-01-02T00:00:00Z")

        assert outcome.code == "", outcome.reason
        taken = len(content.terms.items)
        assert taken in {500, 250, 125, 62, 31}
        assert len(content.lines) == 3_300 + taken
        command = wire(finalize_body(content, as_of=AS_OF, invoice="inv_1"))
        assert len(command) <= ACCOUNT_COMMANDS.message_bytes_max
        assert len(books.terms().items) == ITEMS_MAX - taken


def wire(
    body: Mapping[str, Json], *, tenant: str = "acme", command_id: str = "cmd_1", actor: str = "b"
) -> bytes:
    command = Command(tenant, command_id, "FinalizeInvoice", to_canonical_json(body))
    return to_wire_command(command=command, actor=actor, issued_at_ms=1)
