"""Commands for personal data: the vault's keys, erasure, and the proof of it."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from cli.books import Tenant, customer_app
from cli.files import read_text
from cli.operate import load_settings
from domain.codes import Code
from domain.errors import Rejected
from runtime.commands import CommandSender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.settings import Settings
    from runtime.vault.vault import Vault

SHOWN_MAX = 50
"""Places that a scan shows; the count says how many there are."""

vault_app = typer.Typer(help="The vault of personal data.", no_args_is_help=True)


@contextmanager
def opened_vault(settings: Settings) -> Iterator[Vault]:
    """This function will open the vault for one command.

    Raises:
        Rejected: vault_closed, when no master key is set.
        Fatal: setting_invalid or vault_key_wrong.
    """
    from runtime.vault.vault import require_vault, vault_of

    vault = require_vault(vault_of(settings))
    try:
        yield vault
    finally:
        vault.close()


@customer_app.command("details")
def customer_details(customer: str, tenant: Tenant = "") -> None:
    """Print what is known of a customer's person, as JSON: the export of their data."""
    from api.personal import find_opened
    from api.representations_personal import to_representation_details
    from runtime import postgres

    settings = load_settings("customer")
    engine = postgres.new_engine(settings, role="app")
    try:
        with opened_vault(settings) as vault:
            opened = find_opened(
                engine, vault, tenant=tenant or settings.tenant, customer=customer
            )
    finally:
        engine.dispose()
    if opened is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer!r}")
    shown = to_representation_details(customer, opened).model_dump()
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


@customer_app.command("erase")
def customer_erase(
    customer: str,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
    tenant: Tenant = "",
) -> None:
    """Delete the key of a customer's personal data: nobody can ever read it again.

    Usage, invoices and totals stay. What final invoices must show is kept in the vault for
    TIDEGAUGE_VAULT_BUYER_YEARS. Doing it twice changes nothing.
    """
    from cli.erasing import erase_customer

    settings = load_settings("customer")
    tenant = tenant or settings.tenant
    if not yes:
        typer.confirm(f"Erase the personal data of {customer!r} of {tenant} for good?", abort=True)
    with opened_vault(settings) as vault:
        erased = erase_customer(
            settings,
            CommandSender(settings, actor="cli"),
            vault,
            tenant=tenant,
            customer=customer,
        )
    typer.echo(f"{customer} is erased" if erased.is_first else f"{customer} was erased before")
    if erased.kept:
        typer.echo(
            f"{erased.kept} version(s) of name, address and tax id are kept for final invoices "
            f"until {erased.keep_until}"
        )


@vault_app.command("key")
def vault_key(
    key_id: Annotated[str, typer.Argument(help="Its id; empty for today's date.")] = "",
) -> None:
    """Draw a master key and print it, this once: keep it apart from the database's backups."""
    from runtime import clock
    from runtime.vault.master import new_master_key

    typer.echo(new_master_key(key_id or clock.now().date().isoformat()))


@vault_app.command("migrate")
def vault_migrate() -> None:
    """Create the vault or bring it up to date; the projections are not touched."""
    from runtime.vault import migrate

    migrate.migrate(load_settings("vault"))
    typer.echo("the vault is up to date")


@vault_app.command("check")
def vault_check() -> None:
    """Compare the master keys that are set with those that the vault was used with."""
    with opened_vault(load_settings("vault")) as vault:
        vault.check()
    typer.echo("the master keys are the vault's")


@vault_app.command("rotate")
def vault_rotate() -> None:
    """Wrap every key under the first master key; afterwards the others can be destroyed."""
    from runtime.vault.master import read_master_keys
    from runtime.vault.rotation import rotate

    settings = load_settings("vault")
    with opened_vault(settings):
        masters = read_master_keys(settings.vault_key.get_secret_value())
        counts = rotate(settings, masters)
    told = ", ".join(f"{count} of {table}" for table, count in counts.items())
    typer.echo(f"every key is under {masters.current}; rewrapped: {told}")


@vault_app.command("sweep")
def vault_sweep() -> None:
    """Delete kept buyers of invoices whose time is over; for a daily timer."""
    from runtime.vault.rotation import sweep

    typer.echo(f"{sweep(load_settings('vault'))} kept buyer(s) deleted")


@vault_app.command("compact")
def vault_compact() -> None:
    """Write the vault's files anew, so that what was deleted leaves them."""
    from runtime.vault.rotation import compact_all

    compact_all(load_settings("vault"))
    typer.echo("the vault's files are written anew")


@vault_app.command("scan")
def vault_scan(
    values: Annotated[
        Path,
        typer.Argument(help="File with the values to look for, one per line; - for the input."),
    ],
    path: Annotated[
        list[Path] | None,
        typer.Option(help="A file or folder to search too: logs, an archive, a dump."),
    ] = None,
    customer: Annotated[
        str, typer.Option(help="Try the keys of this customer alone on sealed texts.")
    ] = "",
) -> None:
    """Search every topic, table and file given for values that should be nowhere.

    Values come from a file, for a command line is kept in more places than anybody remembers, and
    are shown by their number. Sealed texts are opened with whatever keys the vault still has.
    Ends with an error when a value is found, unless it is kept for final invoices.
    """
    from runtime.vault.canaries import Canaries
    from runtime.vault.master import read_master_keys
    from runtime.vault.opener import KEPT, Opener
    from runtime.vault.scan import FINDINGS_MAX, Scan
    from runtime.vault.vault import vault_of

    settings = load_settings("vault")
    canaries = Canaries([line for line in read_text(values).splitlines() if line])
    # A proof without the keys that are there would prove nothing.
    if (vault := vault_of(settings)) is not None:
        vault.close()
    key = settings.vault_key.get_secret_value()
    opener = Opener(settings, read_master_keys(key) if key else None, customer=customer)
    scan = Scan(settings, canaries, opener)
    found: Counter[tuple[str, int, str]] = Counter()
    for finding in scan.everything(path or []):
        found[finding.place, finding.value, finding.form] += 1
        if len(found) >= FINDINGS_MAX:
            break
    _print_findings(found)
    done = scan.scanned
    typer.echo(
        f"searched {done.records} records, {done.rows} rows and {done.files} files; "
        f"{done.sealed} sealed texts, {done.opened} of them open"
    )
    if readable := sum(count for (_, _, form), count in found.items() if form != KEPT):
        raise Rejected(
            Code.CANARY_FOUND,
            f"{readable} place(s) show a value that should be nowhere",
            next_step="docs/personal-data.md says what each place means",
        )


def _print_findings(found: Counter[tuple[str, int, str]]) -> None:
    if not found:
        return
    table = Table(Column("place"), Column("value"), Column("form"), Column("times"))
    for (place, value, form), count in sorted(found.items())[:SHOWN_MAX]:
        table.add_row(escape(place), f"line {value}", form, str(count))
    Console().print(table)


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(vault_app, name="vault")
