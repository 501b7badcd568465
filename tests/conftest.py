"""Fixtures that every test may ask for. A missing service fails the test, it never skips it."""

import os
import uuid
from collections.abc import Callable, Generator, Iterator

import hypothesis
import pytest
import structlog

from tests.support import services
from tests.support.databases import create_migrated

# ── hypothesis ──────────────────────────────────────────────────────────────────────────────────
# `ci` gives everybody the same examples, so a red run is red everywhere. `nightly` looks for new
# ones; choose it with HYPOTHESIS_PROFILE=nightly. There is no deadline: the machine is shared.
hypothesis.configuration.set_hypothesis_home_dir(services.CHECKOUT / ".cache" / "hypothesis")
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("nightly", max_examples=5_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_test_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember on the test itself that it failed, for fixtures that keep evidence."""
    report = yield
    if report.failed:
        item.stash[_test_failed] = True
    return report


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Undo what a command under test made of the logs.

    They would write to that command's standard error, which is closed by then, and end the
    threads of every test that comes later.
    """
    yield
    structlog.reset_defaults()


# ── services ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """`host:port` of the real broker."""
    try:
        return services.find_kafka()
    except services.ServiceMissingError as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def database_admin_url() -> str:
    """URL of the real database, for a role that may create databases and roles."""
    try:
        return services.find_database()
    except services.ServiceMissingError as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest, database_admin_url: str) -> Iterator[str]:
    """URL of an empty database of this test's own.

    It is dropped afterwards; when the test failed it stays, and its URL is printed for a look
    inside.
    """
    yield from _database(request, database_admin_url, services.create_database)


@pytest.fixture
def migrated_database(request: pytest.FixtureRequest, database_admin_url: str) -> Iterator[str]:
    """The same with the projections' tables."""
    yield from _database(request, database_admin_url, create_migrated)


def _database(
    request: pytest.FixtureRequest, admin_url: str, create: Callable[[str, str], str]
) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    url = create(admin_url, name)
    yield url
    if request.node.stash.get(_test_failed, False):
        print(f"\nThe database of {request.node.nodeid} was kept: {url}")
    else:
        services.drop_database(admin_url, name)


@pytest.fixture
def topic_prefix() -> str:
    """A beginning for topic and group names that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def service_control(kafka_bootstrap: str, database_admin_url: str) -> services.ServiceControl:
    """The means to kill and restart the broker and the database."""
    del kafka_bootstrap, database_admin_url  # asked for so that a missing service is told first
    return services.ServiceControl()
