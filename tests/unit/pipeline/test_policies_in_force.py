"""The holder of the policies: what one request works with, and what a process without the files does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from secure_api.commands.folders import policies_of
from secure_api.db.base import prepare_engine
from secure_api.errors import ServiceUnavailable
from secure_api.pipeline import policies_in_force
from secure_api.pipeline.policies_in_force import PoliciesInForce
from secure_api.pipeline.policy_generations import announce_policies
from secure_api.policy.policy_set import PolicySet
from secure_api.settings import PROJECT_ROOT


@dataclass
class Process:
    """What one worker holds, beside the folder that it reads."""

    holder: PoliciesInForce
    folder: Path
    session: Session
    loads: list[str]

    def now(self) -> PolicySet:
        self.session.rollback()
        return self.holder.for_request(self.session)

    def change(self, text: str) -> None:
        with (self.folder / "orders.yaml").open("a", encoding="utf-8") as file:
            file.write(text)

    def announce(self) -> str:
        """Announce the folder as it is, as another process would."""
        announce_policies(self.holder._engine, lambda: policies_of(self.folder), trigger="command")
        return policies_of(self.folder).digest


@pytest.fixture
def process_at(make_app: Callable[..., Flask], tmp_path: Path) -> Iterator[Callable[[], Process]]:
    app = make_app()
    folder = tmp_path / "policies"
    shutil.copytree(PROJECT_ROOT / "policies", folder)
    engine = create_engine(app.config["SQLALCHEMY_DATABASE_URI"])
    prepare_engine(engine)
    sessions: list[Session] = []

    def start() -> Process:
        loads: list[str] = []

        def load() -> PolicySet:
            loads.append("load")
            return policies_of(folder)

        sessions.append(Session(engine))
        return Process(PoliciesInForce(policies_of(folder), load, engine, folder), folder, sessions[-1], loads)

    yield start
    for session in sessions:
        session.close()
    engine.dispose()


def test_without_a_generation_nothing_is_loaded(process_at: Callable[[], Process]) -> None:
    process = process_at()
    assert process.now() is process.now() is process.holder.current
    assert process.loads == []


def test_a_generation_is_loaded_once(process_at: Callable[[], Process]) -> None:
    process = process_at()
    before = process.now()
    process.change("# changed\n")
    digest = process.announce()
    after = process.now()
    assert (after.digest, process.loads) == (digest, ["load"])
    assert process.now() is after
    assert process.loads == ["load"]
    assert before.digest != digest, "who holds the table of before keeps it whole"


def test_files_that_are_already_loaded_are_not_loaded_again(process_at: Callable[[], Process]) -> None:
    process = process_at()
    before = process.now()
    process.announce()
    assert process.now() is before
    assert process.loads == []


def test_a_process_without_the_files_keeps_its_rules_and_tries_again(
    process_at: Callable[[], Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = process_at()
    before = process.now()
    process.holder.require_loaded(process.session)
    process.change("# changed\n")
    digest = process.announce()
    process.change("# and changed again\n")
    assert process.now() is process.now() is before
    assert process.loads == ["load"], "not for every request"
    with pytest.raises(ServiceUnavailable, match="generation 1 cannot be loaded"):
        process.holder.require_loaded(process.session)
    monkeypatch.setattr(policies_in_force, "RETRY_SECONDS", 0.0)
    process.holder._retry_at = 0.0
    text = (process.folder / "orders.yaml").read_text(encoding="utf-8")
    (process.folder / "orders.yaml").write_text(text.replace("# and changed again\n", ""), encoding="utf-8")
    assert process.now().digest == digest
    process.holder.require_loaded(process.session)


def test_a_process_that_was_never_in_line_answers_nothing(process_at: Callable[[], Process]) -> None:
    """A worker forked from an old master must not bring withdrawn rules back."""
    fresh = process_at()
    assert fresh.now() is fresh.holder.current
    replaced = process_at()
    replaced.change("# changed\n")
    replaced.announce()
    replaced.change("# and half of another change\n")
    with pytest.raises(ServiceUnavailable, match="cannot be loaded"):
        replaced.now()


def test_a_start_takes_the_files_that_came_with_it(process_at: Callable[[], Process]) -> None:
    process = process_at()
    process.change("# announced\n")
    process.announce()
    process.change("# deployed\n")
    started = process_at()
    assert started.now() is started.holder.current
    started.holder.require_loaded(started.session)
