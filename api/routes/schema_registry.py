"""The built-in schema registry as Confluent's clients ask it: a subset of its REST interface.

docs/schema-registry.md lists the addresses. Only what the clients of Kafka's serializers need is
here; nothing is ever deleted, because what is on the log stays readable.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.dependencies import BackendDep
from api.registry_form import (
    LEVEL_INVALID,
    NOT_PERMITTED,
    SCHEMA_NOT_FOUND,
    SUBJECT_NOT_FOUND,
    VERSION_INVALID,
    VERSION_NOT_FOUND,
    BodyDep,
    CallerDep,
    RefusalError,
    RegistryRoute,
    answer,
    get_caller,
    schema_text_of,
)
from domain.canonical import Json
from runtime.schema_log import SchemaLog
from runtime.web.scopes import Scope, allows
from schemas import avro_parser
from schemas.subjects import LEVEL, Proposal, Version, found_conflicts, require_subject

BASE_PATH = "/schema-registry"
LATEST = frozenset({"latest", "-1"})
_VERSION = re.compile(r"[0-9]{1,10}", re.ASCII)
PAGE_MAX = 10_000
"""Entries of one answer: more than there can be subjects and versions of one id."""

router = APIRouter(
    prefix=BASE_PATH,
    route_class=RegistryRoute,
    dependencies=[Depends(get_caller)],
    include_in_schema=False,
    redirect_slashes=False,
)


def get_schemas(backend: BackendDep) -> SchemaLog:
    """This function will return the registry (RefusalError when another one is in force)."""
    if backend.schemas is None:
        raise RefusalError(404, "This log uses the registry of TIDEGAUGE_SCHEMA_REGISTRY: ask it")
    return backend.schemas


SchemasDep = Annotated[SchemaLog, Depends(get_schemas)]
Offset = Annotated[int, Query(ge=0, le=PAGE_MAX)]
Limit = Annotated[int, Query(ge=-1, le=PAGE_MAX)]


# ── subjects ──────────────────────────────────────────────────────────────────────────────────


@router.get("/subjects")
def list_subjects(
    schemas: SchemasDep,
    prefix: Annotated[str, Query(alias="subjectPrefix")] = "",
    offset: Offset = 0,
    limit: Limit = -1,
) -> Response:
    """Every subject that begins with a prefix."""
    found = schemas.ask(lambda registry: registry.subjects())
    return answer(_page([name for name in found if name.startswith(prefix)], offset, limit))


@router.get("/subjects/{subject}/versions")
def list_versions(
    schemas: SchemasDep, subject: str, offset: Offset = 0, limit: Limit = -1
) -> Response:
    """The numbers of a subject's versions."""
    return answer(_page([item.number for item in _versions(schemas, subject)], offset, limit))


@router.get("/subjects/{subject}/versions/{version}")
def get_version(schemas: SchemasDep, subject: str, version: str) -> Response:
    """One version of a subject."""
    return answer(_told(_version(schemas, subject, version)))


@router.get("/subjects/{subject}/versions/{version}/schema")
def get_version_schema(schemas: SchemasDep, subject: str, version: str) -> Response:
    """Its schema alone."""
    return _plain(_version(schemas, subject, version))


@router.get("/subjects/{subject}/versions/{version}/referencedby")
def list_references(schemas: SchemasDep, subject: str, version: str) -> Response:
    """Who refers to it: nobody, as references are not taken."""
    _version(schemas, subject, version)
    return answer([])


@router.post("/subjects/{subject}/versions")
def register(schemas: SchemasDep, caller: CallerDep, subject: str, body: BodyDep) -> Response:
    """Register a schema, or find it there; the right to write is asked for only when it is new."""
    text = schema_text_of(body)
    known = schemas.ask(lambda registry: registry.decide(Proposal(subject, text)))
    if known is None:
        _require_write(caller.scopes)
        known = schemas.register(subject, text)
    schemas.await_age(known)
    return answer(_told(known))


@router.post("/subjects/{subject}")
def look_up(schemas: SchemasDep, subject: str, body: BodyDep) -> Response:
    """The version that a subject has of a schema."""
    text = schema_text_of(body)
    _versions(schemas, subject)
    found = schemas.ask(lambda registry: registry.find(subject, text))
    if found is None:
        raise RefusalError(SCHEMA_NOT_FOUND, "Schema not found")
    schemas.await_age(found)
    return answer(_told(found))


# ── ids ───────────────────────────────────────────────────────────────────────────────────────


@router.get("/schemas/types")
def list_types() -> Response:
    """The kinds of schemas that are taken."""
    return answer(["AVRO"])


@router.get("/schemas/ids/{schema_id}")
def get_schema(schemas: SchemasDep, schema_id: int) -> Response:
    """The schema of an id; the subject that clients name beside it changes nothing."""
    return answer({"schema": _with_id(schemas, schema_id)[0].text})


@router.get("/schemas/ids/{schema_id}/schema")
def get_schema_text(schemas: SchemasDep, schema_id: int) -> Response:
    """The schema alone."""
    return _plain(_with_id(schemas, schema_id)[0])


@router.get("/schemas/ids/{schema_id}/versions")
def list_versions_of_id(
    schemas: SchemasDep, schema_id: int, offset: Offset = 0, limit: Limit = -1
) -> Response:
    """Where a schema stands."""
    found: list[Json] = [
        {"subject": item.subject, "version": item.number} for item in _with_id(schemas, schema_id)
    ]
    return answer(_page(found, offset, limit))


@router.get("/schemas/ids/{schema_id}/subjects")
def list_subjects_of_id(
    schemas: SchemasDep, schema_id: int, offset: Offset = 0, limit: Limit = -1
) -> Response:
    """The subjects where it stands."""
    found = sorted({item.subject for item in _with_id(schemas, schema_id)})
    return answer(_page(found, offset, limit))


# ── compatibility ─────────────────────────────────────────────────────────────────────────────


@router.post("/compatibility/subjects/{subject}/versions")
def check_all(
    schemas: SchemasDep, subject: str, body: BodyDep, *, verbose: bool = False
) -> Response:
    """Whether a schema could be the next version of a subject."""
    return _checked(schemas, subject, schema_text_of(body), "", verbose=verbose)


@router.post("/compatibility/subjects/{subject}/versions/{version}")
def check_one(
    schemas: SchemasDep, subject: str, version: str, body: BodyDep, *, verbose: bool = False
) -> Response:
    """Whether it reads what one version wrote."""
    return _checked(schemas, subject, schema_text_of(body), version, verbose=verbose)


def _checked(
    schemas: SchemaLog, subject: str, text: str, version: str, *, verbose: bool
) -> Response:
    type_ = avro_parser.parse(text)
    require_subject(subject)
    versions = schemas.ask(lambda registry: registry.versions(subject))
    if version and not (version in LATEST and not versions):
        versions = [_version(schemas, subject, version)]
    found = found_conflicts(subject, type_, versions)
    told: dict[str, Json] = {"is_compatible": not found}
    return answer(told | ({"messages": found} if verbose else {}))


@router.get("/config")
@router.get("/config/{subject}")
def get_level(subject: str = "") -> Response:
    """The one compatibility level, of all subjects."""
    del subject
    return answer({"compatibilityLevel": LEVEL})


@router.put("/config")
@router.put("/config/{subject}")
def put_level(caller: CallerDep, body: BodyDep, subject: str = "") -> Response:
    """Confirm the level; another one is refused: old records are read for ever."""
    del subject
    _require_write(caller.scopes)
    if body.get("compatibility") != LEVEL:
        raise RefusalError(
            LEVEL_INVALID,
            f"Invalid compatibility level: there is only {LEVEL}, for the log keeps old records",
        )
    return answer({"compatibility": LEVEL})


@router.get("/mode")
@router.get("/mode/{subject}")
def get_mode(subject: str = "") -> Response:
    """Every subject may be read and written."""
    del subject
    return answer({"mode": "READWRITE"})


# ── the rest ──────────────────────────────────────────────────────────────────────────────────


@router.get("")
@router.get("/")
def get_root() -> Response:
    """What clients ask to see whether somebody is there."""
    return answer({})


@router.delete("/{path:path}")
def refuse_deletion(path: str) -> Response:
    """Refuse to delete anything."""
    del path
    raise RefusalError(
        NOT_PERMITTED, "Nothing is deleted here: what is on the log must stay readable"
    )


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT"])
def find_nothing(path: str) -> Response:
    """Answer for all other addresses in the same form."""
    del path
    raise RefusalError(404, "HTTP 404 Not Found")


def _require_write(scopes: frozenset[str]) -> None:
    if not allows(scopes, Scope.SCHEMA_WRITE):
        raise RefusalError(
            403,
            f"This would change the registry and needs an API key with {Scope.SCHEMA_WRITE}: "
            f"tidegauge key create LABEL --scope {Scope.SCHEMA_WRITE}",
        )


def _versions(schemas: SchemaLog, subject: str) -> list[Version]:
    found = schemas.ask(lambda registry: registry.versions(subject))
    if not found:
        raise RefusalError(SUBJECT_NOT_FOUND, f"Subject '{subject[:249]}' not found.")
    return found


def _version(schemas: SchemaLog, subject: str, version: str) -> Version:
    if version not in LATEST and not (_VERSION.fullmatch(version) and 1 <= int(version) < 1 << 31):
        raise RefusalError(
            VERSION_INVALID,
            f"The specified version '{version[:20]}' is not a valid version id. Allowed values "
            'are between [1, 2^31-1] and the string "latest"',
        )
    versions = _versions(schemas, subject)
    number = len(versions) if version in LATEST else int(version)
    if number > len(versions):
        raise RefusalError(VERSION_NOT_FOUND, f"Version {number} not found.")
    found = versions[number - 1]
    schemas.await_age(found)
    return found


def _with_id(schemas: SchemaLog, schema_id: int) -> list[Version]:
    found = schemas.ask(lambda registry: registry.with_id(schema_id))
    if not found:
        raise RefusalError(SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")
    return found


def _told(version: Version) -> dict[str, Json]:
    return {
        "subject": version.subject,
        "version": version.number,
        "id": version.schema_id,
        "schema": version.text,
    }


def _plain(version: Version) -> Response:
    return Response(version.text, media_type="application/json")


def _page(items: list[Json] | list[str] | list[int], offset: int, limit: int) -> Json:
    return items[offset:] if limit < 0 else items[offset : offset + limit]
