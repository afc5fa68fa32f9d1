"""User records: who may act here, and in which roles.

A user is keyed by issuer and subject, never by email (ASVS v5.0.0-10.3.3). Roles are read from here on
every request and never from a token, so that a role that was taken away is gone at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.db import AnySession, Base, Identified, Timestamped


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


class UserRole(Base):
    """One role of one user."""

    __tablename__ = "user_roles"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(40), primary_key=True)


@dataclass(frozen=True, slots=True)
class Account:
    """What a request needs to know of a user record."""

    user_id: UUID
    issuer: str
    subject: str
    name: str | None
    disabled: bool
    customer_id: UUID | None
    roles: frozenset[str]


_COLUMNS = (User.id, User.issuer, User.subject, User.name, User.disabled, User.customer_id, UserRole.role)
_ACCOUNTS = select(*_COLUMNS).outerjoin(UserRole, UserRole.user_id == User.id)


def find_account(session: AnySession, issuer: str, subject: str) -> Account | None:
    """The account of that issuer's subject with its roles, or None."""
    rows = session.execute(_ACCOUNTS.where(User.issuer == issuer, User.subject == subject)).all()
    return _account(rows)


def find_account_by_id(session: AnySession, user_id: UUID) -> Account | None:
    """The account with that id and its roles, or None."""
    return _account(session.execute(_ACCOUNTS.where(User.id == user_id)).all())


def replace_roles(session: AnySession, user_id: UUID, roles: Iterable[str]) -> None:
    """Give the user exactly `roles`; what it held before is gone with the commit."""
    session.execute(delete(UserRole).where(UserRole.user_id == user_id))
    session.add_all(UserRole(user_id=user_id, role=role) for role in sorted(set(roles)))


def _account(rows: Iterable[tuple[UUID, str, str, str | None, bool, UUID | None, str | None]]) -> Account | None:
    rows = list(rows)
    if not rows:
        return None
    user_id, issuer, subject, name, disabled, customer_id, _ = rows[0]
    roles = frozenset(row[6] for row in rows if row[6] is not None)
    return Account(user_id, issuer, subject, name, disabled, customer_id, roles)
