"""Catalogue files: YAML or JSON in, JSON values and the place of each of them out.

The text is taken apart event by event: nothing recurses, aliases are counted as what they stand
for, and every scalar stays the text it was, so decimals are exact. PyYAML's own constructors would
make floats of them, keep the last of two equal names, and follow an alias as far as it leads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import yaml

from domain.catalogue_check import Problem, check_catalogue
from domain.catalogue_shape import BOOLEAN_PLACES, WHOLE, WHOLE_PLACES
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX, is_clean_text

if TYPE_CHECKING:
    from pathlib import Path

    from domain.canonical import Json
    from domain.catalogue import Catalogue

FILE_BYTES_MAX = 4 * 1024 * 1024
"""A catalogue has to fit into a record of 1 MiB as JSON; its comments may be as long again, and
more. Read in less than a second."""
NODES_MAX = 200_000
"""Values and names of a document with its aliases written out: more than fit into 1 MiB."""
DEPTH_MAX = 16
"""Lists and objects within each other; a catalogue needs eight."""
PROBLEMS_MAX = 100
"""Problems listed of one file; the rest is counted."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML 1.2 forbids (section 5.1)."""
_INDEX = re.compile(r"\[[0-9]+\]", re.ASCII)
_NULLS = frozenset({"null", "Null", "NULL", "~"})
_BOOLEANS = {"true": True, "false": False}
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Position(NamedTuple):
    """A place in a file, both counted from 1."""

    line: int
    column: int


class Finding(NamedTuple):
    """A problem and where it stands."""

    position: Position
    reason: str


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What a catalogue file holds.

    Args:
        path: Where it was read.
        catalogue: The catalogue; None when something is wrong.
        findings: What is wrong, in the order of the file.
    """

    path: Path
    catalogue: Catalogue | None
    findings: tuple[Finding, ...]

    def lines(self) -> list[str]:
        """Return the findings as `file:line:column: reason`, which editors and people follow."""
        shown = [
            f"{self.path}:{where.line}:{where.column}: {reason}"
            for where, reason in self.findings[:PROBLEMS_MAX]
        ]
        more = len(self.findings) - PROBLEMS_MAX
        return [*shown, f"{self.path}: and {more} more"] if more > 0 else shown


def check_file(path: Path) -> CheckedFile:
    """This function will read a catalogue file and find everything that is wrong with it.

    That there is no such file is one of these things: other files are checked all the same.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        return CheckedFile(path, None, (Finding(Position(1, 1), f"{error.strerror}"),))
    if len(data) > FILE_BYTES_MAX:
        too_long = f"the file has more than {FILE_BYTES_MAX} bytes"
        return CheckedFile(path, None, (Finding(Position(1, 1), too_long),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        where = _position_of(before, len(before))
        return CheckedFile(path, None, (Finding(where, "this is no UTF-8"),))
    catalogue, findings = check_text(text)
    return CheckedFile(path, catalogue, findings)


def read_catalogue_file(path: Path) -> str:
    """This function will read a catalogue document as canonical JSON.

    Raises:
        Rejected: catalogue_invalid, with the file, line and column of what is wrong first.
    """
    checked = check_file(path)
    if checked.catalogue is None:
        more = len(checked.findings) - 1
        raise Rejected(
            Code.CATALOGUE_INVALID,
            checked.lines()[0] + (f" (and {more} more)" if more else ""),
            next_step=f"`tidegauge catalogue check {path}` lists all that is wrong",
        )
    return checked.catalogue.content


def check_text(text: str) -> tuple[Catalogue | None, tuple[Finding, ...]]:
    """This function will read a catalogue from YAML or JSON text.

    Returns:
        The catalogue and nothing, or None and what is wrong, in the order of the text.
    """
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        where = _position_of(text, forbidden.start())
        return None, (Finding(where, f"the character {forbidden[0]!a} is not allowed"),)
    tree = _Tree()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            tree.take(event)
    except yaml.MarkedYAMLError as error:
        return None, (*tree.findings, _syntax_finding(text, error))
    except _Unbounded as error:
        return None, (*tree.findings, error.finding)
    catalogue, problems = check_catalogue(tree.root)
    told = {finding.position for finding in tree.findings}
    later = [Finding(tree.where(each), each.reason) for each in problems]
    findings = [*tree.findings, *(each for each in later if each.position not in told)]
    return (None if findings else catalogue), tuple(sorted(findings))


def _position_of(text: str, index: int) -> Position:
    start = text.rfind("\n", 0, index) + 1
    return Position(text.count("\n", 0, index) + 1, index - start + 1)


def _syntax_finding(text: str, error: yaml.MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Finding(Position(1, 1), str(error))
    position = Position(mark.line + 1, mark.column + 1)
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Finding(position, "a tab stands where YAML wants spaces")
    return Finding(position, f"this is no YAML: {error.problem or error.context}")


class _Unbounded(Exception):
    """The document is deeper or larger than any catalogue; reading on would only cost memory."""

    def __init__(self, position: Position, reason: str) -> None:
        self.finding = Finding(position, reason)
        super().__init__(reason)


@dataclass(slots=True)
class _Open:
    """A list or object whose end has not come yet."""

    value: list[Json] | dict[str, Json]
    place: str
    anchor: str | None
    name: str | None = None
    nodes_before: int = 0


@dataclass(slots=True)
class _Tree:
    """Builds JSON values out of YAML events."""

    root: Json = None
    findings: list[Finding] = field(default_factory=list)
    _values: dict[str, Position] = field(default_factory=dict)
    _names: dict[str, Position] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, tuple[Json, int]] = field(default_factory=dict)
    _nodes: int = 0
    _documents: int = 0

    def where(self, problem: Problem) -> Position:
        """Return where a problem stands; a missing field stands where its object begins."""
        place = problem.place
        if problem.is_about_name and place in self._names:
            return self._names[place]
        while place not in self._values and "." in place:
            place = place[: max(place.rfind("."), place.rfind("["))]
        return self._values.get(place, Position(1, 1))

    def take(self, event: yaml.Event) -> None:
        """Take the next event of the text."""
        mark = event.start_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self.findings.append(Finding(position, "a second document begins here"))
            case yaml.AliasEvent():
                self._take_alias(event.anchor or "", position)
            case yaml.ScalarEvent():
                self._take_scalar(event, position)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._take_start(event, position)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                ended = self._open.pop()
                if ended.anchor is not None:
                    size = self._nodes - ended.nodes_before
                    self._anchors[ended.anchor] = (ended.value, size)
            case _:
                pass

    def _take_alias(self, anchor: str, position: Position) -> None:
        """Put in what an alias stands for; it counts as if it were written out."""
        if anchor not in self._anchors:
            self.findings.append(Finding(position, f"no anchor &{anchor} ends before this"))
        value, size = self._anchors.get(anchor, (None, 1))
        if self._is_at_name():
            self._put_name(value if isinstance(value, str) else None, position)
        else:
            self._put(value, position, nodes=size)

    def _take_scalar(self, event: yaml.ScalarEvent, position: Position) -> None:
        self._refuse_tag(event.tag, position)
        is_plain = event.implicit[0]
        if self._is_at_name():
            self._put_name(event.value, position)
            return
        place = self._next_place()
        value: Json = event.value
        if is_plain and event.value in _NULLS:
            reason = f"{place} is empty: a text {event.value!r} needs quotes"
            self.findings.append(Finding(position, reason))
        declared = _INDEX.sub("", place)
        if is_plain and declared in WHOLE_PLACES and WHOLE.fullmatch(event.value):
            value = int(event.value)
        if is_plain and declared in BOOLEAN_PLACES and event.value in _BOOLEANS:
            value = _BOOLEANS[event.value]
        self._put(value, position)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)

    def _take_start(
        self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, position: Position
    ) -> None:
        self._refuse_tag(event.tag, position)
        if len(self._open) == DEPTH_MAX:
            raise _Unbounded(position, f"more than {DEPTH_MAX} lists and objects in each other")
        value: list[Json] | dict[str, Json] = (
            {} if isinstance(event, yaml.MappingStartEvent) else []
        )
        if self._is_at_name():
            self._put_name(None, position)
            place = ""
        else:
            place = self._next_place()
            self._put(value, position)
        self._open.append(_Open(value, place, event.anchor, nodes_before=self._nodes - 1))

    def _refuse_tag(self, tag: str | None, position: Position) -> None:
        if tag is not None and tag != "!":
            self.findings.append(Finding(position, f"a tag has no meaning here: {tag[:40]}"))

    def _is_at_name(self) -> bool:
        """Say whether the next value is the name of an object's field."""
        return (
            bool(self._open)
            and isinstance(self._open[-1].value, dict)
            and (self._open[-1].name is None)
        )

    def _put_name(self, name: str | None, position: Position) -> None:
        """Take the name of a field; None for what cannot be one."""
        self._count(1, position)
        parent = self._open[-1]
        if name is None:
            self.findings.append(Finding(position, "a field's name must be a text"))
            name = "?"
        parent.name = name
        place = self._next_place()
        if isinstance(parent.value, dict) and name in parent.value:
            self.findings.append(Finding(position, f"{place} is given twice"))
        self._names.setdefault(place, position)

    def _next_place(self) -> str:
        """Return the place of the value that comes next."""
        if not self._open:
            return "catalogue"
        parent = self._open[-1]
        if isinstance(parent.value, list):
            return f"{parent.place}[{len(parent.value)}]"
        name = parent.name or ""
        shown = name if is_clean_text(name) else ascii(name[:TEXT_LENGTH_MAX])
        return f"{parent.place}.{shown}"

    def _put(self, value: Json, position: Position, *, nodes: int = 1) -> None:
        """Put a value where it belongs."""
        self._count(nodes, position)
        self._values.setdefault(self._next_place(), position)
        if not self._open:
            self.root = value if self._documents == 1 else self.root
            return
        parent = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.name is not None:
            parent.value[parent.name] = value
            parent.name = None

    def _count(self, nodes: int, position: Position) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            raise _Unbounded(
                position, f"more than {NODES_MAX} values, with what aliases stand for"
            )
