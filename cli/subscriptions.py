"""Commands for subscriptions and plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cli.books import Tenant, send, subscription_app
from cli.counting import counted
from cli.operate import load_settings
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from domain.period import time_text
from domain.recurring import totals
from projections.queries import clocks, plans, recurring, subscriptions
from projections.queries.connection import tenant_connection
from projections.queries.paging import PAGE_ROWS_MAX
from runtime import postgres
from runtime.commands import CommandSender
from runtime.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import sqlalchemy

    from domain.canonical import Json
    from domain.recurring import RecurringRevenue
    from projections.queries.subscriptions import Subscription

Answer = TypeVar("Answer")

AsOf = Annotated[
    str, typer.Option(help="When it is made, RFC 3339; now without it. It counts from 00:00 UTC.")
]
When = Annotated[str, typer.Option(help="now, or period_end.")]


@subscription_app.command("create")
def subscription_create(  # noqa: PLR0913 -- the options of a command
    customer: str,
    plan: str,
    start: Annotated[str, typer.Argument(help="First day, RFC 3339 at 00:00:00 UTC.")],
    *,
    end: Annotated[str, typer.Option(help="First day that it no longer serves.")] = "",
    seats: Annotated[int, typer.Option(help="Seats.", min=0)] = 1,
    add_on: Annotated[
        list[str] | None, typer.Option(metavar="CODE=QUANTITY", help="Repeat it for more.")
    ] = None,
    trial_days: Annotated[int, typer.Option(help="-1 for the plan's.", min=-1)] = -1,
    cycle: Annotated[str, typer.Option(help="anniversary or calendar.")] = "",
    discount: Annotated[list[str] | None, typer.Option(help="Code; repeat it for more.")] = None,
    dimension: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Only usage with this value; repeat for more."),
    ] = None,
    tenant: Tenant = "",
) -> None:
    """Subscribe a customer to a plan from a day on, and print the subscription's id.

    The same command again is the same wish: it makes no second subscription.
    """
    settings = load_settings("subscription")
    tenant = tenant or settings.tenant
    body: dict[str, Json] = {"customer": customer, "plan": plan, "start": start, "seats": seats}
    if end:
        body["end"] = end
    if add_on:
        body["add_ons"] = [
            {"code": code, "quantity": _whole(count)} for code, count in _pairs(add_on)
        ]
    if trial_days >= 0:
        body["trial_days"] = trial_days
    if cycle:
        body["cycle"] = cycle
    if discount:
        body["discounts"] = list(discount)
    if dimension:
        body["dimensions"] = dict(_pairs(dimension))
    identity = (tenant, to_canonical_json(body))
    subscription = derived_id("sub", *identity)
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant,
        command_id=derived_id("cmd", "subscription", *identity),
        kind="CreateSubscription",
        body={**body, "subscription": subscription},
    )
    typer.echo(subscription)


@subscription_app.command("change-plan")
def subscription_change_plan(
    subscription: str, plan: str, when: When = "now", as_of: AsOf = "", tenant: Tenant = ""
) -> None:
    """Upgrade or downgrade; fees of a change within a period are prorated by days."""
    _change("ChangePlan", subscription, {"plan": plan, "when": when}, as_of=as_of, tenant=tenant)


@subscription_app.command("seats")
def subscription_seats(
    subscription: str,
    seats: Annotated[int, typer.Argument(min=0)],
    when: When = "now",
    as_of: AsOf = "",
    tenant: Tenant = "",
) -> None:
    """Change the number of seats."""
    body: dict[str, Json] = {"seats": seats, "when": when}
    _change("ChangeSeats", subscription, body, as_of=as_of, tenant=tenant)


@subscription_app.command("add-on")
def subscription_add_on(
    subscription: str,
    add_on: str,
    quantity: Annotated[int, typer.Argument(min=0, help="0 drops it.")] = 1,
    when: When = "now",
    as_of: AsOf = "",
    tenant: Tenant = "",
) -> None:
    """Add, change or drop an add-on."""
    body: dict[str, Json] = {"add_on": add_on, "quantity": quantity, "when": when}
    _change("SetAddOn", subscription, body, as_of=as_of, tenant=tenant)


@subscription_app.command("discount")
def subscription_discount(subscription: str, discount: str, tenant: Tenant = "") -> None:
    """Grant a discount of the catalogue in force."""
    _change("GrantDiscount", subscription, {"discount": discount}, as_of="", tenant=tenant)


@subscription_app.command("cancel")
def subscription_cancel(
    subscription: str, when: When = "period_end", as_of: AsOf = "", tenant: Tenant = ""
) -> None:
    """Cancel at the end of the period, or with --when now at the end of the day."""
    _change("CancelSubscription", subscription, {"when": when}, as_of=as_of, tenant=tenant)


@subscription_app.command("undo-cancel")
def subscription_undo(subscription: str, as_of: AsOf = "", tenant: Tenant = "") -> None:
    """Take a cancellation back before it counts."""
    _change("UndoCancel", subscription, {}, as_of=as_of, tenant=tenant)


@subscription_app.command("pause")
def subscription_pause(subscription: str, as_of: AsOf = "", tenant: Tenant = "") -> None:
    """Pause: no fees, and usage is counted and not billed."""
    _change("PauseSubscription", subscription, {}, as_of=as_of, tenant=tenant)


@subscription_app.command("resume")
def subscription_resume(subscription: str, as_of: AsOf = "", tenant: Tenant = "") -> None:
    """Resume after a pause."""
    _change("ResumeSubscription", subscription, {}, as_of=as_of, tenant=tenant)


@subscription_app.command("list")
def subscription_list(
    customer: Annotated[str, typer.Option(help="Only this customer's.")] = "",
    after: Annotated[str, typer.Option(help="Id after which the page starts.")] = "",
    tenant: Tenant = "",
) -> None:
    """List subscriptions by id, a page at a time."""

    def read(connection: sqlalchemy.Connection) -> tuple[tuple[Subscription, ...], datetime, bool]:
        page = subscriptions.list_subscriptions(
            connection, limit=PAGE_ROWS_MAX, after=after or None, customer=customer or None
        )
        return page.rows, clocks.tenant_now(connection), page.has_more

    rows, now, has_more = _read(read, tenant=tenant)
    for row in rows:
        agreed = row.agreed
        held = agreed.phase_at(max(now, agreed.period.start))
        period = f"{agreed.period.start.date()} to {agreed.period.end.date()}"
        typer.echo(
            f"{agreed.subscription}  {agreed.customer}  {agreed.status_at(now)}  {held.plan}, "
            f"{counted(held.seats, 'seat')}, {'over' if agreed.is_over else period}, next invoice "
            f"{_or_none(row.next_invoice_at) or 'never'}"
        )
    if has_more:
        typer.echo(f"more follow: --after {rows[-1].subscription}")


@subscription_app.command("show")
def subscription_show(subscription: str, tenant: Tenant = "") -> None:
    """Show one subscription: what holds, what is planned, and what happened."""

    def read(
        connection: sqlalchemy.Connection,
    ) -> tuple[Subscription | None, datetime, tuple[subscriptions.SubscriptionChange, ...]]:
        found = subscriptions.find_subscription(connection, subscription=subscription)
        page = subscriptions.list_changes(
            connection, subscription=subscription, limit=PAGE_ROWS_MAX, after=None
        )
        return found, clocks.tenant_now(connection), page.rows

    found, now, changes = _read(read, tenant=tenant)
    if found is None:
        raise Rejected(Code.SUBSCRIPTION_UNKNOWN, f"there is no subscription {subscription!r}")
    agreed = found.agreed
    typer.echo(f"{agreed.subscription} of {agreed.customer}: {agreed.status_at(now)}")
    typer.echo(
        f"period {agreed.period_index}: {time_text(agreed.period.start)} to "
        f"{time_text(agreed.period.end)}, fees {agreed.fees}, cycle {agreed.cycle}"
    )
    following = _or_none(found.next_invoice_at)
    typer.echo(f"next invoice from {following}" if following else "no next invoice")
    for phase in agreed.phases:
        add_ons = ", ".join(f"{count} {code}" for code, count in phase.add_ons)
        typer.echo(
            f"from {phase.start.date()}: {phase.plan} by the {phase.interval}, "
            f"{counted(phase.seats, 'seat')}{f', {add_ons}' if add_ons else ''}"
            f"{', paused' if phase.is_paused else ''}, catalogue {phase.catalogue_version}"
        )
    if agreed.ends_at is not None:
        typer.echo(f"ends at {time_text(agreed.ends_at)}")
    for change in changes:
        typer.echo(f"{time_text(change.changed_at)}  {change.kind}{_said(change.change)}")


def _said(change: Json) -> str:
    """What the books noted of a change, on one line."""
    if not isinstance(change, dict):
        return ""
    told = (f"{name} {value}" for name, value in change.items() if name != "kind")
    return "".join(f", {each}" for each in told)


def plan_list(tenant: Tenant = "") -> None:
    """List the plans that the catalogue in force sells."""
    sold = _read(plans.list_plans, tenant=tenant)
    if not sold:
        typer.echo("no catalogue in force sells a plan; `tidegauge catalogue publish` brings one")
    for each in sold:
        plan = each.plan
        prices = ", ".join(price.key for price in plan.prices)
        popular = ", popular" if plan.is_popular else ""
        trial = f", {plan.trial_days} days of trial" if plan.trial_days else ""
        typer.echo(
            f"{plan.code}  {plan.name}  {plan.currency} by the {plan.interval}, fees {each.fees}"
            f"{trial}{popular}: {prices}"
        )


def recurring_revenue(tenant: Tenant = "") -> None:
    """Show the active subscriptions and what they come to a month and a year, by plan."""

    def read(connection: sqlalchemy.Connection) -> tuple[RecurringRevenue, ...]:
        return recurring.recurring_revenue(connection, moment=clocks.tenant_now(connection))

    found = _read(read, tenant=tenant)
    for each in (*found, *totals(found)):
        typer.echo(
            f"{each.plan or 'all plans'}: {each.subscriptions} active, {each.annual.currency} "
            f"{each.monthly.text()} a month, {each.annual.text()} a year"
        )


def _pairs(values: list[str]) -> list[tuple[str, str]]:
    pairs = [value.partition("=") for value in values]
    if any(not name or not separator for name, separator, _ in pairs):
        raise typer.BadParameter("write NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise typer.BadParameter(f"{text!r} is no whole number")
    return int(text)


def _or_none(moment: datetime | None) -> str:
    return "" if moment is None else time_text(moment)


def _read(query: Callable[[sqlalchemy.Connection], Answer], *, tenant: str) -> Answer:
    settings = load_settings("subscription")
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant or settings.tenant) as connection:
            return query(connection)
    finally:
        engine.dispose()


def _change(
    kind: str, subscription: str, body: dict[str, Json], *, as_of: str, tenant: str
) -> None:
    settings = load_settings("subscription")
    tenant = tenant or settings.tenant
    moment: dict[str, Json] = {"as_of": as_of} if as_of else {}
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant,
        command_id=new_id("cmd"),
        kind=kind,
        body={"subscription": subscription, **body, **moment},
    )
    subscription_show(subscription, tenant=tenant)


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(subscription_app, name="subscription")
    app.command("plans")(plan_list)
    app.command("recurring")(recurring_revenue)
