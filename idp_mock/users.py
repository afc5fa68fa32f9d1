"""The people who can sign in, read from the users file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from idp_mock.toml_file import ConfigError, Table, load_toml
from idp_mock.totp import secret_fault

ACR_PASSWORD = "pwd"  # noqa: S105  # nosec B105
ACR_MFA = "mfa"
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_BCRYPT_MAX_BYTES = 72
# Compared against when the name is unknown, so that the answer takes as long as for a known one.
_NOBODY = bcrypt.hashpw(b"nobody", bcrypt.gensalt(rounds=10))


@dataclass(frozen=True, slots=True)
class User:
    """One person. `sub` never changes and is never reused; `acr` lists the levels this person can reach.

    With a password, `mfa` is reached by a one-time code from `totp_secret` (base32).
    """

    username: str
    sub: str
    name: str
    email: str
    email_verified: bool = True
    groups: tuple[str, ...] = ()
    acr: tuple[str, ...] = (ACR_PASSWORD,)
    one_click: bool = True
    password_hash: str | None = field(default=None, repr=False)
    totp_secret: str | None = field(default=None, repr=False)

    @property
    def initials(self) -> str:
        return "".join(word[0] for word in self.name.split()[:2]).upper()


class UserDirectory:
    """Finds people by name, email address or subject."""

    def __init__(self, users: tuple[User, ...]) -> None:
        self.users = users
        self._by_sub = {user.sub: user for user in users}
        self._by_name = {user.username.casefold(): user for user in users}
        self._by_email = {user.email.casefold(): user for user in users}

    def by_sub(self, sub: str) -> User | None:
        return self._by_sub.get(sub)

    def by_hint(self, hint: str) -> User | None:
        """The person whom a `login_hint` names, by user name or email address."""
        return self._by_name.get(hint.casefold()) or self._by_email.get(hint.casefold())

    def by_password(self, name: str, password: str) -> User | None:
        """The person, only when the password is right; an unknown name takes as long as a wrong password."""
        user = self.by_hint(name)
        known_hash = user.password_hash.encode() if user and user.password_hash else None
        secret = password.encode()
        # bcrypt reads 72 bytes: a longer password is never right, whatever its beginning.
        right = bcrypt.checkpw(secret[:_BCRYPT_MAX_BYTES], known_hash or _NOBODY)
        return user if right and known_hash and len(secret) <= _BCRYPT_MAX_BYTES else None


def load_users(path: Path, environment: Mapping[str, str]) -> UserDirectory:
    """Read and validate the users file, or raise `ConfigError`."""
    root = Table(load_toml(path), str(path), environment)
    users = tuple(_user(table) for table in root.tables("users"))
    root.finish()
    for key in ("username", "sub", "email"):
        values = [getattr(user, key).casefold() for user in users]
        if len(set(values)) != len(values):
            raise ConfigError(f"{path}: two users have the same {key}")
    return UserDirectory(users)


def _user(table: Table) -> User:
    username = table.text("username")
    user = User(
        username=username,
        sub=table.text("sub"),
        name=table.text("name", username),
        email=table.text("email"),
        email_verified=table.flag("email_verified", True),
        groups=table.texts("groups", ()),
        acr=table.texts("acr", (ACR_PASSWORD,)),
        one_click=table.flag("one_click", True),
        password_hash=table.optional_text("password_hash"),
        totp_secret=table.optional_text("totp_secret"),
    )
    table.finish()
    if user.password_hash is not None and not _BCRYPT.fullmatch(user.password_hash):
        raise table.fault("password_hash", "is not a bcrypt hash")
    if user.totp_secret is not None and (fault := secret_fault(user.totp_secret)):
        raise table.fault("totp_secret", fault)
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", user.sub):
        raise table.fault("sub", "must be 1 to 255 printable ASCII characters (OIDC Core §2)")
    if not set(user.acr) <= {ACR_PASSWORD, ACR_MFA} or ACR_PASSWORD not in user.acr:
        raise table.fault("acr", f"lists {ACR_PASSWORD!r} and optionally {ACR_MFA!r}")
    return user
