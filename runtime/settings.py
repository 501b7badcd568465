"""Every setting, declared once; the environment is read here and nowhere else."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.codes import Code
from domain.errors import Fatal
from domain.fields import TEXT_LENGTH_MAX, is_clean_text


class Settings(BaseSettings):
    """Settings of all processes, read from TIDEGAUGE_… variables and an optional .env file."""

    model_config = SettingsConfigDict(
        env_prefix="TIDEGAUGE_", env_file=".env", extra="ignore", frozen=True
    )

    kafka: str = Field(
        default="127.0.0.1:9092", description="Kafka bootstrap servers, host:port,…"
    )
    kafka_config: SecretStr = Field(
        default=SecretStr("{}"),
        description="More librdkafka settings as a JSON object, for example SASL and TLS",
    )
    kafka_session_timeout_ms: int = Field(
        default=10_000, ge=1_000, description="After this silence a worker's partitions move, ms"
    )
    broker_is_mock: bool = Field(
        default=False,
        description="True on librdkafka's mock broker: topics are neither created nor checked, "
        "and the append time is the sender's time",
    )
    partitions: int = Field(
        default=4, ge=1, le=1024, description="Partitions of every topic; fixed for its life"
    )
    schema_registry: SecretStr = Field(
        default=SecretStr(""),
        description="URL of an external Confluent-compatible schema registry, "
        "https://user:password@host; empty for the built-in one",
    )
    schema_registry_config: SecretStr = Field(
        default=SecretStr("{}"),
        description="More properties of Confluent's registry client as a JSON object, for example "
        "ssl.ca.location",
    )
    database_url: SecretStr = Field(
        default=SecretStr("postgresql://tidegauge@127.0.0.1:5432/tidegauge"),
        description="PostgreSQL URL of the role that migrates; other processes drop to their role",
    )
    database_schema: str = Field(
        default="tidegauge",
        pattern="^[a-z_][a-z0-9_]{0,40}$",
        description="Schema that holds the tables",
    )
    tenant: str = Field(
        default="demo", description="Tenant that command line calls mean by default"
    )
    fold_batch_events_max: int = Field(
        default=20_000, ge=1, le=50_000, description="Events of one micro-batch of a fold"
    )
    fold_batch_bytes_max: int = Field(
        default=2 * 1024 * 1024,
        ge=1024,
        le=8 * 1024 * 1024,
        description="Estimated bytes of one facts record",
    )
    fold_linger_ms: int = Field(
        default=100,
        ge=0,
        le=250,
        description="How long a fold waits for more events of a batch, ms",
    )
    state_dir: Path = Field(
        default=Path(".cache/state"), description="Where folds keep their checkpoints"
    )
    checkpoint_interval_ms: int = Field(
        default=10_000,
        ge=0,
        description="Time between two checkpoints of a fold, ms; 0 keeps none",
    )
    seen_memory_keys: int = Field(
        default=1_000_000,
        ge=2,
        le=8_000_000,
        description="Keys a usage fold keeps in memory per partition, 64 bytes each; older ones "
        "go to the disk",
    )
    projector_rows_max: int = Field(default=40_000, ge=1, description="Window rows of one flush")
    projector_flush_ms: int = Field(
        default=200, ge=0, description="Longest wait before a flush, ms"
    )
    worker_port: int = Field(
        default=6066, description="Web port of a worker; 0 lets the system choose"
    )
    projector_port: int = Field(
        default=0, ge=0, le=65_535, description="Port of a projector's /metrics; 0 opens none"
    )
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on")
    api_port: int = Field(default=8080, description="Port the API listens on")
    command_timeout_ms: int = Field(
        default=10_000, ge=100, description="How long a POST waits for its outcome, ms"
    )
    gateway_host: str = Field(default="127.0.0.1", description="Address the gateway listens on")
    gateway_port: int = Field(default=8006, description="Port the gateway listens on")
    gateway_requests_per_minute: int = Field(
        default=60_000, ge=1, description="Requests that one API key may send to a gateway"
    )
    gateway_events_per_minute: int = Field(
        default=6_000_000, ge=5_000, description="Events that one API key may send to a gateway"
    )
    document_locale: str = Field(
        default="en",
        pattern=r"^[a-z]{2,3}([_-][A-Z][a-z]{3})?([_-][A-Z]{2})?$",
        description="How invoices write figures, dates and fixed words where nobody asks for "
        "another way, for example en, de-CH or fr",
    )
    open_tenant: str = Field(
        default="",
        description="Tenant for which requests without credentials are taken, on loopback "
        "addresses only; for a developer's machine; empty: none",
    )
    webhook_secrets: SecretStr = Field(
        default=SecretStr("{}"),
        description="Secrets of webhook senders as a JSON object: tenant to a list of secrets "
        "of 16 characters and more; a tenant without one has no webhooks, unless it is the open "
        "tenant",
    )
    vault_key: SecretStr = Field(
        default=SecretStr(""),
        description="Master keys of the vault of personal data, id:secret with commas, the "
        "present one first (`tidegauge vault key` draws one); empty: no personal data is taken",
    )
    vault_database_url: SecretStr = Field(
        default=SecretStr(""),
        description="PostgreSQL URL of the vault, so that it can have backups of its own; empty: "
        "the database of the projections",
    )
    vault_schema: str = Field(
        default="vault",
        pattern="^[a-z_][a-z0-9_]{0,40}$",
        validate_default=True,
        description="Schema of the vault; not the projections', which a rebuild drops",
    )
    vault_buyer_years: int = Field(
        default=10,
        ge=0,
        le=30,
        description="Years that name, address and tax id on final invoices are kept, in the "
        "vault, after their customer was erased; 0: not at all",
    )
    billing_lines_max: int = Field(
        default=1_000_000, ge=1, description="Invoice lines that one billing run may make"
    )
    billing_total_max: int = Field(
        default=100_000_000,
        ge=1,
        description="What one billing run may bill in all, in whole major units, per currency",
    )
    billing_outlier_times: int = Field(
        default=10,
        ge=0,
        description="An invoice of more than so many times the median of the customer's last six "
        "waits for a person; 0: none does",
    )
    billing_interval_ms: int = Field(
        default=5_000,
        ge=100,
        description="How often the billing worker looks for what is due, ms",
    )
    archive_dir: str = Field(
        default="",
        description="Folder of the Parquet archive of usage.events (docs/archive.md), which `up` "
        "then keeps and replay reads where the log no longer reaches; empty for none",
    )
    archive_interval_ms: int = Field(
        default=600_000,
        ge=1_000,
        description="A file of the archive is closed when its first record is so old, ms",
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="Form of the log lines"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged"
    )
    failpoint: str = Field(
        default="",
        description="Tests only: name:n kills the process when the point is passed n times",
    )

    @property
    def has_archive(self) -> bool:
        """Say whether usage.events is archived."""
        return bool(self.archive_dir)

    @property
    def archive_folder(self) -> Path:
        """Return the folder of the archive; only where there is one."""
        return Path(self.archive_dir)

    @field_validator("archive_dir")
    @classmethod
    def _make_absolute(cls, value: str) -> str:
        """Mean the same folder in processes that `up` starts elsewhere."""
        return str(Path(value).absolute()) if value else ""

    @property
    def is_registry_external(self) -> bool:
        """Say whether ids of schemas come from an external registry."""
        return bool(self.schema_registry.get_secret_value())

    @field_validator("open_tenant")
    @classmethod
    def _require_loopback(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            return value
        if not is_clean_text(value):
            raise ValueError(f"must be 1 to {TEXT_LENGTH_MAX} printable characters")
        for name in ("api_host", "gateway_host"):
            # A host that was refused itself is not in the data; its own message says so.
            if not is_loopback(info.data.get(name, "127.0.0.1")):
                raise ValueError(
                    f"takes requests without credentials, so TIDEGAUGE_{name.upper()} must be a "
                    "loopback address such as 127.0.0.1"
                )
        return value

    @field_validator("vault_schema")
    @classmethod
    def _require_own_schema(cls, value: str, info: ValidationInfo) -> str:
        projections = info.data.get("database_schema", "")
        if value in {projections, f"{projections}_chunks"}:
            raise ValueError("must not be the projections' schema: a rebuild drops that")
        return value

    @field_validator("schema_registry")
    @classmethod
    def _require_url(cls, value: SecretStr) -> SecretStr:
        urls = value.get_secret_value()
        if urls and not all(_is_http_url(url.strip()) for url in urls.split(",")):
            raise ValueError("must be http://… or https://…, or several of them with commas")
        return value

    @field_validator("kafka_config", "schema_registry_config")
    @classmethod
    def _require_json_object(cls, value: SecretStr) -> SecretStr:
        if not isinstance(json.loads(value.get_secret_value()), dict):
            raise ValueError("must be a JSON object")  # noqa: TRY004 -- what pydantic wants
        return value


def is_loopback(host: str) -> bool:
    """This function will say whether an address reaches this machine alone.

    A name is believed only when it is "localhost": any other may mean something else tomorrow.
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def read_settings() -> Settings:
    """This function will read the settings of this process.

    Raises:
        Fatal: setting_invalid, with every variable that is wrong and why; values are not shown,
            for some are secrets.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"TIDEGAUGE_{'.'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise Fatal(
            Code.SETTING_INVALID,
            wrong,
            next_step="Correct the environment or .env; `tidegauge config example` shows all",
        ) from None


def env_example() -> str:
    """This function will return the text of .env.example: every setting with its meaning."""
    lines = ["# Every setting of Tidegauge with its default; made by `tidegauge config example`."]
    for name, field in Settings.model_fields.items():
        default = field.default
        value = default.get_secret_value() if isinstance(default, SecretStr) else default
        text = str(value).lower() if isinstance(value, bool) else str(value)
        lines += ["", f"# {field.description}", f"TIDEGAUGE_{name.upper()}={text}"]
    return "\n".join(lines) + "\n"
