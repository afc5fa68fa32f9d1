"""From a verified identity to the user record: created at the first sign-in, roles renewed at each."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from secure_api.credentials.accounts import Account, User, find_account, replace_roles
from secure_api.db import AnySession
from secure_api.errors import LoginFailed


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider said about a person, after every check."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The account that signs in, and what the sign-in changed."""

    user_id: UUID
    created: bool
    roles_changed: bool
    roles: frozenset[str]


def provision(session: AnySession, identity: Identity, roles: frozenset[str], *, may_create: bool) -> Provisioned:
    """The account of that issuer's subject with exactly `roles`, made if there is none and the provider may.

    An equal email address never links two identities (ASVS v5.0.0-10.3.3). Raises `LoginFailed` for a
    disabled account, and for an unknown person where the provider makes no accounts.
    """
    account = find_account(session, identity.issuer, identity.subject)
    if account is None:
        if not may_create:
            raise LoginFailed("no_account", "You have no account here. Ask the administrator for one.")
        return _create(session, identity, roles)
    if account.disabled:
        raise LoginFailed("user_disabled", "This account is disabled. Ask the administrator.")
    changed = account.roles != roles
    if changed:
        replace_roles(session, account.user_id, roles)
    _refresh_profile(session, account, identity)
    return Provisioned(account.user_id, created=False, roles_changed=changed, roles=roles)


def _create(session: AnySession, identity: Identity, roles: frozenset[str]) -> Provisioned:
    user = User(
        id=uuid4(),
        issuer=identity.issuer,
        subject=identity.subject,
        email=identity.email if identity.email_verified else None,
        name=identity.name,
    )
    session.add(user)
    session.flush()
    replace_roles(session, user.id, roles)
    return Provisioned(user.id, created=True, roles_changed=bool(roles), roles=roles)


def _refresh_profile(session: AnySession, account: Account, identity: Identity) -> None:
    user = session.get_one(User, account.user_id)
    user.name = identity.name or user.name
    if identity.email_verified:
        user.email = identity.email
