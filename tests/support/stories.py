"""Stories of subscriptions, told day by day against the real books, for people who know money.

A story sends commands as of a day, bills whatever is due up to a day, and writes down what
happened in lines that finance can check with a pocket calculator.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from domain import invoice_usage
from domain.aggregation.window_row import WindowRow
from domain.books.account_credit import balance
from domain.books.customer import Customer
from domain.books.facts import Outcome
from domain.books.invoice_terms_of import invoice_terms, next_invoice_at
from domain.books.items import waiting
from domain.books.state import TenantState
from domain.books.subscription import Subscription
from domain.canonical import Json
from domain.invoice import InvoiceContent
from domain.invoice_terms import Item
from domain.money import minor_text
from domain.period import time_text
from domain.usage.segment_rows import segment_rows
from tests.support.billing import Books, bodies, meter, moment, window

CUSTOMER = "acme"
CATALOGUE: dict[str, Json] = {
    "billing": {"grace_hours": 0, "due_days": 30},
    "meters": [
        meter("calls", unit="call"),
        meter("assets", aggregation="latest", unit="asset"),
        {**meter("jobs", unit="job"), "group_by": ["site", "team"]},  # type: ignore[dict-item]
    ],
    "discounts": [
        {"code": "launch", "name": "Launch", "kind": "percent", "value": "20", "periods": 3},
        {"code": "loyal", "name": "Loyal", "kind": "percent", "value": "10"},
    ],
    "add_ons": [
        {
            "code": "support",
            "name": "Support",
            "currency": "CAD",
            "prices": [{"key": "fee", "form": "flat", "amount": "62"}],
        }
    ],
}


def plan(code: str, fee: str, **more: Json) -> Json:
    """A plan with a fee and nothing else, unless said."""
    prices: list[Json] = [{"key": "base", "form": "flat", "amount": fee}]
    known = {"code": code, "name": code.title(), "currency": "CAD", "prices": prices}
    extra = more.pop("also", ())
    return {**known, **more, "prices": [*prices, *extra]}  # type: ignore[misc]


CALLS: Json = {
    "key": "calls",
    "form": "per_unit",
    "meter": "calls",
    "included": "3100",
    "rate": "0.10",
}
SEATS: Json = {"key": "seats", "form": "seats", "amount": "31", "included": "2"}


class Story:
    """One customer's life with one tenant's catalogue.

    Args:
        plans: Plans of catalogue version 1.
        more: Other parts of the catalogue, in place of those of CATALOGUE.
        currency: What the customer pays in.
    """

    def __init__(
        self, *plans: Json, more: Mapping[str, Json] | None = None, currency: str = "CAD"
    ) -> None:
        self.books = Books()
        self.windows: list[WindowRow] = []
        self.invoices: list[InvoiceContent] = []
        self.told: list[str] = []
        self.publish(1, *plans, more=more)
        self.accepted("CreateCustomer", {"customer": CUSTOMER, "currency": currency})

    def publish(
        self,
        version: int,
        *plans: Json,
        more: Mapping[str, Json] | None = None,
        on: str = "2020-01-01",
    ) -> Outcome:
        """Publish a catalogue version on a day."""
        content = {**CATALOGUE, **dict(more or {}), "version": version, "plans": list(plans)}
        return self.books.send(
            "PublishCatalogue", {"content": json.dumps(content)}, received_at=on
        )

    @property
    def state(self) -> TenantState:
        """The books as they stand."""
        return self.books.fold._state_of(self.books.tenant)

    def subscription(self, name: str = "sub_1") -> Subscription:
        return self.state.subscriptions[name]

    @property
    def customer(self) -> Customer:
        return self.state.customers[CUSTOMER]

    @property
    def credit_minor(self) -> int:
        """Account credit that is left."""
        return balance(self.state, CUSTOMER).total_minor

    def sent(self, kind: str, body: Mapping[str, Json], *, on: str = "2025-01-01") -> Outcome:
        """Send a command that may be refused."""
        return self.books.send(kind, body, received_at=on)

    def accepted(self, kind: str, body: Mapping[str, Json], *, on: str = "2025-01-01") -> Outcome:
        """Send a command that must be taken."""
        outcome = self.sent(kind, body, on=on)
        assert outcome.code == "", f"{kind}: {outcome.reason}"
        return outcome

    def subscribe(
        self, plan_code: str, *, start: str, name: str = "sub_1", **more: Json
    ) -> Outcome:
        body: dict[str, Json] = {
            "subscription": name,
            "customer": CUSTOMER,
            "plan": plan_code,
            "start": time_text(moment(start)),
            **more,
        }
        return self.accepted("CreateSubscription", body, on=start)

    def change(self, kind: str, *, on: str, name: str = "sub_1", **more: Json) -> Outcome:
        """Change a subscription on a day, and note what it costs or gives back."""
        body: dict[str, Json] = {"subscription": name, **more}
        if kind != "GrantDiscount":
            body["as_of"] = time_text(moment(on))
        outcome = self.accepted(kind, body, on=on)
        for fact, made in bodies(outcome):
            if fact == "ItemAdded":
                item = Item.from_document(str(made["document"]))
                self.told.append(f"{on} item {item.label}: {self._money(item.amount_minor)}")
            if fact == "AccountCreditGranted":
                amount = self._money(made["amount_minor"])
                self.told.append(f"{on} credit {made['reason']}: {amount}")
        return outcome

    def use(self, meter_key: str, *, at: str, value: str = "1", **dimensions: str) -> None:
        """Count usage in the first hour of a day."""
        self.windows.append(
            window(meter_key, at=at, value=value, dimensions=dimensions, offset=len(self.windows))
        )

    def bill(self, until: str, *, name: str = "sub_1") -> None:
        """Make every invoice of a subscription that is due up to a day, at the time it is due."""
        while True:
            due = self.due(name)
            if due is None or due > moment(until):
                return
            self._bill(name, as_of=due)

    def bill_all(self, until: str) -> None:
        """Make every invoice of all subscriptions, in the order of their times."""
        while True:
            dues = sorted(
                (due, name) for name in self.state.subscriptions if (due := self.due(name))
            )
            if not dues or dues[0][0] > moment(until):
                return
            self._bill(dues[0][1], as_of=dues[0][0])

    def due(self, name: str = "sub_1") -> datetime | None:
        """When the next invoice can be made."""
        subscription = self.subscription(name)
        version = subscription.phase_at(subscription.period.start).catalogue_version
        return next_invoice_at(
            subscription=subscription,
            customer=self.customer,
            billing=self.state.catalogues[version].billing,
        )

    def content(self, name: str = "sub_1") -> InvoiceContent:
        """What the next invoice would be."""
        state, subscription = self.state, self.subscription(name)
        terms = invoice_terms(
            subscription=subscription,
            customer=self.customer,
            items=waiting(state, customer=CUSTOMER, subscription=name),
            credit=balance(state, CUSTOMER),
            catalogues=state.catalogues,
            published_at=state.published_at,
            tenant=state.tenant,
        )
        parts = invoice_usage.parts_of(terms, catalogues=state.catalogues)
        return invoice_usage.content_of(
            terms=terms,
            rows=segment_rows(self.windows, parts=parts),
            catalogues=state.catalogues,
            usage_positions=(len(self.windows),),
            account_partition=0,
            account_position=len(self.books.records),
            is_next=True,
        )

    def _bill(self, name: str, *, as_of: datetime) -> None:
        content = self.content(name)
        outcome = self.books.send(
            "FinalizeInvoice",
            {
                "invoice": f"inv_{len(self.invoices) + 1}",
                "as_of": time_text(as_of),
                "content": content.text,
                "content_sha256": content.sha256,
            },
            received_at=as_of.date().isoformat(),
        )
        assert outcome.code == "", outcome.reason
        self.invoices.append(content)
        self.told.append(self._line(name, content, as_of=as_of))

    def _line(self, name: str, content: InvoiceContent, *, as_of: datetime) -> str:
        terms, totals = content.terms, content.totals
        assert terms.period is not None
        span = f"{terms.period.start.date()} to {terms.period.end.date()}"
        parts = [
            f"{line.price or line.label} {self._money(line.amount)}"
            for line in content.lines
            if line.amount
        ]
        if totals.discount:
            parts.append(f"discount -{self._money(totals.discount)}")
        if totals.credit_minor:
            parts.append(f"account credit -{self._money(totals.credit_minor)}")
        what = f"{as_of.date()} {name} {terms.kind} {span}"
        return f"{what}: {', '.join(parts) or 'nothing'} = {self._money(totals.total_minor)}"

    def _money(self, amount_minor: object) -> str:
        assert isinstance(amount_minor, int)
        return minor_text(amount_minor=amount_minor, currency=self.customer.currency)
