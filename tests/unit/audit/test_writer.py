"""Audit events: kept with what they tell of or not at all, and without anything that must not be kept."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from secure_api.audit import (
    AuditEvent,
    AuditRecord,
    EventName,
    Outcome,
    record_event,
)
from secure_api.audit.writer import MAX_DETAIL_CHARACTERS
from secure_api.db import begin_write
from secure_api.errors import AuditUnavailable
from secure_api.principal import CredentialKind, Principal, PrincipalKind
from secure_api.resources.categories.model import Category

USER = Principal(
    kind=PrincipalKind.USER,
    credential=CredentialKind.ACCESS_TOKEN,
    issuer="https://idp.example",
    subject="usr_1",
    user_id=uuid4(),
    client_id="cli",
    roles=frozenset({"manager", "customer"}),
    scopes=frozenset({"orders:write"}),
    display_name="Canary Person",
)
EVENT = AuditEvent(
    name=EventName.SENSITIVE_UPDATE,
    outcome=Outcome.SUCCESS,
    principal=USER,
    request_id="r1",
    address="192.0.2.1",
    action="orders:update",
    resource="orders",
    resource_id="o1",
    rule="orders.process",
    rule_source="policies/orders.yaml:23",
    policy_digest="abc",
    changed=("status", "internal_note"),
)


@pytest.fixture
def reader(engine: Engine) -> Iterator[Session]:
    """A second connection: it sees only what was committed."""
    with Session(engine) as session:
        yield session


def kept(reader: Session) -> list[AuditRecord]:
    reader.rollback()
    return list(reader.scalars(select(AuditRecord).order_by(AuditRecord.at)))


def test_an_event_says_who_did_what_to_which_from_where_and_why(session: Session, reader: Session) -> None:
    begin_write(session)
    record_event(session, EVENT)
    session.commit()
    (record,) = kept(reader)
    assert (record.event, record.outcome, record.request_id) == ("sensitive_update", "success", "r1")
    assert record.user_id == USER.user_id
    assert record.body == {
        "outcome": "success",
        "actor": {
            "kind": "user",
            "credential": "access_token",
            "issuer": "https://idp.example",
            "subject": "usr_1",
            "client_id": "cli",
            "user_id": str(USER.user_id),
            "roles": ["customer", "manager"],
        },
        "request_id": "r1",
        "address": "192.0.2.1",
        "action": "orders:update",
        "resource": "orders",
        "resource_id": "o1",
        "reason": None,
        "rule": "orders.process",
        "rule_source": "policies/orders.yaml:23",
        "policy_digest": "abc",
        "changed": ["internal_note", "status"],
    }
    assert record.at.utcoffset().total_seconds() == 0  # type: ignore[union-attr]


def test_an_event_and_its_change_are_kept_together(session: Session, reader: Session) -> None:
    begin_write(session)
    session.add(Category(id=uuid4(), name="kept"))
    record_event(session, EVENT)
    assert kept(reader) == []  # nobody sees it before the commit
    session.commit()
    assert len(kept(reader)) == 1
    assert reader.scalar(select(func.count(Category.id))) == 1


def test_an_event_is_undone_with_its_change(session: Session, reader: Session) -> None:
    begin_write(session)
    session.add(Category(id=uuid4(), name="undone"))
    record_event(session, EVENT)
    session.rollback()
    assert kept(reader) == []
    assert reader.scalar(select(func.count(Category.id))) == 0


def test_a_change_is_not_kept_where_its_event_cannot_be(session: Session, reader: Session) -> None:
    """A change without a trace must not be: the request fails, and the change is rolled back."""
    begin_write(session)
    session.execute(text("DROP TABLE audit_events"))
    session.commit()
    begin_write(session)
    session.add(Category(id=uuid4(), name="untraced"))
    with pytest.raises(AuditUnavailable) as refused:
        record_event(session, EVENT)
    session.rollback()
    assert refused.value.status == 503
    assert refused.value.public_detail == ""
    assert reader.scalar(select(func.count(Category.id))) == 0


def test_a_long_detail_is_cut(session: Session, reader: Session) -> None:
    begin_write(session)
    record_event(
        session,
        AuditEvent(name=EventName.AUTHN_LOGIN_FAIL, outcome=Outcome.FAILURE, detail={"provider": "x" * 10_000}),
    )
    session.commit()
    (record,) = kept(reader)
    assert record.body["detail"] == {"provider": "x" * MAX_DETAIL_CHARACTERS}


def test_no_display_name_and_no_scope_is_kept(session: Session, reader: Session) -> None:
    begin_write(session)
    record_event(session, EVENT)
    session.commit()
    assert "Canary" not in json.dumps(kept(reader)[0].body)


# --- the stream: in a process of its own, since loggers are set up once per process ----------------------

STREAM = """
import sys
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from secure_api.audit import *
from secure_api.audit.logging import configure_logging
from secure_api.db import Base

def mark(word):
    sys.stdout.buffer.write(b"-- " + word.encode() + b"\\n")
    sys.stdout.buffer.flush()

configure_logging(sys.argv[1])
engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
session = Session(engine)
"""


def stream_of(body: str, level: str = "INFO") -> list[str]:
    script = STREAM + textwrap.dedent(body) + "\nsession.close()\nengine.dispose()\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, level],
        capture_output=True,
        check=False,
        timeout=60,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_a_line_is_written_after_the_commit_and_not_before() -> None:
    lines = stream_of(
        """
        record_event(session, AuditEvent(name=EventName.SENSITIVE_DELETE, outcome=Outcome.SUCCESS, request_id="r1"))
        mark("recorded")
        session.commit()
        mark("committed")
        emit_recorded(session)
        mark("emitted")
        emit_recorded(session)
        record_event(session, AuditEvent(name=EventName.AUTHZ_FAIL, outcome=Outcome.FAILURE, request_id="r2"))
        session.rollback()
        forget_recorded(session)
        emit_recorded(session)
        """
    )
    assert lines[:2] == ["-- recorded", "-- committed"]
    assert lines[3:] == ["-- emitted"]  # once, and nothing of what was rolled back
    line = json.loads(lines[2])
    assert (line["event"], line["outcome"], line["request_id"]) == ("sensitive_delete", "success", "r1")
    assert line["level"] == "info"
    assert line["at"].endswith("+00:00")


def test_a_caller_cannot_forge_a_log_line() -> None:
    """Line breaks, terminal codes and Unicode separators in values stay inside their JSON string."""
    forged = '\\r\\n{"event":"authn_login_success"}\\n\\x1b[2K\\x85\\u2028\\u2029\\u202e\\x9b31m\\ud800'
    lines = stream_of(
        f"""
        value = "{forged.replace(chr(34), chr(92) + chr(34))}"
        record_event(session, AuditEvent(
            name=EventName.AUTHN_LOGIN_FAIL, outcome=Outcome.FAILURE, reason=value, resource_id=value,
            address=value, detail={{"provider": value, value: "x"}},
        ))
        session.commit()
        emit_recorded(session)
        """
    )
    assert len(lines) == 1
    (line,) = lines
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["event"] == "authn_login_fail"
    assert json.loads(line)["reason"].startswith('\r\n{"event"')


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_no_log_level_silences_the_audit_stream(level: str) -> None:
    lines = stream_of(
        """
        record_event(session, AuditEvent(name=EventName.AUTHZ_FAIL, outcome=Outcome.FAILURE))
        session.commit()
        emit_recorded(session)
        """,
        level,
    )
    assert [json.loads(line)["event"] for line in lines] == ["authz_fail"]


def test_loggers_of_libraries_are_held_to_warnings() -> None:
    """Authlib logs whole token responses at DEBUG, urllib3 addresses with their queries."""
    lines = stream_of(
        """
        import logging
        names = ["authlib", "authlib.oauth2.rfc6749", "urllib3", "urllib3.connectionpool", "requests", "sqlalchemy"]
        print([name for name in names if logging.getLogger(name).isEnabledFor(logging.INFO)])
        """,
        "DEBUG",
    )
    assert lines == ["[]"]


def test_names_of_events_are_for_searches_and_stay_short() -> None:
    assert all(name.value == name.name.lower() and len(name) <= 60 for name in EventName)
