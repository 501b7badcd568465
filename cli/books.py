"""Commands that change the books: catalogue, customers, subscriptions, API keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from api.keys import new_api_key
from cli.operate import load_settings
from domain.canonical import Json, to_canonical_json
from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.errors import Rejected
from projections.invoicing.builder import await_outcome
from runtime.commands import CommandSender
from runtime.ids import derived_id, new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.settings import Settings

catalogue_app = typer.Typer(help="Meters and plans.", no_args_is_help=True)
customer_app = typer.Typer(help="Customers.", no_args_is_help=True)
subscription_app = typer.Typer(help="Subscriptions.", no_args_is_help=True)
key_app = typer.Typer(help="API keys.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="Tenant; default is TIDEGAUGE_TENANT.")]


def read_catalogue_file(path: Path) -> str:
    """This function will read a catalogue document as canonical JSON.

    Every scalar of the YAML stays text, so decimals are exact; version alone is a number.

    Raises:
        Rejected: catalogue_invalid, with the place of what is wrong.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 -- BaseLoader makes text only
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Rejected(Code.CATALOGUE_INVALID, f"{path}: {error}") from error
    if isinstance(document, dict) and str(document.get("version", "")).isdecimal():
        document["version"] = int(document["version"])
    return parse_catalogue(to_canonical_json(document)).content


def publish_catalogue(
    settings: Settings, sender: CommandSender, *, tenant: str, content: str
) -> int:
    """This function will publish a catalogue to the books and to every usage partition.

    The books decide first: what they refuse never reaches the folds.

    Returns:
        The version.

    Raises:
        Rejected: When the books refuse it.
        Retryable: broker_away, database_away or command_timeout; publishing again is safe.
    """
    catalogue = parse_catalogue(content)
    send(
        settings,
        sender,
        tenant=tenant,
        command_id=derived_id("cmd", "publish", tenant, catalogue.sha256),
        kind="PublishCatalogue",
        body={"content": catalogue.content},
    )
    sender.publish_catalogue(tenant=tenant, version=catalogue.version, content=catalogue.content)
    return catalogue.version


def send(
    settings: Settings,
    sender: CommandSender,
    *,
    tenant: str,
    command_id: str,
    kind: str,
    body: Mapping[str, Json],
) -> None:
    """This function will send a command and wait until its outcome is visible.

    Raises:
        Rejected: With the books' code, when they refuse it.
        Retryable: broker_away, database_away or command_timeout.
    """
    offset = sender.send(tenant=tenant, command_id=command_id, kind=kind, body=body)
    code, reason = await_outcome(settings, tenant=tenant, source_offset=offset)
    if code:
        raise Rejected(Code(code), reason)


def create_api_key(settings: Settings, sender: CommandSender, *, tenant: str, label: str) -> str:
    """This function will make an API key; only its hash is kept, so it is shown once."""
    key = new_api_key()
    send(
        settings,
        sender,
        tenant=tenant,
        command_id=new_id("cmd"),
        kind="CreateApiKey",
        body={"key_id": key.key_id, "secret_sha256": key.secret_sha256, "label": label},
    )
    return key.key


@catalogue_app.command("publish")
def catalogue_publish(file: Path, tenant: Tenant = "") -> None:
    """Publish a catalogue document (YAML or JSON)."""
    settings = load_settings("catalogue")
    sender = CommandSender(settings, actor="cli")
    version = publish_catalogue(
        settings, sender, tenant=tenant or settings.tenant, content=read_catalogue_file(file)
    )
    typer.echo(f"catalogue version {version} is in force")


@catalogue_app.command("check")
def catalogue_check(file: Path) -> None:
    """Check a catalogue document without publishing it."""
    catalogue = parse_catalogue(read_catalogue_file(file))
    typer.echo(
        f"version {catalogue.version}: {len(catalogue.meters)} meters, "
        f"{len(catalogue.plans)} plans, sha256 {catalogue.sha256}"
    )


@customer_app.command("create")
def customer_create(customer: str, currency: str, tenant: Tenant = "") -> None:
    """Create a customer who pays in a currency (ISO 4217)."""
    settings = load_settings("customer")
    tenant = tenant or settings.tenant
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant,
        command_id=derived_id("cmd", "customer", tenant, customer, currency),
        kind="CreateCustomer",
        body={"customer": customer, "currency": currency},
    )
    typer.echo(f"customer {customer} pays in {currency}")


@subscription_app.command("create")
def subscription_create(customer: str, plan: str, start: str, tenant: Tenant = "") -> None:
    """Subscribe a customer to a plan from a day on (RFC 3339, midnight UTC)."""
    settings = load_settings("subscription")
    tenant = tenant or settings.tenant
    subscription = derived_id("sub", tenant, customer, plan, start)
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant,
        command_id=derived_id("cmd", "subscription", tenant, customer, plan, start),
        kind="CreateSubscription",
        body={"subscription": subscription, "customer": customer, "plan": plan, "start": start},
    )
    typer.echo(subscription)


@key_app.command("create")
def key_create(label: str, tenant: Tenant = "") -> None:
    """Make an API key and print it, this once."""
    settings = load_settings("key")
    sender = CommandSender(settings, actor="cli")
    typer.echo(create_api_key(settings, sender, tenant=tenant or settings.tenant, label=label))


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(catalogue_app, name="catalogue")
    app.add_typer(customer_app, name="customer")
    app.add_typer(subscription_app, name="subscription")
    app.add_typer(key_app, name="key")
