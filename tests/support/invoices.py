"""Books that bill: contents made from the state that the fold has, and commands around them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from domain.books import account_credit, items
from domain.books.billing_state import InvoiceEntry
from domain.books.facts import Outcome
from domain.books.invoice_terms_of import invoice_terms
from domain.books.state import TenantState
from domain.canonical import Json, sha256_hex
from domain.invoice import InvoiceContent, Pin, build_invoice
from domain.invoice_terms import InvoiceTerms
from domain.rated import UsageEntry
from domain.rating import selections
from tests.support import billing

DIGEST = "0" * 64
METERS: list[Json] = [
    billing.meter("calls", unit="call"),
    billing.meter("storage", aggregation="latest", unit="GB"),
]


def catalogue_text(*, version: int = 1, **parts: Any) -> str:
    """A catalogue with two meters and the parts given, for example plans=[…], taxes=[…]."""
    return json.dumps({"version": version, "meters": METERS, **parts})


def flat(key: str, amount: str, **more: Json) -> dict[str, Json]:
    return {"key": key, "form": "flat", "amount": amount, **more}


def per_call(key: str, rate: str, **more: Json) -> dict[str, Json]:
    return {"key": key, "form": "per_unit", "meter": "calls", "rate": rate, **more}


def plan(*prices: Json, code: str = "BASIC", currency: str = "USD", **more: Any) -> Json:
    return {"code": code, "name": code.title(), "currency": currency, "prices": prices, **more}


def tax(rate: str, **more: Json) -> Json:
    return {"code": "vat", "name": "VAT", "rate": rate, **more}


def pin_at(*positions: int) -> Pin:
    return Pin(
        usage_positions=positions or (10, 20),
        account_partition=0,
        account_position=7,
        usage_digest=DIGEST,
    )


def usage_of(
    terms: InvoiceTerms, state: TenantState, amounts: Mapping[str, str]
) -> tuple[UsageEntry, ...]:
    """What each price reads, in units by meter, the same in every part of the period."""
    found = selections(terms=terms, catalogues=state.catalogues)
    return tuple(
        UsageEntry(
            segment=each.segment,
            meter=each.meter,
            where=each.where,
            nanos=billing.units(amounts[each.meter]),
            events=1,
        )
        for each in dict.fromkeys(found)
        if each.meter in amounts
    )


class BillingBooks(billing.Books):
    """A books fold that is billed by what its own state says is next."""

    def agreed(
        self,
        *prices: Json,
        customer: Mapping[str, Json] | None = None,
        subscription: Mapping[str, Json] | None = None,
        currency: str = "USD",
        plan_parts: Mapping[str, Any] | None = None,
        **parts: Any,
    ) -> None:
        """Publish a catalogue with one plan of the prices and put acme on it from 2025-01-01."""
        offered = plan(*prices, currency=currency, **(plan_parts or {}))
        wanted: tuple[tuple[str, dict[str, Json]], ...] = (
            ("PublishCatalogue", {"content": catalogue_text(plans=[offered], **parts)}),
            ("CreateCustomer", {"customer": "acme", "currency": currency, **(customer or {})}),
            (
                "CreateSubscription",
                {
                    "subscription": "sub_1",
                    "customer": "acme",
                    "plan": "BASIC",
                    "start": "2025-01-01T00:00:00Z",
                    **(subscription or {}),
                },
            ),
        )
        for kind, body in wanted:
            outcome = self.send(kind, body)
            assert outcome.code == "", outcome.reason

    def grant(self, amount_minor: int, *, credit: str = "crd_1", currency: str = "USD") -> Outcome:
        body: dict[str, Json] = {
            "credit": credit,
            "customer": "acme",
            "amount_minor": amount_minor,
            "currency": currency,
            "reason": "goodwill",
        }
        return self.send("GrantAccountCredit", body)

    def item(self, amount_minor: int, *, item: str = "itm_1", **more: Any) -> Outcome:
        body: dict[str, Json] = {
            "item": item,
            "customer": "acme",
            "label": "Setup",
            "amount_minor": amount_minor,
            "currency": "USD",
            **more,
        }
        return self.send("AddItem", body)

    @property
    def state(self) -> TenantState:
        return self.fold._tenants[self.tenant]

    def terms(self, subscription: str = "sub_1", *, customer: str = "acme") -> InvoiceTerms:
        """The terms of a subscription's next invoice; of items alone for an empty name."""
        found = self.state.subscriptions[subscription] if subscription else None
        payer = found.customer if found else customer
        return invoice_terms(
            subscription=found,
            customer=self.state.customers[payer],
            items=items.waiting(self.state, customer=payer, subscription=subscription or None),
            credit=account_credit.balance(self.state, payer),
            catalogues=self.state.catalogues,
            published_at=self.state.published_at,
            tenant=self.tenant,
        )

    def content(
        self,
        subscription: str = "sub_1",
        *,
        usage: Mapping[str, str] | None = None,
        positions: Sequence[int] = (10, 20),
        customer: str = "acme",
        terms: InvoiceTerms | None = None,
    ) -> InvoiceContent:
        """What is next; with terms what they come to, as they are."""
        found = terms or self.terms(subscription, customer=customer)
        return build_invoice(
            terms=found,
            usage=usage_of(found, self.state, usage or {}),
            catalogues=self.state.catalogues,
            pin=pin_at(*positions),
            is_next=terms is None,
        )

    def finalize(self, content: InvoiceContent, *, as_of: str, invoice: str = "inv_1") -> Outcome:
        return self.send("FinalizeInvoice", finalize_body(content, as_of=as_of, invoice=invoice))

    def billed(
        self,
        *,
        as_of: str = "2025-02-02T00:00:00Z",
        invoice: str = "inv_1",
        subscription: str = "sub_1",
        usage: Mapping[str, str] | None = None,
    ) -> InvoiceContent:
        """Bill what is next, which must be taken."""
        content = self.content(subscription, usage=usage)
        outcome = self.finalize(content, as_of=as_of, invoice=invoice)
        assert outcome.code == "", outcome.reason
        return content

    def correct(
        self,
        content: InvoiceContent,
        *,
        invoice: str = "inv_1",
        correction: str = "cor_1",
        as_of: str = "2025-02-10T00:00:00Z",
    ) -> Outcome:
        body = finalize_body(content, as_of=as_of, invoice=invoice)
        return self.send("CorrectInvoice", body | {"correction": correction})

    def invoice(self, invoice: str = "inv_1") -> InvoiceEntry:
        return self.state.billing.invoices[invoice]

    def credit(self, customer: str = "acme") -> int:
        return account_credit.balance(self.state, customer).total_minor

    def kept(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of all facts of a kind, oldest first."""
        return [
            json.loads(fact.body)
            for record in self.facts
            for outcome in record.outcomes
            for fact in outcome.facts
            if fact.kind == kind
        ]

    def accounts(self) -> dict[str, int]:
        """What the postings of all customers add up to, by account."""
        sums: dict[str, int] = {}
        for posting in self.kept("MoneyPosted"):
            for leg in posting["legs"]:
                sums[leg["account"]] = sums.get(leg["account"], 0) + leg["amount_minor"]
        return sums


def finalize_body(content: InvoiceContent, *, as_of: str, invoice: str) -> dict[str, Json]:
    return {
        "invoice": invoice,
        "as_of": as_of,
        "content": content.text,
        "content_sha256": sha256_hex(content.text),
    }
