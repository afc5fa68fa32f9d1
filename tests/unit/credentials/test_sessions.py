"""Browser sessions: what the database holds, how long they live, and that an ended one opens nothing."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from secure_api.credentials.accounts import User
from secure_api.credentials.sessions import (
    TOUCH_EVERY,
    BrowserSession,
    LiveSession,
    SessionLimits,
    end_session,
    end_session_of_token,
    find_session,
    is_stale,
    sealed_id_token,
    start_session,
    touch_session,
)
from secure_api.db import utc_now

LIMITS = SessionLimits(idle=timedelta(minutes=30), absolute=timedelta(hours=12))


@pytest.fixture
def user_id(session: Session) -> UUID:
    user = User(id=uuid4(), issuer="https://idp.example", subject="usr_1")
    session.add(user)
    session.flush()
    return user.id


def started(session: Session, user_id: UUID, **changes: Any) -> tuple[str, BrowserSession]:
    usual: dict[str, Any] = {"provider": "mock", "acr": None, "auth_time": utc_now(), "limits": LIMITS}
    token, record = start_session(session, user_id=user_id, **{**usual, **changes})
    session.flush()
    return token, record


def move(session: Session, record: BrowserSession, **values: datetime) -> None:
    session.execute(update(BrowserSession).where(BrowserSession.id == record.id).values(**values))


def test_a_session_is_found_by_its_cookie(session: Session, user_id: UUID) -> None:
    auth_time = utc_now() - timedelta(minutes=3)
    token, record = started(session, user_id, acr="mfa", auth_time=auth_time)
    live = find_session(session, token, LIMITS)
    assert live == LiveSession(record.id, user_id, "mock", "mfa", auth_time, record.last_used_at)


def test_the_database_holds_no_cookie_value(session: Session, user_id: UUID) -> None:
    """Who reads the table cannot use what it finds, and cannot find what it did not read."""
    token, record = started(session, user_id, user_agent="x" * 500, address="192.0.2.1")
    assert len(token) >= 43  # 256 random bits
    assert record.token_hash == hashlib.sha256(token.encode()).digest()
    values = [str(getattr(record, column.key)) for column in BrowserSession.__table__.columns]
    assert not any(token in value for value in values)
    assert len(record.user_agent or "") == 200
    assert find_session(session, record.token_hash.hex(), LIMITS) is None
    assert find_session(session, str(record.id), LIMITS) is None


@pytest.mark.parametrize("token", ["", "unknown", "x" * 5000, "é", "' OR 1=1 --"])
def test_an_unknown_cookie_opens_no_session(session: Session, user_id: UUID, token: str) -> None:
    """Any text may come in a cookie."""
    own, _ = started(session, user_id)
    assert find_session(session, own, LIMITS) is not None
    assert find_session(session, token, LIMITS) is None


def test_an_idle_session_opens_nothing(session: Session, user_id: UUID) -> None:
    """The limit is counted from the last use."""
    token, record = started(session, user_id)
    move(session, record, last_used_at=utc_now() - LIMITS.idle + timedelta(seconds=5))
    assert find_session(session, token, LIMITS) is not None
    move(session, record, last_used_at=utc_now() - LIMITS.idle)
    assert find_session(session, token, LIMITS) is None


def test_a_session_opens_nothing_after_its_absolute_limit(session: Session, user_id: UUID) -> None:
    """Use does not prolong it for ever."""
    token, record = started(session, user_id)
    assert timedelta(0) <= record.expires_at - utc_now() - LIMITS.absolute + timedelta(seconds=5)
    touch_session(session, record.id)
    assert find_session(session, token, LIMITS) is not None
    move(session, record, expires_at=utc_now())
    touch_session(session, record.id)
    assert find_session(session, token, LIMITS) is None


def test_shorter_limits_count_for_sessions_that_are_there(session: Session, user_id: UUID) -> None:
    token, record = started(session, user_id)
    move(session, record, last_used_at=utc_now() - timedelta(minutes=10))
    assert find_session(session, token, LIMITS) is not None
    assert find_session(session, token, SessionLimits(timedelta(minutes=5), LIMITS.absolute)) is None


def test_the_last_use_is_written_once_a_minute(session: Session, user_id: UUID) -> None:
    token, record = started(session, user_id)
    assert not is_stale(_live(session, token))
    move(session, record, last_used_at=utc_now() - TOUCH_EVERY)
    assert is_stale(_live(session, token))
    touch_session(session, record.id)
    assert not is_stale(_live(session, token))


def test_every_sign_in_makes_a_session_of_its_own(session: Session, user_id: UUID) -> None:
    first, second = started(session, user_id), started(session, user_id)
    assert first[0] != second[0]
    assert first[1].id != second[1].id
    assert find_session(session, first[0], LIMITS) != find_session(session, second[0], LIMITS)


def test_a_replaced_session_opens_nothing(session: Session, user_id: UUID) -> None:
    """After a new sign-in the old cookie is dead, and other browsers are as they were."""
    old, _ = started(session, user_id)
    elsewhere, _ = started(session, user_id)
    assert find_session(session, old, LIMITS) is not None
    end_session_of_token(session, old)
    new, _ = started(session, user_id)
    assert find_session(session, old, LIMITS) is None
    assert find_session(session, new, LIMITS) is not None
    assert find_session(session, elsewhere, LIMITS) is not None
    end_session_of_token(session, "unknown")


def test_an_ended_session_opens_nothing(session: Session, user_id: UUID) -> None:
    """Ending deletes the row; there is no flag to forget."""
    token, record = started(session, user_id)
    record.sealed_id_token = b"sealed"
    session.flush()
    assert sealed_id_token(session, record.id) == b"sealed"
    end_session(session, record.id)
    assert find_session(session, token, LIMITS) is None
    assert sealed_id_token(session, record.id) is None


def test_the_sessions_of_a_deleted_user_are_gone(session: Session, user_id: UUID) -> None:
    token, _ = started(session, user_id)
    session.delete(session.get_one(User, user_id))
    session.flush()
    assert find_session(session, token, LIMITS) is None


def _live(session: Session, token: str) -> LiveSession:
    live = find_session(session, token, LIMITS)
    assert live is not None
    return live
