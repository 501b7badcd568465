"""An external Confluent-compatible schema registry, by Confluent's own client."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

from confluent_kafka.schema_registry import Schema as TheirSchema
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError

from domain.codes import Code
from domain.errors import Fatal, Rejected, Retryable
from runtime import clock
from runtime.logs import logger
from runtime.schema_log import counted_lookup
from schemas import avro_parser, avro_types
from schemas.compatibility import conflicts
from schemas.subjects import OWN, PLACES, Foreign, Version, full_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.settings import Settings
    from schemas.topics import Topic

CALL_TIMEOUT_S = 5
"""Longest wait for one answer of it, seconds: a fold waits with its partition meanwhile."""
RETRY_MS = 1_000
"""Time between two tries, ms."""
KNOWN_MAX = 10_000
"""Ids remembered; in a topic of ours there are a few."""
ABSENT_MS = 1_000
"""How long an id that the external registry does not know is not asked for again, ms: a sender of
nonsense must not make every record a question."""
NOT_FOUND = 404


class ExternalRegistry:
    """A Confluent-compatible registry, by Confluent's own client; safe to use from many threads.

    An id is immutable there, so one that was found is never asked for again. What is not found is
    not remembered for long: its sender may have been quicker than the registry's replicas.

    Args:
        settings: Its URL, with user and password where it wants them, and more properties.

    Raises:
        Fatal: setting_invalid, when the client does not take the properties.
    """

    def __init__(self, settings: Settings) -> None:
        urls, user_info = _without_user_info(settings.schema_registry.get_secret_value())
        try:
            self._client = SchemaRegistryClient(
                {
                    "url": urls,
                    **({"basic.auth.user.info": user_info} if user_info else {}),
                    "timeout": CALL_TIMEOUT_S,
                    "max.retries": 0,
                    **json.loads(settings.schema_registry_config.get_secret_value()),
                }
            )
        except (OSError, TypeError, ValueError) as error:
            raise Fatal(
                Code.SETTING_INVALID,
                f"TIDEGAUGE_SCHEMA_REGISTRY_CONFIG: {error}",
                next_step="See the properties of confluent-kafka's SchemaRegistryClient",
            ) from error
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], Foreign] = {}
        self._absent_until_ms: dict[tuple[str, int], int] = {}

    def register_own(self) -> Mapping[int, int]:
        """Register every schema of ours under its subjects, or find it there.

        Returns:
            Our id → the registry's.

        Raises:
            Retryable: registry_away.
            Fatal: registry_mismatch, when it refuses one.
        """
        ids: dict[int, int] = {}
        for own_id, schema in sorted(OWN.items()):
            theirs = TheirSchema(schema.text, "AVRO")
            for subject in _subjects_of(schema.name):
                try:
                    ids[own_id] = self._client.register_schema(subject, theirs)
                except SchemaRegistryError as error:
                    if _is_away(error):
                        _raise_away(error)
                    raise Fatal(
                        Code.REGISTRY_MISMATCH,
                        f"the registry refuses {full_name(schema)} under {subject}: "
                        f"{error.http_status_code} {error.error_message}",
                        next_step="See who registered what under this subject, or which "
                        "rights the user lacks",
                    ) from error
                except Exception as error:  # noqa: BLE001 -- the errors of its HTTP library
                    _raise_away(error)
        return ids

    def find(self, topic: Topic, schema_id: int, *, received_at_ms: int) -> Foreign | None:  # noqa: ARG002 -- the registry does not say when an id was made
        """Return how records of a topic with this id are read; None when it means nothing there.

        Raises:
            Retryable: registry_away.
        """
        key = (topic.name, schema_id)
        known = self._known.get(key)
        if known is not None or clock.monotonic_ms() < self._absent_until_ms.get(key, 0):
            return known
        with self._lock:
            with counted_lookup() as outcome:
                found = self._asked(topic, schema_id)
                outcome.is_found = found is not None
            if len(self._known) + len(self._absent_until_ms) >= KNOWN_MAX:
                self._absent_until_ms.clear()
                self._known.clear()
            if found is None:
                self._absent_until_ms[key] = clock.monotonic_ms() + ABSENT_MS
            else:
                self._known[key] = found
        return found

    def _asked(self, topic: Topic, schema_id: int) -> Foreign | None:
        try:
            theirs = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                return None
            _raise_away(error)
        except Exception as error:  # noqa: BLE001 -- the errors of its HTTP library
            _raise_away(error)
        if theirs.schema_type not in {None, "AVRO"} or theirs.references:
            return None
        return _read_as_ours(topic, schema_id, theirs.schema_str or "")

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def _read_as_ours(topic: Topic, schema_id: int, text: str) -> Foreign | None:
    """Return how a schema of a stranger is read in a topic; None when it must not stand there."""
    try:
        type_ = avro_parser.parse(text)
    except Rejected as error:
        logger().warning("registry.schema_refused", schema_id=schema_id, reason=error.reason)
        return None
    for schema in topic.foreign:
        if full_name(schema) == avro_types.name_of(type_):
            if conflicts(reader=avro_parser.parse(schema.text), writer=type_):
                return None
            version = Version("", 0, schema_id, text, type_, None, 0)
            return Foreign(version, read_as=schema)
    return None


def _subjects_of(name: str) -> list[str]:
    """Return where a schema of ours stands: by topic and record, and by topic where it can."""
    return [
        subject
        for subject, place in PLACES.items()
        if place.schema.name == name and subject.startswith(f"{place.topic.name}-")
    ]


def _without_user_info(urls: str) -> tuple[str, str]:
    """Return the URLs without user and password, and these: an error must not repeat them."""
    bare: list[str] = []
    user_info = ""
    for url in urls.split(","):
        parts = urlsplit(url.strip())
        if parts.username is not None:
            user_info = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        bare.append(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
    return ",".join(bare), user_info


def _is_away(error: SchemaRegistryError) -> bool:
    return error.http_status_code in {408, 429} or error.http_status_code >= 500  # noqa: PLR2004 -- HTTP's own numbers


def _raise_away(error: Exception) -> NoReturn:
    raise Retryable(
        Code.REGISTRY_AWAY,
        f"the schema registry does not answer: {type(error).__name__}: {error}"[:300],
        retry_after_ms=RETRY_MS,
        next_step="Check TIDEGAUGE_SCHEMA_REGISTRY and the registry; work resumes by itself",
    ) from error
