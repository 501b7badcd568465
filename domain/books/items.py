"""The item book: amounts that wait for a customer's next invoice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import Struct

from domain import own_json
from domain.billing_terms import STANDARD_CATEGORY, category_problems
from domain.books.account_credit import customer_of, require_currency
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact, read_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX
from domain.invoice import AMOUNT_MINOR_MAX, LINES_MAX
from domain.invoice_terms import ITEMS_MAX, LINE_PLACES, Item, ItemKind
from domain.money import minor_unit_places
from domain.period import from_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.books.state import TenantState

WAITING_MAX = 1_000
"""Items that wait for one customer, corrections apart: an invoice full."""
CORRECTIONS_WAITING_MAX = 2 * LINES_MAX
"""Items of corrections that may wait for one customer where a further correction is taken, whole,
with one for each line that differs: those of two invoices of the most lines, some 10 MB."""


def decide_add(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer AddItem.

    Args:
        state: Books of the tenant.
        command: {item: itm_…, customer, subscription: may be absent for the customer's next
            invoice whichever, label, amount_minor: from 0, currency: the customer's, tax: a
            category of the catalogue in force or absent, start and end: may be absent for the
            received time}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ItemAdded.

    Raises:
        Rejected: customer_unknown, subscription_unknown, currency_differs, item_exists,
            item_limit or amount_limit; command_invalid, also for a category without a rate.
    """
    names = (
        *("item", "customer", "subscription", "label", "amount_minor", "currency", "tax"),
        *("start", "end"),
    )
    fields = fields_of_command(command, names=names)
    customer = customer_of(state, fields)
    require_currency(customer.currency, fields)
    subscription = fields.text("subscription") if fields.values.get("subscription") else ""
    if subscription:
        known = state.subscriptions.get(subscription)
        if known is None or known.customer != customer.customer:
            raise Rejected(
                Code.SUBSCRIPTION_UNKNOWN,
                f"{customer.customer!r} has no subscription {subscription!r}",
            )
    now = from_ms(received_at_ms)
    start = fields.time("start") if "start" in fields.values else now
    end = fields.time("end") if "end" in fields.values else start
    if end < start:
        raise fields.refuse("end", "must not lie before the start")
    tax = fields.text("tax", default=STANDARD_CATEGORY)
    taxes = () if state.catalogue is None else state.catalogue.taxes
    for problem in category_problems(fields, "tax", category=tax, taxes=taxes):
        raise problem
    decision = Decision(state, command, received_at_ms)
    add_item(
        decision,
        Item(
            item=read_id(fields, "item", prefix="itm"),
            customer=customer.customer,
            subscription=subscription,
            kind=ItemKind.ONE_OFF,
            label=fields.text("label"),
            amount_minor=fields.integer("amount_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
            tax=tax,
            start=start,
            end=end,
            added_at=now,
        ),
    )
    return decision.made()


def add_item(decision: Decision, item: Item) -> None:
    """This function will put an item on a customer's next invoice, within a decision.

    A fact that could not be applied would stop the books of every tenant of the partition, so the
    item is read here as it will be read then, and what does not fit is refused.

    Args:
        decision: What is being decided.
        item: The item; its customer exists, and below 0 are corrections alone. Its
            label is cut to what a text may have.

    Raises:
        Rejected: item_exists, item_limit, or amount_limit for more than an invoice could hold
            where it is rounded once.
    """
    billing = decision.state.billing
    item = replace(item, label=item.label[:TEXT_LENGTH_MAX])
    places = minor_unit_places(decision.state.customers[item.customer].currency)
    maximum = AMOUNT_MINOR_MAX // 10 ** (LINE_PLACES - places)
    if abs(item.amount_minor) > maximum:
        raise Rejected(Code.AMOUNT_LIMIT, f"an item comes to at most {maximum} minor units")
    Item.from_document(item.document)
    if item.item in billing.ids:
        raise Rejected(Code.ITEM_EXISTS, f"the item id {item.item} is taken")
    if item.kind is not ItemKind.CORRECTION:
        _require_room(decision.state, customer=item.customer, of_corrections=False)
    decision.add(
        "ItemAdded",
        {
            "item": item.item,
            "customer": item.customer,
            "subscription": item.subscription,
            "kind": item.kind,
            "amount_minor": item.amount_minor,
            "document": item.document,
        },
    )


def require_room_of_correction(state: TenantState, *, customer: str) -> None:
    """This function will refuse items of a further correction while too many wait (item_limit)."""
    _require_room(state, customer=customer, of_corrections=True)


def _require_room(state: TenantState, *, customer: str, of_corrections: bool) -> None:
    count_max = CORRECTIONS_WAITING_MAX if of_corrections else WAITING_MAX
    waiting = state.billing.waiting.get(customer, ())
    if len(waiting) < count_max:
        return
    found = sum((each.kind is ItemKind.CORRECTION) is of_corrections for _, each in waiting)
    if found >= count_max:
        what = "items of corrections" if of_corrections else "items"
        raise Rejected(Code.ITEM_LIMIT, f"{found} {what} wait for {customer!r}: bill them first")


def decide_remove(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer RemoveItem.

    Args:
        state: Books of the tenant.
        command: {item: itm_… that waits, reason}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ItemRemoved.

    Raises:
        Rejected: item_unknown, when it does not wait; item_kept, for a correction or what a change
            costs: less of it later would give back what nobody paid.
    """
    fields = fields_of_command(command, names=("item", "reason"))
    name = fields.text("item")
    customer = state.billing.waits_for.get(name, "")
    item = next(
        (each for _, each in state.billing.waiting.get(customer, ()) if each.item == name), None
    )
    if item is None:
        raise Rejected(Code.ITEM_UNKNOWN, f"no item {name!r} waits for an invoice")
    if item.kind in {ItemKind.CORRECTION, ItemKind.PRORATION}:
        what = f"corrects invoice {item.refers[0]}" if item.refers[0] else "is what a change costs"
        raise Rejected(Code.ITEM_KEPT, f"item {name!r} {what}: grant account credit instead")
    decision = Decision(state, command, received_at_ms)
    take_off(decision, item, reason=fields.text("reason"))
    return decision.made()


def take_off(decision: Decision, item: Item, *, reason: str) -> None:
    """This function will let go of an item that waits, within a decision."""
    decision.add("ItemRemoved", {"item": item.item, "customer": item.customer, "reason": reason})


def netted(decision: Decision, waiting_: Sequence[Item], *, amount: int, reason: str) -> int:
    """This function will net an amount against items that wait, within a decision.

    Those of the other sign are taken off, the newest first; one of which something is left makes
    way for an item of that. So what goes up and down again before anybody was asked for it is on
    no invoice.

    Args:
        decision: Where the facts go.
        waiting_: Items that wait for the same, in the order in which they were added.
        amount: Minor units; below 0 is less.
        reason: Why, for the record.

    Returns:
        What is left of the amount.
    """
    sign = 1 if amount > 0 else -1
    for item in reversed(waiting_):
        taken = min(abs(amount), -sign * item.amount_minor)
        if taken <= 0:
            continue
        amount -= sign * taken
        take_off(decision, item, reason=reason)
        left = item.amount_minor + sign * taken
        if left:
            name = decision.id_of("itm", decision.command.command_id, item.item, "rest")
            rest = replace(item, item=name, amount_minor=left, added_at=decision.moment)
            add_item(decision, rest)
    return amount


def waiting(state: TenantState, *, customer: str, subscription: str | None) -> tuple[Item, ...]:
    """This function will return what goes on an invoice, in the order in which it was added.

    Args:
        state: Books of the tenant.
        customer: Who pays.
        subscription: Subscription that is billed; None for an invoice of items alone.

    Returns:
        At most ITEMS_MAX items: those of the subscription, those of none, and those of
        subscriptions that are over: no invoice of theirs is to come, so the customer's next takes
        them along, as far as it has room for them (domain.invoice_room).
    """
    found = (
        item
        for _, item in state.billing.waiting.get(customer, ())
        if item.subscription in {"", subscription} or _is_over(state, item.subscription)
    )
    return tuple(item for item, _ in zip(found, range(ITEMS_MAX), strict=False))


def _is_over(state: TenantState, subscription: str) -> bool:
    found = state.subscriptions.get(subscription)
    return found is None or found.is_over


class _Said(Struct):
    """What the books keep of an item."""

    document: str


def apply_added(*, state: TenantState, fact: Fact) -> None:
    """This function will let the item wait."""
    item = own_json.read_as(Item, read_fact(_Said, fact).document, place="item")
    billing = state.billing
    billing.items_added += 1
    before = billing.waiting.get(item.customer, ())
    billing.waiting[item.customer] = (*before, (billing.items_added, item))
    billing.waits_for[item.item] = item.customer
    billing.ids.add(item.item)


def apply_removed(*, state: TenantState, fact: Fact) -> None:
    """This function will let go of the item; its id stays taken."""
    fields = fields_of_fact(fact)
    take_waiting(state, customer=fields.text("customer"), items={fields.text("item")})


def take_waiting(
    state: TenantState, *, customer: str, items: set[str]
) -> tuple[tuple[int, Item], ...]:
    """This function will take items out of those that wait, with their places in the order."""
    if not items:
        return ()
    before = state.billing.waiting.get(customer, ())
    for item in items:
        state.billing.waits_for.pop(item, None)
    _put(state, customer, tuple(each for each in before if each[1].item not in items))
    return tuple(each for each in before if each[1].item in items)


def let_wait(state: TenantState, *, customer: str, items: tuple[tuple[int, Item], ...]) -> None:
    """This function will let items wait again that an invoice had taken along."""
    state.billing.waits_for |= dict.fromkeys((item.item for _, item in items), customer)
    before = state.billing.waiting.get(customer, ())
    _put(state, customer, tuple(sorted((*before, *items), key=lambda each: each[0])))


def _put(state: TenantState, customer: str, items: tuple[tuple[int, Item], ...]) -> None:
    if items:
        state.billing.waiting[customer] = items
    else:
        state.billing.waiting.pop(customer, None)
