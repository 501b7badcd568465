"""An invoice that has no room for all items that wait: some go on it, the others on the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from domain import invoice_room
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.invoice import InvoiceContent, build_invoice
from domain.invoice_reading import parse_invoice_content
from tests.support.invoices import BillingBooks, per_call, tax
from tests.support.kept_books import canonical, restored

ITEMS = 8
CALLS = {"calls": "10"}
FEBRUARY = "2025-02-02T00:00:00Z"


@pytest.fixture
def books() -> BillingBooks:
    """Acme on a price of calls, with eight items of 1, 2, 3, … cents."""
    made = BillingBooks()
    made.agreed(per_call("calls", "0.10"), taxes=[tax("10")])
    for number in range(ITEMS):
        assert made.item(1 + number, item=f"itm_{number}").code == ""
    return made


def with_items(books: BillingBooks, *numbers: int) -> InvoiceContent:
    """What is next, with some of the items that wait, whatever there is room for."""
    terms = books.terms()
    items = tuple(terms.items[number] for number in numbers)
    return books.content(terms=replace(terms, items=items), usage=CALLS)


def room_for(
    monkeypatch: pytest.MonkeyPatch, books: BillingBooks, count: int, *, more: int = 0
) -> None:
    """Let contents be as large as the next one with so many items."""
    text = with_items(books, *range(count)).text
    size = len(to_canonical_json(text).encode()) + more
    monkeypatch.setattr(invoice_room, "CONTENT_BYTES_MAX", size)


def names(content: InvoiceContent) -> Sequence[str]:
    return [item.item for item in content.terms.items]


class TestNextInvoice:
    @pytest.mark.parametrize(("room", "taken"), [(8, 8), (7, 4), (4, 4), (3, 2), (1, 1), (0, 0)])
    def test_takes_the_first_of_all_half_a_quarter(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch, room: int, taken: int
    ) -> None:
        """The largest of 8, 4, 2, 1, 0 that there is room for; the books take it."""
        room_for(monkeypatch, books, room)
        content = books.billed(usage=CALLS)
        assert names(content) == [f"itm_{number}" for number in range(taken)]
        assert len(content.lines) == 1 + taken

    def test_leaves_items_out_for_a_byte(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As it stands in the command, quotes escaped: what fits exactly, fits."""
        room_for(monkeypatch, books, ITEMS, more=-1)
        assert len(names(books.content(usage=CALLS))) == ITEMS // 2

    def test_is_followed_by_one_with_the_rest(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Eight items on four invoices, in their order, each once; nothing waits after it."""
        room_for(monkeypatch, books, 5)
        billed = [
            books.billed(
                invoice=f"inv_{month}", as_of=f"2025-{month:02}-02T00:00:00Z", usage=CALLS
            )
            for month in (2, 3, 4)
        ]
        assert [names(each) for each in billed] == [
            ["itm_0", "itm_1", "itm_2", "itm_3"],
            ["itm_4", "itm_5", "itm_6", "itm_7"],
            [],
        ]
        assert not books.state.billing.waiting

    def test_is_made_though_it_has_no_room_at_all(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whether a command takes it without items is for the topic to say."""
        room_for(monkeypatch, books, 0, more=-100)
        assert names(books.billed(usage=CALLS)) == []

    def test_of_items_alone_has_one_at_least(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An invoice of nothing would be made again and again."""
        monkeypatch.setattr(invoice_room, "CONTENT_BYTES_MAX", 1)
        content = books.content("")
        assert names(content) == ["itm_0"]
        assert books.finalize(content, as_of=FEBRUARY).code == ""


class TestBooks:
    @pytest.mark.parametrize(
        "numbers",
        [
            pytest.param((0, 1), id="fewer than there is room for"),
            pytest.param((), id="none"),
            pytest.param((0, 1, 2, 3, 4), id="more than the half that there is room for"),
            pytest.param(tuple(range(ITEMS)), id="all, though there is no room"),
            pytest.param((4, 5, 6, 7), id="the later half"),
            pytest.param((1, 0, 2, 3), id="another order"),
        ],
    )
    def test_refuse_other_items_than_there_is_room_for(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...]
    ) -> None:
        """A builder has no say in which items an invoice takes along."""
        room_for(monkeypatch, books, 5)
        outcome = books.finalize(with_items(books, *numbers), as_of=FEBRUARY)
        assert (outcome.code, outcome.facts) == (Code.TERMS_DIFFER, ())
        assert outcome.reason == "the books have other terms now: items; build the content again"

    def test_refuse_a_half_where_all_fit(self, books: BillingBooks) -> None:
        """The ordinary invoice, far below the bound."""
        outcome = books.finalize(with_items(books, 0, 1, 2, 3), as_of=FEBRUARY)
        assert (outcome.code, outcome.facts) == (Code.TERMS_DIFFER, ())

    def test_make_a_correction_with_the_items_of_the_invoice(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Four went along and four wait: neither these nor the room of today change it."""
        room_for(monkeypatch, books, 5)
        first = books.billed(usage=CALLS)
        monkeypatch.undo()

        more = {"calls": "30"}
        with_all = replace(first.terms, items=(*first.terms.items, *books.terms().items))
        other = books.content(terms=with_all, usage=more, positions=(11, 20))
        assert books.correct(other).code == Code.TERMS_DIFFER
        again = books.content(terms=first.terms, usage=more, positions=(11, 20))
        outcome = books.correct(again)

        assert outcome.code == "", outcome.reason
        (found,) = books.kept("InvoiceCorrected")
        assert [each["line"] for each in found["differences"]] == ["0/calls"]
        assert names(books.content()) == [
            *(f"itm_{number}" for number in range(4, ITEMS)),
            found["items"][0],
        ]

    def test_let_all_wait_again_in_their_order_when_it_is_voided(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those that went along come first again."""
        room_for(monkeypatch, books, 5)
        books.billed(usage=CALLS)
        voided = books.send("VoidInvoice", {"invoice": "inv_1", "reason": "wrong"})
        assert voided.code == "", voided.reason
        monkeypatch.undo()
        assert names(books.content()) == [f"itm_{number}" for number in range(ITEMS)]

    def test_come_back_from_facts_as_they_were(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A restore decides nothing, whatever there is room for by then."""
        room_for(monkeypatch, books, 5)
        books.billed(usage=CALLS)
        monkeypatch.undo()
        assert canonical(restored(books.facts)) == canonical(books.fold)


def test_a_content_that_left_items_out_is_made_again_by_its_own_terms(
    books: BillingBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read back and made again it is the same bytes, whatever there is room for by then."""
    room_for(monkeypatch, books, 5)
    text = books.billed(usage=CALLS).text
    monkeypatch.undo()
    read = parse_invoice_content(text)
    catalogues = books.state.catalogues
    again = build_invoice(terms=read.terms, usage=read.usage, catalogues=catalogues, pin=read.pin)
    assert again.text == text
