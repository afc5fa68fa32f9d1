"""Sign-ins under way: fresh state, nonce and verifier, single use, bound to one browser (ASVS v5.0.0-10.1.2).

The state that travels through the provider opens the row only together with the cookie of the browser
that began: a callback that somebody else's browser was sent to finds nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import LargeBinary, String, delete
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.db import AnySession, Base, utc_now
from secure_api.errors import LoginFailed
from secure_api.protocol.pkce import new_verifier

RANDOM_BYTES = 32


class LoginTransaction(Base):
    """One sign-in between the redirect to the provider and its callback."""

    __tablename__ = "login_transactions"

    state_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    browser_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    provider: Mapped[str] = mapped_column(String(40))
    nonce: Mapped[str] = mapped_column(String(64))
    verifier: Mapped[str] = mapped_column(String(128))
    return_to: Mapped[str] = mapped_column(String(500))
    expires_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class Begun:
    """What the redirect to the provider needs; `browser` is the value of the login cookie."""

    state: str
    nonce: str
    verifier: str
    browser: str


def begin_transaction(
    session: AnySession, *, provider: str, return_to: str, lifetime: timedelta, browser: str | None
) -> Begun:
    """A new transaction. A browser that has a login cookie keeps it, so that two tabs can sign in side by side."""
    begun = Begun(
        state=secrets.token_urlsafe(RANDOM_BYTES),
        nonce=secrets.token_urlsafe(RANDOM_BYTES),
        verifier=new_verifier(),
        browser=browser or secrets.token_urlsafe(RANDOM_BYTES),
    )
    now = utc_now()
    session.execute(delete(LoginTransaction).where(LoginTransaction.expires_at < now))
    session.add(
        LoginTransaction(
            state_hash=_hash(begun.state),
            browser_hash=_hash(begun.browser),
            provider=provider,
            nonce=begun.nonce,
            verifier=begun.verifier,
            return_to=return_to,
            expires_at=now + lifetime,
        )
    )
    return begun


def take_transaction(session: AnySession, *, state: str, browser: str | None, provider: str) -> LoginTransaction:
    """The transaction of `state`, removed from the table: a second callback finds nothing.

    Raises `LoginFailed` if it is unknown, over, of another provider, or of another browser.
    """
    # The lock makes a second callback wait here, and then find nothing; SQLite's write lock is held already.
    row = session.get(LoginTransaction, _hash(state), with_for_update=True)
    if row is None or row.expires_at < utc_now():
        raise LoginFailed("unknown_transaction", "This sign-in took too long or was already used. Start again.")
    if browser is None or not hmac.compare_digest(row.browser_hash, _hash(browser)):
        # The row stays: whoever guessed or stole a state must not be able to end the real sign-in.
        raise LoginFailed("other_browser", "This sign-in was started in another browser. Start again here.")
    if row.provider != provider:
        raise LoginFailed("other_provider", "The answer came from another identity provider. Start again.")
    session.delete(row)
    return row


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
