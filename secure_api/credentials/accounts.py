"""User records: who may act here, and in which roles.

A user is keyed by issuer and subject, never by email (ASVS v5.0.0-10.3.3). Roles are read from here on
every request and never from a token, so that a role that was taken away is gone at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String, UniqueConstraint, delete, false, select, update
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.credentials.revocation import revoked_among
from secure_api.credentials.sessions import BrowserSession
from secure_api.credentials.single_use import insert_once
from secure_api.db import AnySession, Base, Identified, Timestamped, utc_now


class User(Identified, Timestamped, Base):
    """A person who signed in through an identity provider, or a local account."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(254))
    name: Mapped[str | None] = mapped_column(String(200))
    disabled: Mapped[bool] = mapped_column(default=False)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id", ondelete="SET NULL"))
    tokens_not_before: Mapped[datetime | None]  # tokens that were issued earlier are refused


class UserRole(Base):
    """One role of one user."""

    __tablename__ = "user_roles"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(40), primary_key=True)


@dataclass(frozen=True, slots=True)
class Account:
    """What a request needs to know of a user record.

    `revoked` says whether the credential that led here was revoked; `tokens_not_before` that those issued
    earlier are refused.
    """

    user_id: UUID
    issuer: str
    subject: str
    name: str | None
    disabled: bool
    customer_id: UUID | None
    tokens_not_before: datetime | None
    revoked: bool
    roles: frozenset[str]


_COLUMNS = (User.id, User.issuer, User.subject, User.name, User.disabled, User.customer_id, User.tokens_not_before)
_ROLES = (UserRole, UserRole.user_id == User.id)
_ACCOUNTS = select(*_COLUMNS, false(), UserRole.role).outerjoin(*_ROLES)


def find_account(session: AnySession, issuer: str, subject: str, references: Sequence[bytes] = ()) -> Account | None:
    """The account of that issuer's subject with its roles, or None.

    Args: `references` are the names of the credential under which it may have been revoked
    (`credentials.revocation`); they are looked for in the same round trip.
    """
    accounts = _ACCOUNTS
    if references:
        accounts = select(*_COLUMNS, revoked_among(references), UserRole.role).outerjoin(*_ROLES)
    return _account(session.execute(accounts.where(User.issuer == issuer, User.subject == subject)).all())


def find_account_by_id(session: AnySession, user_id: UUID) -> Account | None:
    """The account with that id and its roles, or None."""
    return _account(session.execute(_ACCOUNTS.where(User.id == user_id)).all())


def create_account(session: AnySession, issuer: str, subject: str) -> UUID | None:
    """The id of a new account without name, email or role; None if that subject has one already."""
    user_id = uuid4()
    made = insert_once(session, User, id=user_id, issuer=issuer, subject=subject, disabled=False)
    return user_id if made else None


def replace_roles(session: AnySession, user_id: UUID, roles: Iterable[str]) -> None:
    """Give the user exactly `roles`; what it held before is gone with the commit."""
    session.execute(delete(UserRole).where(UserRole.user_id == user_id))
    session.add_all(UserRole(user_id=user_id, role=role) for role in sorted(set(roles)))


def revoke_user_tokens(session: AnySession, user_id: UUID) -> None:
    """Every token issued to the user before now, and every session of theirs, is refused from the commit on.

    `iat` counts whole seconds, so a token of this very second is refused too, even one that comes after.
    """
    session.execute(update(User).where(User.id == user_id).values(tokens_not_before=utc_now()))
    session.execute(delete(BrowserSession).where(BrowserSession.user_id == user_id))


def _account(rows: Sequence[Sequence[Any]]) -> Account | None:
    if not rows:
        return None
    user_id, issuer, subject, name, disabled, customer_id, not_before, revoked, _ = rows[0]
    roles = frozenset(row[-1] for row in rows if row[-1] is not None)
    return Account(user_id, issuer, subject, name, disabled, customer_id, not_before, revoked, roles)
