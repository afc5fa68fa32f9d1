"""Revoked credentials: the database is the record, and every request reads it with the user record.

A token is known here by a *reference*, a SHA-256 of what names it, so that a reader of the table can use
nothing that it finds (ASVS v5.0.0-7.4.1 and 7.4.2, RFC 7009).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, LargeBinary, delete, exists, select, update
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.credentials.single_use import insert_once
from secure_api.db import AnySession, Base, utc_now


class RevokedToken(Base):
    """A token, or every token of one session at its issuer, that is refused until it would have expired."""

    __tablename__ = "revoked_tokens"

    reference: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


def token_id_reference(issuer: str, token_id: str) -> bytes:
    """The reference of the token with that `jti` of that issuer."""
    return _reference("jti", issuer, token_id)


def session_reference(issuer: str, session_id: str) -> bytes:
    """The reference of all tokens with that `sid` of that issuer."""
    return _reference("sid", issuer, session_id)


def text_reference(token: str) -> bytes:
    """The reference of exactly this token, for one without a `jti` and for an opaque one."""
    return _reference("token", token)


def revoke_token(session: AnySession, reference: bytes, *, until: datetime) -> None:
    """What `reference` names is refused from the commit on, by every worker.

    Args: `until` is when it expires in any case, leeway included; the row may then go. For a session
    reference it is when the last of its tokens expires.
    """
    now = utc_now()
    session.execute(delete(RevokedToken).where(RevokedToken.expires_at <= now))
    if not insert_once(session, RevokedToken, reference=reference, expires_at=until):
        session.execute(
            update(RevokedToken)
            .where(RevokedToken.reference == reference, RevokedToken.expires_at < until)
            .values(expires_at=until)
        )


def is_revoked(session: AnySession, references: Sequence[bytes]) -> bool:
    """True if any of `references` was revoked; for a caller without a user record, which is read with it."""
    return bool(session.scalar(select(revoked_among(references))))


def revoked_among(references: Sequence[bytes]) -> ColumnElement[bool]:
    """SQL: was any of `references` revoked? A column for the query that reads the user record."""
    return exists().where(RevokedToken.reference.in_(list(references)))


def _reference(*parts: str) -> bytes:
    # Lengths before the parts: no two different lists of parts give the same text.
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")).digest()
