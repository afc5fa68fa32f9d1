"""Fixtures for every test, and the rule about what a run may leave out.

`@pytest.mark.requires("chromium", …)` leaves a test out where the machine lacks something, and lists it
with the reason at the end. With REQUIRE_ALL=1 (CI) that list is a failure.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator

import pytest

from idp_mock.pytest_plugin import IdpServer
from tests.support.machine import missing_reason
from tests.support.shop import Shop, open_store

REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires(*parts): parts of the machine without which the test cannot run")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires"):
        for part in marker.args:
            reason = missing_reason(part)
            if reason is None:
                continue
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With REQUIRE_ALL=1 whatever was left out is a failure, wherever a test or a fixture decided it."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1, and {reason.removeprefix('Skipped: ')}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    if not left_out:
        return
    terminalreporter.section("could not run on this machine")
    for reason, count in left_out.most_common():
        terminalreporter.line(f"{count} tests: {reason.removeprefix('Skipped: ')}")


@pytest.fixture(
    scope="session",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql", "redis"))],
)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The API and its identity provider, each a process of its own, with demo data.

    Once on SQLite with everything in the process, once on PostgreSQL and Redis with two workers.
    """
    reasons = [missing_reason(part) for part in ("postgresql", "redis")] if request.param == "postgresql" else []
    for reason in filter(None, reasons):
        pytest.skip(reason)
    with open_store(request.param, tmp_path_factory.mktemp("store")) as store, Shop.started(store) as shop:
        yield shop


@pytest.fixture(scope="session")
def idp() -> Iterator[IdpServer]:
    """An identity provider of its own, with the demo's people and clients, for tests of the provider itself."""
    with IdpServer() as server:
        yield server
