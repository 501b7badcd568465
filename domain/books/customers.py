"""The customer book: who may be charged, in which currency, how, and at which prices of their own.

It holds no personal data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import Struct

from domain import rating
from domain.billing_terms import (
    DUE_DAYS_MAX,
    GRACE_HOURS_MAX,
    TaxTreatment,
    category_problems,
    region_in,
)
from domain.books import own_prices, proration, subscriptions
from domain.books.customer import (
    NO_TAX_DETAILS,
    OVERRIDES_MAX,
    Customer,
    CustomerTax,
    optional_integer,
    optional_text,
)
from domain.books.decision import Decision
from domain.books.facts import Fact, fact_of, read_fact
from domain.books.records import Command, fields_of_command
from domain.books.wallet import Account, Opening, given
from domain.canonical import from_json, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from domain.invoice import hash_text
from domain.money import minor_unit_places
from domain.overrides import Override
from domain.period import from_ms, time_text
from domain.plan import AddOn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.books.state import TenantState
    from domain.books.subscription import Subscription
    from domain.canonical import Json
    from domain.catalogue import Catalogue
    from domain.plan import Plan
    from domain.pricing.price import Price

_TERMS = ("seller", "tax", "due_days", "grace_hours")


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer CreateCustomer.

    Args:
        state: Books of the tenant.
        command: {customer: id as usage events name it, currency: ISO 4217 code, the catalogue's
            default_currency when absent, email_digest: 64 hex digits that stand for the address,
            may be absent; one customer each (S0-01); and what ChangeCustomer takes}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CustomerCreated; with a catalogue in force that has wallets in this currency, also
        WalletOpened and the sign-up bonus. A customer who was there before gets no bonus.

    Raises:
        Rejected: currency_unknown, customer_exists, email_taken or seller_unknown.
    """
    names = ("customer", "currency", "email_digest", *_TERMS)
    fields = fields_of_command(command, names=names)
    customer = fields.text("customer")
    decision = Decision(state, command, received_at_ms)
    created = _with_terms(
        state,
        fields,
        Customer(customer, _currency(state, fields), created_at=decision.moment),
    )
    if customer in state.customers:
        raise Rejected(Code.CUSTOMER_EXISTS, f"customer {customer!r} was created before")
    digest: dict[str, Json] = {}
    if "email_digest" in fields.values:
        digest["email_digest"] = _free_digest(state, fields)
    change: Mapping[str, Json] = {"kind": "created"}
    fact = _fact("CustomerCreated", created, change=change, at=decision.moment, more=digest)
    decision.facts.append(fact)
    _sign_up(decision, customer=customer, currency=created.currency)
    return decision.made()


def _currency(state: TenantState, fields: Fields) -> str:
    default = None if state.catalogue is None else state.catalogue.billing.default_currency
    currency = fields.text("currency", default=default)
    minor_unit_places(currency)
    return currency


def _with_terms(state: TenantState, fields: Fields, customer: Customer) -> Customer:
    """Return the customer with those terms that a command names; null takes one back."""
    values = fields.values
    if "seller" in values:
        seller = optional_text(fields, "seller")
        _require_seller(state, seller)
        customer = replace(customer, seller=seller)
    if "due_days" in values:
        due_days = optional_integer(fields, "due_days", maximum=DUE_DAYS_MAX)
        customer = replace(customer, due_days=due_days)
    if "grace_hours" in values:
        grace_hours = optional_integer(fields, "grace_hours", maximum=GRACE_HOURS_MAX)
        customer = replace(customer, grace_hours=grace_hours)
    if "tax" in values:
        customer = replace(customer, tax=_tax(fields))
    return customer


def _require_seller(state: TenantState, seller: str) -> None:
    sellers = () if state.catalogue is None else state.catalogue.billing.sellers
    if seller and seller not in {each.key for each in sellers}:
        raise Rejected(Code.SELLER_UNKNOWN, f"the catalogue in force has no seller {seller!r}")


def _tax(fields: Fields) -> CustomerTax:
    if fields.values.get("tax") is None:
        return NO_TAX_DETAILS
    tax = fields.object("tax")
    tax.only(("treatment", "region"))
    treatment = tax.choice("treatment", TaxTreatment, default=TaxTreatment.STANDARD)
    return CustomerTax(TaxTreatment(treatment), region_in(tax, "region"))


def _free_digest(state: TenantState, fields: Fields) -> str:
    digest = hash_text(fields, "email_digest")
    if digest in state.email_digests:
        raise Rejected(Code.EMAIL_TAKEN, "another customer has this e-mail address")
    return digest


def _sign_up(decision: Decision, *, customer: str, currency: str) -> None:
    """Open the wallet and give the bonus, where the catalogue has wallets in this currency."""
    catalogue = decision.state.catalogue
    terms = catalogue.wallet if catalogue is not None else None
    if terms is None or terms.currency != currency:
        return
    decision.open_wallet(customer=customer, currency=currency)
    if terms.signup_credits:
        grant = decision.id_of("grt", customer, "signup")
        legs = given(grant=grant, quantity=terms.signup_credits, source=Account.ISSUED)
        decision.post("signup_bonus", reference=customer, legs=legs, opens=Opening(grant))


def decide_change(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer ChangeCustomer.

    Args:
        state: Books of the tenant.
        command: {customer; and, each only to change it and null for the catalogue's: seller, tax:
            {treatment: standard, exempt or reverse_charge, region}, due_days, grace_hours}. The
            currency never changes: subscriptions, items and credit are in it.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CustomerChanged, and with another grace SubscriptionChanged for each subscription that is
        not over, whose next invoice comes at another time; nothing when all is so already.

    Raises:
        Rejected: customer_unknown, seller_unknown, or currency_differs for another currency.
    """
    fields = fields_of_command(command, names=("customer", "currency", *_TERMS))
    before = known_customer(state, fields)
    if fields.values.get("currency", before.currency) != before.currency:
        raise Rejected(
            Code.CURRENCY_DIFFERS,
            f"the customer pays in {before.currency}; another currency needs another customer",
        )
    after = _with_terms(state, fields, before)
    if after == before:
        return ()
    at = from_ms(received_at_ms)
    change: Mapping[str, Json] = {
        "kind": "terms",
        "fields": [name for name in _TERMS if getattr(after, name) != getattr(before, name)],
    }
    facts = [_fact("CustomerChanged", after, change=change, at=at)]
    if after.grace_hours != before.grace_hours:
        facts += subscriptions.regraced(state=state, customer=after, at=at)
    return tuple(facts)


def decide_override(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer SetPriceOverride: a price of one customer's own (S3-21).

    Args:
        state: Books of the tenant.
        command: {customer, plan or add_on, price: key of its price that is replaced, document:
            the price as a catalogue has it, as JSON text, or null for the catalogue's again}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CustomerChanged; it counts from the open period of each subscription on. What changes have
        charged or given back there by the old price is put right by an item or account credit.
        Fees that were charged in advance stay as they were. Nothing when it is so already.

    Raises:
        Rejected: customer_unknown, plan_unknown, add_on_unknown, price_unknown, change_limit, or
            command_invalid with the place within the document.
    """
    fields = fields_of_command(command, names=("customer", "plan", "add_on", "price", "document"))
    before = known_customer(state, fields)
    is_removed = fields.values.get("document") is None
    own = _own_price(fields, before, catalogue=state.catalogue, is_removed=is_removed)
    if not is_removed:
        own_prices.require_held(
            state=state, customer=before, own=own, place=f"{fields.place}.document"
        )
    after = before.with_override(own, is_removed=is_removed)
    if after == before:
        return ()
    if len(after.overrides) > OVERRIDES_MAX:
        raise Rejected(
            Code.CHANGE_LIMIT, f"a customer has at most {OVERRIDES_MAX} prices of their own"
        )
    change: Mapping[str, Json] = {
        "kind": "override_removed" if is_removed else "override",
        "add_on" if own.add_on else "plan": own.add_on or own.plan,
        "price": own.price,
    }
    decision = Decision(state, command, received_at_ms)
    decision.facts.append(_fact("CustomerChanged", after, change=change, at=decision.moment))
    for name in state.subscriptions_of.get(after.customer, ()):
        _post_override(
            decision, state.subscriptions[name], after=after, label=f"Own price {own.price}"
        )
    return decision.made()


def _own_price(
    fields: Fields, customer: Customer, *, catalogue: Catalogue | None, is_removed: bool
) -> Override:
    """Return the own price that a command names; one that is there goes whatever is sold now."""
    named = [name for name in ("plan", "add_on") if fields.values.get(name) is not None]
    if len(named) != 1:
        raise fields.refuse("plan", "or add_on must be named, one of the two")
    code, price = fields.text(named[0]), fields.text("price")
    plan, add_on = (code, "") if named == ["plan"] else ("", code)
    if is_removed and any(
        (each.plan, each.add_on, each.price) == (plan, add_on, price)
        for each in customer.overrides
    ):
        return Override(plan=plan, price=price, document="", add_on=add_on)
    if catalogue is None:
        raise Rejected(Code.PLAN_UNKNOWN, "no catalogue was published")
    offer = catalogue.plan(plan) if plan else catalogue.add_on(add_on)
    replaces = offer.price(price)
    if replaces is None:
        raise Rejected(Code.PRICE_UNKNOWN, f"{offer.code!r} has no price {price!r}")
    document = "" if is_removed else _price_document(fields, offer, replaces, catalogue)
    return Override(plan=plan, price=price, document=document, add_on=add_on)


def _post_override(
    decision: Decision, subscription: Subscription, *, after: Customer, label: str
) -> None:
    """Post what other own prices make of a subscription's changes."""
    if subscription.is_over:
        return
    amounts = proration.differences(
        decision.state, before=subscription, after=subscription, overrides=after.overrides
    )
    noted = proration.noted(subscription, amounts)
    if noted != subscription:
        fact = subscriptions.changed(
            state=decision.state,
            subscription=noted,
            change={"kind": "own_price"},
            at=decision.moment,
        )
        decision.facts.append(fact)
    day = subscription.period.start
    proration.post(decision, subscription=noted, amounts=amounts, day=day, label=label)


def _price_document(
    fields: Fields, offer: Plan | AddOn, replaces: Price, catalogue: Catalogue
) -> str:
    """Return the price in canonical form, once it is one that can replace the catalogue's.

    It charges the same meter: who pays for something else is on another plan.
    """
    try:
        document = from_json(fields.document("document"))
    except Rejected as error:
        raise fields.refuse("document", f"is {error.reason}") from error
    place = f"{fields.place}.document"
    price = Fields.of(document, place=place, code=Code.COMMAND_INVALID)
    found = rating.override_price(price, catalogue=catalogue)
    if found.key != replaces.key:
        raise price.refuse("key", f"must be {replaces.key!r}, the price that it replaces")
    if found.meter != replaces.meter:
        raise price.refuse("meter", f"must be that of the price it replaces: {replaces.meter!r}")
    if found.form == "seats" and isinstance(offer, AddOn):
        raise price.refuse("form", "must not be seats: an add-on has none, its quantity counts")
    for problem in category_problems(price, "tax", category=found.tax, taxes=catalogue.taxes):
        raise problem
    return to_canonical_json(document)


def known_customer(state: TenantState, fields: Fields) -> Customer:
    """This function will return the customer that a command names.

    Raises:
        Rejected: customer_unknown.
    """
    customer = state.customers.get(fields.text("customer"))
    if customer is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {fields.text('customer')!r}")
    return customer


def _fact(
    kind: str,
    customer: Customer,
    *,
    change: Mapping[str, Json],
    at: datetime,
    more: Mapping[str, Json] | None = None,
) -> Fact:
    body: dict[str, Json] = {
        "document": customer.to_json(),
        "change": change,
        "changed_at": time_text(at),
    }
    return fact_of(kind, body | dict(more or {}))


class _Said(Struct):
    """What the books keep of a customer."""

    document: Customer
    email_digest: str = ""


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will add a customer or put it in the place of what it was."""
    said = read_fact(_Said, fact)
    customer = said.document
    before = state.customers.get(customer.customer)
    if before is not None and before.overrides != customer.overrides:
        # An item or credit has put right what changed; a period that is billed again would not
        # know of it, so the last invoices can no longer be voided.
        for name in state.subscriptions_of.get(customer.customer, ()):
            state.billing.before_renewal.pop(name, None)
    state.customers[customer.customer] = customer
    if said.email_digest:
        state.hold_email(customer.customer, said.email_digest)
