"""The built-in schema registry: a deterministic fold of the topic schema.registrations.

A record of the topic is a proposal: this schema under that subject. The fold grants it or passes
over it, so servers need no lock: each appends its proposal, reads up to it, and answers what the
fold says.

- An id says what the bytes behind it mean, so it may never move. The id of a granted proposal is
  FOREIGN_ID_MIN + its offset, and does not depend on what became of the proposals before it.
- Our own schemas have their fixed ids and are there from the start, under the names that each of
  Confluent's naming strategies gives them. A later release of ours takes the next version of its
  subjects at the first proposal that knows it (by its own_id), so versions do not move either.
- The same schema has one id everywhere; what is the same says schemas.avro_types.canonical.
- A later version of these rules may refuse more only of proposals with a higher RULES number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import fastavro

from domain.canonical import from_json, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from schemas import avro_parser, avro_types
from schemas.compatibility import conflicts
from schemas.registry import SCHEMAS, SUPERSEDED, Schema
from schemas.topics import TOPICS, Topic

FOREIGN_ID_MIN = 1_001
"""Smallest id that a proposal gets; 1 to 1,000 are ours."""
SUBJECTS_MAX = 1_000
"""Subjects beside ours; a list of them is one answer."""
VERSIONS_MAX = 100
"""Versions of a subject; a new one is compared with all of them."""
TEXTS_BYTES_MAX = 16 * 1024 * 1024
"""All granted texts together, bytes: every reader of unusual ids holds them in memory."""
SUBJECT_LENGTH_MAX = 249
"""Characters of a subject: what Kafka allows for a topic's name, for both are often the same."""
ID_MARGIN_MS = 250
"""How much older than a record the registration of its id must be, ms. Both times are append times
of the log, perhaps of two brokers; so much may their clocks differ before a replay could decide
otherwise than the fold did."""
HAND_OUT_MS = 2 * ID_MARGIN_MS
"""How long a server keeps a new id to itself, ms: whoever learns it can use it at once."""
LEVEL = "BACKWARD_TRANSITIVE"
"""The one compatibility level: a new version reads what every earlier one wrote."""

KIND = "SchemaProposed"
RULES = 1
"""Number of the rules that a proposal is judged by."""
OWN: Mapping[int, Schema] = {schema.schema_id: schema for schema in (*SCHEMAS, *SUPERSEDED)}
"""Our schemas by id, every version."""
OWN_ID = max(OWN)
"""Highest id of ours that this release knows."""
OWN_ID_FIRST = 9
"""The same of the first release with a registry; a proposal that claims less knows so much."""

_SUBJECT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One record of schema.registrations.

    Args:
        subject: Name under which the schema shall stand.
        schema: Text of the Avro schema.
        own_id: OWN_ID of the release that proposed it.
        rules: RULES of that release.
    """

    subject: str
    schema: str
    own_id: int = OWN_ID
    rules: int = RULES


@dataclass(frozen=True)
class Version:
    """One version of a subject.

    Args:
        subject: The subject.
        number: From 1 on.
        schema_id: Id in the wire frame.
        text: The schema as it was registered first.
        type_: The same as a value.
        own: The schema of ours that it is; None for a granted one.
        since_ms: Append time of its proposal, milliseconds since 1970 UTC; 0 for ours.
    """

    subject: str
    number: int
    schema_id: int
    text: str
    type_: avro_types.Type
    own: Schema | None
    since_ms: int

    @cached_property
    def canonical(self) -> str:
        """Return what is the same for the same schema."""
        return avro_types.canonical(self.type_)

    @cached_property
    def parsed(self) -> Any:  # noqa: ANN401 -- fastavro's own opaque form
        """Return the schema as fastavro reads bytes with it."""
        return fastavro.parse_schema(avro_types.definition_to_read(self.type_))


@dataclass(frozen=True, slots=True)
class Foreign:
    """How records of a topic with a granted id are read.

    Args:
        version: What wrote them.
        read_as: The schema of ours that was the newest when the id was granted: it is known that
            this one reads them. A later one of ours may have taken a name of theirs.
    """

    version: Version
    read_as: Schema


@dataclass(frozen=True, slots=True)
class Place:
    """What a subject is about, when it is about a topic of ours.

    Args:
        topic: The topic.
        schema: Which of its schemas, in force.
    """

    topic: Topic
    schema: Schema

    @property
    def is_open(self) -> bool:
        """Say whether others may write this record too."""
        return self.schema in self.topic.foreign


def full_name(schema: Schema) -> str:
    """This function will return the full Avro name of a schema of ours."""
    return f"{schema.definition['namespace']}.{schema.definition['name']}"


def _places() -> dict[str, Place]:
    """Return every subject of ours: by topic, by topic and record, by record."""
    places: dict[str, Place] = {}
    for topic in TOPICS:
        for schema in topic.schemas:
            name = full_name(schema)
            places[f"{topic.name}-{name}"] = Place(topic, schema)
            places.setdefault(name, Place(topic, schema))  # of a record of two topics the first
        defaults = topic.foreign or (topic.schemas if len(topic.schemas) == 1 else ())
        for schema in defaults[:1]:
            places[f"{topic.name}-value"] = Place(topic, schema)
    return places


PLACES: Mapping[str, Place] = _places()
"""Subject of ours → what it is about."""
_SUBJECTS_OF: Mapping[str, tuple[str, ...]] = {
    schema.name: tuple(
        subject for subject, place in PLACES.items() if place.schema.name == schema.name
    )
    for schema in SCHEMAS
}
_TYPES: Mapping[int, tuple[str, avro_types.Type]] = {
    schema_id: (schema.text, avro_parser.parse(schema.text)) for schema_id, schema in OWN.items()
}
_OWN_BY_CANONICAL: Mapping[str, int] = {
    avro_types.canonical(type_): schema_id for schema_id, (_, type_) in _TYPES.items()
}


def to_wire_proposal(proposal: Proposal) -> bytes:
    """This function will write a record of schema.registrations: canonical JSON."""
    return to_canonical_json(
        {
            "kind": KIND,
            "own_id": proposal.own_id,
            "rules": proposal.rules,
            "schema": proposal.schema,
            "subject": proposal.subject,
        }
    ).encode()


def from_wire_proposal(value: bytes | None) -> Proposal:
    """This function will read a record of schema.registrations.

    Raises:
        Rejected: undecodable, for whatever is no proposal: readers pass over it.
    """
    try:
        fields = from_json((value or b"").decode())
    except (UnicodeDecodeError, Rejected, RecursionError) as error:
        raise Rejected(Code.UNDECODABLE, "the record is no canonical JSON") from error
    match fields:
        case {
            "kind": str(kind),
            "own_id": int(own_id),
            "rules": int(rules),
            "schema": str(schema),
            "subject": str(subject),
        } if kind == KIND:
            return Proposal(subject, schema, own_id, rules)
        case _:
            raise Rejected(Code.UNDECODABLE, f"the record is no {KIND}")


@dataclass
class Registry:
    """Subjects, versions and ids as the log has them so far; used by one thread at a time.

    Args:
        position: Next offset of schema.registrations.
    """

    position: int = 0
    _versions: dict[str, list[Version]] = field(default_factory=dict)
    _by_canonical: dict[str, int] = field(default_factory=dict)
    _foreign: dict[tuple[str, int], Foreign] = field(default_factory=dict)
    _own_id: int = 0
    _texts_bytes: int = 0

    # ── folding ───────────────────────────────────────────────────────────────────────────────

    def apply(self, value: bytes | None, *, offset: int, received_at_ms: int) -> Version | None:
        """Fold one record; one that is no proposal, or is not granted, changes nothing.

        Args:
            value: The record's value.
            offset: Its offset; records come in order and none is left out.
            received_at_ms: Its append time, milliseconds since 1970 UTC.

        Returns:
            The version that it made; None when it made none.
        """
        self.position = offset + 1
        try:
            proposal = from_wire_proposal(value)
            known = self.decide(proposal)
        except Rejected:
            return None
        self._take_own(proposal.own_id)
        if known is not None:
            return None
        type_ = avro_parser.parse(proposal.schema)
        schema_id = self._id_of(avro_types.canonical(type_)) or FOREIGN_ID_MIN + offset
        version = Version(
            subject=proposal.subject,
            number=len(self._versions.get(proposal.subject, ())) + 1,
            schema_id=schema_id,
            text=proposal.schema,
            type_=type_,
            own=OWN.get(schema_id),
            since_ms=received_at_ms,
        )
        self._add(version)
        self._texts_bytes += len(proposal.schema.encode())
        return version

    def _id_of(self, canonical: str) -> int:
        """Return the id that a schema has; 0 when it is new. Later releases of ours count not."""
        own_id = _OWN_BY_CANONICAL.get(canonical, OWN_ID + 1)
        return own_id if own_id <= self._own_id else self._by_canonical.get(canonical, 0)

    def _add(self, version: Version) -> None:
        self._versions.setdefault(version.subject, []).append(version)
        self._by_canonical.setdefault(version.canonical, version.schema_id)
        place = PLACES.get(version.subject)
        if place is not None and version.own is None:
            self._foreign.setdefault(
                (place.topic.name, version.schema_id),
                Foreign(version, _newest(place.schema.name, self._own_id)),
            )

    def _take_own(self, own_id: int) -> None:
        """Give the schemas of ours up to an id their versions."""
        for version in self._pending(own_id):
            self._add(version)
        self._own_id = max(self._own_id, _known_id(own_id))

    def _pending(self, own_id: int) -> list[Version]:
        """Return the versions that schemas of ours up to an id would take."""
        taken = {subject: len(versions) for subject, versions in self._versions.items()}
        pending: list[Version] = []
        for schema_id in sorted(OWN):
            if not self._own_id < schema_id <= _known_id(own_id):
                continue
            schema, (text, type_) = OWN[schema_id], _TYPES[schema_id]
            for subject in _SUBJECTS_OF[schema.name]:
                taken[subject] = taken.get(subject, 0) + 1
                pending.append(Version(subject, taken[subject], schema_id, text, type_, schema, 0))
        return pending

    # ── deciding ──────────────────────────────────────────────────────────────────────────────

    def decide(self, proposal: Proposal) -> Version | None:
        """This function will judge a proposal.

        Returns:
            The version that the subject has already of this schema; None when it is granted.

        Raises:
            Rejected: schema_invalid, schema_incompatible, subject_closed or schema_limit.
        """
        require_subject(proposal.subject)
        type_ = avro_parser.parse(proposal.schema)
        _require_readable(type_)
        versions = self._versions_with(proposal.subject, own_id=proposal.own_id)
        canonical = avro_types.canonical(type_)
        for version in versions:
            if version.canonical == canonical:
                return version
        self._require_room(proposal, versions)
        found = found_conflicts(proposal.subject, type_, versions)
        if found:
            raise Rejected(Code.SCHEMA_INCOMPATIBLE, "; ".join(found))
        return None

    def _require_room(self, proposal: Proposal, versions: list[Version]) -> None:
        granted = sum(1 for subject in self._versions if subject not in PLACES)
        if not versions and granted >= SUBJECTS_MAX:
            raise Rejected(Code.SCHEMA_LIMIT, f"there are {SUBJECTS_MAX} subjects already")
        if len(versions) >= VERSIONS_MAX:
            raise Rejected(Code.SCHEMA_LIMIT, f"the subject has {VERSIONS_MAX} versions already")
        if self._texts_bytes + len(proposal.schema.encode()) > TEXTS_BYTES_MAX:
            raise Rejected(Code.SCHEMA_LIMIT, f"all schemas have {TEXTS_BYTES_MAX} bytes already")

    # ── asking ────────────────────────────────────────────────────────────────────────────────

    def subjects(self) -> list[str]:
        """Return every subject, sorted."""
        return sorted({*PLACES, *self._versions})

    def versions(self, subject: str) -> list[Version]:
        """Return the versions of a subject; empty when there is none."""
        return self._versions_with(subject, own_id=OWN_ID)

    def with_id(self, schema_id: int) -> list[Version]:
        """Return every version that has an id; empty when nothing has it."""
        everything = [*self._pending(OWN_ID), *chain.from_iterable(self._versions.values())]
        return [version for version in everything if version.schema_id == schema_id]

    def find(self, subject: str, text: str) -> Version | None:
        """Return the subject's version of a schema (Rejected schema_invalid)."""
        canonical = avro_types.canonical(avro_parser.parse(text))
        return next(
            (version for version in self.versions(subject) if version.canonical == canonical),
            None,
        )

    def foreign(self, topic: Topic, schema_id: int, *, received_at_ms: int) -> Foreign | None:
        """Return how a topic's records with an id are read; None when the id means nothing there.

        An id counts for records that came after its registration: so whoever folds the record
        again decides as the first one did, who could not know of later registrations.

        Args:
            topic: The topic.
            schema_id: Id in the frame.
            received_at_ms: Append time of the record, milliseconds since 1970 UTC.
        """
        found = self._foreign.get((topic.name, schema_id))
        if found is None or found.version.since_ms + ID_MARGIN_MS > received_at_ms:
            return None
        return found

    def _versions_with(self, subject: str, *, own_id: int) -> list[Version]:
        pending = [item for item in self._pending(own_id) if item.subject == subject]
        return [*self._versions.get(subject, ()), *pending]


def _require_readable(type_: avro_types.Type) -> None:
    """Refuse what our reader could not be made of: its records would hold a partition up."""
    try:
        fastavro.parse_schema(avro_types.definition_to_read(type_))
    except Exception as error:  # fastavro raises several types
        raise Rejected(Code.SCHEMA_INVALID, f"it cannot be read: {error}"[:300]) from error


def require_subject(subject: str) -> None:
    """This function will refuse names that no subject may have.

    Raises:
        Rejected: schema_invalid, or subject_closed for what stands in our topics and is no record
            of theirs.
    """
    if len(subject) > SUBJECT_LENGTH_MAX or _SUBJECT.fullmatch(subject) is None:
        raise Rejected(
            Code.SCHEMA_INVALID,
            f"a subject has 1 to {SUBJECT_LENGTH_MAX} letters, digits and . _ -",
        )
    if subject in PLACES:
        return
    for topic in TOPICS:
        if subject.startswith(f"{topic.name}-"):
            known = sorted(name for name, place in PLACES.items() if place.topic is topic)
            raise Rejected(
                Code.SUBJECT_CLOSED,
                f"{topic.name} holds no such record; its subjects: {', '.join(known) or 'none'}",
            )


def found_conflicts(subject: str, type_: avro_types.Type, versions: list[Version]) -> list[str]:
    """This function will say what speaks against a schema as the next version of a subject.

    Args:
        subject: The subject.
        type_: The schema.
        versions: What the subject has.

    Returns:
        Sentences with the version and the place; empty when nothing does.

    Raises:
        Rejected: subject_closed, when only we write the subject's record.
    """
    place = PLACES.get(subject)
    if place is not None and not place.is_open:
        raise Rejected(
            Code.SUBJECT_CLOSED,
            f"only Tidegauge writes {full_name(place.schema)} into {place.topic.name}",
        )
    found = [
        f"version {version.number} is not read by it: {conflict}"
        for version in versions
        for conflict in conflicts(reader=type_, writer=version.type_)
    ]
    if place is not None:
        found += [
            f"readers of {place.topic.name} could not read it: {conflict}"
            for version in [version for version in versions if version.own is not None][-1:]
            for conflict in conflicts(reader=version.type_, writer=type_)
        ]
    return list(dict.fromkeys(found))


def _known_id(own_id: int) -> int:
    """Return up to which id of ours a proposal counts: what it says, as far as that can be."""
    return min(max(own_id, OWN_ID_FIRST), OWN_ID)


def _newest(name: str, own_id: int) -> Schema:
    """Return the newest version of a schema of ours up to an id."""
    return max(
        (schema for schema in OWN.values() if schema.name == name and schema.schema_id <= own_id),
        key=lambda schema: schema.version,
    )
