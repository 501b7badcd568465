"""A real pipeline with the console on it, and headless Chromium that forgives nothing."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pydantic import SecretStr

from cli.books import create_api_key, send
from cli.catalogue_file import read_catalogue_file
from cli.catalogues import publish_catalogue
from domain.canonical import Json
from runtime import clock
from runtime.commands import CommandSender
from runtime.node_events import NodeEvent, NodeEventSender
from runtime.settings import Settings
from schemas.node_wire import NodeReport, to_wire_node_updated
from tests.support.checkout import ROOT
from tests.support.databases import create_migrated
from tests.support.processes import Fleet
from tests.support.services import drop_database
from tests.support.topics import fresh_topics

TENANT = "console"
DATABASE = "test_browser"
CATALOGUE = ROOT / "deploy" / "catalogues" / "s0_bem_emergence.yaml"
SCOPES = ("billing:read", "billing:write", "billing:admin")
READY_TIMEOUT_S = 90
CHROMIUM = os.environ.get("CHROMIUM", "chromium")
"""Name or path of the browser; Debian's package is called so."""


@dataclass(frozen=True)
class World:
    """The running pipeline.

    Args:
        settings: Where everything is.
        sender: Appends commands.
        key: API key of an admin.
        url: Address of the console.
    """

    settings: Settings
    sender: CommandSender
    key: str
    url: str

    def command(self, kind: str, name: str, **body: Json) -> None:
        """Send a command and wait until its effects can be seen."""
        send(
            self.settings,
            self.sender,
            tenant=TENANT,
            command_id=f"{kind} {name}",
            kind=kind,
            body=body,
        )

    def customer(self, customer: str) -> None:
        """Make a customer, who gets the credits of a new one."""
        self.command("CreateCustomer", customer, customer=customer, currency="PHP")

    def report(
        self,
        customer: str,
        project: str,
        node: str = "node-1",
        *,
        fit_score: float = 0.95,
        flags: Sequence[str] = (),
        note: str = "",
    ) -> None:
        """Let a node report itself: it passes the gates and has its blueprint, unless told."""
        fields = {
            "finalized": True,
            "emergence_status": "ready",
            "geometry_resolved": True,
            "specs_complete": True,
            "customer_id": customer,
            "fit_score": fit_score,
            "note": note,
            **dict.fromkeys(flags, True),
        }
        text = json.dumps(fields)
        now_ms = clock.now_ms()
        report = NodeReport(TENANT, project, f"{project} {now_ms}", now_ms, "node-update", text)
        value = to_wire_node_updated(report, node=node)
        NodeEventSender(self.settings).send_all([NodeEvent(TENANT, project, value)])


@pytest.fixture(scope="session")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Folds, projector and API as processes of their own, on fresh topics and tables."""
    from cli.checkout import free_port

    folder = tmp_path_factory.mktemp("browser")
    drop_database(database_admin_url, DATABASE)
    settings = Settings(
        kafka=kafka_bootstrap,
        database_url=SecretStr(create_migrated(database_admin_url, DATABASE)),
        state_dir=folder / "state",
        api_port=free_port(),
        log_level="warning",
    )
    fresh_topics(settings)
    fleet = Fleet(folder, _environment(settings))
    for name, arguments in {
        "emergence": ["stream", "emergence"],
        "books": ["stream", "books"],
        "project": ["project"],
        "api": ["api"],
    }.items():
        fleet.add(name, arguments)
    sender = CommandSender(settings, actor="test")
    try:
        publish_catalogue(settings, sender, tenant=TENANT, content=read_catalogue_file(CATALOGUE))
        key = create_api_key(settings, sender, tenant=TENANT, label="browser", scopes=SCOPES)
        url = f"http://127.0.0.1:{settings.api_port}"
        _await_ready(url, fleet)
        yield World(settings, sender, key, url)
    finally:
        fleet.stop()
        drop_database(database_admin_url, DATABASE)


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "kafka": settings.kafka,
        "database_url": settings.database_url.get_secret_value(),
        "state_dir": str(settings.state_dir),
        "api_port": str(settings.api_port),
        "worker_port": "0",
        "log_level": "warning",
    }


def _await_ready(url: str, fleet: Fleet) -> None:
    give_up_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < give_up_s:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the API did not become ready:\n{fleet.tails()}")


# ── the browser ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Headless Chromium, the same for all tests; its pages and cookies are each test's own."""
    path = shutil.which(CHROMIUM)
    if path is None:
        pytest.fail(
            "no Chromium. Next: `./dev test browser` as root installs it, or set CHROMIUM to one",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        # Without a sandbox of its own: root in a container may not make one. It sees our pages.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and everything that a browser complained about on it.

    Args:
        page: The page.
        url: Address of the console.
        complaints: Errors, warnings, refused policies and failed requests.
    """

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Keep what is worse than a note."""
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def open(self, path: str) -> None:
        """Go to an address of the console."""
        self.page.goto(f"{self.url}{path}")

    def sign_in(self, key: str) -> None:
        """Sign in by the form."""
        self.open("/console")
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Overview").wait_for()

    def screenshot(self, name: str) -> Path:
        """Keep the whole page as a picture."""
        path = ROOT / ".cache" / "screenshots" / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path


@pytest.fixture
def context_options() -> dict[str, Any]:
    """What a test wants its browser to be like; parametrise to change it."""
    return {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture
def watched(world: World, chromium: Browser, context_options: dict[str, Any]) -> Iterator[Watched]:
    """A new page; whatever the browser complains about fails the test."""
    context = chromium.new_context(**context_options)
    context.set_default_timeout(30_000)
    page = context.new_page()
    watched = Watched(page, world.url)
    page.on("console", watched.hear)
    page.on("pageerror", lambda error: watched.complaints.append(f"page error: {error}"))
    # An init script counts as the browser's own, so the policy lets it hear of its own breaches.
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " e => console.error('policy: ' + e.violatedDirective + ' ' + e.blockedURI))"
    )
    yield watched
    context.close()
    assert [] == watched.complaints
