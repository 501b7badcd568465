"""The screen: one line per stage with a bar while it runs, then tables; plain when piped."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from runtime import clock

WIDTH_MAX = 100
"""Columns that are used of a wide terminal; lines longer than that read badly."""
_NAME_WIDTH = 10


class Screen:
    """Prints to standard output; remembers how long each stage took."""

    def __init__(self) -> None:
        with contextlib.suppress(AttributeError, ValueError):
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        self.console = Console(highlight=False)
        if self.console.width > WIDTH_MAX or not self.console.is_terminal:
            self.console.width = WIDTH_MAX
        self.seconds: dict[str, float] = {}

    @property
    def is_narrow(self) -> bool:
        """Say whether tables must do with the 80 columns of a plain terminal."""
        return self.console.width < WIDTH_MAX

    def title(self, text: str) -> None:
        """Print the first line."""
        self.console.print(f"\n[bold]{text}[/bold]\n")

    def fact(self, name: str, text: str) -> None:
        """Print a named fact, its later lines indented."""
        self._named(Text(f"  {name:<{_NAME_WIDTH}}", style="cyan"), text)

    def _named(self, label: Text, text: str, tail: str = "") -> None:
        room = self.console.width - label.cell_len - (len(tail) + 1 if tail else 0)
        lines = Text.from_markup(text).wrap(self.console, room)
        for number, line in enumerate(lines):
            line.rstrip()
            first = number == 0
            lead = label if first else Text(" " * label.cell_len)
            row = lead + line
            if first and tail:
                row.pad_right(max(0, self.console.width - row.cell_len - len(tail)))
                row.append(tail, style="dim")
            self.console.print(row, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Stage]:
        """Show a stage while it runs, and one line with its seconds when it is done."""
        started_ms = clock.monotonic_ms()
        progress = Progress(
            SpinnerColumn(style="cyan"),
            TextColumn(f"{name:<{_NAME_WIDTH - 1}}{{task.description}}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        stage = Stage(progress, doing)
        with progress:
            yield stage
        seconds = (clock.monotonic_ms() - started_ms) / 1000
        self.seconds[name] = round(seconds, 3)
        label = Text("✓ ", style="green") + Text(f"{name:<{_NAME_WIDTH}}", style="bold")
        self._named(label, stage.done or doing, f"{seconds:6.1f} s")

    def show(self, *renderables: RenderableType) -> None:
        """Print tables and texts, each after an empty line."""
        for renderable in renderables:
            self.console.print()
            self.console.print(renderable)

    def line(self, text: str) -> None:
        """Print one line that is never cut, for commands to copy."""
        self.console.print(text, soft_wrap=True)


class Stage:
    """One stage under way.

    Args:
        progress: Shows it.
        doing: What happens.
    """

    def __init__(self, progress: Progress, doing: str) -> None:
        self._progress = progress
        self._task = progress.add_task(doing, total=None)
        self.done = ""

    def expect(self, total: int) -> None:
        """Say how many steps there are."""
        self._progress.update(self._task, total=total)

    def advance(self, steps: int = 1) -> None:
        """Say that steps were done; safe from other threads."""
        self._progress.advance(self._task, steps)

    def reach(self, steps: int) -> None:
        """Say how many steps are done by now."""
        self._progress.update(self._task, completed=steps)
