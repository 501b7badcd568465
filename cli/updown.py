"""`tidegauge up` and `tidegauge down`: the whole pipeline on real services, for a person at work.

`up` stays in the foreground. It notes itself, its processes and whether the services are its own
in `up.json`, so that `down` ends exactly these, by pid and start time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from cli import checkout, port_forward, processes, seeding, up_shell, up_vault
from cli.failures import CommandFailure, Ended
from cli.pipeline import Pipeline, workers
from cli.processes import LogStream, Supervisor
from domain.errors import TidegaugeError
from runtime import clock
from runtime.settings import Settings, is_loopback
from runtime.web.scopes import Scope

USAGE_FOLDS = 2
"""Two share the partitions, so that a stranger sees them do it; more cores take more."""
DOWN_TIMEOUT_MS = 90_000
"""How long `down` waits for `up` to end: our processes, then broker and database, ms."""
SERVICES_TIMEOUT_S = 120
EXAMPLE_USE = (
    '{"customer": "customer-1", "type": "llm.request", "quantity": 512,'
    ' "dimensions": {"context": "chat"}, "properties": {"generated_tokens": "64"}}'
)
"""A use to try the gateway with; it counts under the catalogue that `--seed` publishes."""

S0_API_PORTS, S0_GATEWAY_PORT = (8004, 8005), 8006
"""Ports by which S0's services are known (S0-70): billing API and dashboard, and the webhooks."""
_S0 = checkout.CATALOGUE.with_name("s0_bem_emergence.yaml")
_SCOPES = (
    *(Scope.USAGE_WRITE, Scope.BILLING_READ, Scope.BILLING_WRITE, Scope.BILLING_ADMIN),
    Scope.BILLING_PERSONAL,
)
"""Rights of the key that `up` makes: those of the machine's owner over their tenant."""

CacheDir = Annotated[
    Path,
    typer.Option(
        "--cache-dir",
        envvar="TIDEGAUGE_CACHE_DIR",
        metavar="DIR",
        help="Where services.json, up.env and up.json lie.",
    ),
]


@dataclass(frozen=True, slots=True)
class Cache:
    """Files of one running `up`.

    Args:
        folder: Where they lie.
    """

    folder: Path

    @property
    def services(self) -> Path:
        """Return the file for everybody: where things are, and a key."""
        return self.folder / "services.json"

    @property
    def shell(self) -> Path:
        """Return the file that a shell reads, so that commands speak to this `up`."""
        return self.folder / "up.env"

    @property
    def state(self) -> Path:
        """Return the file of `up` and `down` alone."""
        return self.folder / "up.json"

    def read_state(self) -> dict[str, Any]:
        """Return what a running or killed `up` has noted; empty when there is nothing."""
        try:
            found = json.loads(self.state.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, path: Path, content: object) -> None:
        """Write a file of JSON."""
        self.write_text(path, json.dumps(content, indent=2) + "\n")

    def write_text(self, path: Path, text: str) -> None:
        """Write a file at once, readable by its owner only."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)

    def forget(self) -> None:
        """Remove the files."""
        self.services.unlink(missing_ok=True)
        self.shell.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)


def up(
    *,
    seed: Annotated[
        bool, typer.Option("--seed", help="Publish the catalogue of deploy/catalogues, too.")
    ] = False,
    seed_s0: Annotated[
        bool,
        typer.Option(
            "--seed-s0",
            help="Publish the catalogue of system S0 instead, and make a customer and a project "
            "for its quick start (docs/emergence.md).",
        ),
    ] = False,
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Go on with the data of the last start.")
    ] = False,
    cache_dir: CacheDir = checkout.CACHE,
) -> None:
    """Start real services and the whole pipeline, and stay until Ctrl-C or `down`."""
    cache = Cache(cache_dir.absolute())
    known = cache.read_state()
    if _is_running(known.get("up")):
        _say(f"already up; {cache.services} says where")
        return
    _end_left_over(known)
    try:
        with processes.ended_by_signals(), processes.clearing_away() as stack:
            stack.callback(cache.forget)
            settings = _services(cache, stack, keep_data=keep_data)
            _run(settings, cache, seed=_S0 if seed_s0 else checkout.CATALOGUE if seed else None)
    except Ended:
        _say("down: everything that was started has been stopped")
    except (CommandFailure, TidegaugeError) as error:
        text = error.text() if isinstance(error, CommandFailure) else f"error: {error}"
        typer.secho(text, fg=typer.colors.RED, err=True)
        sys.exit(1)


def down(cache_dir: CacheDir = checkout.CACHE) -> None:
    """End what `up` started, by pid."""
    cache = Cache(cache_dir.absolute())
    known = cache.read_state()
    if not known:
        _say("nothing is up")
        return
    identity = known.get("up")
    if isinstance(identity, list) and _is_running(identity):
        os.kill(identity[0], signal.SIGTERM)
        deadline_ms = clock.monotonic_ms() + DOWN_TIMEOUT_MS
        while _is_running(identity) and clock.monotonic_ms() < deadline_ms:
            clock.sleep_ms(processes.POLL_MS)
        if _is_running(identity):
            os.kill(identity[0], signal.SIGKILL)
    # After a proper end there is nothing left of these; after a kill -9 there may be.
    known = cache.read_state() or {"children": known.get("children", [])}
    _end_left_over(known)
    cache.forget()
    _say("down")


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


def _is_running(identity: object) -> bool:
    """Say whether exactly the process that was noted as [pid, start] is still there."""
    if not isinstance(identity, list) or len(identity) != 2:  # noqa: PLR2004 -- pid and start
        return False
    pid, started = identity
    return isinstance(pid, int) and processes.started_at(pid) == started


def _identity(pid: int) -> list[int | None]:
    return [pid, processes.started_at(pid)]


def _end_left_over(known: dict[str, Any]) -> None:
    """End what a killed `up` has left: its processes by pid and start, then its services."""
    children = [item for item in known.get("children", []) if _is_running(item)]
    for how, timeout_ms in ((signal.SIGTERM, processes.STOP_TIMEOUT_MS), (signal.SIGKILL, 2_000)):
        for pid, _ in filter(_is_running, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        deadline_ms = clock.monotonic_ms() + timeout_ms
        while any(map(_is_running, children)) and clock.monotonic_ms() < deadline_ms:
            clock.sleep_ms(processes.POLL_MS)
    if known.get("services_are_ours"):
        _services_script("down")


def _run_folder() -> Path:
    """Return where deploy/local keeps the state of the services it started."""
    return Path(os.environ.get("TIDEGAUGE_RUN_DIR", checkout.CACHE / "run"))  # noqa: TID251 -- deploy/local reads no settings


def _services(cache: Cache, stack: contextlib.ExitStack, *, keep_data: bool) -> Settings:
    """Return settings of services that answer; start those that the environment does not name.

    Services that run already are used and left alone at the end.
    """
    settings = Settings()
    note: dict[str, Any] = {"up": _identity(os.getpid()), "children": []}
    given = settings.model_fields_set & {"kafka", "database_url"}
    if given != {"kafka", "database_url"}:
        script = checkout.require(checkout.SERVICES_SCRIPT)
        named = {f"TIDEGAUGE_{name.upper()}": _plain(getattr(settings, name)) for name in given}
        is_up = _services_script("status", environment=named, is_quiet=True) == 0
        if not is_up:
            note["services_are_ours"] = True
            cache.write(cache.state, note)
            stack.callback(_services_script, "down", environment=named)
            options = ("--keep-data",) if keep_data else ()
            if _services_script("up", *options, environment=named):
                raise CommandFailure(
                    "the services did not start", next_step=f"see what {script.name} said above"
                )
        found = json.loads((_run_folder() / "services.json").read_text("utf-8"))
        addresses = {
            "kafka": settings.kafka if "kafka" in given else found["kafka"],
            "database_url": settings.database_url
            if "database_url" in given
            else SecretStr(found["database_url"]),
        }
        settings = settings.model_copy(update=addresses)
    cache.write(cache.state, note)
    return settings


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _services_script(
    *arguments: str, environment: dict[str, str] | None = None, is_quiet: bool = False
) -> int:
    """Run deploy/local/services.py; when we are asked to end, let it clear away first."""
    named = [f"{name}={value}" for name, value in (environment or {}).items()]
    command = [sys.executable, str(checkout.SERVICES_SCRIPT), *arguments]
    output = subprocess.DEVNULL if is_quiet else sys.stderr.fileno()
    process = subprocess.Popen(  # noqa: S603 -- our own script
        ["/usr/bin/env", *named, *command] if named else command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        return process.wait()
    except Ended:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SERVICES_TIMEOUT_S)
        raise


def _run(services: Settings, cache: Cache, *, seed: Path | None) -> None:
    from projections.migrate import migrate
    from runtime import logs
    from runtime.kafka import ensure_topics

    settings = _settings_of_processes(services, cache)
    logs.configure(settings, process="up")
    ensure_topics(settings)
    migrate(settings)
    settings = up_vault.with_vault(settings, cache.folder)
    pipeline = Pipeline(
        settings,
        workers(
            usage_folds=USAGE_FOLDS,
            has_gateway=True,
            has_billing=True,
            has_archive=settings.has_archive,
        ),
        cache.folder,
    )

    def note_children(pids: list[tuple[str, int]]) -> None:
        note = {**cache.read_state(), "children": [_identity(pid) for _, pid in pids]}
        cache.write(cache.state, note)

    log = LogStream(sys.stderr, is_coloured=sys.stderr.isatty())
    supervisor = Supervisor(log, restarts=True, on_change=note_children)
    targets = dict.fromkeys(S0_API_PORTS, settings.api_port)
    targets[S0_GATEWAY_PORT] = settings.gateway_port
    own = {settings.api_port, settings.gateway_port}
    ports = {port: target for port, target in targets.items() if port not in own}
    with supervisor.ending(), port_forward.forwarded(ports) as more:
        pipeline.start(supervisor)
        pipeline.await_ready(supervisor, on_ready=lambda _: None)
        _open(settings, cache, pipeline, seed=seed, more_ports=more)
        while True:
            supervisor.tend()
            clock.sleep_ms(processes.POLL_MS)


def _settings_of_processes(services: Settings, cache: Cache) -> Settings:
    """Fill in what was not set: free ports, a folder for checkpoints, readable logs."""
    is_set = services.model_fields_set
    ports = {"api_port": services.api_port, "gateway_port": services.gateway_port}
    for name, port in ports.items():
        if name not in is_set and not checkout.is_free(port):
            ports[name] = checkout.free_port()
    is_tty = sys.stderr.isatty()
    return services.model_copy(
        update={
            **ports,
            "state_dir": services.state_dir if "state_dir" in is_set else cache.folder / "state",
            "log_format": "console"
            if is_tty and "log_format" not in is_set
            else services.log_format,
            "open_tenant": _open_tenant(services),
        }
    )


def _open_tenant(services: Settings) -> str:
    """Return the tenant that needs no key here: ours, unless the setting says otherwise.

    On an address that others reach there is none: the processes would refuse to start.
    """
    is_home = is_loopback(services.api_host) and is_loopback(services.gateway_host)
    if "open_tenant" in services.model_fields_set or not is_home:
        return services.open_tenant
    return services.tenant


def _open(
    settings: Settings,
    cache: Cache,
    pipeline: Pipeline,
    *,
    seed: Path | None,
    more_ports: tuple[int, ...],
) -> None:
    """Make the tenant's API key, tell everybody where everything is, and say so."""
    from cli import books, catalogue_file, catalogues
    from runtime.commands import CommandSender

    sender, tenant = CommandSender(settings, actor="up"), settings.tenant
    if seed is not None:
        content = catalogue_file.read_catalogue_file(checkout.require(seed))
        catalogues.publish_catalogue(settings, sender, tenant=tenant, content=content)
    if seed == _S0:
        seeding.seed_s0(settings, sender)
    where = {
        "kafka": settings.kafka,
        "database_url": settings.database_url.get_secret_value(),
        "api_url": pipeline.api_url,
        "gateway_url": pipeline.gateway_url,
        "api_key": books.create_api_key(
            settings, sender, tenant=tenant, label="up", scopes=_SCOPES
        ),
    }
    cache.write_text(cache.shell, up_shell.shell_text(settings, given=Settings()))
    cache.write(cache.services, where)
    for line in _welcome(where, cache, settings=settings, seed=seed, more_ports=more_ports):
        _say(line)


def _welcome(
    where: dict[str, str],
    cache: Cache,
    *,
    settings: Settings,
    seed: Path | None,
    more_ports: tuple[int, ...],
) -> Iterator[str]:
    yield ""
    yield f"up: tenant {settings.tenant!r}; everything stands in {cache.services}"
    yield f"  commands  . {cache.shell}   and then `tidegauge …` speaks to it"
    yield f"  Kafka     {where['kafka']}"
    yield f"  database  {_without_password(where['database_url'])}"
    yield f"  API       {where['api_url']}  (reference: {where['api_url']}/docs)"
    yield f"  KEY={where['api_key']}"
    yield f'  curl -H "Authorization: Bearer $KEY" {where["api_url"]}/api/v1/billing/intake'
    yield f"  console   {where['api_url']}/console"
    yield f"  gateway   {where['gateway_url']}  (reference: {where['gateway_url']}/docs)"
    yield (
        '  curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json"'
        f" {where['gateway_url']}/api/v1/billing/usage -d '{EXAMPLE_USE}'"
    )
    if more_ports:
        yield f"  also on   {', '.join(f'127.0.0.1:{port}' for port in more_ports)}"
    if settings.open_tenant:
        yield (
            f"  open      requests of this machine without a key are taken for tenant"
            f" {settings.open_tenant!r}; TIDEGAUGE_OPEN_TENANT= turns that off"
        )
    if seed == _S0:
        yield (
            f"  try       curl -X POST {where['api_url']}/emergence/check" + seeding.EXAMPLE_CHECK
        )
    if seed is None:
        yield (
            "No catalogue yet: `./dev up --seed` or `--seed-s0` brings one, or "
            "`tidegauge catalogue publish`."
        )
    yield "Ctrl-C or `./dev down` ends it."
    yield ""


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, mark, login = head.partition("://")
    return f"{scheme}{mark}{login.partition(':')[0]}{at}{tail}" if at else url


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.command()(up)
    app.command()(down)
