"""What was revoked, as the tables keep it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from secure_api.credentials.accounts import User, find_account, revoke_user_tokens
from secure_api.credentials.revocation import (
    RevokedToken,
    is_revoked,
    revoke_token,
    session_reference,
    text_reference,
    token_id_reference,
)
from secure_api.credentials.sessions import BrowserSession, SessionLimits, start_session
from secure_api.db import utc_now

ISSUER = "https://idp.example"
HOUR = timedelta(hours=1)
LATER = token_id_reference(ISSUER, "later")


@pytest.fixture
def user(session: Session) -> User:
    user = User(id=uuid4(), issuer=ISSUER, subject="usr_1")
    session.add(user)
    session.flush()
    return user


def test_only_the_revoked_token_is_revoked(session: Session, user: User) -> None:
    mine, other = token_id_reference(ISSUER, "t1"), token_id_reference(ISSUER, "t2")
    for found in (find_account(session, ISSUER, "usr_1", [mine, LATER]), find_account(session, ISSUER, "usr_1")):
        assert found is not None
        assert not found.revoked
    revoke_token(session, mine, until=utc_now() + HOUR)
    revoked, untouched = (find_account(session, ISSUER, "usr_1", [LATER, one]) for one in (mine, other))
    assert revoked is not None
    assert revoked.revoked
    assert untouched is not None
    assert not untouched.revoked
    assert is_revoked(session, [mine])
    assert not is_revoked(session, [other])


def test_the_account_comes_with_all_roles_and_the_revocation_in_one_statement(session: Session, user: User) -> None:
    statements: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *args: statements.append(args[2]))
    find_account(session, ISSUER, "usr_1", [LATER])
    assert len(statements) == 1


def test_a_revocation_twice_keeps_the_later_end(session: Session) -> None:
    until = utc_now() + HOUR
    for end in (until, until + HOUR, until):
        revoke_token(session, LATER, until=end)
    assert session.scalar(select(RevokedToken.expires_at)) == until + HOUR


def test_what_has_expired_leaves_the_table(session: Session) -> None:
    revoke_token(session, token_id_reference(ISSUER, "old"), until=utc_now() - HOUR)
    revoke_token(session, LATER, until=utc_now() + HOUR)
    assert session.scalars(select(RevokedToken.reference)).all() == [LATER]


def test_no_two_names_share_a_reference() -> None:
    """Neither kind, issuer and id slide into each other, nor an id with another's length."""
    references = [
        token_id_reference("https://a", "bc"),
        token_id_reference("https://ab", "c"),
        session_reference("https://a", "bc"),
        text_reference("https://abc"),
        text_reference("https://a2:bc"),
    ]
    assert len(set(references)) == len(references)


def test_all_tokens_of_a_user_end_with_their_sessions(session: Session, user: User) -> None:
    for owner in (user, User(id=uuid4(), issuer=ISSUER, subject="usr_2")):
        session.add(owner)
        session.flush()
        start_session(
            session, user_id=owner.id, provider="mock", acr=None, auth_time=utc_now(), limits=SessionLimits(HOUR, HOUR)
        )
    session.flush()
    before = utc_now()
    revoke_user_tokens(session, user.id)
    mine, other = (find_account(session, ISSUER, subject) for subject in ("usr_1", "usr_2"))
    assert mine is not None
    assert mine.tokens_not_before is not None
    assert mine.tokens_not_before >= before
    assert other is not None
    assert other.tokens_not_before is None
    assert [row.user_id for row in session.scalars(select(BrowserSession))] == [other.user_id]
