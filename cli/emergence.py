"""Commands for emergence: try a catalogue's rules on a node's report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.catalogue_file import read_catalogue_file
from cli.files import read_text
from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.emergence_rules.judge import judge, offers, read_values
from domain.errors import Rejected

emergence_app = typer.Typer(
    help="When work has become real: docs/catalogue.md.", no_args_is_help=True
)

REPORT_BYTES_MAX = 256 * 1024
"""Largest report, as the gateway takes it."""


@emergence_app.command("check")
def emergence_check(
    catalogue: Path,
    report: Path,
    charged: Annotated[
        list[str] | None, typer.Option(help="A tier that the project was charged for already.")
    ] = None,
) -> None:
    """Say which gates a node's report fails, or what its project would be offered.

    CATALOGUE is a catalogue file, REPORT a JSON file as a node reports it. Nothing is sent.
    """
    rules = parse_catalogue(read_catalogue_file(catalogue)).emergence
    if not rules.tiers:
        raise Rejected(Code.CATALOGUE_INVALID, f"{catalogue} has no tiers to reach")
    known = {terms.code for terms in rules.terms}
    for code in charged or ():
        if code not in known:
            raise Rejected(Code.INVALID_REQUEST, f"{code!r} is no tier of {catalogue}")
    judgement = judge(read_values(read_text(report, bytes_max=REPORT_BYTES_MAX), rules), rules)
    console = Console()
    if judgement.failed_gates:
        console.print(f"no emergence: {escape(', '.join(judgement.failed_gates))}")
        return
    found = offers(judgement.tiers, rules, charged=charged or ())
    if not found:
        console.print("no emergence: every gate holds, and no tier that is not charged is reached")
        return
    table = Table("tier", "credits", "price", "delivers", box=None)
    for terms in found:
        table.add_row(
            escape(f"{terms.code}: {terms.name}"),
            str(terms.credits),
            f"{terms.price.text()} {terms.price.currency}",
            escape(", ".join(terms.delivers)),
        )
    console.print(table)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(emergence_app, name="emergence")
