"""Worked examples of the requirements with real events: a customer each, all billed in one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from cli.catalogue_file import read_catalogue_file
from domain.canonical import Json, from_json, to_canonical_json
from domain.period import add_months, time_text
from projections.invoicing.replay_all import replay_all
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

CATALOGUES = Path(__file__).parents[2] / "deploy" / "catalogues"
BILLED_AT = add_months(START, months=1) + timedelta(days=1)


@dataclass(frozen=True)
class Example:
    """One customer's month.

    Args:
        plan: Plan of the catalogue that is shipped.
        events: What is used, in the order in which it is sent.
        seats: How many.
        prices: Prices of their own in place of the plan's, where the example has others than the
            catalogue.
    """

    plan: str
    events: Sequence[Event] = ()
    seats: int = 1
    prices: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True)
class Bill:
    """What an example came to, in major units.

    Args:
        lines: Amounts of the lines that are not 0, by price, in their order.
        subtotal, tax, total: Of the invoice.
    """

    lines: dict[str, Decimal]
    subtotal: Decimal
    tax: Decimal
    total: Decimal


def billed(world: World, examples: Mapping[str, Example], *, currency: str) -> dict[str, Bill]:
    """This function will subscribe everybody, send all usage, and bill the month in one run."""
    for customer, example in examples.items():
        _subscribe(world, customer, example, currency=currency)
        world.send_usage(customer, example.events)
    refused = [each for each in world.bill("", as_of=BILLED_AT) if each.code]
    assert refused == []
    equal = [each.is_equal for each in replay_all(world.settings, tenant=TENANT)]
    assert equal == [True] * len(examples)
    return {customer: _bill(world, customer) for customer in examples}


def _subscribe(world: World, customer: str, example: Example, *, currency: str) -> None:
    world.act("CreateCustomer", customer=customer, currency=currency)
    for price in example.prices:
        world.act(
            "SetPriceOverride",
            customer=customer,
            plan=example.plan,
            price=price["key"],
            document=to_canonical_json(price),
        )
    world.act(
        "CreateSubscription",
        subscription=f"sub_{customer}",
        customer=customer,
        plan=example.plan,
        start=time_text(START),
        seats=example.seats,
    )


def _bill(world: World, customer: str) -> Bill:
    ((invoice, *minor),) = world.rows(
        "SELECT invoice, subtotal_minor, tax_minor, total_minor FROM invoice WHERE customer = %s",
        customer,
    )
    lines = world.rows(
        "SELECT price, amount FROM invoice_line WHERE invoice = %s AND amount <> 0 ORDER BY line",
        invoice,
    )
    subtotal, tax, total = (Decimal(amount).scaleb(-2) for amount in minor)
    return Bill(dict(lines), subtotal, tax, total)


@contextmanager
def billed_world(
    *, kafka: str, database_admin_url: str, state_dir: Path, catalogue: str, name: str
) -> Iterator[World]:
    """Start the pipeline with a catalogue that is shipped."""
    content = from_json(read_catalogue_file(CATALOGUES / f"{catalogue}.yaml"))
    with running_world(
        kafka=kafka,
        database_admin_url=database_admin_url,
        state_dir=state_dir,
        catalogue=content,
        name=name,
    ) as running:
        yield running
