"""Policies are replaced while the API serves: at once, in every worker, as a whole, or not at all."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from secure_api.audit import AuditRecord
from secure_api.commands.folders import policies_of
from secure_api.pipeline.policy_generations import PolicyGeneration, announce_policies
from secure_api.settings import PROJECT_ROOT
from tests.support.machine import missing_reason
from tests.support.shop import ALICE, MIA, Shop, Store, open_store

ORDERS = (PROJECT_ROOT / "policies" / "orders.yaml").read_text(encoding="utf-8").partition("\ntests:")[0] + "\n"
CLOSED = ORDERS.replace("roles: [customer]", "roles: [manager]")  # customers lose their own orders
FEW = ORDERS.replace("read: [id, status, total_minor, currency, note,", "read: [id, status, total_minor,")
FAULTY = ORDERS.replace("principal.customer_id", "principal.custmer_id")
ALL_MEMBERS = {"id", "status", "total_minor", "currency", "note", "created_at", "updated_at", "links"}
FEW_MEMBERS = ALL_MEMBERS - {"currency", "note"}
MANY = 30  # enough requests that each of two workers answers some
WAIT_SECONDS = 15


@dataclass
class Reloading:
    """A shop whose policy folder a test may change."""

    shop: Shop
    store: Store
    folder: Path

    def write(self, text: str, folder: Path | None = None) -> None:
        """Replace the orders policy in one step, as a deployment would."""
        target = (folder or self.folder) / "orders.yaml"
        new = target.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(target)

    def reload(self, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`secure-api policy reload` with the settings of the API, or from a machine with another folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SECURE_API_")}
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "secure_api", "policy", "reload"],
            env={
                **kept,
                "SECURE_API_ENV": "testing",
                "SECURE_API_SECRET_KEY": secrets.token_urlsafe(48),
                "SECURE_API_DATABASE_URL": self.store.database_url,
                "SECURE_API_POLICIES": str(folder or self.folder),
                "SECURE_API_LOG_LEVEL": "WARNING",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def put_in_force(self, text: str) -> None:
        """What the command does after its start, from this process: a test run is short of processors."""
        self.write(text)
        announce_policies(self.shop.engine, lambda: policies_of(self.folder), trigger="command")

    def statuses(self, path: str = "/api/v1/orders?limit=1", user: str | None = ALICE) -> set[int]:
        """The statuses of many requests at once, spread over the workers."""
        token = self.shop.token(user) if user else None
        with ThreadPoolExecutor(8) as pool:
            return set(pool.map(lambda _: self.shop.call("GET", path, token).status_code, range(MANY)))

    def members(self) -> set[frozenset[str]]:
        """The different sets of members that Alice's orders come with."""
        token = self.shop.token(ALICE)

        def ask(_: int) -> set[frozenset[str]]:
            orders = self.shop.call("GET", "/api/v1/orders?limit=100", token).json()["data"]
            return {frozenset(order) for order in orders}

        with ThreadPoolExecutor(8) as pool:
            return set().union(*pool.map(ask, range(MANY)))

    def generation(self) -> int:
        with Session(self.shop.engine) as session:
            return session.scalar(select(func.max(PolicyGeneration.number))) or 0

    def events(self, name: str) -> list[Mapping[str, Any]]:
        """The details of the events of that name, oldest first."""
        with Session(self.shop.engine) as session:
            rows = session.scalars(select(AuditRecord).where(AuditRecord.event == name).order_by(AuditRecord.at))
            return [{**row.body, **row.body["detail"]} for row in rows]

    def workers(self) -> set[int]:
        master = self.shop.process.pid
        return set(map(int, Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()))


def eventually(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql"))])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reloading]:
    """One worker on SQLite, two on PostgreSQL, with a copy of the policies."""
    for reason in filter(None, [missing_reason("postgresql")] if request.param == "postgresql" else []):
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("reloading")
    folder = place / "policies"
    shutil.copytree(PROJECT_ROOT / "policies", folder)
    with (
        open_store(request.param, place) as store,
        Shop.started(store, SECURE_API_POLICIES=str(folder)) as shop,
    ):
        yield Reloading(shop, store, folder)


@pytest.fixture
def reloading(running: Reloading) -> Reloading:
    """The shipped rules are in force, and customers list their orders."""
    running.put_in_force(ORDERS)
    assert running.statuses() == {200}
    assert running.members() == {frozenset(ALL_MEMBERS)}
    return running


def test_customer_cannot_list_orders_once_a_reload_took_the_rule_away(reloading: Reloading) -> None:
    """After the command has ended no worker answers by the old rules, not once (checklist line 96)."""
    before = reloading.generation()
    reloading.write(CLOSED)
    done = reloading.reload()
    assert (done.returncode, reloading.generation()) == (0, before + 1), done.stderr
    assert done.stdout.rpartition("in force from")[2].startswith(" the next request on: generation")
    assert reloading.statuses() == {403}
    assert reloading.statuses(user=MIA) == {200}
    event = reloading.events("sys_policy_changed")[-1]
    assert (event["generation"], event["trigger"]) == (str(before + 1), "command")
    assert event["policy_digest"] != event["previous_digest"]
    answer = reloading.shop.call("GET", "/api/v1/orders", reloading.shop.token(ALICE))
    [denial] = reloading.shop.events_of(answer)
    assert denial["policy_digest"] == event["policy_digest"], "the denial names the new policies"

    reloading.put_in_force(ORDERS)
    assert reloading.statuses() == {200}


def test_customer_cannot_see_a_member_that_a_reload_took_away(reloading: Reloading) -> None:
    """Field lists change with the rules."""
    reloading.put_in_force(FEW)
    assert reloading.members() == {frozenset(FEW_MEMBERS)}


def test_files_that_did_not_change_make_no_generation(reloading: Reloading) -> None:
    """The command may be run again; it says that nothing changed."""
    before = reloading.generation()
    done = reloading.reload()
    assert (done.returncode, reloading.generation()) == (0, before)
    assert done.stdout.startswith(f"nothing changed: generation {before}")


def test_a_changed_file_without_a_reload_changes_nothing(reloading: Reloading) -> None:
    """What is written half is never read: only the announcement counts."""
    reloading.write(CLOSED)
    assert reloading.statuses() == {200}
    assert reloading.reload().returncode == 0
    assert reloading.statuses() == {403}


def test_a_faulty_file_keeps_the_old_rules_and_raises_an_alert(reloading: Reloading) -> None:
    """The command names file, line and column and ends with 1; nothing is announced."""
    before, alerts = reloading.generation(), len(reloading.events("sys_policy_refused"))
    reloading.write(FAULTY)
    done = reloading.reload()
    assert done.returncode == 1
    assert re.search(r"policies/orders\.yaml:10:\d+: .*custmer_id.*customer_id", done.stderr), done.stderr
    assert reloading.generation() == before
    assert reloading.statuses() == {200}
    assert reloading.statuses("/readyz", None) == {200}
    refused = reloading.events("sys_policy_refused")[alerts:]
    assert [(event["trigger"], event["outcome"]) for event in refused] == [("command", "failure")]
    assert "orders.yaml:10:" in refused[0]["faults"]


def test_a_policy_that_a_route_needs_cannot_be_taken_away(reloading: Reloading) -> None:
    """What would stop a start is refused in a reload as well."""
    without_rule = re.sub(r"  - id: orders\.remove.*?(?=  - id: )", "", ORDERS, flags=re.DOTALL)
    reloading.write(without_rule.replace("update, delete]", "update]"))
    done = reloading.reload()
    assert done.returncode == 1
    assert "orders has no action 'delete'" in done.stderr
    assert reloading.statuses() == {200}


def test_a_worker_that_cannot_load_a_generation_keeps_its_rules_and_is_not_ready(
    reloading: Reloading, tmp_path: Path
) -> None:
    """Another machine announced files that are not here: every worker says so, and recovers when they come."""
    assert reloading.statuses("/readyz", None) == {200}
    alerts = len(reloading.events("sys_policy_refused"))
    elsewhere = tmp_path / "policies"
    shutil.copytree(reloading.folder, elsewhere)
    reloading.write(FEW, elsewhere)
    assert reloading.reload(elsewhere).returncode == 0

    assert reloading.statuses("/readyz", None) == {503}
    assert reloading.members() == {frozenset(ALL_MEMBERS)}
    refused = reloading.events("sys_policy_refused")[alerts:]
    assert {int(event["process"]) for event in refused} == reloading.workers()
    assert len(refused) == reloading.store.workers, "one alert of each worker, however many requests it answers"
    assert {event["generation"] for event in refused} == {str(reloading.generation())}
    assert "put the same files here" in refused[0]["faults"]

    reloading.write(FAULTY)
    time.sleep(2.1)  # the workers look again after two seconds
    assert reloading.statuses("/readyz", None) == {503}
    assert reloading.members() == {frozenset(ALL_MEMBERS)}

    reloading.write(FEW)
    eventually(lambda: reloading.statuses("/readyz", None) == {200})
    assert reloading.members() == {frozenset(FEW_MEMBERS)}


@pytest.mark.parametrize("receiver", ["master", "worker"])
def test_a_hangup_signal_reloads_every_worker_and_restarts_none(reloading: Reloading, receiver: str) -> None:
    """SIGHUP to the master or to any worker does what the command does."""
    workers, before = reloading.workers(), reloading.generation()
    target = reloading.shop.process.pid if receiver == "master" else min(workers)
    reloading.write(CLOSED)
    os.kill(target, signal.SIGHUP)
    eventually(lambda: reloading.generation() == before + 1)
    assert reloading.statuses() == {403}
    assert reloading.workers() == workers
    assert reloading.events("sys_policy_changed")[-1]["trigger"] == "signal"

    alerts = len(reloading.events("sys_policy_refused"))
    reloading.write(FAULTY)
    os.kill(target, signal.SIGHUP)
    eventually(lambda: len(reloading.events("sys_policy_refused")) == alerts + 1)
    assert reloading.events("sys_policy_refused")[-1]["trigger"] == "signal"
    assert reloading.generation() == before + 1
    assert reloading.statuses() == {403}


def test_a_worker_that_is_replaced_does_not_bring_old_rules_back(reloading: Reloading) -> None:
    """The master still holds the rules of its start; a new worker follows the generation before it answers."""
    reloading.put_in_force(CLOSED)
    assert reloading.statuses() == {403}
    gone = reloading.workers()
    for old in gone:
        os.kill(old, signal.SIGKILL)
    eventually(lambda: len(reloading.workers() - gone) == reloading.store.workers)
    assert reloading.statuses() == {403}


def test_no_request_sees_half_of_two_versions(reloading: Reloading) -> None:
    """While the rules go back and forth every list shows one version, in all of its rows."""
    token = reloading.shop.token(ALICE)
    stop = threading.Event()
    seen: list[frozenset[frozenset[str]]] = []
    other: list[int] = []

    def ask() -> None:
        while not stop.is_set():
            answer = reloading.shop.call("GET", "/api/v1/orders?limit=100", token)
            if answer.status_code != 200:
                other.append(answer.status_code)
            seen.append(frozenset(frozenset(order) for order in answer.json().get("data", [])))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for text in (FEW, ORDERS) * 4:
            reloading.put_in_force(text)
            time.sleep(0.25)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert other == []
    assert set(seen) == {frozenset({frozenset(ALL_MEMBERS)}), frozenset({frozenset(FEW_MEMBERS)})}
    assert len(seen) > 40
