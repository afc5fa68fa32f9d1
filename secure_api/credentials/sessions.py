"""Browser sessions, kept here and not in the browser (BFF).

The cookie holds 256 random bits and nothing else; the table holds their SHA-256, so that a reader of
the database cannot use what it finds (ASVS v5.0.0-7.2.1..4). A new sign-in always makes a new session.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, LargeBinary, String, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.db import AnySession, Base, Identified, Timestamped, utc_now

TOKEN_BYTES = 32
TOUCH_EVERY = timedelta(seconds=60)  # last use is kept to the minute, so that reads stay reads


class BrowserSession(Identified, Timestamped, Base):
    """One signed-in browser."""

    __tablename__ = "browser_sessions"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    provider: Mapped[str] = mapped_column(String(40))
    acr: Mapped[str | None] = mapped_column(String(100))
    auth_time: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    upstream_sid: Mapped[str | None] = mapped_column(String(255), index=True)
    sealed_id_token: Mapped[bytes | None]
    user_agent: Mapped[str | None] = mapped_column(String(200))
    address: Mapped[str | None] = mapped_column(String(45))


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lives: `idle` without use, `absolute` in any case."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that is neither idle nor over."""

    session_id: UUID
    user_id: UUID
    provider: str
    acr: str | None
    auth_time: datetime
    last_used_at: datetime


def start_session(
    session: AnySession,
    *,
    user_id: UUID,
    provider: str,
    acr: str | None,
    auth_time: datetime,
    limits: SessionLimits,
    upstream_sid: str | None = None,
    user_agent: str | None = None,
    address: str | None = None,
) -> tuple[str, BrowserSession]:
    """A new session's cookie value and its record; the value is nowhere else."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    now = utc_now()
    record = BrowserSession(
        id=uuid4(),
        token_hash=_hash(token),
        user_id=user_id,
        provider=provider,
        acr=acr,
        auth_time=auth_time,
        last_used_at=now,
        expires_at=now + limits.absolute,
        upstream_sid=upstream_sid,
        user_agent=(user_agent or "")[:200] or None,
        address=address,
    )
    session.add(record)
    return token, record


def find_session(session: AnySession, token: str, limits: SessionLimits) -> LiveSession | None:
    """The live session that `token` opens, or None: unknown, ended, idle too long, or past its absolute limit."""
    now = utc_now()
    row = session.execute(
        select(
            BrowserSession.id,
            BrowserSession.user_id,
            BrowserSession.provider,
            BrowserSession.acr,
            BrowserSession.auth_time,
            BrowserSession.last_used_at,
        ).where(
            BrowserSession.token_hash == _hash(token),
            BrowserSession.expires_at > now,
            BrowserSession.last_used_at > now - limits.idle,
        )
    ).one_or_none()
    return LiveSession(*row) if row else None


def is_stale(live: LiveSession) -> bool:
    """True if the recorded last use is old enough to be written again."""
    return utc_now() - live.last_used_at >= TOUCH_EVERY


def touch_session(session: AnySession, session_id: UUID) -> None:
    """Record that the session was used now."""
    session.execute(update(BrowserSession).where(BrowserSession.id == session_id).values(last_used_at=utc_now()))


def sealed_id_token(session: AnySession, session_id: UUID) -> bytes | None:
    """The upstream ID token of that session as it was sealed, for the provider's logout; None if there is none."""
    return session.scalar(select(BrowserSession.sealed_id_token).where(BrowserSession.id == session_id))


def end_session(session: AnySession, session_id: UUID) -> None:
    """The session is gone with the commit; its cookie opens nothing."""
    session.execute(delete(BrowserSession).where(BrowserSession.id == session_id))


def end_session_of_token(session: AnySession, token: str) -> None:
    """End the session that the cookie value `token` opens, if any: a new sign-in replaces the old session."""
    session.execute(delete(BrowserSession).where(BrowserSession.token_hash == _hash(token)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
