"""Settings: read from the environment, refused clearly, shown without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from domain.codes import Code
from domain.errors import Fatal
from runtime.settings import Settings, env_example, read_settings

PASSWORD = "hunter2"


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without .env and an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TIDEGAUGE_{name.upper()}", raising=False)


class TestReading:
    def test_takes_a_variable_over_the_file_over_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The nearer one wins."""
        Path(".env").write_text("TIDEGAUGE_PARTITIONS=8\nTIDEGAUGE_TENANT=file\n")
        monkeypatch.setenv("TIDEGAUGE_TENANT", "environment")
        found = read_settings()
        assert ("environment", 8, 8080) == (found.tenant, found.partitions, found.api_port)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PARTITIONS", "0"),
            ("PARTITIONS", "1025"),
            ("PARTITIONS", "four"),
            ("FOLD_LINGER_MS", "-1"),
            ("FOLD_LINGER_MS", "251"),
            ("KAFKA_SESSION_TIMEOUT_MS", "999"),
            ("DATABASE_SCHEMA", 'x"; DROP'),
            ("LOG_FORMAT", "xml"),
            ("KAFKA_CONFIG", f"{{'sasl.password': '{PASSWORD}'}}"),
            ("KAFKA_CONFIG", f'["{PASSWORD}"]'),
            ("SCHEMA_REGISTRY", f"any:{PASSWORD}@host"),
            ("SCHEMA_REGISTRY", f"ftp://any:{PASSWORD}@host"),
            ("SCHEMA_REGISTRY", f"https://any:{PASSWORD}@"),
            ("SCHEMA_REGISTRY", f"https://any:{PASSWORD}@host,nonsense"),
            ("SCHEMA_REGISTRY", f"https://[{PASSWORD}"),
            ("SCHEMA_REGISTRY_CONFIG", f'["{PASSWORD}"]'),
        ],
    )
    def test_refuses_a_wrong_value_by_its_variable(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One sentence, the next step, and no value: it may be a secret."""
        monkeypatch.setenv(f"TIDEGAUGE_{name}", value)
        with pytest.raises(Fatal) as caught:
            read_settings()
        assert Code.SETTING_INVALID == caught.value.code
        assert f"TIDEGAUGE_{name}" in caught.value.reason
        assert caught.value.next_step
        assert PASSWORD not in str(caught.value)

    def test_cannot_be_changed_afterwards(self) -> None:
        """What was shown at the start is what holds."""
        with pytest.raises(ValueError, match="frozen"):
            read_settings().partitions = 3


class TestShowing:
    def test_hides_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A password in a URL or in Kafka's own settings reaches no screen."""
        monkeypatch.setenv("TIDEGAUGE_DATABASE_URL", f"postgresql://me:{PASSWORD}@host/db")
        monkeypatch.setenv("TIDEGAUGE_KAFKA_CONFIG", json.dumps({"sasl.password": PASSWORD}))
        done = CliRunner().invoke(app, ["config", "show"])
        assert 0 == done.exit_code
        shown = json.loads(done.output)
        assert Settings.model_fields.keys() == shown.keys()
        assert ["********"] * 2 == [shown["database_url"], shown["kafka_config"]]
        assert PASSWORD not in done.output + repr(read_settings())

    def test_the_example_is_a_file_that_gives_the_defaults(self) -> None:
        """Copied as it is, it changes nothing."""
        Path(".env").write_text(env_example(), encoding="utf-8")
        defaults = Settings.model_construct().model_dump()
        assert defaults == read_settings().model_dump()
