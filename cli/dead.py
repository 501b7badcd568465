"""Commands for dead letters: `tidegauge dead list`, `show` and `replay`."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from cli.operate import load_settings
from cli.times import given_time
from domain.codes import Code
from domain.errors import Rejected
from domain.period import from_ms, time_text

if TYPE_CHECKING:
    from producers.dead_letters.letters import Wanted
    from producers.dead_letters.replay import Body, Replay

SCAN_MAX = 100_000
"""Letters that are looked at unless more are asked for; about 20 s."""
SHOWN_MAX = 50
"""Rows of a list, unless more are asked for."""
DUMP_BYTES_MAX = 64 * 1024
"""Most bytes of a value that are shown."""
EVENTS_SHOWN_MAX = 20
"""Events of a value that are shown."""
REFUSALS_SHOWN_MAX = 50
"""Refusals of a replay that are shown."""
_ROW_BYTES = 16

dead_app = typer.Typer(help="Dead letters: what a fold refused.", no_args_is_help=True)
Topic = Annotated[str, typer.Option(help="Source topic, for example usage.events.")]
Partition = Annotated[int, typer.Option(min=-1, help="Partition; -1 for all.")]
CodeOption = Annotated[str, typer.Option(help="Refused for this code.")]
Tenant = Annotated[str, typer.Option(help="Of this tenant, by the record's key.")]
Since = Annotated[str, typer.Option(help="Written at this time or later, RFC 3339.")]
Until = Annotated[str, typer.Option(help="Written before this time, RFC 3339.")]
ScanMax = Annotated[int, typer.Option(min=1, help="Letters to look at, at most.")]


def wanted_of(
    *,
    names: list[str] | None = None,
    topic: str,
    partition: int,
    code: str,
    tenant: str,
    since: str,
    until: str,
) -> Wanted:
    """This function will check the filters that a person typed.

    Raises:
        Rejected: letter_unknown or invalid_request.
    """
    from producers.dead_letters.letters import SOURCES, Wanted, name_of

    known = [source.name for source in SOURCES]
    if topic and topic not in known:
        raise Rejected(
            Code.LETTER_UNKNOWN,
            f"{topic!r} has no dead letters",
            next_step=f"Name a source topic: {', '.join(known)}",
        )
    return Wanted(
        names=frozenset(name_of(name) for name in names or ()),
        topic=topic,
        partition=None if partition < 0 else partition,
        code=code,
        tenant=tenant,
        since=given_time(since, "--since") if since else None,
        until=given_time(until, "--until") if until else None,
    )


@dead_app.command("list")
def list_letters(
    topic: Topic = "",
    partition: Partition = -1,
    code: CodeOption = "",
    tenant: Tenant = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(min=0, help="Letters to show, the last ones.")] = SHOWN_MAX,
    scan_max: ScanMax = SCAN_MAX,
) -> None:
    """List dead letters, and count them by topic, code and tenant."""
    from producers.dead_letters.letters import read_letters

    settings = load_settings("dead")
    wanted = wanted_of(
        topic=topic, partition=partition, code=code, tenant=tenant, since=since, until=until
    )
    counts: Counter[tuple[str, str, str]] = Counter()
    last: deque[tuple[str, ...]] = deque(maxlen=limit)
    for letter in read_letters(settings, wanted, scan_max=scan_max):
        counts[letter.name.topic, letter.code, letter.tenant] += 1
        last.append(
            (
                letter.name.text,
                letter.code,
                letter.tenant,
                time_text(letter.at),
                f"{letter.whole_bytes or len(letter.value or b''):,}",
                letter.reason[:120],
            )
        )
    console = Console()
    name = Column("letter", no_wrap=True, min_width=len("account.commands/99/9999999"))
    rows = Table(name, "code", "tenant", "written", "bytes", "reason")
    for row in last:
        rows.add_row(*(shown(cell) for cell in row))
    sums = Table("topic", "code", "tenant", "letters")
    for place, count in sorted(counts.items()):
        sums.add_row(*(shown(cell) for cell in place), f"{count:,}")
    if counts:
        console.print(rows)
        console.print(sums)
    hidden = counts.total() - len(last)
    console.print(f"{counts.total():,} dead letters{f', {hidden:,} not shown' if hidden else ''}")


def shown(text: str) -> str:
    """This function will make text from outside safe for a terminal: no control characters."""
    return escape("".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text))


@dead_app.command("show")
def show_letter(
    name: Annotated[str, typer.Argument(help="For example usage.events/2/1234.")],
    dump: Annotated[
        int, typer.Option("--bytes", min=0, max=DUMP_BYTES_MAX, help="Bytes to show.")
    ] = 256,
    scan_max: ScanMax = SCAN_MAX,
) -> None:
    """Show a dead letter: headers, what it says as far as it can be read, and its bytes."""
    from producers.dead_letters.letters import Wanted, name_of, read_letters
    from producers.dead_letters.replay import body_of
    from runtime.schema_registry import new_foreign_schemas

    settings = load_settings("dead")
    wanted = Wanted(names=frozenset({name_of(name)}))
    letters = list(islice(read_letters(settings, wanted, scan_max=scan_max), len(Code)))
    if not letters:
        raise Rejected(
            Code.LETTER_UNKNOWN,
            f"there is no dead letter {name}",
            next_step="Letters are kept for 35 days; `tidegauge dead list` shows them",
        )
    console = Console(highlight=False)
    for letter in letters:
        partition, offset = letter.place
        console.print(f"letter   {letter.name.text}, at {partition}/{offset} of its own topic")
        console.print(f"written  {time_text(letter.at)}")
        console.print(f"key      {shown(repr(letter.key))}")
        for header, value in letter.headers:
            console.print(f"header   {shown(header)}: {shown(value.decode(errors='replace'))}")
    value = letters[0].value or b""
    if letters[0].whole_bytes:
        console.print("value    only the head was kept; it cannot be replayed")
    else:
        with closing(new_foreign_schemas(settings)) as foreign:
            body = body_of(letters[0], foreign)
        for line in told(body):
            console.print(f"value    {shown(line)}", soft_wrap=True)
    for line in hex_lines(value[:dump]):
        console.print(line, markup=False)
    console.print(f"{len(value):,} bytes, {min(dump, len(value)):,} shown")


def told(body: Body) -> Iterator[str]:
    """This function will say what a value holds, at most EVENTS_SHOWN_MAX events of it."""
    from domain.books.records import Command
    from domain.emergence.records import DetectionSettled, NodeReported, PulseReceived
    from domain.usage.amendments import EventAmended
    from domain.usage.records import CataloguePublished, EventBatch, Unreadable

    match body:
        case NodeReported() | PulseReceived() | DetectionSettled() | EventAmended():
            yield f"{body!r}"[:DUMP_BYTES_MAX]
        case Unreadable():
            yield f"cannot be read: {body.code}: {body.reason}"
        case CataloguePublished():
            yield f"catalogue version {body.version} of {body.tenant}"
        case Command():
            yield f"command {body.kind} {body.command_id} of {body.tenant}: {body.body[:2_000]}"
        case EventBatch():
            count = len(body.occurred_at_ms)
            yield f"batch of {count:,} events of {body.tenant}" + " (backfill)" * body.backfill
            for index in range(min(count, EVENTS_SHOWN_MAX)):
                yield _event_line(body, index)
            if count > EVENTS_SHOWN_MAX:
                yield f"… and {count - EVENTS_SHOWN_MAX:,} more"
        case _:
            fields = {
                name: field.hex() if isinstance(field, bytes) else field
                for name, field in body.items()
            }
            yield f"one event: {fields}"


def _event_line(batch: Body, index: int) -> str:
    """Describe one event; a batch whose columns do not fit together says so."""
    from domain.usage.records import EventBatch

    if not isinstance(batch, EventBatch):
        return ""
    try:
        scale = batch.scales[0] if len(batch.scales) == 1 else batch.scales[index]
        dimensions = int(batch.dimension_set[index])
        return (
            f"{index}: {batch.strings[batch.customer[index]]!r} "
            f"{batch.strings[batch.type_[index]]!r} {batch.quantity[index]}e-{scale} at "
            f"{time_text(from_ms(int(batch.occurred_at_ms[index])))} "
            f"{dict(batch.dimension_sets[dimensions - 1]) if dimensions else ''} "
            f"key {batch.keys[index * 16 : index * 16 + 16].hex()}"
        )
    except (IndexError, OverflowError, ValueError):
        return f"{index}: its columns do not fit together"


def hex_lines(value: bytes) -> Iterator[str]:
    """This function will write bytes as offset, hex and ASCII, 16 a line."""
    for start in range(0, len(value), _ROW_BYTES):
        part = value[start : start + _ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)  # noqa: PLR2004 -- printable ASCII
        yield f"{start:08x}  {part.hex(' '):<47}  {text}"


@dead_app.command("replay")
def replay_letters(  # noqa: PLR0913, PLR0917 -- typer's: one for each filter, given by name
    names: Annotated[
        list[str] | None, typer.Argument(help="Letters; or choose by filter.")
    ] = None,
    topic: Topic = "",
    partition: Partition = -1,
    code: CodeOption = "",
    tenant: Tenant = "",
    since: Since = "",
    until: Until = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Needed when nothing narrows the choice.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Letters at most.")] = 10_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent.")] = False,
    scan_max: ScanMax = SCAN_MAX,
) -> None:
    """Send dead letters again, after their cause is mended; twice is harmless."""
    from producers.dead_letters.letters import read_letters
    from producers.dead_letters.replay import replay
    from runtime.kafka import check_topics, new_producer

    settings = load_settings("dead")
    if not (names or code or tenant or since or until or everything):
        raise Rejected(
            Code.LETTER_UNKNOWN,
            "nothing says which letters are meant",
            next_step="Name letters, give --code, --tenant, --since or --until, or --all",
        )
    wanted = wanted_of(
        names=names,
        topic=topic,
        partition=partition,
        code=code,
        tenant=tenant,
        since=since,
        until=until,
    )
    check_topics(settings)
    letters = islice(read_letters(settings, wanted, scan_max=scan_max), limit)
    result = replay(
        settings, letters, producer=None if dry_run else lambda: new_producer(settings)
    )
    print_replay(Console(), result, is_dry=dry_run)
    if result.sent + result.copies + len(result.refused) == limit:
        typer.echo(f"stopped after {limit:,} letters; --limit takes more")
    if not (result.sent or result.copies or result.refused):
        raise Rejected(Code.LETTER_UNKNOWN, "no dead letter is meant by this")
    raise typer.Exit(1 if result.refused else 0)


def print_replay(console: Console, result: Replay, *, is_dry: bool) -> None:
    """This function will print what became of a replay."""
    verb = "would be sent" if is_dry else "sent again and acknowledged"
    console.print(f"{result.sent:,} records with {result.events:,} events or commands {verb}")
    for code, count in sorted(result.codes.items()):
        console.print(f"  {count:,} refused before for {code}", markup=False)
    if result.events:
        console.print(
            "A record goes back whole: those of its events that were counted before are "
            "duplicates by their keys and change nothing; GET /api/v1/billing/intake counts them."
        )
    if result.copies:
        console.print(f"{result.copies:,} more letters are of the same records")
    for name, code, reason in result.refused[:REFUSALS_SHOWN_MAX]:
        console.print(f"{name.text} not sent: {code}: {shown(reason)}")
    if result.refused:
        console.print(f"{len(result.refused):,} letters not sent")


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(dead_app, name="dead")
