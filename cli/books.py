"""Sending commands to the books, and API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.operate import load_settings
from domain.codes import Code
from domain.errors import Rejected
from projections.invoicing.outcomes import await_outcome
from runtime.commands import CommandSender
from runtime.ids import new_id
from runtime.web import scopes
from runtime.web.keys import new_api_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.canonical import Json
    from runtime.settings import Settings

customer_app = typer.Typer(help="Customers.", no_args_is_help=True)
subscription_app = typer.Typer(help="Subscriptions.", no_args_is_help=True)
key_app = typer.Typer(help="API keys.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="Tenant; default is TIDEGAUGE_TENANT.")]


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


def send_typed(kind: str, body: Mapping[str, Json], *, process: str, tenant: str) -> None:
    """This function will send a command that somebody typed, under an id of its own.

    Args:
        kind: Command name.
        body: Its fields.
        process: Name under which the command logs.
        tenant: Tenant; empty for the one of the settings.

    Raises:
        As send.
    """
    settings = load_settings(process)
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant or settings.tenant,
        command_id=new_id("cmd"),
        kind=kind,
        body=body,
    )


def create_api_key(
    settings: Settings,
    sender: CommandSender,
    *,
    tenant: str,
    label: str,
    scopes: Sequence[str] = (),
) -> str:
    """This function will make an API key; only its hash is kept, so it is shown once."""
    key = new_api_key()
    send(
        settings,
        sender,
        tenant=tenant,
        command_id=new_id("cmd"),
        kind="CreateApiKey",
        body={
            "key_id": key.key_id,
            "secret_sha256": key.secret_sha256,
            "label": label,
            "scopes": list(scopes),
        },
    )
    return key.key


@key_app.command("create")
def key_create(
    label: str,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What the key may do; repeat it for more: "
            + "; ".join(f"{name}: {text}" for name, text in scopes.DESCRIPTIONS.items())
            + ". Without any, everything but "
            + " and ".join(sorted(scopes.ONLY_WHEN_NAMED))
            + ".",
        ),
    ] = None,
    tenant: Tenant = "",
) -> None:
    """Make an API key and print it, this once."""
    wanted = scopes.checked(scope or [])
    settings = load_settings("key")
    sender = CommandSender(settings, actor="cli")
    typer.echo(
        create_api_key(
            settings, sender, tenant=tenant or settings.tenant, label=label, scopes=wanted
        )
    )


@key_app.command("revoke")
def key_revoke(key_id: str, tenant: Tenant = "") -> None:
    """Revoke an API key by its id, the key_… that `key create` and the logs show.

    Processes that have looked it up keep it for up to a minute. Doing it twice changes nothing.
    """
    settings = load_settings("key")
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant or settings.tenant,
        command_id=new_id("cmd"),
        kind="RevokeApiKey",
        body={"key_id": key_id},
    )
    typer.echo(f"{key_id} is revoked")


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(key_app, name="key")
