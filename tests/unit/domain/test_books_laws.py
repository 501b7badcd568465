"""Laws of the books fold: replay, idempotency, numbering, splitting; for any commands."""

import functools
import itertools
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.books.facts import BooksFacts, Outcome
from domain.books.fold import BooksFold
from domain.books.records import Command, CommandRecord
from domain.canonical import Json
from domain.codes import Code
from domain.invoice import InvoiceContent
from domain.period import Period
from domain.usage.records import Unreadable
from tests.support import billing
from tests.support.kept_books import canonical, through_checkpoint

CATALOGUES = {version: billing.s1_catalogue(version) for version in (1, 2)}
CUSTOMERS = {"sub_1": "acme", "sub_2": "beta"}
BOUNDS = [billing.moment(day) for day in ("2025-10-31", "2025-11-30", "2025-12-31", "2026-01-31")]
"""Months from the 31st on (G-05)."""


def finalize(subscription: str, *, index: int, version: int, invoice: str, as_of: str) -> Json:
    content = empty_month(subscription, index, version)
    return billing.finalize(content, as_of=as_of, invoice_id=invoice)


@functools.cache
def empty_month(subscription: str, index: int, version: int) -> InvoiceContent:
    """A month of the subscription without usage, as its books would have it."""
    prices, billed = CATALOGUES[version], Period(BOUNDS[index], BOUNDS[index + 1])
    whole = billing.segment(prices=prices, billed=billed)
    terms = billing.terms_of(
        whole,
        prices=prices,
        fees=whole,
        subscription=subscription,
        customer=CUSTOMERS[subscription],
    )
    return billing.content_of(
        prices=prices, billed=billed, terms=replace(terms, period_index=index)
    )


places = st.integers(0, 20)
subscriptions = st.sampled_from(["sub_1", "sub_2"])
WISHES: tuple[tuple[str, Any], ...] = (
    *(("PublishCatalogue", {"content": CATALOGUES[version].content}) for version in (1, 2)),
    *(
        ("CreateCustomer", {"customer": "acme", "currency": currency, "grace_hours": 0})
        for currency in ("CAD", "ABC")
    ),
    *(
        (
            "CreateSubscription",
            {
                "subscription": subscription,
                "customer": CUSTOMERS[subscription],
                "plan": plan,
                "start": "2025-10-31T00:00:00Z",
            },
        )
        for subscription in ("sub_1", "sub_2")
        for plan in ("PRO", "GOLD")
    ),
    ("CreateApiKey", {"key_id": "key_1", "secret_sha256": "0" * 64, "label": "x"}),
    ("RevokeApiKey", {"key_id": "key_1"}),
    ("Nonsense", {"a": 1}),
)
INVOICES: tuple[tuple[str, Any], ...] = tuple(
    (
        "FinalizeInvoice",
        finalize(subscription, index=index, version=version, invoice=invoice, as_of=as_of),
    )
    for subscription in ("sub_1", "sub_2")
    for index in (0, 1, 2)
    for version in (1, 2)
    for invoice in ("inv_1", "inv_2")
    for as_of in ("2025-12-31T00:00:00Z", "2026-03-01T00:00:00Z")
)
wishes = st.sampled_from(WISHES) | st.sampled_from(INVOICES)
OPENING: tuple[tuple[str, Any], ...] = (
    ("PublishCatalogue", {"content": CATALOGUES[1].content}),
    *(
        ("CreateCustomer", {"customer": customer, "currency": "CAD", "grace_hours": 0})
        for customer in CUSTOMERS.values()
    ),
    *(
        (
            "CreateSubscription",
            {
                "subscription": subscription,
                "customer": CUSTOMERS[subscription],
                "plan": "PRO",
                "start": "2025-10-31T00:00:00Z",
            },
        )
        for subscription in ("sub_1", "sub_2")
    ),
)


@st.composite
def invoices(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """The invoices of both subscriptions in an order that the books accept, issued in any year."""
    indexes = {"sub_1": 0, "sub_2": 0}
    made: list[tuple[str, Any]] = []
    for subscription in draw(st.lists(subscriptions, min_size=1, max_size=3)):
        index = indexes[subscription]
        indexes[subscription] += 1
        body = finalize(
            subscription,
            index=index,
            version=1,
            invoice=f"inv_{subscription}_{index}",
            as_of=f"{draw(st.sampled_from([2026, 2027]))}-12-31T00:00:00Z",
        )
        made.append(("FinalizeInvoice", body))
    return made


@st.composite
def streams(draw: st.DrawFn) -> tuple[CommandRecord, ...]:
    """Commands of a tenant: right ones in order, any others between them, some ids used twice.

    Mostly the opening comes first and whole; without it refusals are met in other places.
    """
    opening = () if draw(st.integers(0, 9)) == 9 else OPENING
    right = [*draw(invoices())]
    for place, wish in draw(st.lists(st.tuples(places, wishes), max_size=6)):
        right.insert(place, wish)
    later = [*right]
    for source, target in draw(st.lists(st.tuples(places, places), max_size=2)):
        later[target:target] = right[source : source + 1]
    # An id is mostly that of its own content, so a repeat repeats; now and then it is taken.
    taken = draw(st.sets(places, max_size=3))
    torn = draw(st.sets(places, max_size=2))
    records = []
    for offset, (kind, body) in enumerate([*opening, *later]):
        place = offset - len(opening)
        text = json.dumps(body)
        number = 0 if place in taken else hash_of(kind, text)
        records.append(
            CommandRecord(
                offset=offset,
                received_at_ms=1_000 - offset % 7,
                body=Unreadable(Code.UNDECODABLE, "torn")
                if place in torn
                else Command("tenant", f"cmd_{number}", kind, text),
            )
        )
    return tuple(records)


def hash_of(kind: str, text: str) -> int:
    return zlib.crc32(f"{kind} {text}".encode())


def new_fold() -> BooksFold:
    return BooksFold(partition=0, partitions=1)


def run(
    fold: BooksFold, records: Sequence[CommandRecord], *, cuts: Sequence[int] = ()
) -> list[BooksFacts]:
    """Fold the records in steps that begin at the cuts."""
    if not records:
        return []
    first = records[0].offset
    inner = {cut for cut in cuts if 0 < cut < len(records)}
    bounds = [0, *sorted(inner), len(records)]
    return [
        fold.step(records[low:high], from_offset=first + low, to_offset=first + high)
        for low, high in itertools.pairwise(bounds)
    ]


def outcomes_of(made: Sequence[BooksFacts]) -> list[Outcome]:
    return [outcome for facts in made for outcome in facts.outcomes]


class TestReplay:
    @given(streams(), st.data())
    def test_restored_books_decide_as_the_first_ones(
        self, records: tuple[CommandRecord, ...], data: st.DataObject
    ) -> None:
        """Whoever reads the facts reaches the same state and gives the same later answers."""
        cut = data.draw(st.integers(0, len(records)))
        live, restored = new_fold(), new_fold()
        for facts in run(live, records[:cut]):
            restored.restore(facts)
        assert live._tenants == restored._tenants
        assert run(live, records[cut:]) == run(restored, records[cut:])

    @given(streams(), st.data())
    def test_books_of_a_checkpoint_decide_as_the_first_ones(
        self, records: tuple[CommandRecord, ...], data: st.DataObject
    ) -> None:
        """state(checkpoint) + later facts == state(all facts), wherever the checkpoint was cut."""
        made = run(new_fold(), records, cuts=data.draw(st.lists(st.integers(1, 16), max_size=5)))
        cut = data.draw(st.integers(0, len(made)))
        between = data.draw(st.integers(1, 6))
        live = new_fold()
        for facts in made:
            live.restore(facts)
        kept = through_checkpoint(made, cut=cut, facts_between=between)
        assert canonical(kept) == canonical(live)
        later = tuple(replace(each, offset=each.offset + len(records)) for each in records)
        assert run(live, later) == run(kept, later)


class TestSplitting:
    @given(streams(), st.lists(st.integers(1, 16), max_size=5))
    def test_any_split_into_steps_gives_the_same_outcomes(
        self, records: tuple[CommandRecord, ...], cuts: list[int]
    ) -> None:
        """How records fall into micro-batches is chance and decides nothing."""
        whole, parts = run(new_fold(), records), run(new_fold(), records, cuts=cuts)
        assert outcomes_of(whole) == outcomes_of(parts)
        assert [reject for facts in whole for reject in facts.rejects] == [
            reject for facts in parts for reject in facts.rejects
        ]


class TestIdempotency:
    @given(streams())
    def test_sending_everything_again_changes_nothing(
        self, records: tuple[CommandRecord, ...]
    ) -> None:
        """Each id moves the books once at most, and answers as at first ever after."""
        fold = new_fold()
        first = outcomes_of(run(fold, records))
        again = outcomes_of(
            run(
                fold,
                [replace(record, offset=record.offset + len(records)) for record in records],
            )
        )
        assert not any(outcome.facts for outcome in again)
        moved = [outcome.command_id for outcome in first if outcome.facts]
        assert len(moved) == len(set(moved))
        assert [(outcome.code, outcome.reason) for outcome in first] == [
            (outcome.code, outcome.reason) for outcome in again
        ]


class TestNumbering:
    @given(streams())
    def test_is_gapless_whatever_comes_between(self, records: tuple[CommandRecord, ...]) -> None:
        """Refusals, repeats and unreadable records use up no number; each year counts from 1."""
        numbers: dict[str, list[int]] = {}
        periods = []
        for outcome in outcomes_of(run(new_fold(), records)):
            for kind, body in billing.bodies(outcome):
                if kind == "InvoiceFinalized":
                    _, year, count = str(body["number"]).split("-")
                    numbers.setdefault(year, []).append(int(count))
                    assert str(body["issued_at"]).startswith(year)
                    period: Any = body["period"]
                    periods.append((body["subscription"], period["index"]))
        for counts in numbers.values():
            assert counts == list(range(1, len(counts) + 1))
        assert len(periods) == len(set(periods))

    def test_the_streams_of_these_laws_reach_invoices(self) -> None:
        """Two subscriptions, two years, refusals in between: the laws are not about nothing."""
        chosen = [
            *OPENING,
            *(
                (
                    "FinalizeInvoice",
                    finalize(
                        subscription, index=index, version=1, invoice=f"inv_{number}", as_of=as_of
                    ),
                )
                for number, (subscription, index, as_of) in enumerate(
                    [
                        ("sub_1", 0, "2025-12-31T00:00:00Z"),
                        ("sub_1", 0, "2025-12-31T00:00:00Z"),
                        ("sub_2", 0, "2026-03-01T00:00:00Z"),
                        ("sub_2", 1, "2025-12-31T00:00:00Z"),
                        ("sub_1", 1, "2025-12-31T00:00:00Z"),
                        ("sub_1", 2, "2026-03-01T00:00:00Z"),
                    ]
                )
            ),
        ]
        records = [
            CommandRecord(offset, 0, Command("tenant", f"cmd_{offset}", kind, json.dumps(body)))
            for offset, (kind, body) in enumerate(chosen)
        ]
        outcomes = outcomes_of(run(new_fold(), records))[len(OPENING) :]
        assert [
            billing.bodies(outcome)[0][1]["number"] if outcome.facts else outcome.code
            for outcome in outcomes
        ] == [
            "INV-2025-000001",
            Code.INVOICE_EXISTS,
            "INV-2026-000001",
            "INV-2025-000002",
            "INV-2025-000003",
            "INV-2026-000002",
        ]
